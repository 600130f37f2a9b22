"""Stories with a twist: an unknown change, halves, prices in proportion, discounts, coins."""

from training.tasks.numbers.arithmetic import (
    difference_key,
    product_key,
    quotient_key,
    sum_key,
    work_difference,
    work_product,
    work_quotient,
    work_sum,
)
from training.tasks.problem import Problem
from training.tasks.word_problems.cast import actor, money, number_shown, price, small, thing
from training.tasks.word_problems.money import goods_slots, in_currency
from training.tasks.word_problems.products import LIMBS, MULTIPLES
from training.tasks.word_problems.sums import losing_slots, people_slots, story_slots, told
from training.wordings import Draw

ALL_BUT = (
    "{A} {has} {xs}. Only {y} are not {gone}. How many are left?",
    "~Tell me how many {items} {a} {has} left, if all but {y} of {x} are {gone}.",
    "{A} {has} {xs}. All but {y} {are} {gone}. How many are left?",
    "{A} {has} {xs}. All but {y} {are} {gone}. How many {items} {does} {she} have[ left| now|]?",
    "If {a} {has} {xs} and all but {y} {are} {gone}, how many are left?",
    "{A} had {xs}. All but {y} {are} {gone}. How many [remain|are left|are there]?",
    "[Riddle|Trick question|Question]: {A} {has} {xs}, all but {y} {are} {gone}. How many {does} "
    "{she} have left?",
    "All but {y} of {her} {xs} {are} {gone}. How many {does} {a} have left?",
    "How many {items} are left if {a} had {x} and all but {y} {are} {gone}?",
    "{A} had {xs} and lost all but {y}. How many {does} {she} have left?",
    "{A} [gave away|sold|lost] all but {y} of {her} {xs}. How many {does} {she} have left?",
    "{A} had {x} {items}. All except {y} {are} {gone}. How many {does} {she} have left?",
    "{tag}: {xs}, all but {y} {are} {gone}. How many left?",
)
EATEN_SOME = (
    "{A} {has} {y} of {xs} left. How many did {she} {eat}?",
    "{y} of {xs} are left. How many did {a} {eat}?",
    "{A} had {xs}. {She} {ate} some and {has} {y} left. How many did {she} {eat}?",
    "{A} had {xs}. {She} {ate} some of them. Now {she} {has} {y}. How many did {she} {eat}?",
    "{A} had {xs} and {has} {y} left. How many [{items}|] did {she} {eat}?",
    "If {a} had {xs} and now {has} {y}, how many did {she} {eat}?",
    "How many {items} did {a} {eat} if {she} had {x} and {has} {y} left?",
    "{A} {ate} some of {her} {xs}. {She} {has} {y} left. How many did {she} {eat}?",
    "~[Work out|Find|Tell me] how many {items} {a} {ate}: {she} had {x}, now {she} {has} {y}.",
    "{A} {ate} some {items}. Before {she} had {x}, after that {y}. How many did {she} {eat}?",
    "There are {y} of {her} {xs} left. How many did {a} {eat}?",
    "[Word problem|Math problem]: {A} had {xs}, {ate} some, and {y} are left. How many did {she} "
    "{eat}?",
    "{A} [started|began] with {xs}. Now only {y} are left. How many did {she} {eat}?",
)
FOUND_SOME = (
    "{A} now {has} {x} {items}, but {she} had {y} before. How many did {she} {get}?",
    "After {she} {got} some more, {a} {has} {xs}. Before {she} had {y}. How many did {she} {get}?",
    "{A} had {ys}. {She} {got} some more and now {has} {x}. How many did {she} {get}?",
    "{A} had {ys}. Now {she} {has} {x}. How many [{items}|more|] did {she} {get}?",
    "If {a} had {ys} and now {has} {x}, how many did {she} {get}?",
    "How many {items} did {a} {get} if {she} had {y} and now {has} {x}?",
    "{A} {got} some {items}. Before {she} had {y}, now {she} {has} {x}. How many did {she} {get}?",
    "~[Work out|Find|Tell me] how many {items} {a} {got}: {she} had {y}, now {she} {has} {x}.",
    "{A} [started|began] with {ys} and [ended with|ended up with|now {has}] {x}. How many did "
    "{she} {get}?",
    "[Yesterday|This morning] {a} had {ys}. Today {she} {has} {x}. How many did {she} {get}?",
    "[Word problem|Math problem]: {A} had {ys}, {got} some more, and {has} {x} now. How many did "
    "{she} {get}?",
    "First {a} had {ys}, then {she} {got} more. In the end {she} had {x}. How many did {she} "
    "{get}?",
)
HALVED = (
    "{A} keep{s} half of {her} {xs}. How many is that?",
    "Out of {xs}, {a} {ate} half. How many are left?",
    "{A} {has} {xs} and {eats} half of them. How many are left?",
    "{A} {has} {xs}. {She} {eats} half. How many [{items}|] {does} {she} have left?",
    "{A} had {xs} and {ate} half of them. How many {does} {she} have left?",
    "{A} {has} {xs}. {She} give{s} half of them to {b}. How many [{items}|] {does} {she} have "
    "left?",
    "If {a} {has} {xs} and {eats} half[ of them|], how many are left?",
    "How many {items} {does} {a} have left if {she} had {x} and {ate} half?",
    "{A} {ate} half of {her} {xs}. How many [are left|{does} {she} have left]?",
    "Half of {her} {xs} are gone. How many {does} {a} have left?",
    "~[Work out|Find|Tell me] how many {items} {a} {has} left: {she} had {x} and {ate} half.",
    "[Word problem|Math problem]: {A} had {xs}, {she} {ate} half. How many are left?",
    "{A} share{s} half of {her} {xs} with {b}. How many {does} {she} keep?",
)
PROPORTIONS = (
    "{A} can buy {n} {items} for {xs}. What do {m} cost?",
    "If you pay {xs} for {n} {items}, what do you pay for {m}?",
    "If {n} {items} cost {xs}, how much do {m} [{items} |]cost?",
    "{n} {items} cost {xs}. How much do {m} [{items} |]cost?",
    "{n} {items} cost {xs}. [What is the price of|How much are] {m} {items}?",
    "How much do {m} {items} cost if {n} cost {xs}?",
    "How much are {m} {items} if {n} {items} cost {xs}?",
    "{A} [paid|pay{s}] {xs} for {n} {items}. How much do {m} cost?",
    "At {xs} for {n} {items}, how much do {m} cost?",
    "~[Work out|Calculate|Find] the price of {m} {items} if {n} cost {xs}.",
    "{n} {items} for {xs}. [How much for {m}|Price of {m}|{m} {items}]?",
    "[Word problem|Math problem]: {n} {items} cost {xs}. What do {m} cost?",
    "The price of {n} {items} is {xs}. What is the price of {m}?",
)
MORE_TOGETHER = (
    "{B} has {xs}, and {a} {has} {y} more than that. How many is that in all?",
    "What is the total if {b} has {xs} and {a} {has} {y} more?",
    "{B} has {xs}. {A} {has} {y} more[ than {b}|]. How many do {they} have [together|in total]?",
    "{B} has {xs} and {a} {has} {y} more. How many [{items}|] do {they} have "
    "[together|altogether|in total]?",
    "{A} {has} {y} more {items} than {b}. {B} has {x}. How many do {they} have together?",
    "If {b} has {xs} and {a} {has} {y} more than that, how many do {they} have together?",
    "How many {items} do {they} have together if {b} has {x} and {a} {has} {y} more?",
    "~[Work out|Find|Calculate] how many {items} {they} have together: {b} has {x}, {a} {has} "
    "{y} more.",
    "[Word problem|Math problem]: {B} has {xs}. {A} {has} {y} more. How many in total?",
    "{A} {has} {y} more than {b}, who has {xs}. What is the total of both?",
    "{B}: {xs}. {tag}: {y} more than {b}. Total?",
    "Together, how many {items} do {b} and {a} have if {b} has {x} and {the} {has} {y} more?",
)
DISCOUNTS = (
    "{One} costs {xs}. It is {p} off. [What is the new price|How much does it cost now|What does "
    "it cost now]?",
    "{One} costs {xs} and is {p} off. What is the [new price|sale price|price now]?",
    "What is {p} off {xs}?",
    "{p} off {xs}[?|]",
    "{xs} with {p} off[?|]",
    "{One} costs {xs} with a discount of {p}. What do I pay?",
    "~[Work out|Calculate|Find] the price of {one} that costs {xs} and is {p} off.",
    "If {one} costs {xs} and is {p} off, how much is it?",
    "{xs} minus {p}[?| is how much?]",
    "How much is {one} for {xs} with a {p} discount?",
    "The price of {one} falls by {p} from {xs}. What is the new price?",
    "[Sale|Discount]: {p} off {xs}. [What is the price|New price]?",
    "A shop takes {p} off {xs}. What is the new price?",
)
COINS = (
    "In {her} pocket {a} {has} {x} {coins} and {y} {others}. How many cents is that?",
    "~Add up {x} {coins} and {y} {others}.",
    "{A} {has} {x} {coins} and {y} {others}. How much money {does} {she} have?",
    "{A} {has} {x} {coins} and {y} {others}. How many cents [is that|{does} {she} have]?",
    "How much [money |]is {x} {coins} and {y} {others}?",
    "How many cents are {x} {coins} and {y} {others}?",
    "If {a} {has} {x} {coins} and {y} {others}, how much money {does} {she} have?",
    "{x} {coins} and {y} {others}. [How much money|How many cents|How much is that]?",
    "What are {x} {coins} and {y} {others} worth?",
    "~[Work out|Count|Find] the value of {x} {coins} and {y} {others}.",
    "[Value|Worth] of {x} {coins} and {y} {others}[?|]",
    "[Word problem|Math problem]: {x} {coins}, {y} {others}. How many cents?",
    "{x} {coins} plus {y} {others} is how many cents?",
)
LEGS_OF_TWO = (
    "Together, how many {legs} do {x} {ones} and {y} {others} have?",
    "In a [room|field|house] there are {x} {ones} and {y} {others}. How many {legs}?",
    "How many {legs} do {x} {ones} and {y} {others} have[ in total| together| altogether|]?",
    "{x} {ones} and {y} {others} have how many {legs}?",
    "There are {x} {ones} and {y} {others}. How many {legs} [are there|do they have|in total]?",
    "I have {x} {ones} and {y} {others}. How many {legs} do they have?",
    "A farmer has {x} {ones} and {y} {others}. How many {legs} do they have[ in total|]?",
    "If there are {x} {ones} and {y} {others}, how many {legs} are there[ in total|]?",
    "{x} {ones}, {y} {others}. How many {legs}[ in total|]?",
    "~[Count|Calculate|Work out|Find] the {legs} of {x} {ones} and {y} {others}.",
    "[What is|What's] the number of {legs} of {x} {ones} and {y} {others}?",
    "[Riddle|Word problem]: {x} {ones} and {y} {others}. How many {legs}?",
    "I see {x} {ones} and {y} {others}. How many {legs} are there?",
)
TIMES_AS_OLD = (
    "{B} is {x}. {A}, {twice} as old, {is} how old?",
    "{A} {is} {twice} as old as {b}. If {b} is {x}, how old {is} {the}?",
    "{B} is {x}[ years old|]. {A} {is} {twice} as old[ as {b}|]. How old {is} {the}?",
    "{A} {is} {twice} as old as {b}. {B} is {x}. How old {is} {the}?",
    "If {b} is {x} and {a} {is} {twice} as old, how old {is} {the}?",
    "How old {is} {a} if {b} is {x} and {the} {is} {twice} as old?",
    "{B} is {x} and {a} {is} {twice} as old. How old {is} {the}?",
    "~[Work out|Calculate|Find] {her} age: {b} is {x} and {a} {is} {twice} as old.",
    "[Age problem|Word problem]: {B} is {x}, {a} {is} {twice} as old. How old {is} {the}?",
    "{A} {is} {twice} as old as {b}, who is {x}. How old {is} {the}?",
    "If {a} {is} {twice} as old as {b} and {b} is {x}, how old {is} {she}?",
    "{B}'s age is {x}. {A} {is} {twice} as old. How old {is} {the}?",
)
GONE = ("gone", "sold", "lost", "broken", "given away", "stolen", "used")
CENTS = {"quarters": 25, "dimes": 10, "nickels": 5, "pennies": 1}
WITH_LEGS = [
    entry for entry in LIMBS if "/leg:" in entry and entry.split(":")[0] not in ("table", "chair")
]
PERCENT_PARTS = {50: 2, 25: 4, 20: 5, 10: 10}


def all_but(draw: Draw) -> Problem:
    """All but some are gone, so that some are left."""
    one, noun, x = actor(draw), thing(draw), small(draw, 4)
    y = draw.rng.randint(2, x - 1)
    slots = story_slots(draw, one, noun, x, y)
    request = draw.say(ALL_BUT, **slots, are=draw.pick(("are", "were")), gone=draw.slot(GONE))
    work, left = f"All but {y} are gone, so {y} are left", noun.count(y)
    return told(f"all_but:{x}:{y}", [], request, work, f"{one.has()} {left} left.")


def unknown_change(draw: Draw) -> Problem:
    """Find how many somebody ate, or got, from what they had before and have after."""
    one, noun, x = actor(draw), thing(draw), small(draw, 3)
    y = draw.rng.randint(1, x - 1)
    slots = story_slots(draw, one, noun, x, y)
    if draw.chance(0.6):
        slots |= losing_slots(draw, noun, one)
        request, kind = draw.say(EATEN_SOME, **slots), "ate"
        verb, _, end = slots["ate"].partition(" ")
    else:
        base, past = draw.pick(("get:got", "buy:bought", "find:found", "pick:picked")).split(":")
        request, kind = draw.say(FOUND_SOME, **slots, get=base, got=past), "got"
        verb, end = past, ""
    reference = f"{one.told} {' '.join(filter(None, (verb, end, noun.count(x - y))))}."
    work, keys = work_difference(x, y), [difference_key(x, y)]
    return told(f"{kind}:{x}:{y}", keys, request, work, reference)


def halved(draw: Draw) -> Problem:
    """Half of the things are eaten or given away."""
    one, noun, half = actor(draw), thing(draw), draw.rng.randint(2, draw.pick((6, 12, 25)))
    slots = story_slots(draw, one, noun, 2 * half) | losing_slots(draw, noun, one)
    request, work = draw.say(HALVED, **slots), work_quotient(2 * half, 2)
    keys, reference = [quotient_key(2 * half, 2)], f"{one.has()} {noun.count(half)} left."
    return told(f"halved:{2 * half}", keys, request, work, reference)


def proportion(draw: Draw) -> Problem:
    """From the price of some to the price of others, by the price of one."""
    one, (goods, _, items) = actor(draw), goods_slots(draw)
    first, second = draw.rng.sample(range(2, draw.pick((7, 11))), 2)
    each, currency = draw.rng.randint(2, draw.pick((5, 10))), money(draw)
    total = first * each
    (shown,) = number_shown(draw, second)
    slots = people_slots(draw, one) | goods | {"n": first, "m": shown}
    request = draw.say(PROPORTIONS, **slots, xs=price(draw, total, currency))
    work = f"{work_quotient(total, first)}. {work_product(second, each)}"
    keys = [quotient_key(total, first), product_key(second, each)]
    reference = f"The {items} cost {in_currency(second * each, currency.one)}."
    return told(f"proportion:{first}:{total}:{second}", keys, request, work, reference)


def more_together(draw: Draw) -> Problem:
    """One has some more than another; count both."""
    one, noun = actor(draw), thing(draw)
    x, y = draw.rng.randint(2, draw.pick((10, 20))), draw.rng.randint(1, 10)
    request = draw.say(MORE_TOGETHER, **story_slots(draw, one, noun, x, y))
    total = 2 * x + y
    work = f"{work_sum(x, y)}. {work_sum(x, x + y)}"
    reference = f"{'They' if one.is_third else 'You'} have {total} {noun.many}."
    return told(f"more_both:{x}:{y}", [sum_key(x, y), sum_key(x, x + y)], request, work, reference)


def discount(draw: Draw) -> Problem:
    """Take a common part off a price."""
    goods, _, _ = goods_slots(draw)
    percent, currency = draw.pick((10, 10, 20, 25, 50, 50)), money(draw)
    parts = PERCENT_PARTS[percent]
    full = parts * draw.rng.randint(1, draw.pick((10, 12)))
    full = draw.pick((full, full, 20, 40, 60, 80, 100))
    off = full // parts
    shown = draw.pick((f"{percent}%", f"{percent}%", f"{percent} percent"))
    request = draw.say(DISCOUNTS, **goods, xs=price(draw, full, currency), p=shown)
    work = f"{work_quotient(full, parts)}. {work_difference(full, off)}"
    keys = [quotient_key(full, parts), difference_key(full, off)]
    reference = f"The new price is {in_currency(full - off, currency.one)}."
    return told(f"discount:{full}:{percent}", keys, request, work, reference)


def coins(draw: Draw) -> Problem:
    """Value of some coins of two kinds."""
    one, (first, second) = actor(draw), draw.rng.sample(list(CENTS), 2)
    x, y = draw.rng.randint(2, 6), draw.rng.randint(2, 9)
    a, b = x * CENTS[first], y * CENTS[second]
    shown = number_shown(draw, x, y)
    slots = people_slots(draw, one) | {"x": shown[0], "y": shown[1]}
    request = draw.say(COINS, **slots, coins=first, others=second)
    products = f"{work_product(x, CENTS[first])}. {work_product(y, CENTS[second])}"
    keys = [product_key(x, CENTS[first]), product_key(y, CENTS[second]), sum_key(a, b)]
    key = f"coins:{':'.join(sorted((f'{x} {first}', f'{y} {second}')))}"
    return told(key, keys, request, f"{products}. {work_sum(a, b)}", f"That is {a + b} cents.")


def legs_of_two(draw: Draw) -> Problem:
    """Count the legs of two kinds of animals."""
    first, second = draw.rng.sample(WITH_LEGS, 2)
    (ones, _, m), (others, _, n) = first.split("/"), second.split("/")
    x, y = draw.rng.randint(2, 10), draw.rng.randint(2, 10)
    shown = number_shown(draw, x, y)
    slots = {"ones": ones.split(":")[1], "others": others.split(":")[1], "legs": "legs"}
    request = draw.say(LEGS_OF_TWO, **slots, x=shown[0], y=shown[1])
    a, b = x * int(m), y * int(n)
    work = f"{work_product(x, int(m))}. {work_product(y, int(n))}. {work_sum(a, b)}"
    keys = [product_key(x, int(m)), product_key(y, int(n)), sum_key(a, b)]
    key = ":".join(sorted((f"{x} {slots['ones']}", f"{y} {slots['others']}")))
    return told(f"legs:{key}", keys, request, work, f"They have {a + b} legs.")


def times_as_old(draw: Draw) -> Problem:
    """Somebody is twice as old as somebody else."""
    one, x, twice = actor(draw), draw.rng.randint(2, 20), draw.pick(("twice", *MULTIPLES))
    factor = MULTIPLES[twice]
    slots = story_slots(draw, one, thing(draw), x)
    request, be = draw.say(TIMES_AS_OLD, **slots, twice=twice), "is" if one.is_third else "are"
    reference = f"{one.told} {be} {factor * x} years old."
    keys, work = [product_key(x, factor)], work_product(x, factor)
    return told(f"as_old:{x}:{factor}", keys, request, work, reference)
