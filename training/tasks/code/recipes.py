"""All recipes of Python, with drawing the names and numbers that fill them."""

import builtins
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from training.tasks.code.recipes_base import (
    CHECKS,
    CONDITION,
    NOUN,
    OBJECTS,
    VALUES,
    Recipe,
    Said,
    inflected,
    phrase_text,
)
from training.tasks.code.recipes_calculation import CALCULATIONS
from training.tasks.code.recipes_conversions import CONVERSIONS
from training.tasks.code.recipes_dictionaries import DICTIONARIES
from training.tasks.code.recipes_exercises import EXERCISES
from training.tasks.code.recipes_formulas import FORMULAS
from training.tasks.code.recipes_items import ITEMS
from training.tasks.code.recipes_lists import LISTS
from training.tasks.code.recipes_numbers import NUMBERS
from training.tasks.code.recipes_open import OPEN_NUMBERS
from training.tasks.code.recipes_open_lists import OPEN_LISTS
from training.tasks.code.recipes_open_text import OPEN_TEXT
from training.tasks.code.recipes_strings import STRINGS
from training.tasks.code.recipes_text import TEXTS
from training.wordings import Draw

KNOWN_FUNCTIONS = (
    *(*STRINGS, *TEXTS, *NUMBERS, *CALCULATIONS, *FORMULAS, *CONVERSIONS),
    *(*LISTS, *ITEMS, *DICTIONARIES, *EXERCISES),
)
OPEN_FUNCTIONS = (*OPEN_NUMBERS, *OPEN_LISTS, *OPEN_TEXT)

VARIABLES = (
    "x y n a total count number value result items data age score price size width height i k "
    "name word text numbers values points limit speed year weight temperature index"
).split()
LIST_VARIABLES = "items numbers values xs data words names nums points scores my_list lst".split()
LIST_KINDS = ("append", "append_word", "number_list", "word_list")
FIELDS = (
    "name age color size price title year speed width height weight author brand model owner "
    "length radius score level id email city state breed"
).split()
METHODS = "speak run start stop greet describe show move play sound bark info say talk work".split()
CLASS_NAMES = (
    "Dog Cat Car Person Book Student Animal Circle Rectangle Point Account House Player Shape "
    "Bird Robot Employee User Vehicle Movie Song City Teacher Box Counter Stack Item Product"
).split()
GREETINGS = (
    "Hello,Hi,Hey,Welcome,Good morning,Good evening,Goodbye,Bye,Good night,Howdy,Greetings,Cheers,"
    "Good day,Hi there,Nice to meet you,Thank you"
).split(",")
MODULES = "math random os sys json time datetime re csv string collections itertools copy".split()
SEPARATORS = (",", ", ", ";", "-", " ", "|", "/", ":", "_", ".", "+", " - ")
WORDY_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}
FUNCTION_NAMES = (
    "f g h func foo bar fn solve run my_func my_function do_it calc compute helper process "
    "solution answer transform go task convert apply_it handle work magic"
).split()
PARAMETERS: Mapping[str, list[str]] = {
    "s": "s text word string t x sentence value st phrase".split(),
    "n": "n x num number value k m y a".split(),
    "numbers": "numbers nums xs values lst arr data items elements array".split(),
    "items": "items xs lst values data arr elements things array numbers".split(),
    "words": "words strings texts names items lst parts".split(),
    "a": "a x p m first left one".split(),
    "b": "b y q k second right two".split(),
    "d": "d data mapping table info scores dictionary".split(),
    "celsius": "celsius c temp temperature degrees t".split(),
    "radius": "radius r x length".split(),
    "": "x value v p arg t y z".split(),
}
ALIKE = {"text": "s", "x": "n", "part": "s", "fahrenheit": "celsius", "score": "n"}


@dataclass(frozen=True, slots=True)
class Code:
    """A recipe with all its names chosen.

    `said` is one phrase of it, `names` fill the slots.
    """

    recipe: Recipe
    source: str
    calls: tuple[str, ...]
    said: Said
    parameters: tuple[str, ...]
    names: Mapping[str, object]

    @property
    def name(self) -> str:
        """The name of the function or class."""
        found = re.search(r"(?:def|class) (\w+)", self.source)
        return found[1] if found else ""

    @property
    def signature(self) -> str:
        """The line that begins the function."""
        return next(line for line in self.source.split("\n") if line.startswith("def "))

    @property
    def call(self) -> str:
        """The function with its parameters."""
        return self.signature.removeprefix("def ").removesuffix(":")


def draw_number(draw: Draw) -> int:
    """A number of a program, mostly small."""
    return draw.rng.randint(1, draw.pick((10, 10, 12, 20, 99, 99, 100, 999)))


RESERVED = frozenset(keyword.kwlist)


def draw_names(draw: Draw) -> dict[str, object]:
    """Names and numbers for all slots of recipes."""
    words = [word for word in draw.distinct(6) if not RESERVED & {word, word.capitalize()}]
    w, x, y = words[:3]
    c, d = draw.rng.sample("abcdefghijklmnopqrstuvwxyz", 2)
    lo = draw.pick((1, 1, 1, 1, 1, 0, 2, 5, 10, draw.rng.randint(1, 50)))
    hi = lo + draw.rng.randint(3, 40)
    if draw.chance(0.7):
        hi = draw.pick([top for top in (5, 10, 10, 10, 20, 50, 100, 100) if top > lo] or [99])
    u, t = draw.rng.sample(FIELDS, 2)
    own, parent = draw.rng.sample(CLASS_NAMES, 2)
    if draw.chance(0.4):
        own, parent = w.capitalize(), x.capitalize()
    k = draw.rng.randint(2, draw.pick((5, 9)))
    p, q, r = draw.rng.sample(range(1, draw.pick((10, 21, 100))), 3)
    ordinal = WORDY_ORDINALS.get(k)
    if ordinal is None or draw.chance(0.5):
        ordinal = f"{k}{ {2: 'nd', 3: 'rd'}.get(k, 'th') }"
    return {
        **{"w": w, "x": x, "y": y, "W": own, "X": parent, "c": c, "d": d, "u": u, "t": t},
        **{"n": draw_number(draw), "z": max(3, draw_number(draw)), "e": draw.rng.randint(4, 9)},
        **{"k": k, "kth": ordinal, "lo": lo, "hi": hi, "end": hi + 1, "p": p, "q": q, "r": r},
        **{"v": draw.pick(VARIABLES), "m": draw.pick(METHODS), "name": draw.name()},
        "sep": draw.pick(SEPARATORS),
        "greeting": draw.slot(GREETINGS),
        "module": draw.pick(MODULES),
    }


def renamed(source: str, names: Mapping[str, str]) -> str:
    """The source with other names for functions and parameters."""
    if not names:
        return source
    words = "|".join(map(re.escape, names))
    pattern = rf"(?<![\w.\\])(?:{words})(?!\w)"
    return re.sub(pattern, lambda found: names[found[0]], source)


def identifiers(source: str) -> set[str]:
    """All words of a source."""
    return set(re.findall(r"[A-Za-z_]\w*", source))


def parameters_of(source: str) -> list[str]:
    """The parameters of the function of a source."""
    found = re.search(r"def \w+\((.*)\):", source)
    return [name for name in found[1].split(", ") if name] if found else []


def draw_parameter(draw: Draw, default: str, taken: set[str]) -> str:
    """Another name for a parameter, of the same sort."""
    pool = PARAMETERS[ALIKE.get(default, default if default in PARAMETERS else "")]
    return draw.pick([name for name in pool if name not in taken] or [default])


def draw_function_name(draw: Draw, default: str, taken: set[str]) -> str:
    """Another name for a function: a vague one, a variant of its own, or any words."""
    kind = draw.rng.random()
    first, *rest = default.split("_")
    if kind < 0.3:
        name = draw.pick(FUNCTION_NAMES)
    elif kind < 0.5:
        camel = first + "".join(word.capitalize() for word in rest)
        short = "".join(word[:1] for word in default.split("_"))
        variants = (camel, camel, f"my_{default}", default.replace("_", ""), short, first)
        name = draw.pick(variants)
    elif kind < 0.7:
        name = f"{first if rest else draw.word()}_{draw.word()}"
    else:
        name = draw.word() if draw.chance(0.75) else "_".join(draw.distinct(2))
    name = name.lower() if "_" in name else name
    if not name.isidentifier() or keyword.iskeyword(name) or hasattr(builtins, name):
        name = "my_function"
    return f"{name}_it" if name in taken else name


def write(
    draw: Draw,
    recipe: Recipe,
    *,
    name: str | None = None,
    new_name: bool = False,
    new_parameters: bool = False,
) -> Code:
    """Fill a recipe with names; those of its function and parameters are its own by default.

    A parameter that the chosen phrase mentions may have any name.
    """
    names = draw_names(draw)
    if recipe.kind in LIST_KINDS:
        names["v"] = draw.pick(LIST_VARIABLES)
    names["V"] = str(names["v"]).capitalize()
    source = recipe.source.format(**names)
    phrase = phrase_text(draw.rng, draw.slot(recipe.phrases))
    others: dict[str, str] = {}
    parameters = parameters_of(source) if recipe.form == "function" else []
    taken = identifiers(source) | {str(names["w"]), str(names["x"])}
    for slot, parameter in zip("abc", parameters, strict=False):
        is_said = f"{{{slot}}}" in phrase
        if new_parameters or (is_said and draw.chance(0.7)):
            others[parameter] = draw_parameter(draw, parameter, taken)
            taken.add(others[parameter])
    parameters = [others.get(parameter, parameter) for parameter in parameters]
    calls = tuple(call.format(**names) for call in recipe.calls)
    if (new_name or name) and (found := re.match(r"(?:import \w+\s+)?def (\w+)", source)):
        name = name or draw_function_name(draw, found[1], taken)
        others[found[1]] = name
        calls = tuple(renamed(call, {found[1]: name}) for call in calls)
    said = inflected(phrase) if recipe.form != "class" else Said(phrase, phrase, phrase)
    names |= dict(zip("abc", parameters, strict=False))
    do, does, doing = (fill(draw.slipped(text), names) for text in (said.do, said.does, said.doing))
    said = Said(do, does, doing)
    return Code(recipe, renamed(source, others), calls, said, tuple(parameters), names)


def fill(text: str, names: Mapping[str, object]) -> str:
    """The text with its slots filled; unknown ones stay."""
    return re.sub(r"\{(\w+)\}", lambda found: str(names.get(found[1], found[0])), text)


@cache
def first_phrase(recipe: Recipe) -> str:
    """The first phrase of a recipe with its first alternatives; slots of numbers are left."""
    phrase = recipe.phrases[0]
    if phrase.startswith(NOUN):
        phrase = f"{VALUES} {phrase[1:]}"
    elif phrase.startswith(CONDITION):
        phrase = f"{CHECKS} {phrase[1:]}"
    for mark, options in OBJECTS.items():
        phrase = phrase.replace(mark, options)
    while (found := re.search(r"\[([^\[\]]*)\]", phrase)) is not None:
        phrase = phrase[: found.start()] + found[1].split("|")[0] + phrase[found.end() :]
    return re.sub(r" {2,}", " ", phrase).strip()
