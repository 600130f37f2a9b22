"""Everyday notes of hours, prices, plans and people, and questions: trained on, not counted.

Answers are words of the note, as a reader would point at them.
"""

import re
from collections.abc import Callable, Mapping
from itertools import chain

from training.tasks.passages.happening_words import (
    EVENTS,
    GOODS,
    KIN,
    REASONS,
    ROOMS,
    SUBJECTS,
    TEXTS,
)
from training.tasks.passages.happenings import UNKNOWN_SHARE, framed
from training.tasks.passages.lookup import UNKNOWN, capital
from training.tasks.passages.notice_words import OPENINGS, TOPICS, Notice
from training.tasks.problem import PRIMITIVE, Problem, ask
from training.tasks.words import (
    ANIMALS,
    CITIES,
    COLORS,
    DAYS,
    FOODS,
    ITEMS,
    LAST_NAMES,
    MONTHS,
)
from training.wordings import Draw, expand

SHOPS = (
    *("shop", "bakery", "museum", "library", "pharmacy", "bank", "pool", "post office", "cafe"),
    *("gym", "zoo", "market", "office", "garage", "restaurant", "kitchen", "bookshop", "gallery"),
)
VEHICLES = ("train", "bus", "ferry", "tram", "coach", "night train", "boat", "plane")
STOPS = ("platform", "gate", "stop", "track", "pier", "dock")
JOBS = (
    *("deploy", "report", "search page", "test run", "backup", "update", "login page", "build"),
    *("upload", "meeting", "lesson", "concert", "repair", "painting", "cleaning", "budget"),
)
THINGS = (
    *("lamp", "phone", "case", "book", "chair", "table", "bike", "scarf", "hat", "umbrella"),
    *("bag", "printer", "fan", "cable", "clock", "camera", "jacket", "mug", "pen", "radio", "tent"),
    *("guitar", "ticket", "poster", "kettle", "pillow", "plate", "laptop", "keyboard", "screen"),
)
MACHINES = ("server", "laptop", "printer", "phone", "build machine", "computer", "tablet")
HALLS = (
    *("main hall", "Blue Room", "kitchen", "library", "gym", "garden", "old office", "Green Room"),
    *("canteen", "music room", "basement", "lobby", "chapel", "town hall", "small room"),
)
PLACES = (
    *("museum", "hotel", "library", "school", "hospital", "bridge", "tower", "church", "castle"),
    *("station", "theater", "market hall", "lighthouse", "town hall", "factory", "mill"),
)
PRODUCTS = ("app", "phone", "hotel room", "game", "printer", "coffee", "vacuum cleaner", "website")
GOOD = ("quick", "cheap", "easy to use", "very pretty", "light", "strong", "quiet", "well made")
BAD = ("too loud", "far too slow", "hard to clean", "very heavy", "too small", "hard to open")
WHERE = (
    *(
        "on the sofa",
        "in the kitchen",
        "under the table",
        "on my bed",
        "in the garden",
        "by the door",
    ),
    *("in a basket", "on the mat", "in the hall", "on the stairs", "in the shed", "next to me"),
)
HABITATS = ("the forest", "the sea", "cold lands", "the desert", "rivers", "the mountains", "caves")
DIETS = ("fish", "grass", "insects", "leaves", "small animals", "fruit", "seeds", "roots")
ABLE = ("fly", "swim", "climb", "jump", "run", "dig", "see at night", "sing", "dive", "hear")
WENT = (
    ("came home late", "come home late"),
    ("got wet", "get wet"),
    ("missed the bus", "miss the bus"),
    ("stayed at home", "stay at home"),
    ("bought a new one", "buy a new one"),
    ("was late", "come late"),
    ("could not get in", "wait outside"),
)
LOST = (("forgot", "forget"), ("lost", "lose"), ("broke", "break"), ("hid", "hide"))
BROUGHT = (
    *(*GOODS, *TEXTS, "a packed lunch", "warm clothes", "the contract", "a pen", "your own cup"),
    *("two cabbages", "a jar of honey", "a cherry cake", "a camera", "old shoes", "the key"),
    *("some milk", "the API key", "a new password", "dark mode", "longer breaks", "more chairs"),
)
BEASTS = (
    "cats dogs bears rabbits horses ducks frogs pigs lions owls turtles cows seals bats".split()
)
NUMBERS = "two three four five six seven eight nine ten twelve".split()
ORDINALS = "first second third fourth fifth sixth seventh".split()
TITLES = ("Mr", "Mrs", "Ms", "Dr", "Mr.", "Mrs.", "Dr.", "Miss")


def _price(draw: Draw) -> str:
    amount = draw.rng.randint(1, 30) if draw.chance(0.5) else draw.rng.randint(1, 90) * 10
    return draw.pick(
        (f"{amount} dollars", f"${amount}", f"{amount} euros", f"{amount} pounds", f"${amount}.50")
    )


def _hour(draw: Draw) -> str:
    hour = draw.rng.randint(1, 12)
    minute = draw.pick(("00", "05", "10", "15", "20", "30", "32", "45", "50"))
    return draw.pick((f"{hour} am", f"{hour} pm", f"{hour}", f"{hour}:{minute}", f"{hour} o'clock"))


def _date(draw: Draw) -> str:
    day, month = draw.rng.randint(1, 28), draw.pick(MONTHS)
    return draw.pick((f"{day} {month}", f"{month} {day}"))


def _person(draw: Draw) -> str:
    if draw.chance(0.65):
        return draw.name()
    if draw.chance(0.6):
        return f"{draw.pick(TITLES)} {draw.pick(LAST_NAMES)}"
    return f"my {draw.pick(KIN)}"


def _one_of(*words: tuple[str, ...] | list[str]) -> Callable[[Draw], str]:
    together = [word for some in words for word in some]
    return lambda draw: draw.pick(together)


SLOTS: Mapping[str, Callable[[Draw], str]] = {
    "x": _person,
    "y": _person,
    "shop": _one_of(SHOPS),
    "vehicle": _one_of(VEHICLES),
    "stop": _one_of(STOPS),
    "job": _one_of(JOBS),
    "thing": _one_of(THINGS),
    "machine": _one_of(MACHINES),
    "event": lambda draw: draw.pick(EVENTS).removeprefix("the "),
    "room": lambda draw: draw.pick((*HALLS, *HALLS, *ROOMS[:3])).removeprefix("the "),
    "place": _one_of(PLACES),
    "product": _one_of(PRODUCTS),
    "good": _one_of(GOOD),
    "bad": _one_of(BAD),
    "where": _one_of(WHERE),
    "habitat": _one_of(HABITATS),
    "diet": _one_of(DIETS),
    "able": _one_of(ABLE),
    "goods": _one_of(BROUGHT),
    "food": _one_of(FOODS),
    "items": _one_of(ITEMS, ("paintings", "statues", "helmets", "bikes", "toys", "fossils")),
    "animals": _one_of(BEASTS),
    "pet": _one_of(ANIMALS[:24]),
    "subject": _one_of(SUBJECTS),
    "city": _one_of(CITIES),
    "color": _one_of(COLORS),
    "reason": lambda draw: draw.pick(REASONS).format(x=draw.name()),
    "day": _one_of(DAYS),
    "month": _one_of(MONTHS),
    "date": _date,
    "hour": _hour,
    "price": _price,
    "year": lambda draw: str(draw.rng.randint(1500, 2024)),
    "number": _one_of(NUMBERS, [str(number) for number in range(2, 31)]),
    "n": lambda draw: str(draw.rng.randint(1, draw.pick((12, 60, 999)))),
    "m": lambda draw: str(draw.rng.randint(1, draw.pick((12, 60, 999)))),
    "age": lambda draw: str(draw.rng.randint(1, 90)),
    "nth": _one_of(ORDINALS),
    "repaired": _one_of(("repaired", "painted", "sold", "closed", "cleaned", "rebuilt")),
    "unit": _one_of(("days", "weeks", "months", "hours")),
}
WORDS = {f"{name}{number}": words for name, words in SLOTS.items() for number in ("", "2", "3")}
SLOT = re.compile(r"\{(\w+)\}")


def _slots(draw: Draw, note: Notice) -> dict[str, str]:
    """Words for the slots of a note, no two the same, and each with a capital letter too."""
    text, *asked = note
    named = {name.lower() for name in SLOT.findall(" ".join((text, *chain.from_iterable(asked))))}
    found = dict[str, str]()
    for name in sorted(named & WORDS.keys()):
        value = WORDS[name](draw)
        while value in found.values():
            value = WORDS[name](draw)
        found[name] = value
    found["went_home"], found["go_home"] = draw.pick(WENT)
    found["lost"], found["lose"] = draw.pick(LOST)
    return found | {capital(name): capital(value) for name, value in found.items()}


def notice(draw: Draw) -> Problem:
    """A question on a note of one to three sentences; now and then one that it leaves open."""
    topics = draw.rng.sample(TOPICS, draw.pick((1, 2, 2, 2, 3)))
    notices = [draw.pick(topic) for topic in topics]
    slots = [_slots(draw, note) for note in notices]
    said = [_filled(draw, text, own) for (text, *_), own in zip(notices, slots, strict=True)]
    text = " ".join(map(capital, said))
    if draw.chance(0.3):
        opening = expand(draw.rng, draw.pick(OPENINGS))
        opening = opening.format(z=draw.name(), subject=draw.pick(SUBJECTS))
        text = opening + draw.pick((" ", " ", "\n")) + text
    if draw.chance(UNKNOWN_SHARE):
        other: Notice = draw.pick(draw.pick([topic for topic in TOPICS if topic not in topics]))
        question, answer = _filled(draw, draw.pick(other[1:])[0], _slots(draw, other)), UNKNOWN
    else:
        index = draw.rng.randrange(len(notices))
        asked, words = draw.pick(notices[index][1:])
        question = _filled(draw, asked, slots[index])
        answer = capital(_filled(draw, words, slots[index]))
    request = framed(draw, text, draw.typed(question))
    return Problem("notice", (f"{PRIMITIVE}:notice",), ask(request), answer)


def _filled(draw: Draw, template: str, slots: Mapping[str, str]) -> str:
    return expand(draw.rng, template).format(**slots)
