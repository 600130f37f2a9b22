"""The tallest, the oldest and so on of two to four people, from comparisons of two."""

from itertools import pairwise

from training.tasks.passages.facts import people
from training.tasks.passages.frames import FRAMES
from training.tasks.problem import Problem, ask
from training.wordings import Draw, expand

# Comparative and superlative, then those of the opposite.
ADJECTIVES = (
    ("taller", "tallest", "shorter", "shortest"),
    ("older", "oldest", "younger", "youngest"),
    ("faster", "fastest", "slower", "slowest"),
    ("stronger", "strongest", "weaker", "weakest"),
    ("richer", "richest", "poorer", "poorest"),
    ("bigger", "biggest", "smaller", "smallest"),
    ("happier", "happiest", "sadder", "saddest"),
    ("louder", "loudest", "quieter", "quietest"),
)
STATEMENTS = (
    "{a} is {more} than {b}.",
    "{a} is {more} than {b}.",
    "{b} is {less} than {a}.",
    "{a} is [much|a bit|far|a little] {more} than {b}.",
    "{b} is [much|a bit|far|a little] {less} than {a}.",
    "Compared with {b}, {a} is {more}.",
    "Of {a} and {b}, {a} is {more}.",
)
WHO_IS_MOST = (
    "Who is the {most}?",
    "Who is {most}?",
    "[Which person|Which of them|Which one] is the {most}?",
    "~[Tell me|Say] who is the {most}.",
    "~[Name|Find] the {most}[ person| of them|].",
    "The {most} [one |person |]is [who?|...|]",
    "[So|Then] who is the {most}?",
    "Who of them is {most}?",
)
WHO_IS_MORE = (
    "Who is {more}?",
    "Who is {more}, {x} or {y}?",
    "[Which person|Which of them|Which one] is {more}?",
    "~[Tell me|Say] who is {more}.",
    "Is {x} or {y} {more}?",
    "[So|Then] who is {more}[, {x} or {y}|]?",
    "Of {x} and {y}, who is {more}?",
    "The {more} one is who?",
)


def compared(draw: Draw) -> Problem:
    """Name the tallest of a chain of comparisons, or the taller of two."""
    count = draw.pick((2, 2, 3, 3, 3, 4))
    names = people(draw, count)  # from the most to the least
    more, most, less, least = draw.pick(ADJECTIVES)
    texts = [
        expand(draw.rng, draw.slot(STATEMENTS)).format(a=a, b=b, more=more, less=less)
        for a, b in pairwise(names)
    ]
    if draw.chance(0.3):
        draw.rng.shuffle(texts)
    top = draw.chance(0.5)
    found = names[0] if top else names[-1]
    if count == 2:
        asked = more if top else less
        x, y = draw.rng.sample(names, 2)
        question, answer = draw.say(WHO_IS_MORE, more=asked, x=x, y=y), f"{found} is {asked}."
        chain = ""
    else:
        asked = most if top else least
        question, answer = draw.say(WHO_IS_MOST, most=asked), f"{found} is the {asked}."
        chain = f"{' > '.join(names)}. "  # a small model cannot order three in its head
    text = " ".join(texts)
    if draw.chance(0.7):
        request = f"{text}{draw.pick((' ', ' ', chr(10)))}{question}"
    else:
        request = draw.say(FRAMES, p=text, q=question)
    key = f"compared:{' '.join(names)}:{asked}"
    said = tuple(draw.said)
    return Problem("compare", (key,), ask(request), chain + answer, "final", answer, said=said)
