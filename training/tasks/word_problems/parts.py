"""Stories of parts and wholes: red and blue balls, girls and boys."""

from training.tasks.numbers.arithmetic import (
    difference_key,
    sum_key,
    work_chain,
    work_difference,
    work_sum,
)
from training.tasks.problem import Problem
from training.tasks.word_problems.cast import OBJECTS, number_shown, small, thing
from training.tasks.word_problems.sums import told
from training.tasks.words import COLORS
from training.wordings import Draw

CONTAINERS = (
    *("in a box", "in a bag", "on a table", "in a drawer", "in a jar", "on a shelf", "in a basket"),
    *("in a room", "in a crate", "in a bowl"),
)
# A whole, its two parts, and the place they are at.
GROUPS = (
    "children/girls/boys/in a class",
    "students/girls/boys/in a school",
    "people/men/women/in a room",
    "animals/cats/dogs/in a shelter",
    "animals/cows/pigs/on a farm",
    "animals/chickens/sheep/on a farm",
    "pets/hamsters/rabbits/in a shop",
    "people/adults/children/on a bus",
    "vehicles/cars/trucks/in a garage",
    "birds/ducks/swans/on a lake",
    "pieces of fruit/apples/oranges/in a bowl",
    "trees/oaks/pines/in a park",
    "books/novels/comics/on a shelf",
    "guests/adults/kids/at a party",
)
WHOLES = (
    "There are {x} {ones} and {y} {others} {on}. How many {all} are there[ in total| altogether|]?",
    "{x} {ones} and {y} {others} are {on}. How many {all} is that[ in total|]?",
    "How many {all} are {on} with {x} {ones} and {y} {others}?",
    "If there are {x} {ones} and {y} {others} {on}, how many {all} are there[ in all| in total|]?",
    "I [have|see|count] {x} {ones} and {y} {others}. How many {all} are there[ in total|]?",
    "I [have|see|count] {x} {ones} and {y} {others}. [How many in total|How many {all} "
    "altogether]?",
    "{x} {ones}, {y} {others}. [How many {all}|How many {all} in total|Total {all}]?",
    "~[Work out|Count|Find|Tell me] how many {all} there are[:| {on}:] {x} {ones} and {y} "
    "{others}.",
    "[Word problem|Math problem|Question]: {x} {ones} and {y} {others} {on}. How many {all}?",
    "[What is|What's] the total number of {all} if there are {x} {ones} and {y} {others}?",
    "{On} there are {x} {ones} and also {y} {others}. How many {all} in total?",
    "{x} {ones} plus {y} {others} [is|makes|are] how many {all}?",
    "With {x} {ones} and {y} {others}, how many {all} are there?",
)
WHOLES_OF_THREE = (
    "{On} are {x} {ones}, {y} {others} and {z} {thirds}. How many {all} is that?",
    "I [see|count|bought] {x} {ones}, {y} {others} and {z} {thirds}. How many {all} altogether?",
    "There are {x} {ones}, {y} {others} and {z} {thirds} {on}. How many {all} are there?",
    "How many {all} are {on} with {x} {ones}, {y} {others} and {z} {thirds}?",
    "If there are {x} {ones}, {y} {others} and {z} {thirds}, how many {all} are there[ in total|]?",
    "I have {x} {ones}, {y} {others} and {z} {thirds}. How many {all} do I have[ in total|]?",
    "{x} {ones}, {y} {others}, {z} {thirds}. [How many {all}|How many in total|Total {all}]?",
    "~[Work out|Count|Find] how many {all} there are: {x} {ones}, {y} {others} and {z} {thirds}.",
    "[Word problem|Math problem]: {x} {ones}, {y} {others} and {z} {thirds} {on}. How many {all}?",
    "[What is|What's] the total number of {all}: {x} {ones}, {y} {others} and {z} {thirds}?",
    "{x} {ones} and {y} {others} and {z} {thirds} make how many {all}?",
    "With {x} {ones}, {y} {others} and {z} {thirds}, how many {all} are there?",
)
PARTS = (
    "There are {x} {all} {on}. {y} are {one}. The rest are {other}. How many {others} are there?",
    "{x} {all} are {on}. {y} of them are {one}, the others are {other}. How many {others}?",
    "Of {x} {all} {on}, {y} are {one} and the rest are {other}. How many {others} are there?",
    "If {y} of {x} {all} are {one} and the rest are {other}, how many {others} are there?",
    "There are {x} {all} {on}: {y} {one}, the others {other}. How many {others} are there?",
    "How many are {other} if {y} of {x} {all} are {one} and all the others {other}?",
    "~[Work out|Find|Tell me] how many {others} there are: {x} {all}, {y} of them {one}, the "
    "rest {other}.",
    "[Word problem|Question]: {x} {all} {on}, {y} are {one}, the rest {other}. How many {others}?",
    "{x} {all}, {y} {one}, the rest {other}. [How many {others}|How many are {other}]?",
    "Out of {x} {all}, {y} are {one} and all others are {other}. How many {others} are there?",
    "{On} there are {x} {all}, {one} and {other}. {y} are {one}. How many {others} are there?",
    "{y} of the {x} {all} {on} are {one}. How many {others} are there if the rest are {other}?",
    "I have {x} {all}. {y} are {one} and the rest {other}. How many {others} do I have?",
)


def parts_and_wholes(draw: Draw) -> Problem:
    """Count all from their parts, or a part from all."""
    if draw.chance(0.6):
        colors = draw.rng.sample(COLORS, 3)
        noun = thing(draw, OBJECTS)
        all_, on = noun.many, draw.slot(CONTAINERS)
        ones, others, thirds = (f"{color} {noun.many}" for color in colors)
        if draw.chance(0.3):
            # Several colors of one noun: `3 red and 4 blue balls`.
            ones = colors[0]
    else:
        all_, ones, others, on = draw.slot(GROUPS).split("/")
        thirds = ""
        colors = [ones, others]
    x, y, z = small(draw), small(draw), draw.rng.randint(2, 20)
    shown = number_shown(draw, x, y, z)
    slots = {"all": all_, "ones": ones, "others": others, "thirds": thirds, "on": on}
    slots |= {"one": colors[0], "other": colors[1]}
    slots["On"] = on[0].upper() + on[1:]
    slots |= dict(zip("xyz", shown, strict=True))
    kind = draw.rng.random()
    if thirds and kind < 0.25:
        work, keys = work_chain([x, y, z]), [sum_key(x, y), sum_key(x + y, z)]
        if ones == colors[0]:
            slots["others"] = colors[1]
        request = draw.say(WHOLES_OF_THREE, **slots)
        reference = f"There are {x + y + z} {all_}."
        return told(f"parts:{x}:{y}:{z}", keys, request, work, reference)
    if kind < 0.65:
        request, reference = draw.say(WHOLES, **slots), f"There are {x + y} {all_}."
        return told(f"parts:{x}:{y}", [sum_key(x, y)], request, work_sum(x, y), reference)
    whole = x + y
    (slots["x"],) = number_shown(draw, whole)
    request, work = draw.say(PARTS, **slots), work_difference(whole, y)
    reference = f"There are {x} {others}."
    return told(f"rest:{whole}:{y}", [difference_key(whole, y)], request, work, reference)
