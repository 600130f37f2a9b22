"""Kinds of things: which word of a list is a fruit, which is the odd one out."""

from training.tasks.problem import Problem
from training.tasks.text.layouts import Kinds, exact, one_kind, say_list, size
from training.tasks.words import (
    ANIMALS,
    CITIES,
    COLORS,
    DAYS,
    FRUITS,
    JOBS,
    MONTHS,
    OWN_NAMES,
    VEGETABLES,
    with_article,
)
from training.wordings import Draw

AMBIGUOUS = frozenset(
    "Nice Florence Austin Sofia Cork orange peach lime tomato pepper pumpkin corn bean pea turkey "
    "date plum olive rose violet".split()
)
NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve twenty fifty".split()
VEHICLES = "car train boat truck plane bus bike ship tractor taxi van helicopter".split()
FURNITURE = "table chair sofa bed desk shelf bench wardrobe stool cupboard".split()
BODY = "hand foot nose ear arm leg knee mouth finger eye toe elbow".split()
CLOTHES = "shirt shoe hat coat glove scarf sock dress skirt jacket sweater".split()
KINDS_OF_THINGS: dict[str, tuple[str, ...]] = {
    kind: tuple(word for word in words if word not in AMBIGUOUS)
    for kind, words in {
        "fruit": FRUITS,
        "vegetable": VEGETABLES,
        "animal": ANIMALS,
        "color": COLORS,
        "job": JOBS,
        "vehicle": VEHICLES,
        "piece of furniture": FURNITURE,
        "body part": BODY,
        "piece of clothing": CLOTHES,
        "number": NUMBER_WORDS,
        "city": CITIES,
        "day": DAYS,
        "month": MONTHS,
        "name": OWN_NAMES,
    }.items()
}
# Kinds that are the subject of requests, with other names for them.
ASKED: dict[str, tuple[str, ...]] = {
    "fruit": ("fruit",),
    "vegetable": ("vegetable", "veggie"),
    "animal": ("animal",),
    "color": ("color", "color", "colour"),
    "job": ("job", "profession", "occupation"),
    "vehicle": ("vehicle",),
    "piece of furniture": ("piece of furniture",),
    "body part": ("body part", "part of the body"),
    "piece of clothing": ("piece of clothing",),
    "number": ("number",),
    "city": ("city",),
    "day": ("day of the week", "day"),
    "month": ("month",),
    "name": ("name", "first name"),
}
PLURAL_KINDS = {
    "piece of furniture": "pieces of furniture",
    "piece of clothing": "pieces of clothing",
    "part of the body": "parts of the body",
    "veggie": "veggies",
    "city": "cities",
    "day of the week": "days of the week",
}
WHICH = (
    "[Which|Which one|What|Which word|Which item] is {kind}: {items}",
    "[Which|Which one|Which word|Which] [of|of these,|among] {items} is {kind}?",
    "[Which|Which one|Which word] is {kind}[,|:| -] {items}?",
    "[Which of these|Which of the following|Which of these words|Which one of these] is {kind}: "
    "{items}",
    "~[Find|Pick|Choose|Select|Name|Tell me|Give me|Say] the {bare}: {items}",
    "~[Find|Pick|Choose|Select|Name] the {bare} [in|from|among] {items}[.|]",
    "~[Find|Pick|Choose|Select] the [one|word] that is {kind}: {items}",
    "{items}. [Which one|Which|Which of these|Which word] is {kind}?",
    "{items}\n[Which one is {kind}?|Find the {bare}.|Which is the {bare}?]",
    "{items} - [which one is {kind}|find the {bare}|which is the {bare}]",
    "[One of these is {kind}|There is one {bare} here]: {items}. Which[ one|]?",
    "[Of|Among|From] {items}, [which|which one] is {kind}?",
    "[The {bare}|Find the {bare}|Spot the {bare}]: {items}",
    "[Words|List|Options]: {items}. Which one is {kind}?",
    "~Identify the {bare}: {items}",
    "Only one of these is {kind}: {items}. [Which?|Which one?|Name it.]",
    "[Which|What] {bare} is in {items}?",
    "Where is the {bare} in {items}?",
    "~Point out the {bare}: {items}",
    "Do you see {kind} in {items}? Which one?",
)
ODD = (
    "[Which|Which one|Which word|What] [does not|doesn't] [belong|fit|fit in]: {items}",
    "[Which|Which one|Which word] of {items} [does not|doesn't] [belong|fit]?",
    "[Which|Which one|What] is the odd one out[:| in| among] {items}",
    "[What is|What's|whats] the odd one out: {items}",
    "[Odd one out|The odd one out|Odd one|Find the odd one out]: {items}",
    "~[Find|Pick|Choose|Spot|Name|Tell me] the odd one out: {items}",
    "~[Find|Pick|Spot|Name] the odd one [out |][in|among|of] {items}[.|]",
    "~[Find|Pick|Spot|Name] the [word|one] that [does not|doesn't] [belong|fit]: {items}",
    "{items}. [Which one|Which|Which word] [does not|doesn't] [belong|fit]?",
    "{items}\n[Which one is different?|Odd one out?|Which does not belong?]",
    "[Which|Which one|Which word] is [different|not like the others|the outsider]: {items}",
    "[Which|Which one|Which word] is [different|not like the others] [in|among|of] {items}?",
    "One of these [does not|doesn't] [belong|fit]: {items}. Which[ one|]?",
    "{items}: odd one out?",
    "[What|Which one] is wrong in [this list|the list|the group]: {items}",
    "~[Remove|Cross out] the one that does not [fit|belong] and name it: {items}",
    "[Which|Which one] [has nothing to do with|is unlike] the others: {items}",
    "~Say which one is the intruder: {items}",
)
FILTERS = (
    "~[Find|List|Name|Give me|Show|Pick|Keep|Select] [all |all the |the |only the |]{kinds}: "
    "{items}",
    "~[Find|List|Name|Give me|Pick|Keep] [all |all the |the |]{kinds} [in|from|of] {items}[.|]",
    "[Which|Which words|Which ones|Which of these] are {kinds}: {items}",
    "[Which|Which words|Which ones] [of|in|among] {items} are {kinds}?",
    "[What are|Which are] the {kinds} in {items}?",
    "{items}. [Which ones|Which|Which of them] are {kinds}?",
    "{items}\n[Which are {kinds}?|List the {kinds}.|Only the {kinds}.]",
    "[The {kinds}|{kinds}|Only {kinds}|All {kinds}]: {items}",
    "[Which|What] {kinds} [are|do you see|can you find] in {items}?",
    "[From|Of] {items}, [list|take|keep|give me] the {kinds}[.|]",
    "~Filter the {kinds}[ from this list|]: {items}",
    "[Words|List]: {items}. [Give me the {kinds}|Only the {kinds}|Keep the {kinds}].",
)


def _kind_name(draw: Draw, kind: str) -> str:
    return draw.pick(ASKED[kind])


def _many(name: str) -> str:
    return PLURAL_KINDS.get(name, name + "s")


def _words(draw: Draw, kind: str, count: int) -> list[str]:
    return draw.slots(KINDS_OF_THINGS[kind], count)


def _others(kind: str) -> list[str]:
    return [other for other in KINDS_OF_THINGS if other != kind]


def _number(draw: Draw, words: list[str], kind: str) -> list[str]:
    """The words, numbers in digits half of the time."""
    if kind == "number" and draw.chance(0.5):
        return [str(draw.rng.randint(0, 99))]
    return words


def _which(draw: Draw) -> Problem:
    kind = draw.pick((*ASKED, "fruit", "animal", "animal", "color", "color", "fruit", "vegetable"))
    wanted = _number(draw, _words(draw, kind, 1), kind)
    count = size(draw, 1, 4)
    rest = draw.rng.sample(_others(kind), count)
    if count > 1 and draw.chance(0.5):
        rest = [rest[0]] * count
    others = [_words(draw, other, count)[i] for i, other in enumerate(rest)]
    items = list(dict.fromkeys(wanted + others))
    draw.rng.shuffle(items)
    name = _kind_name(draw, kind)
    request = say_list(draw, WHICH, items, kind=with_article(name), bare=name)
    return exact("kind", f"which:{kind}:{':'.join(sorted(items))}", request, wanted[0])


def _odd(draw: Draw) -> Problem:
    kind = draw.pick((*ASKED, "fruit", "animal", "animal", "color", "fruit"))
    other = draw.pick(_others(kind))
    odd = _number(draw, _words(draw, other, 1), other)
    items = _words(draw, kind, size(draw, 2, 5)) + odd
    if kind == "number" and draw.chance(0.5):
        count = len(items) - 1
        items = [str(number) for number in draw.rng.sample(range(100), count)] + odd
    if len(items) == 3 and draw.chance(0.5):
        items = list(dict.fromkeys(_words(draw, kind, 3) + odd))
    draw.rng.shuffle(items)
    request = say_list(draw, ODD, items)
    return exact("kind", f"odd:{':'.join(sorted(items))}", request, odd[0])


def _filter(draw: Draw) -> Problem:
    kind = draw.pick((*ASKED, "fruit", "animal", "color"))
    wanted = _words(draw, kind, size(draw, 2, 4))
    others = []
    for other in draw.rng.sample(_others(kind), draw.pick((1, 2, 2, 3))):
        others += _words(draw, other, draw.pick((1, 1, 2)))
    items = wanted + others
    draw.rng.shuffle(items)
    request = say_list(draw, FILTERS, items, kinds=_many(_kind_name(draw, kind)))
    answer = ", ".join(item for item in items if item in wanted)
    return exact("kind", f"filter:{kind}:{':'.join(items)}", request, answer)


KINDS: Kinds = ((_which, 3), (_odd, 2), (_filter, 1.5))


def kind_of_thing(draw: Draw) -> Problem:
    """Tell fruits from animals, colors from names, and so on."""
    return one_kind(draw, KINDS)
