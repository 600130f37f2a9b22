"""Stories in which something is added or taken away."""

from training.tasks.numbers.arithmetic import (
    difference_key,
    sum_key,
    work_difference,
    work_sum,
)
from training.tasks.problem import Problem, ask
from training.tasks.word_problems.cast import (
    EDIBLE,
    Actor,
    Noun,
    actor,
    money,
    number_shown,
    price,
    small,
    thing,
    third_person,
)
from training.wordings import Draw

GAINS = (
    "{A} {has} {xs}. {She} [buy{s}|get{s}|find{s}|receive{s}|collect{s}|pick{s} up] {y} more. "
    "How many {items} {does} [{she}|{the}] have[ now| in total| altogether| in all||]?",
    "{A} {has} {xs} and [buy{s}|get{s}|find{s}|receive{s}|win{s}] {y} more. How many [{items}|] "
    "{does} {she} have[ now| in total| altogether| in all||]?",
    "{A} had {xs}. [Then|Yesterday|Today|Later] {she} [bought|found|got|picked|was given] {y} "
    "more. How many [{items}|] {does} {she} have[ now| in total| altogether| in all||]?",
    "{B} [gave|gives] {me} {ys}. {She} already [has|had] {x}. How many {items} {does} {she} have "
    "[now|altogether|in total]?",
    "If {a} {has} {xs} and {b} [gives|gave|brings] {me} {y} more, how many [{items}|] {does} "
    "{she} have[ now| then| in total|]?",
    "{A} start{s} with {xs} and [get{s}|add{s}|find{s}|buy{s}] {y} more. How many [{items}|] "
    "[{does} {she} have now|{does} {she} end up with|in total]?",
    "How many {items} {does} {a} have [now|in total|altogether|in all||] if {she} had {xs} and "
    "[bought|got|found|received] {y} more?",
    "~[Work out|Figure out|Calculate|Find|Tell me] how many {items} {a} {has} [if|when] {she} "
    "had {xs} and [bought|got|found|was given] {y} more.",
    "{A} {has} {xs}, {she} [buy{s}|get{s}|find{s}] {y} more. [How many now?|Total?|How many in "
    "total?|How many {items} now?|Now how many?]",
    "[In the morning|On Monday|Yesterday|First] {a} [bought|picked|found|got] {xs}. [In the "
    "evening|On Tuesday|Today|Then] {she} [bought|picked|found|got] {y} more. How many {items} "
    "{does} {she} have[ now| altogether]?",
    "{Her} [basket|bag|box|drawer] has {xs}[ in it|]. {The} put{s} {y} more in. How many {items} "
    "{does} {she} have?",
    "After [buying|getting|finding|receiving] {y} more {items}, how many {does} {a} have if "
    "{she} had {x} [before|at first]?",
    "{A} had {xs} [at first|before|to begin with]. [Now|Today] {she} [got|bought|found] {y} [new "
    "ones|others|more]. How many {items} {does} {she} have?",
    "{A} {has} {xs}. {B} gives {me} [{y} more|another {y}|{y}]. How many {items} {does} {she} "
    "have[ now| in total|]?",
    "{A} [got|bought] {ys} [today|yesterday|at the market]. Before that {she} had {x}. What is "
    "{her} total?",
    "[Word problem|Math problem|Question|Story problem]: {A} {has} {xs}, then {she} "
    "[buy{s}|get{s}|receive{s}] {y} more. How many {items} {does} {she} have?",
    "{A} {has} {xs}. How many will {she} have [if|when|after] {she} get{s} {y} more?",
    "{A} {has} {x} [{items}|] plus {y} more. How many [{items}|] is that[ in total|]?",
    "{A} [collected|picked|found] {xs} and then another {y}. How many {items} {does} {she} have?",
    "{y} more {items} are [given to|bought by|sent to] {me}. Before, {she} had {x}. How many "
    "{items} in total?",
)
LOSSES = (
    "{A} {has} {xs}. {She} {eats} {y}. How many {items} [{does} {she} have left|are left]?",
    "{A} {has} {xs} and {eats} {y}[ of them|]. How many [{items}|] [are left|{does} {she} have "
    "left|remain]?",
    "{A} had {xs} but {ate} {y} of them. How many [{items}|] [are left|{does} {she} have left]?",
    "{A} had {xs}. {She} {ate} {y}. [How many are left|What is left|How many {items} {does} "
    "{she} have now|How many remain]?",
    "If {a} {has} {xs} and {eats} {y}, how many [{items}|] [are left|{does} {she} have|{does} "
    "{she} have left|remain]?",
    "How many {items} {does} {a} have left if {she} had {xs} and {ate} {y}?",
    "{A} {has} {xs}. {She} give{s} {y} to {b}. How many {items} {does} {she} have [left|now]?",
    "{A} [gave|lent|sold] {y} of {her} {xs} to {b}. How many {does} {she} [still have|have left]?",
    "{A} {has} {xs}. {B} [takes|took|borrows|steals] {y}[ of them|]. How many {items} {does} "
    "{she} have left?",
    "~[Work out|Figure out|Calculate|Find|Tell me] how many {items} {a} {has} left "
    "[if|when|after] {she} {ate} {y} of {x}.",
    "{A} {has} {xs}, {she} {eats} {y}. [How many left?|How many now?|How many are left?|Left?]",
    "[Word problem|Math problem|Question|Story problem]: {A} had {xs} and {ate} {y}. How many "
    "[{items}|] {does} {she} have left?",
    "After {she} {ate} {y} of {her} {xs}, how many {does} {a} have left?",
    "{A} {ate} {y} [out of|of] {xs}. [How many are left|How many remain|What remains]?",
    "[Of|Out of] {her} {xs}, {a} {ate} {y}. How many {does} {she} [still have|have left]?",
    "[Yesterday|This morning|On Monday] {a} had {xs}. [Today|Now|Since then] {y} are gone. How "
    "many {items} {does} {she} [still have|have left]?",
    "{A} start{s} with {xs} and {eats} {y}. How many {does} {she} end up with?",
    "{A} {has} {xs}. How many will be left [if|when|after] {she} {eats} {y}[ of them|]?",
    "{A} [bought|had|picked] {xs}. {y} of them [were bad|were broken|got lost|are gone]. How "
    "many [good ones|{items}|] {does} {she} have [left|now]?",
    "{A} {ate} {y} {items}. {She} had {x} [before|at first|to begin with]. How many are left?",
    "{xs}. {A} {eats} {y}. [How many left|How many are left|What is left]?",
)
GAINS_AND_LOSSES = (
    "{A} {has} {xs}. {The} [buy{s}|find{s}|get{s}] {y} more and give{s} {z} to {b}. How many "
    "{items} {does} {she} have now?",
    "{A} had {xs}. {She} [bought|found|got] {y} more, then {ate} {z}. How many [{items}|] {does} "
    "{she} have[ now| left|]?",
    "{A} {has} {xs}, [buy{s}|find{s}|get{s}] {y} more and {eats} {z}. How many {does} {she} have?",
    "If {a} {has} {xs}, [buy{s}|get{s}] {y} more and then {eats} {z}, how many are left?",
    "How many {items} {does} {a} have [left|] if {she} had {xs}, [got|bought] {y} more and {ate} "
    "{z}?",
    "{A} start{s} with {xs}. {B} gives {me} {y} more. Then {she} {eats} {z}. How many [{items}|] "
    "[are left|{does} {she} have]?",
    "[Yesterday|On Monday|First] {a} had {xs}. [Then|Later] {she} [got|bought] {y} and {ate} "
    "{z}. How many {items} {does} {she} have[ now| left|]?",
    "{A} [picked|bought|found] {xs} and {y} more. {She} {ate} {z} of them. How many {items} are "
    "left?",
    "~[Work out|Figure out|Calculate] how many {items} {a} {has} [if|when] {she} had {xs}, "
    "[bought|got] {y} more and [gave {z} away|gave {z} to {b}].",
    "[Word problem|Story problem|Math problem]: {A} {has} {xs}. {She} get{s} {y} more. {She} "
    "{eats} {z}. How many {items} {does} {she} have?",
    "{A} {has} {xs}. {She} add{s} {y} more to {her} collection and [sell{s}|give{s} away] {z}. "
    "How many remain?",
    "{A} {has} {xs}. {B} gives {me} {y} more but takes {z} [back|away]. How many {items} {does} "
    "{she} have[ now|]?",
)
LOSSES_AND_GAINS = (
    "{A} had {x} {items}. {y} of them got lost, but {she} [found|bought|got] {z} new ones. How "
    "many {does} {she} have?",
    "After {she} {ate} {y} of {xs}, {a} [bought|got|found] {z} more. How many {does} {she} have "
    "now?",
    "{A} {has} {xs}. {She} {eats} {y} and then [buy{s}|get{s}|find{s}] {z} more. How many "
    "{items} {does} {she} have[ now|]?",
    "{A} had {xs}. {She} {ate} {y}, then [bought|got|found] {z} more. How many {does} {she} have "
    "now?",
    "If {a} {has} {xs}, {eats} {y} and [buy{s}|get{s}] {z} more, how many {does} {she} have?",
    "{A} gave {y} of {her} {xs} to {b} and [got|bought|found] {z} new ones. How many {items} "
    "{does} {she} have[ now|]?",
    "How many {items} {does} {a} have if {she} had {xs}, {ate} {y} and [bought|got] {z} more?",
    "{A} start{s} with {xs}, {eats} {y}, then [find{s}|get{s}] {z}. How many [{items}|] now?",
    "{A} {has} {xs}. First {she} {eats} {y}. Then {b} gives {me} {z}. How many [{items}|] {does} "
    "{she} have?",
    "~[Work out|Figure out|Find] how many {items} {a} {has}: {she} had {x}, {ate} {y} and "
    "[got|bought] {z} more.",
    "{A} {ate} {y} of {xs} and {b} [brought|gave] {me} {z} more. How many are there now?",
    "[Word problem|Story problem|Math problem]: {A} had {xs}, {ate} {y} and [bought|found] {z}. "
    "How many {items} {does} {she} have?",
)
TOGETHER = (
    "{A} {has} {xs} and {b} has {y}[ {items}|]. How many {items} do {they} have [together|in "
    "total|altogether|in all]?",
    "{A} {has} {xs}. {B} has {y}. [How many do {they} have together|How many {items} in "
    "total|How many together|How many {items} do {they} have combined]?",
    "If {a} {has} {xs} and {b} has {y}, how many [{items}|] do {they} have [together|in "
    "total|combined|altogether]?",
    "How many {items} do {a} and {b} have together if {the} {has} {x} and {b} has {y}?",
    "{A} [picked|bought|found|collected|made] {xs} and {b} [picked|bought|found|collected|made] "
    "{y}. How many {items} [do|did] {they} [have|get] [together|in total|altogether]?",
    "What is the total number of {items} if {a} {has} {x} and {b} has {y}?",
    "{A} {has} {xs}, {b} has {y}. [Total?|How many in total?|Sum?|How many together?]",
    "{B} has {ys} and {a} {has} {x}. How many do {they} have [altogether|together|in total]?",
    "{A} and {b} put their {items} together. {The} {has} {x}, {b} has {y}. How many [{items}|] "
    "[are there|do {they} have]?",
    "~[Work out|Figure out|Find|Calculate] how many {items} {a} and {b} have together[:| if] "
    "{the} {has} {x} and {b} has {y}.",
    "[Word problem|Story problem|Math problem]: {A} {has} {xs}, {b} has {y}. How many {items} do "
    "{they} have in all?",
    "{A} brought {xs} [to the party|to school|] and {b} brought {y}. How many {items} [are "
    "there|did {they} bring] [altogether|in total]?",
    "Together, how many {items} do {a} ({x}) and {b} ({y}) have?",
    "{A} {has} {xs} in {her} bag and {b} has {y}. How many {items} do {they} have [together|in "
    "total]?",
    "{tag}: {xs}. {B}: {ys}. [How many in total|Together]?",
)
SPENT = (
    "{A} {has} {xs}. {She} spend{s} {ys}. How [much money|much|many {items}] {does} {she} have "
    "left?",
    "{A} {has} {xs} and spend{s} {y}[ on a book| on lunch| on food| at the store|]. How much "
    "[money|] [is left|{does} {she} have left]?",
    "{A} had {xs}. {She} bought [a book|a hat|lunch|a toy|a game] for {ys}. How much [money|] "
    "[is left|{does} {she} have left]?",
    "If {a} {has} {xs} and pay{s} {ys}, how much [is left|{does} {she} have left|remains]?",
    "How much [money|] {does} {a} have left if {she} had {xs} and spent {y}?",
    "{A} spent {y} of {her} {xs}. How much is left?",
    "{A} [went to the store|went shopping] with {xs} and spent {ys}. How much [money|] {does} "
    "{she} have [left|now]?",
    "{A} {has} {xs} in {her} [wallet|pocket|piggy bank|account]. {She} [pay{s}|spend{s}|give{s} "
    "away] {y}. How much [is left|{does} {she} have left|remains]?",
    "~[Work out|Figure out|Calculate|Find] how much money {a} {has} left [if|after] {she} "
    "[spent|paid] {y} of {her} {xs}.",
    "{A} {has} {xs}, spend{s} {y}. [How much left?|What is left?|How much now?|Left?]",
    "[Word problem|Budget|Math problem]: {A} had {xs} and [spent|paid|gave away] {ys}. How much "
    "[money|] is left?",
    "After [spending|paying] {ys} from {xs}, how much {does} {a} have left?",
    "{A} earned {xs} and spent {y}. How much {does} {she} [have left|still have]?",
    "{A} [had|earned|got|found] {xs} and [lost|donated|gave {b}] {y}. How much money {does} "
    "{she} have left?",
)
LOSING = (
    *("lose/loses/lost", "sell/sells/sold", "give away/gives away/gave away", "use/uses/used"),
    *("drop/drops/dropped", "break/breaks/broke", "donate/donates/donated"),
    *("throw away/throws away/threw away", "lend/lends/lent"),
)
EATING = ("eat/eats/ate",) * 5 + LOSING[:4]


def told(kind: str, keys: list[str], request: str, work: str, reference: str) -> Problem:
    """A word problem, answered by its working and a sentence."""
    names = (f"word:{kind}", *keys)
    return Problem("word", names, ask(request), f"{work}. {reference}", "final", reference)


def people_slots(draw: Draw, one: Actor) -> dict[str, str]:
    """Slots of a person and of somebody else."""
    other = third_person(draw, one)
    return {
        **one.slots(),
        "b": other.again if one.is_third else other.first,
        "B": other.slots()["The" if one.is_third else "A"],
        "they": "they" if one.is_third else "we",
    }


def story_slots(draw: Draw, one: Actor, noun: Noun, *values: int) -> dict[str, str]:
    """Slots of a person with things: numbers x, y, z, with their noun in xs, ys, zs."""
    slots = {**people_slots(draw, one), **noun.slots()}
    for slot, value, shown in zip("xyz", values, number_shown(draw, *values), strict=False):
        slots |= {slot: shown, f"{slot}s": f"{shown} {noun.of(value)}"}
    return slots


def losing_slots(draw: Draw, noun: Noun, one: Actor) -> dict[str, str]:
    """Slots of a verb for losing things: to eat them if they are food."""
    is_food = f"{noun.one}:{noun.many}" in EDIBLE
    base, third, past = draw.pick(EATING if is_food else LOSING).split("/")
    return {"eat": base, "eats": third if one.is_third else base, "ate": past}


def gain(draw: Draw) -> Problem:
    """Somebody gets more of what they have."""
    one, noun, x, y = actor(draw), thing(draw), small(draw), small(draw, 1)
    request = draw.say(GAINS, **story_slots(draw, one, noun, x, y))
    reference = f"{one.has()} {noun.count(x + y)}."
    return told(f"gain:{x}:{y}", [sum_key(x, y)], request, work_sum(x, y), reference)


def loss(draw: Draw) -> Problem:
    """Somebody eats, loses or gives away some of what they have."""
    one, noun, x = actor(draw), thing(draw), small(draw, 3)
    y = draw.rng.randint(1, x - 1)
    slots = story_slots(draw, one, noun, x, y) | losing_slots(draw, noun, one)
    reference = f"{one.has()} {noun.count(x - y)} left."
    keys = [difference_key(x, y)]
    return told(f"lost:{x}:{y}", keys, draw.say(LOSSES, **slots), work_difference(x, y), reference)


def spent(draw: Draw) -> Problem:
    """Somebody spends some of their money."""
    one, currency, x = actor(draw), money(draw), small(draw, 3)
    x = draw.pick((x, x, 10, 20, 50, 100))
    y = draw.rng.randint(1, x - 1)
    slots = story_slots(draw, one, currency, x, y)
    slots |= {"xs": price(draw, x, currency), "ys": price(draw, y, currency)}
    slots["y"] = slots["ys"]
    reference = f"{one.has()} {currency.count(x - y)} left."
    request, work = draw.say(SPENT, **slots), work_difference(x, y)
    return told(f"spent:{x}:{y}", [difference_key(x, y)], request, work, reference)


def trade(draw: Draw) -> Problem:
    """Somebody gets some and gives some away, in either order."""
    one, noun, x = actor(draw), thing(draw), small(draw, 3)
    gains_first = draw.chance(0.65)
    y = small(draw, 1) if gains_first else draw.rng.randint(1, x - 1)
    z = draw.rng.randint(1, x + y - 1) if gains_first else small(draw, 1)
    slots = story_slots(draw, one, noun, x, y, z) | losing_slots(draw, noun, one)
    if gains_first:
        request, result = draw.say(GAINS_AND_LOSSES, **slots), x + y - z
        work = f"{work_sum(x, y)}. {work_difference(x + y, z)}"
        keys = [sum_key(x, y), difference_key(x + y, z)]
    else:
        request, result = draw.say(LOSSES_AND_GAINS, **slots), x - y + z
        work = f"{work_difference(x, y)}. {work_sum(x - y, z)}"
        keys = [difference_key(x, y), sum_key(x - y, z)]
    kind = f"trade:{x}:{y if gains_first else -y}:{z}"
    return told(kind, keys, request, work, f"{one.has()} {noun.count(result)}.")


def together(draw: Draw) -> Problem:
    """Two people put together what they have."""
    one, noun, x, y = actor(draw), thing(draw), small(draw), small(draw)
    request = draw.say(TOGETHER, **story_slots(draw, one, noun, x, y))
    reference = f"{'They' if one.is_third else 'You'} have {noun.count(x + y)}."
    return told(f"together:{x}:{y}", [sum_key(x, y)], request, work_sum(x, y), reference)
