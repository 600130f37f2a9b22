"""Letters of the alphabet and their order."""

from training.tasks.problem import PRIMITIVE, Problem, ask
from training.tasks.text.counting import VOWELS, numbered, spaced
from training.tasks.text.layouts import exact, ordinal, quoted
from training.tasks.words import LETTERS
from training.wordings import Draw

NEXT_LETTERS = (
    "[What|Which] letter [comes|is|follows] {after} [|the letter ]{letter}?",
    "[What is|What's|whats] the {next} letter [in the alphabet |]{after} {letter}?",
    "[What|Which letter] comes {after} {letter} in the alphabet?",
    "~[Give|Give me|Tell me|Name|Say] the letter {after} {letter}.",
    "[The |]letter {after} {letter}[?|]",
    "Letter {after} {letter} in the alphabet[?|]",
    "In the alphabet, [what|which letter] [is|comes] {after} {letter}?",
    "{after} {letter} comes [what|which letter]?",
    "[Alphabet|ABC]: [what|which letter] is {after} {letter}?",
    "~Find the letter that comes {after} {letter}[| in the alphabet].",
    "[What is|What's|whats] {after} {letter} in the [alphabet|ABC]?",
    "[Which|What] letter stands [right |directly |]{after} {letter}?",
    "I forgot [which|what] letter comes {after} {letter}.",
    "[Do you know|Can you say] [which|what] letter is {after} {letter}?",
)
PLACES = (
    "[What is|What's|Which is] the {nth} letter [of|in] the alphabet?",
    "[The |]{nth} letter of the alphabet[?|]",
    "[What|Which] letter [is|comes] {nth} in the alphabet?",
    "~[Give|Give me|Tell me|Name|Say] the {nth} letter of the alphabet.",
    "[Which|What] letter of the alphabet is {nth}?",
    "[Alphabet|ABC]: {nth} letter[?|]",
    "In the alphabet, [what|which] is the {nth} letter?",
    "~Find the {nth} letter in the alphabet.",
    "[Do you know|Can you tell] the {nth} letter of the alphabet?",
    "[I need|I want to know] the {nth} letter of the alphabet.",
)
RANGES = (
    "~[List|Write|Say|Print|Give me|Show] [the|all|all the] letters from {a} to {b}[.|]",
    "~[List|Write|Say|Print|Give me] the alphabet from {a} to {b}[.|]",
    "[What are|Which are] the letters from {a} to {b}?",
    "[Letters|The letters|Alphabet|All letters] from {a} to {b}[.|]",
    "[Letters|Alphabet|Range]: {a} to {b}",
    "[Which|What] letters are [there |]from {a} to {b}[ in the alphabet|]?",
    "~[Start|Begin] [with|at] {a} and [say|go through|write] the alphabet [to|up to] {b}[.|]",
    "[Can you|Could you] [say|list|write] the letters from {a} to {b}?",
    "{a} to {b} in the alphabet[.|]",
    "{a}-{b}, all letters[.|]",
    "~Count from {a} to {b} in letters[.|]",
    "[I need|I want|I'd like|gimme] the letters from {a} to {b}.",
)
VOWEL_OR_NOT = (
    "Is {letter} a vowel?",
    "Is {letter} a consonant?",
    "Is {letter} a vowel or a consonant?",
    "Is the letter {letter} [a vowel|a consonant|a vowel or a consonant]?",
    "{letter}: vowel or consonant?",
    "[Vowel or consonant|Consonant or vowel]: {letter}",
    "~[Tell me|Say|Find out] [if|whether] {letter} is a vowel[ or a consonant|].",
    "[What is|What's|whats] {letter}, a vowel or a consonant?",
    "What kind of letter is {letter}?",
    "~Classify {letter} as vowel or consonant.",
    "Does {letter} count as a vowel?",
    "[What kind of letter is {letter}|Which is {letter}], vowel or consonant?",
)
PAST_TENTH = ("11th", "12th", "13th", "14th", "15th", "16th", "17th", "18th", "19th", "20th")
PLACE_NAMES = (*PAST_TENTH, "21st", "22nd", "23rd", "24th", "25th", "26th")


def alphabet(draw: Draw) -> Problem:
    """A letter by its place or its neighbor, a part of the alphabet, or a vowel told apart."""
    kind = draw.rng.random()
    if kind < 0.25:
        place = draw.rng.randrange(1, 25)
        nth = ordinal(draw, place + 1) if place < 10 else PLACE_NAMES[place - 10]
        key = f"{PRIMITIVE}:alphabet:{place}"
        work = numbered(LETTERS[: place + 1]) if place < 12 else spaced(LETTERS[: place + 1])
        result = f"Letter {place + 1} is {LETTERS[place]}."
        request = draw.say(PLACES, nth=nth)
        return Problem("letters", (key,), ask(request), f"{work}. {result}", "final", result)
    if kind < 0.5:
        start = draw.pick((0, 0, draw.rng.randrange(22)))
        end = draw.rng.randint(start + 2, min(25, start + 12))
        change = draw.pick((str.lower, str.lower, str.upper))
        a, b = change(LETTERS[start]), change(LETTERS[end])
        answer = ", ".join(change(LETTERS[start : end + 1]))
        return exact("letters", f"range:{start}:{end}", draw.say(RANGES, a=a, b=b), answer)
    if kind < 0.62:
        letter = draw.pick((*VOWELS, *VOWELS, *VOWELS, *LETTERS.replace("y", "")))
        shown = quoted(draw, letter.upper() if draw.chance(0.4) else letter)
        request = draw.say(VOWEL_OR_NOT, letter=shown)
        answer = f"The letter {letter} is a {'vowel' if letter in VOWELS else 'consonant'}."
        return Problem("letters", (f"{PRIMITIVE}:vowel:{letter}",), ask(request), answer)
    is_next = draw.chance(0.7)
    place = draw.rng.randrange(25) + (not is_next)
    other = LETTERS[place + 1 if is_next else place - 1]
    letter = LETTERS[place]
    after = draw.pick(("after", "after", "right after")) if is_next else "before"
    shown = quoted(draw, letter.upper() if draw.chance(0.4) else letter)
    request = draw.say(
        NEXT_LETTERS, letter=shown, after=after, next="next" if is_next else "previous"
    )
    result = f"The letter {'after' if is_next else 'before'} {letter} is {other}."
    key = f"{PRIMITIVE}:alphabet:{'next' if is_next else 'before'}:{letter}"
    return Problem("letters", (key,), ask(request), result)
