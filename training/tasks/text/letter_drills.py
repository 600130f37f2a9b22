"""Drills of words letter by letter, in another case, and picked by their places.

A word is one token after a space and others after a quotation mark or in capitals. Most tasks meet
a word in one of its forms; these drills ask for several words in all of them.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache

from training.tasks.problem import PRIMITIVE, Problem, Split, ask
from training.tasks.text.layouts import CARDINALS, inline
from training.tasks.words import lexicon
from training.wordings import Draw, allowed

ONSETS = (
    "b bl br c ch cl cr d dr f fl g gr h j k l m n p pl pr qu r s sc sh sk sl sp st t th tr v w"
)
VOWELS = "a e i o u ai ea ee oo ou"
ENDS = "b ck d ft g ke l ll m mp n nd ng nk nt p r rd rn s sh ss st t tch ve x y ze"
SPELLED = (
    "~[Spell|Spell out] [each|each word|these words|all of these]: {items}",
    "[Letters of each|Letter by letter|The letters of each word]: {items}",
    "~[Write|List|Show] [each|every] word letter by letter: {items}",
    "{items}\n[Spell them.|Letter by letter.|Spell each word.]",
    "~Split [each|every] word into [its |]letters: {items}",
    "how are {items} spelled?",
)
BACKWARDS = (
    "~[Spell|Write|Say] [each|each word|every word] backwards: {items}",
    "~Reverse the letters of [each|every] word: {items}",
    "{items}\n[Each word backwards.|Reverse each word.|Turn each word around.]",
    "[Each word backwards|Every word reversed|Words from behind]: {items}",
    "~Turn [each|every] [one|word] around: {items}",
    "[What is|What's] each of {items} backwards?",
)
CASES: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "capitals": str.upper,
    "lower case": str.lower,
    "title case": str.title,
}
CHANGED = (
    "~[Write|Put] [each|each word|these|these words] in {case}: {items}",
    "[In|Each in|Words in] {case}: {items}",
    "{items}\n[In {case}, please.|Each in {case}.|Now in {case}.]",
    "~[Convert|Change|Turn] [each word|these words] to {case}: {items}",
    "[What is|What's] each of {items} in {case}?",
    "all of [this|these] in {case}: {items}",
)
CHANGED_ON_LINES = (
    "{items} in {case}, one [by one|per line]",
    "~[Write|Put] [each|each word] in {case} on [a line of its own|a new line]: {items}",
    "[In|Each in] {case}, [one per line|line by line]: {items}",
)
PLACES = (
    "[Items|Numbers|Words|Entries] {places} of {items}[?|]",
    "~[Give|Give me|Show|Pick|Take] [items|words|entries] [number |]{places}: {items}",
    "{items}\n[Words|Items|Numbers] {places}[?|.|, please.]",
    "~Put {items} in this order of places: {places}",
    "From {items}, [take|pick|give me] [numbers|items] {places}.",
    "[Which|What] are [items|numbers|words] {places} in {items}?",
)
PAIRED = (
    "~[Put|Write] each pair in alphabetical order: {pairs}",
    "~[Sort|Order|Alphabetize] [each pair|the words of each pair|every pair]: {pairs}",
    "{pairs}\n[Which of each pair comes first?|Each pair from A to Z.|Sort each pair.]",
    "[Pair by pair|Each pair] [from A to Z|in dictionary order|alphabetically]: {pairs}",
    "in [each|every] pair, which [word |]comes first in the alphabet: {pairs}",
    "~Go through these pairs and [sort|alphabetize] each of them: {pairs}",
)


def invented(draw: Draw) -> str:
    """A word that is in no dictionary, of one to three syllables."""
    onsets, vowels, ends = (part.split() for part in (ONSETS, VOWELS, ENDS))
    count = draw.pick((1, 2, 2, 3))
    return "".join(draw.pick(onsets) + draw.pick(vowels) for _ in range(count)) + draw.pick(ends)


def _words(draw: Draw, fewest: int, most: int) -> list[str]:
    """Different words, many of them invented, in one of three cases."""
    count = draw.rng.randint(fewest, most)
    change = draw.pick((str.lower, str.lower, str.title, str.upper))
    found: dict[str, None] = {}
    while len(found) < count:
        found[change(invented(draw) if draw.chance(0.4) else draw.word())] = None
    return list(found)


def _drill(keys: list[str], request: str, answer: str) -> Problem:
    return Problem("drill", (f"{PRIMITIVE}:drill", *keys), ask(request), answer)


def spell_words(draw: Draw) -> Problem:
    """Two to six words letter by letter, from the start or from the end."""
    words = _words(draw, 2, 6)
    if draw.chance(0.6):
        keys = [f"letters:spell:{word.lower()}" for word in words]
        request = draw.say(SPELLED, items=inline(draw, words))
        return _drill(keys, request, "\n".join(f"{word}: {' '.join(word)}" for word in words))
    keys = [f"letters:backwards:{min(word.lower(), word[::-1].lower())}" for word in words]
    request = draw.say(BACKWARDS, items=inline(draw, words))
    shown = (f"{word}: {' '.join(word[::-1])}: {word[::-1]}" for word in words)
    return _drill(keys, request, "\n".join(shown))


def change_case(draw: Draw) -> Problem:
    """Three to eight words, each in another case."""
    words = _words(draw, 3, 8)
    case = draw.pick(list(CASES))
    name = {"upper case": "upper", "capitals": "upper", "lower case": "lower"}.get(case, "title")
    keys = [f"string:{name}:{word.lower()}" for word in words]
    on_lines = draw.chance(0.4)
    templates = CHANGED_ON_LINES if on_lines else CHANGED
    request = draw.say(templates, case=case, items=inline(draw, words))
    changed = [CASES[case](word) for word in words]
    return _drill(keys, request, "\n".join(changed) if on_lines else ", ".join(changed))


def pick_places(draw: Draw) -> Problem:
    """Items of a list in the order of places that the request names."""
    words = _words(draw, 4, 10)
    places = draw.rng.sample(range(1, len(words) + 1), draw.rng.randint(2, min(5, len(words))))
    named = [CARDINALS[place] for place in places] if draw.chance(0.2) else list(map(str, places))
    request = draw.say(PLACES, places=", ".join(named), items=inline(draw, words))
    return _drill([], request, ", ".join(words[place - 1] for place in places))


@cache
def _by_start(split: Split) -> Mapping[str, list[str]]:
    """Words of the lexicon by their first two letters."""
    found: dict[str, list[str]] = defaultdict(list)
    for word in allowed(lexicon(), split):
        found[word[:2]].append(word)
    return found


def order_pairs(draw: Draw) -> Problem:
    """Two to five pairs of words, each in alphabetical order; many pairs begin alike."""
    pairs: list[list[str]] = []
    for _ in range(draw.rng.randint(2, 5)):
        first, second = draw.distinct(2)
        alike = _by_start(draw.words).get(first[:2], [])
        if draw.chance(0.5) and (others := [word for word in alike if word != first]):
            second = draw.pick(others)
        pairs.append([first, second])
    form = draw.pick(("({}, {})", "{} / {}", "{} and {}", "{}, {}"))
    joint = draw.pick(("; ", "\n", " | "))
    request = draw.say(PAIRED, pairs=joint.join(form.format(*pair) for pair in pairs))
    ordered = [sorted(pair) for pair in pairs]
    ends = ("first", "last")
    keys = [f"wsort:{end}:{':'.join(pair)}" for pair in ordered for end in ends]
    return _drill(keys, request, "\n".join(", ".join(pair) for pair in ordered))
