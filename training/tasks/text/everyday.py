"""Lists and texts that people have at hand, changed as they ask for it: trained on, not counted.

The kinds are those of the counted tasks, by whose names they are kept out of the held-out problems,
in more wordings, with more numbers and with items of several words.
"""

from collections.abc import Callable

from training.tasks.problem import Problem
from training.tasks.text.layouts import (
    Kinds,
    exact,
    listed_words,
    one_kind,
    quoted,
    say_list,
    say_text,
    size,
)
from training.tasks.words import COLORS, FOODS, FRUITS, ITEMS
from training.wordings import Draw

UNIQUE = (
    "~[Get rid of|Throw out|Kick out|Strip|Leave out] [the |all |any ]"
    "[duplicates|repeats|doubles|repeated ones]: {items}",
    "~[Get rid of|Throw out|Leave out] [the |all ][duplicates|repeats|doubles] in {items}[.|]",
    "~[Drop|Remove|Delete|Take out] [the |all the |any ][dupes|doubles|repeats|repeated values]: "
    "{items}",
    "[which|what] values are in {items}, each [just |only |]once?",
    "{items} - [no repeats|no duplicates|drop the repeats|only unique ones][, please|]",
    "[no repeats|only once each|unique only|distinct]: {items}",
    "[some of these are double|there are repeats in this|I wrote some twice]: {items}. "
    "[Clean it up|Keep one of each|Remove them].",
    "~[Keep|Leave] [just |only |]one of each: {items}",
    "~[Clean up|Tidy] [this|the|my] list so [nothing|no item] [is there|comes] twice: {items}",
    "~Show [this|the] list without [the |any |]repeated [items|values|entries]: {items}",
)
LEFT = (
    "~[Remove|Delete|Take|Cross|Strike] {word} [off|from|out of] my "
    "[shopping|grocery|packing|to-do|guest] list: {items}",
    "my [shopping|packing|to-do] list: {items}. I [already have|no longer need] {word}.",
    "~[Take|Cross] {word} off: {items}",
    "I have {items} on my list. [Take off|Remove|Delete|Drop] {word}[, please|].",
    "~[Get rid of|Leave out|Skip|Omit|Exclude] {word} [in|from] {items}[.|]",
    "~[Get rid of|Skip|Omit|Exclude] {word}: {items}",
    "[what|which ones] remain[| in the list] [when|if] I [remove|drop|take away] {word}: {items}",
    "{items} [minus|except|but not|excluding|but without] {word}[?|]",
    "{items}\n[no {word}|drop {word}|take {word} out|everything but {word}][, please|]",
    "~[Give me|Show|List|Write] everything [but|except] {word}: {items}",
)
PARITY = (
    "~[Keep|Give me|List|Show|Pick|Return|Choose|Find|Select] [only |just |]the {kind} "
    "[numbers|ones|values]: {items}",
    "~[Keep|Give me|List|Show|Pick|Choose|Find] [only |just |all |]the {kind} [numbers|ones] "
    "[from|of|in|among] {items}[.|]",
    "[Which|What] [numbers|of these numbers|of these|ones] are {kind}: {items}",
    "[Which|What] [numbers|] [in|of|among] {items} are {kind}?",
    "{items}. [Which|Which ones|Which of them] are {kind}?",
    "{items}\n[only the {kind} ones|{kind} numbers only|keep the {kind} ones|which are {kind}?]",
    "[{kind} numbers|{kind} ones|only {kind}|{kind}] [in|of|from|out of] {items}[?|]",
    "[{kind} numbers only|just the {kind} ones|keep {kind}|{kind} numbers]: {items}",
    "~Filter [out all but |]the {kind} numbers: {items}",
    "[I need|I want|gimme|I'd like] the {kind} [numbers|ones] [out of|from|of] {items}[.|]",
    "~[Throw away|Drop|Remove] [the|all] {other} [numbers|ones]: {items}",
    "~[Drop|Remove|Delete|Leave out] [the|all] {other} [numbers|ones] from {items}[.|]",
)
BOUNDED = (
    "~[Keep|Give me|List|Show|Pick|Find|Return] [only |just |]the [numbers|ones|values] "
    "{side} {n}: {items}",
    "~[Keep|Give me|List|Show|Find] [all |]the [numbers|ones|values] {side} {n} "
    "[from|of|in|among] {items}[.|]",
    "[Which|What] [numbers|of these numbers|ones|of these] are {side} {n}: {items}",
    "[Which|What] [numbers|ones] [in|of|among] {items} are {side} {n}?",
    "{items}. [Which|Which ones|Which of them] are {side} {n}?",
    "{items}\n[only those {side} {n}|which are {side} {n}?|keep those {side} {n}]",
    "[numbers|values|those|all] {side} {n} [in|of|from] {items}[?|]",
    "[numbers {side} {n}|{side} {n}|only those {side} {n}]: {items}",
    "[I need|I want|gimme] the [numbers|ones] {side} {n}: {items}",
    "~Filter [this list|the list|these numbers] for [numbers|values] {side} {n}: {items}",
)
SIDES = {
    True: (
        "above",
        "over",
        "greater than",
        "bigger than",
        "larger than",
        "more than",
        "higher than",
    ),
    False: ("below", "under", "less than", "smaller than", "lower than"),
}
DOWN = (
    "~[order|sort|arrange|rank] [these|these numbers|the numbers|numbers] "
    "[from the biggest|going down|biggest first|from the top] {items}",
    "~[Put|Write|List] [these|the numbers|them] [highest|biggest|largest] first: {items}",
    "{items} [biggest first|highest first|largest first|descending please|from the biggest down]",
    "[highest first|biggest first|big to small please|going down]: {items}",
    "[highest first|biggest first|from the top] {items}",
    "~[Sort|Order|Arrange] {items} so [that |]the [biggest|largest|highest] [is|comes] first[.|]",
    "~[Sort|Order] [these|them] [downwards|going down|from the greatest]: {items}",
    "~[Sort|Order|Arrange|Put] {items} [in descending order|going down|from high to low][.|]",
)
CASED: dict[str, tuple[str, ...]] = {
    "upper": (
        "[please |pls |now |]make [all of this|it all|these words] [upper case|all caps]: {text}",
        "[caps|all caps|uppercase|upper case|capitals|big letters][ please| pls|]: {text}",
        "~[Write|Type|Say|Give me|Show] [this|these words|it] in [capitals|big letters|caps]: "
        "{text}",
        "{text} [in caps|in capitals|-> upper case|all caps please|uppercase please]",
        "~[Shout|Scream|Yell] {text}[.|]",
        "[turn|change|convert|put] [this |these words |]to [caps|upper case|uppercase] -> {text}",
        "how does {text} look in [capitals|all caps|upper case]?",
        "~Use [capitals|upper case|caps] for [every letter|all letters|everything]: {text}",
    ),
    "lower": (
        "[please |pls |now |]make [all of this|it all|them] [lower case|small letters]: {text}",
        "[lowercase|lower case|small letters|no caps][ please| pls|]: {text}",
        "~[Write|Type|Say|Give me|Show] [this|these words|it] in [small letters|lower case]: "
        "{text}",
        "{text} [in lower case|in small letters|-> lower case|no caps please|lowercase please]",
        "~[Stop shouting|Whisper|Say it quietly]: {text}",
        "[turn|change|convert|put] [this |these words |]to [lower case|lowercase] -> {text}",
        "how does {text} look in [small letters|lower case]?",
        "~Use [no capitals|lower case|small letters] for [every letter|everything]: {text}",
    ),
    "title": (
        "~[Give|Start] [each|every] word [with |]a capital[ letter|]: {text}",
        "~[Capitalise|Capitalize] the first letter [in|of] [each|every] word: {text}",
        "[title case|headline case|capitals at the start][ please| pls|]: {text}",
        "{text} [in title case please|-> title case|as a title|as a headline]",
        "~[Write|Type|Show] [this|it] with [a capital|a big letter] at the start of "
        "[each|every] word: {text}",
        "~Make the first letter of [each|every] word [big|upper case|a capital]: {text}",
        "[turn|change|convert] [this |these words |]to title case -> {text}",
        "how does {text} look [as a title|in title case]?",
    ),
}
CHANGES: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
}


def _numbers(draw: Draw, low: int = 4, high: int = 8) -> list[int]:
    """Different numbers, small ones most often."""
    top = draw.pick((10, 20, 20, 50, 100, 100, 999))
    return draw.rng.sample(range(top + 1), size(draw, low, high))


def _things(draw: Draw, count: int) -> list[str]:
    """Items of a list, some of two words."""
    if draw.chance(0.5):
        return listed_words(draw, count)
    found: dict[str, None] = {}
    while len(found) < count:
        thing = draw.slot(draw.pick((FOODS, FRUITS, ITEMS)))
        found[f"{draw.slot(COLORS)} {thing}" if draw.chance(0.25) else thing] = None
    return list(found)


def _unique(draw: Draw) -> Problem:
    few = size(draw, 2, 5)
    items = listed_words(draw, few)
    if draw.chance(0.6):
        items = [str(number) for number in draw.rng.sample(range(draw.pick((10, 10, 100))), few)]
    repeated = items + draw.rng.choices(items, k=draw.pick((1, 2, 3)))
    draw.rng.shuffle(repeated)
    request = say_list(draw, UNIQUE, repeated)
    return exact(
        "list", f"unique:{':'.join(repeated)}", request, ", ".join(dict.fromkeys(repeated))
    )


def _left(draw: Draw) -> Problem:
    items = _things(draw, size(draw, 3, 7))
    word = draw.pick(items)
    are_single = all(item.isalpha() for item in items)
    # Spaces cannot part items that have spaces.
    shown = items if are_single else [draw.pick((", ", ", ", "; ")).join(items)]
    request = say_list(draw, LEFT, shown, word=quoted(draw, word))
    rest = ", ".join(item for item in items if item != word)
    return exact("list", f"drop:{word}:{':'.join(items)}", request, rest)


def _parity(draw: Draw) -> Problem:
    numbers = _numbers(draw)
    kind, other = draw.pick((("even", "odd"), ("odd", "even")))
    found = [number for number in numbers if (number % 2 == 0) == (kind == "even")]
    if not found:
        return _parity(draw)
    shown = [str(number) for number in numbers]
    request = say_list(draw, PARITY, shown, kind=kind, other=other)
    return exact("list", f"{kind}:{':'.join(shown)}", request, ", ".join(map(str, found)))


def _bounded(draw: Draw) -> Problem:
    numbers = _numbers(draw)
    is_above, bound = draw.chance(0.6), draw.pick((5, 10, 10, 20, 50, draw.pick(numbers)))
    found = [n for n in numbers if (n > bound if is_above else n < bound)]
    if not found or len(found) == len(numbers):
        return _bounded(draw)
    shown = [str(number) for number in numbers]
    request = say_list(draw, BOUNDED, shown, side=draw.pick(SIDES[is_above]), n=bound)
    key = f"{'above' if is_above else 'below'}:{bound}:{':'.join(shown)}"
    return exact("list", key, request, ", ".join(map(str, found)))


def _down(draw: Draw) -> Problem:
    numbers = _numbers(draw, 3, 7)
    ordered = [str(number) for number in sorted(numbers)]
    request = say_list(draw, DOWN, [str(number) for number in numbers])
    return exact("sort", ":".join(ordered), request, ", ".join(ordered[::-1]))


def _cased(draw: Draw) -> Problem:
    name = draw.pick(("upper", "upper", "lower", "title"))
    text = " ".join(draw.distinct(draw.pick((1, 2, 2, 3, 4))))
    if name == "lower":
        text = draw.pick((str.title, str.upper, str.upper))(text)
    request = say_text(draw, CASED[name], text)
    return exact("string", f"{name}:{text.lower()}", request, CHANGES[name](text))


KINDS: Kinds = ((_unique, 2), (_left, 2), (_parity, 2), (_bounded, 1), (_down, 1), (_cased, 3))


def everyday(draw: Draw) -> Problem:
    """Filter, clean up or order a list of somebody's, or change the case of a text."""
    return one_kind(draw, KINDS)
