"""Stories of equal groups: boxes, rows, rates, shares, doubles and legs."""

from training.tasks.numbers.arithmetic import product_key, quotient_key, work_product, work_quotient
from training.tasks.problem import Problem
from training.tasks.word_problems.cast import Noun, actor, number_shown, thing
from training.tasks.word_problems.sums import story_slots, told
from training.wordings import Draw

BOXES = (
    "There are {x} {boxes} with {ys} in each {box}. How many {items} are there[ in total| in "
    "all| altogether|]?",
    "There are {x} {boxes}. Each {box} [has|holds|contains] {ys}. How many {items} are there[ in "
    "total| in all| altogether|]?",
    "{A} {has} {x} {boxes} of {y} {items}[ each|]. How many {items} {does} {she} have[ in total| "
    "in all| altogether|]?",
    "{A} {has} {x} {boxes}. Each {box} has {ys}[ in it|]. How many {items} {does} {she} have[ in "
    "total|]?",
    "Each {box} [holds|has|contains] {ys}. How many {items} are [there in|in] {x} {boxes}?",
    "How many {items} are in {x} {boxes} [if each has {y}|of {y} each|with {y} in each|if each "
    "{box} holds {y}]?",
    "If there are {x} {boxes} and each [has|holds|contains] {ys}, how many {items} are there[ in "
    "total|]?",
    "If one {box} has {ys}, how many {items} do {x} {boxes} have?",
    "A {box} has {ys}. How many {items} are in {x} {boxes}?",
    "{x} {boxes} with {y} {items} each. [How many in total|How many {items}|Total|How many "
    "altogether]?",
    "{x} {boxes}, {y} {items} in each. [How many {items}|Total {items}|How many in all]?",
    "~[Work out|Calculate|Find|Figure out] the [total|number of {items}|total number of "
    "{items}]: {x} {boxes}, {y} {items} in each.",
    "{A} [buy{s}|fill{s}|pack{s}] {x} {boxes} with {ys} each. How many {items} is that?",
    "[Word problem|Math problem|Question]: {x} {boxes} hold {ys} each. How many {items} are there?",
    "{ys} fit in a {box}. How many fit in {x} {boxes}?",
    "{A} put{s} {ys} in each of {x} {boxes}. How many {items} are there in all?",
    "A shop sells {items} in {boxes} of {y}. How many {items} are in {x} {boxes}?",
    "With {ys} per {box}, how many {items} are in {x} {boxes}?",
)
ROWS = (
    "There are {x} {rows} of {ys}. How many {items} are there[ in total| in all| altogether|]?",
    "There are {x} {rows} with {ys} in each {row}. How many {items} are there[ in total|]?",
    "{x} {rows} of {y} {items}. [How many {items}|How many in total|How many altogether|Total]?",
    "How many {items} are [there|] in {x} {rows} of {y}?",
    "If {items} [stand|are set|are placed] in {x} {rows} of {y}, how many are there?",
    "Each {row} has {ys}. There are {x} {rows}. How many {items} are there?",
    "{A} put{s} {items} in {x} {rows} of {y}. How many {items} are there?",
    "A [garden|hall|field|room] has {x} {rows} of {ys}. How many {items} are there?",
    "{A} set{s} up {x} {rows} of {ys}. How many is that?",
    "~[Work out|Calculate|Find] the number of {items} in {x} {rows} of {y}.",
    "[Word problem|Math problem]: {x} {rows}, {y} {items} in each {row}. How many {items}?",
    "With {y} {items} per {row} and {x} {rows}, how many {items} are there?",
    "A table of {items} has {x} rows and {y} columns. How many {items} are there?",
    "{x} rows and {y} columns of {items}. How many {items} are there?",
)
GRIDS = (
    "How many [squares|boxes] does a {x} by {y} grid have?",
    "I draw a grid with {x} rows and {y} columns. How many cells are there?",
    "A [grid|table|board|matrix] has {x} rows and {y} columns. How many [cells|squares|boxes] "
    "are there?",
    "How many cells are in a [grid|table|matrix|board] with {x} rows and {y} columns?",
    "How many cells does a {x} [by|x] {y} [grid|table|board] have?",
    "A table with {x} rows and {y} columns has how many cells?",
    "{x} rows and {y} columns: how many cells?",
    "{x} rows, {y} columns. [How many cells|How many cells in total|Number of cells]?",
    "If a [spreadsheet|table|grid] has {x} rows and {y} columns, how many cells does it have?",
    "~[Work out|Calculate|Find|Tell me] the number of cells in a {x} [by|x] {y} grid.",
    "My [table|spreadsheet|grid] has {x} rows and {y} columns. How many cells is that?",
    "[Number of cells|Cells] in {x} rows and {y} columns?",
)
RATES = (
    "{A} {reads} {ys} [{an}|per|every|each] {day}. How {howmany} {does} {she} {read} in {span}?",
    "{A} {reads} {ys} [{an}|per|each|every] {day} for {span}. How {howmany} [is that|in "
    "total|does that make]?",
    "If {a} {reads} {ys} [{an}|per|each|every] {day}, how {howmany} {does} {she} {read} in {span}?",
    "How {howmany} {does} {a} {read} in {span} if {she} {reads} {y} [{an}|per|each|every] {day}?",
    "[Each|Every] {day} {a} {reads} {ys}. How {howmany} [is that|in total] [after|in] {span}?",
    "{A} {reads} {ys} [{an}|per|each] {day}. How many after {span}?",
    "In one {day} {a} {reads} {ys}. How {howmany} in {span}?",
    "~[Work out|Calculate|Figure out] how {howmany} {a} {reads} in {span} at {y} [{an}|per] {day}.",
    "{span}, {y} {items} [{an}|per] {day}. How {howmany} {does} {a} {read}?",
    "At {ys} per {day}, how {howmany} {does} {a} {read} in {span}?",
    "[Word problem|Math problem]: {a} {reads} {ys} every {day}. How many in {span}?",
    "After {span} of {y} {items} [{an}|per] {day}, what is the total for {me}?",
)
LEFT_OVER = (
    "After sharing {xs} equally among {y} {friends}, how many are left over?",
    "{A} {has} {xs} for {y} {friends}. What does each get and how many are left over?",
    "{A} {has} {xs} and share{s} them equally among {y} {friends}. How many are left over?",
    "{xs} are shared equally [among|between|by] {y} {friends}. How many are left over?",
    "If {y} {friends} share {xs} equally, how many [are left over|remain|are left]?",
    "~[Share|Divide|Split] {xs} equally among {y} {friends}. How many are left over?",
    "{y} {friends} share {xs}. How many does each get and how many are left[ over|]?",
    "{x} {items} for {y} {friends}: how many each, and how many left over?",
    "How many {items} are left over if {y} {friends} share {x} equally?",
    "{A} give{s} {y} {friends} the same number of {items}. {She} {has} {x}. How many are left "
    "over?",
    "[Word problem|Math problem]: {xs}, {y} {friends}. What does each get and what is left over?",
    "There are {xs} for {y} {friends}. How many does each get, and how many remain?",
)
SHARES = (
    "{A} {has} {xs} and share{s} them equally [among|between] {y} {friends}. How many [{items}|] "
    "does each [get|one get|of them get]?",
    "{A} {has} {xs}. {She} [divide{s}|split{s}|share{s}] them equally [among|between] {y} "
    "{friends}. How many {items} does each get?",
    "{xs} are shared equally [among|between|by] {y} {friends}. How many [{items}|] does each "
    "[get|receive]?",
    "If {y} {friends} share {xs} equally, how many [{items}|] does each [get|one get]?",
    "{y} {friends} share {xs} equally. How many [{items}|] does each [get|one get|of them get]?",
    "How many {items} does each [get|one get] if {y} {friends} share {x}?",
    "~[Share|Divide|Split] {xs} equally [among|between] {y} {friends}.",
    "~[Share|Divide|Split] {xs} [among|between] {y} {friends}. How many does each get?",
    "There are {xs} for {y} {friends}. [Each gets the same number|They share equally]. How many "
    "does each get?",
    "{A} put{s} {xs} into {y} {boxes} equally. How many [{items}|] does each {box} get?",
    "{x} {items}, {y} {friends}. [How many each|How many does each get|How many per person]?",
    "[Word problem|Math problem]: {y} {friends} share {xs} fairly. How many does each get?",
    "I have {xs} and {y} {friends}. How many [{items} |]does each [get|one get|of them get]?",
    "We are {y} {friends} and have {xs}. How many does each [get|of us get]?",
    "{A} give{s} {xs} to {y} {friends}, the same number to each. How many does each get?",
    "{x} {items} divided [equally|evenly|] among {y} {friends} is how many each?",
    "[What is|What's] each share if {y} {friends} split {xs}[ evenly| equally|]?",
)
GROUPS = (
    "How many {boxes} of {y} can {a} [fill|make|pack] with {xs}?",
    "{A} {has} {xs} and put{s} {y} in each {box}. How many {boxes} {does} {she} need?",
    "{xs} are packed in {boxes} of {y}. How many {boxes} are [needed|there]?",
    "If {y} {items} fit in a {box}, how many {boxes} [are needed|do I need] for {x}?",
    "Each {box} holds {ys}. How many {boxes} [are needed|do we need|do I need] for {xs}?",
    "{A} {has} {xs}. Each {box} holds {y}. How many {boxes} {does} {she} need?",
    "How many {boxes} are needed for {xs} [if each holds {y}|with {y} in each|at {y} per {box}]?",
    "~[Work out|Calculate|Find] how many {boxes} of {y} {x} {items} fill.",
    "{x} {items}, {y} per {box}. How many {boxes}?",
    "[Word problem|Math problem]: {xs} go into {boxes} of {y}. How many {boxes}?",
    "{A} pack{s} {y} {items} in every {box} and {has} {xs}. How many {boxes} is that?",
    "{x} {items} make how many {boxes} of {y}?",
)
TIMES_AS_MANY = (
    "What number of {items} {does} {a} have, if {b} has {x} and {the} {has} {twice} as many?",
    "{B} has {xs}. {A}, with {twice} as many, {has} how many?",
    "{B} has {xs}. {A} {has} {twice} as many[ {items}| as {b}|]. How many [{items}|] {does} "
    "{the} have?",
    "{A} {has} {twice} as many {items} as {b}. {B} has {x}. How many [{items}|] {does} {the} have?",
    "{B} has {xs} and {a} {has} {twice} as many. How many [{items}|] {does} {the} have?",
    "If {b} has {xs} and {a} {has} {twice} as many, how many [{items}|] {does} {the} have?",
    "How many {items} {does} {a} have if {b} has {x} and {the} {has} {twice} as many?",
    "If {a} {has} {twice} as many {items} as {b}, who has {x}, how many {does} {the} have?",
    "~[Work out|Find|Calculate] how many {items} {a} {has}: {twice} as many as {b}, who has {x}.",
    "[Word problem|Math problem]: {B} has {xs}, {a} {has} {twice} as many. How many {does} {the} "
    "have?",
    "{B} [found|picked|bought] {xs}. {A} {has} {twice} as many as that. How many {does} {the} "
    "have?",
    "{A} {has} {twice} as many as {b}, and {b} has {xs}. How many is that?",
    "{B}: {xs}. {A}: {twice} as many. How many {does} {the} have?",
)
LEGS = (
    "How many {legs} [are on|belong to] {x} {animals}?",
    "With {x} {animals}, how many {legs} are there?",
    "How many {legs} do {x} {animals} have[ in total| altogether| together| in all|]?",
    "{x} {animals} have how many {legs}?",
    "There are {x} {animals}. How many {legs} [do they have|are there|in total]?",
    "I have {x} {animals}. How many {legs} [do they have|is that]?",
    "If I [see|have|count] {x} {animals}, how many {legs} are there?",
    "How many {legs} are there [on|for|with] {x} {animals}?",
    "[Number of|Total] {legs} [of|for] {x} {animals}[?|]",
    "~[Count|Calculate|Work out|Find|Tell me] the {legs} of {x} {animals}.",
    "What is the [total|] number of {legs} of {x} {animals}?",
    "{x} {animals}. [How many {legs}|How many {legs} in total|{legs} in total]?",
    "[Riddle|Word problem]: someone has {x} {animals}. How many {legs} are there?",
)
CONTAINERS = (
    *("box:boxes", "bag:bags", "basket:baskets", "pack:packs", "jar:jars", "crate:crates"),
    *("carton:cartons", "tray:trays", "bowl:bowls", "packet:packets", "drawer:drawers"),
    *("bucket:buckets", "plate:plates"),
)
LINES = ("row:rows", "line:lines", "column:columns", "stack:stacks", "pile:piles", "shelf:shelves")
# A verb in two forms, things, and a time.
HABITS = (
    "read/reads/page:pages/day",
    "read/reads/book:books/month",
    "save/saves/dollar:dollars/week",
    "save/saves/dollar:dollars/month",
    "save/saves/euro:euros/week",
    "earn/earns/dollar:dollars/hour",
    "earn/earns/dollar:dollars/day",
    "spend/spends/dollar:dollars/day",
    "bake/bakes/cake:cakes/hour",
    "bake/bakes/cookie:cookies/day",
    "make/makes/toy:toys/hour",
    "walk/walks/kilometer:kilometers/day",
    "run/runs/mile:miles/day",
    "run/runs/lap:laps/minute",
    "write/writes/page:pages/day",
    "write/writes/letter:letters/week",
    "type/types/word:words/minute",
    "eat/eats/apple:apples/day",
    "drink/drinks/cup:cups/day",
    "pick/picks/apple:apples/hour",
    "paint/paints/picture:pictures/week",
    "sell/sells/ticket:tickets/hour",
    "solve/solves/puzzle:puzzles/day",
    "learn/learns/word:words/day",
    "plant/plants/tree:trees/week",
    "wash/washes/car:cars/day",
    "swim/swims/lap:laps/day",
    "collect/collects/stamp:stamps/week",
)
SPANS = {(7, "day"): "a week", (14, "day"): "two weeks", (12, "month"): "a year"}
SHARERS = (
    *("friends", "children", "kids", "people", "students", "boys", "girls", "brothers", "sisters"),
    *("players", "classmates", "neighbors", "guests"),
)
MULTIPLES = {
    "twice": 2,
    "two times": 2,
    "2 times": 2,
    "three times": 3,
    "3 times": 3,
    "four times": 4,
    "5 times": 5,
}
LIMBS = (
    "dog:dogs/leg:legs/4",
    "cat:cats/leg:legs/4",
    "cow:cows/leg:legs/4",
    "horse:horses/leg:legs/4",
    "sheep:sheep/leg:legs/4",
    "chicken:chickens/leg:legs/2",
    "bird:birds/leg:legs/2",
    "duck:ducks/leg:legs/2",
    "person:people/leg:legs/2",
    "child:children/leg:legs/2",
    "spider:spiders/leg:legs/8",
    "ant:ants/leg:legs/6",
    "bee:bees/leg:legs/6",
    "table:tables/leg:legs/4",
    "chair:chairs/leg:legs/4",
    "car:cars/wheel:wheels/4",
    "bike:bikes/wheel:wheels/2",
    "bicycle:bicycles/wheel:wheels/2",
    "tricycle:tricycles/wheel:wheels/3",
    "hand:hands/finger:fingers/5",
    "foot:feet/toe:toes/5",
    "person:people/eye:eyes/2",
    "person:people/ear:ears/2",
    "person:people/hand:hands/2",
    "bird:birds/wing:wings/2",
    "octopus:octopuses/arm:arms/8",
    "triangle:triangles/side:sides/3",
    "square:squares/side:sides/4",
    "square:squares/corner:corners/4",
    "cat:cats/eye:eyes/2",
)


def _factors(draw: Draw, upper: int = 12) -> tuple[int, int]:
    """Two factors as of the times tables; one of them may have two digits."""
    x, y = draw.rng.randint(2, 9), draw.rng.randint(2, draw.pick((9, upper, upper)))
    if draw.chance(0.1):
        y = draw.rng.randint(11, 60)
    return (y, x) if draw.chance(0.2) else (x, y)


def _boxed(draw: Draw, options: tuple[str, ...]) -> dict[str, str]:
    box, boxes = draw.slot(options).split(":")
    return {"box": box, "boxes": boxes, "row": box, "rows": boxes}


def boxes(draw: Draw) -> Problem:
    """Count things in equal boxes, rows or cells."""
    one, noun, (x, y) = actor(draw), thing(draw), _factors(draw)
    slots = story_slots(draw, one, noun, x, y)
    keys, work, kind = [product_key(x, y)], work_product(x, y), draw.rng.random()
    if kind < 0.6:
        request = draw.say(BOXES, **slots, **_boxed(draw, CONTAINERS))
        return told(f"boxes:{x}:{y}", keys, request, work, f"There are {x * y} {noun.many}.")
    if kind < 0.85:
        request = draw.say(ROWS, **slots, **_boxed(draw, LINES))
        return told(f"boxes:{x}:{y}", keys, request, work, f"There are {x * y} {noun.many}.")
    request = draw.say(GRIDS, **slots)
    return told(f"grid:{x}:{y}", keys, request, work, f"There are {x * y} cells.")


def rate(draw: Draw) -> Problem:
    """Say how many pages are read in some days, at so many a day."""
    one, (x, y) = actor(draw), _factors(draw, 20)
    base, third, nouns, day = draw.slot(HABITS).split("/")
    one_thing, many = nouns.split(":")
    if draw.chance(0.1):
        x, y = draw.pick((7, 7, 14)), draw.rng.randint(2, 9)
    noun = thing(draw, [nouns])
    slots = story_slots(draw, one, noun, x, y)
    span = f"{slots['x']} {day}s"
    if (x, day) in SPANS and draw.chance(0.6):
        span = SPANS[x, day]
    is_money = one_thing in ("dollar", "euro")
    howmany = draw.pick((f"many {many}", "much", "much money")) if is_money else f"many {many}"
    if one_thing == "dollar" and draw.chance(0.4):
        slots["ys"] = f"${y}"
    times = {"span": span, "day": day, "an": "an" if day == "hour" else "a"}
    verb = third if one.is_third else base
    request = draw.say(RATES, **slots, **times, read=base, reads=verb, howmany=howmany)
    reference = f"{one.told} {verb} {x * y} {many}."
    return told(f"rate:{x}:{y}", [product_key(x, y)], request, work_product(x, y), reference)


def share(draw: Draw) -> Problem:
    """Share things equally, or pack them in groups."""
    one, noun, (y, each) = actor(draw), thing(draw), _factors(draw)
    x, kind = y * each, draw.rng.random()
    keys, friends = [quotient_key(x, y)], draw.slot(SHARERS)
    if kind < 0.15 and each < 10:
        rest = draw.rng.randint(1, y - 1)
        slots = story_slots(draw, one, noun, x + rest, y) | {"friends": friends}
        request = draw.say(LEFT_OVER, **slots, **_boxed(draw, CONTAINERS))
        return _left_over(request, x + rest, y, noun)
    slots = story_slots(draw, one, noun, x, y) | _boxed(draw, CONTAINERS) | {"friends": friends}
    if kind < 0.75:
        if each < 10 and draw.chance(0.1):
            # A share that does not come out even is answered with its rest.
            rest = draw.rng.randint(1, y - 1)
            slots = story_slots(draw, one, noun, x + rest, y) | {"friends": friends}
            request = draw.say(SHARES, **slots, **_boxed(draw, CONTAINERS))
            return _left_over(request, x + rest, y, noun)
        request, reference = draw.say(SHARES, **slots), f"Each gets {noun.count(each)}."
        return told(f"share:{x}:{y}", keys, request, work_quotient(x, y), reference)
    request, reference = draw.say(GROUPS, **slots), f"That makes {each} {slots['boxes']}."
    return told(f"groups:{x}:{y}", keys, request, work_quotient(x, y), reference)


def _left_over(request: str, whole: int, parts: int, noun: Noun) -> Problem:
    each, rest = divmod(whole, parts)
    reference = f"Each gets {noun.count(each)} and {rest} {'is' if rest == 1 else 'are'} left over."
    keys, work = [quotient_key(whole, parts)], work_quotient(whole, parts)
    return told(f"share:{whole}:{parts}", keys, request, work, reference)


def times_as_many(draw: Draw) -> Problem:
    """Take twice, three times or half as many."""
    one, noun, x = actor(draw), thing(draw), draw.rng.randint(2, draw.pick((10, 20, 50)))
    if draw.chance(0.25):
        x, twice, result, keys = 2 * x, "half", x, [quotient_key(2 * x, 2)]
        work = work_quotient(x, 2)
    else:
        twice = draw.pick(("twice", "twice", *MULTIPLES))
        factor = MULTIPLES[twice]
        result, work, keys = factor * x, work_product(x, factor), [product_key(x, factor)]
    request = draw.say(TIMES_AS_MANY, **story_slots(draw, one, noun, x), twice=twice)
    factor_shown = "half" if twice == "half" else str(result // x)
    return told(
        f"times:{x}:{factor_shown}", keys, request, work, f"{one.has()} {noun.count(result)}."
    )


def legs(draw: Draw) -> Problem:
    """Count the legs of animals, the wheels of cars, the fingers of hands."""
    animals, limbs, number = draw.pick(LIMBS).split("/")
    animal, leg, factor = thing(draw, [animals]), thing(draw, [limbs]), int(number)
    x = draw.rng.randint(2, draw.pick((6, 10, 10, 20)))
    (shown,) = number_shown(draw, x)
    request = draw.say(LEGS, x=shown, animals=animal.many, legs=leg.many)
    reference = f"{animal.count(x)} have {leg.count(x * factor)}."
    reference = reference[0].upper() + reference[1:]
    key = f"word:legs:{animal.one}:{leg.one}:{x}"
    keys = [product_key(x, factor)]
    return told(key.removeprefix("word:"), keys, request, work_product(x, factor), reference)
