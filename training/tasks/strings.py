"""String manipulation and filling in a blank."""

from random import Random

from training.tasks.code import RECIPES, draw_function, function_key
from training.tasks.problem import Problem, ask
from training.tasks.sequences import number_off
from training.tasks.words import COLORS, LETTERS, NAMES, THINGS, WORDS, with_article

BLANK = "___"
SEPARATORS = {"a dash": "-", "a comma": ",", "a slash": "/", "an underscore": "_", "a plus": "+"}
SENTENCES = (
    "{name} bought {a_color} {thing}. {name} showed the {color} {thing} to {other}.",
    "{name} lost {a_color} {thing} and {other} found the {color} {thing}.",
    "The {color} {thing} belongs to {name}. {other} wants the {color} {thing} too.",
    "{name} and {other} saw {a_color} {thing}. {name} took the {thing} home.",
)


def manipulate_string(rng: Random) -> Problem:
    """Change a list of words or letters as told."""
    words = rng.sample(WORDS, rng.randint(2, 5))
    listed = " ".join(words)
    checker, reference = "exact", None
    operation = rng.choice(
        ["upper", "title", "join", "replace", "first", "last", "initials", "count", "split"]
    )
    match operation:
        case "upper":
            question = rng.choice(["Write in capital letters: ", "Change to upper case: "]) + listed
            answer = listed.upper()
        case "title":
            question, answer = "Capitalize each word: " + listed, listed.title()
        case "join":
            name = rng.choice(list(SEPARATORS))
            question = f"Join these words with {name}: {listed}"
            answer = SEPARATORS[name].join(words)
        case "split":
            name = rng.choice(list(SEPARATORS))
            question = f"Split at {name}: {SEPARATORS[name].join(words)}"
            answer = listed
        case "replace":
            words += rng.choices(words, k=rng.randint(1, 3))
            rng.shuffle(words)
            listed = " ".join(words)
            old, new = rng.choice(words), rng.choice(WORDS)
            question = f"Replace {old} with {new} in: {listed}"
            answer = " ".join(new if word == old else word for word in words)
        case "first":
            question, answer = "Remove the first word: " + listed, " ".join(words[1:])
        case "last":
            question, answer = "Remove the last word: " + listed, " ".join(words[:-1])
        case "initials":
            question = "Give the first letter of each word: " + listed
            answer = " ".join(word[0] for word in words)
        case _:
            letters = [rng.choice(rng.sample(LETTERS, 3)) for _ in range(rng.randint(4, 9))]
            wanted, listed = rng.choice(letters), " ".join(letters)
            question = f"How many times is the letter {wanted} in: {listed}?"
            total = letters.count(wanted)
            reference = f"The letter {wanted} is there {total} time{'' if total == 1 else 's'}."
            answer = f"{number_off(letters, wanted)}. {reference}"
            checker = "final"
    key = f"string:{operation}:{listed}"
    return Problem("string", (key,), ask(question), answer, checker, reference)


def _blank_word(rng: Random, text: str, words: list[str]) -> str:
    word = rng.choice([word for word in words if word in text])
    start = text.index(word) if rng.random() < 0.5 else text.rindex(word)
    return text[:start] + BLANK + text[start + len(word) :]


def _blank_in_sequence(rng: Random) -> tuple[str, str, tuple[str, ...]]:
    start, step, length = rng.randint(0, 99), rng.randint(1, 12), rng.randint(5, 7)
    numbers = [start + step * i for i in range(length)]
    if rng.random() < 0.3:
        numbers.reverse()
    hidden = rng.randrange(1, length - 1)
    shown = [BLANK if i == hidden else str(number) for i, number in enumerate(numbers)]
    key = f"infill:sequence:{start}:{step}"
    return ", ".join(shown), ", ".join(map(str, numbers)), (key,)


def _blank_in_pattern(rng: Random) -> tuple[str, str, tuple[str, ...]]:
    words = rng.sample(WORDS, rng.randint(2, 3))
    full = words * rng.randint(3, 4)
    hidden = rng.randrange(len(words), len(full) - 1)
    shown = [BLANK if i == hidden else word for i, word in enumerate(full)]
    return " ".join(shown), " ".join(full), ("infill:pattern:" + " ".join(words),)


def _blank_in_sentence(rng: Random) -> tuple[str, str, tuple[str, ...]]:
    name, other = rng.sample(NAMES, 2)
    color, thing = rng.choice(COLORS), rng.choice(THINGS)
    text = rng.choice(SENTENCES).format(
        name=name, other=other, color=color, thing=thing, a_color=with_article(color)
    )
    repeated = [word for word in (color, thing, name) if text.count(word) == 2]
    key = "infill:sentence:" + text
    return _blank_word(rng, text, repeated), text, (key,)


def _blank_in_code(rng: Random) -> tuple[str, str, tuple[str, ...]]:
    recipe, names = draw_function(rng)
    while recipe.kind not in ("add", "subtract", "times", "larger", "sum_above", "field"):
        recipe = rng.choice(RECIPES)
    text = recipe.source.format(**names)
    if recipe.kind in ("add", "subtract", "times"):
        hidden = rng.choice(["return", " + ", " - ", " * "])
        hidden = hidden if hidden in text else "return"
        shown = text.replace(hidden, hidden.replace(hidden.strip(), BLANK), 1)
    else:
        parts = ["total", "item", "return", "def", "self", "if", "for"]
        hidden = rng.choice([part for part in parts if f" {part}" in text])
        start = text.rindex(f" {hidden}") + 1
        shown = text[:start] + BLANK + text[start + len(hidden) :]
    key = function_key(recipe, names)
    return shown, text, ("infill:" + key, key)


def fill_blank(rng: Random) -> Problem:
    """Write a sequence, a sentence or code with its blank filled in."""
    kind = rng.choice([_blank_in_sequence, _blank_in_pattern, _blank_in_sentence, _blank_in_code])
    shown, full, keys = kind(rng)
    question = rng.choice(["Fill in the blank: ", "Fill in the gap: ", "Complete this: "])
    if "\n" in shown:
        question = question.strip() + "\n"
    return Problem("infill", keys, ask(question + shown), full)
