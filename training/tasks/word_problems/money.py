"""Stories of prices, payments and change; of speed, and of areas."""

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
from training.tasks.word_problems.cast import actor, money, number_shown, price, thing
from training.tasks.word_problems.sums import people_slots, told
from training.wordings import Draw

COSTS = (
    "{One} costs {ys}. {A} buy{s} {x} {items}. How much do the {items} cost?",
    "{One} costs {ys}. How much do {x} {items} cost?",
    "How much do {x} {items} cost [if|when] {one} costs {ys}?",
    "How much are {x} {items} at {ys} each?",
    "If {one} costs {ys}, how much do {x} [{items} |]cost?",
    "If {one} is {ys}, [what is the price of|how much are] {x} {items}?",
    "{A} buy{s} {x} {items} [at|for] {ys} each. How much [does that cost|is that|is it in "
    "total|do the {items} cost|{does} {she} pay]?",
    "{A} [bought|ordered] {x} {items} [at|for] {ys} each. [What did {she} pay|How much did {she} "
    "spend|What was the total|How much did the {items} cost]?",
    "{x} {items} at {ys} each. [How much in total|Total|What is the total|Total cost|How much]?",
    "{x} {items}, {ys} [each|apiece|per {item}|a piece]. [Total cost|Total|How much|What do they "
    "cost]?",
    "[What is|What's] the [price|cost|total cost|total price] of {x} {items} at {ys} each?",
    "Each {item} costs {ys}. {A} need{s} {x}. How much will {she} pay?",
    "Each {item} [is|costs] {ys}. What do {x} cost?",
    "~[Work out|Calculate|Find|Tell me] the [price|cost] of {x} {items} at {ys} each.",
    "[Word problem|Math problem|Shopping]: {x} {items}, {ys} each. How much do they cost?",
    "{A} want{s} {x} {items}. One costs {ys}. How much money {does} {she} need?",
    "The price of {one} is {ys}. [What do|How much do] {x} cost?",
    "A shop sells {items} for {ys} each. How much are {x}?",
    "How much money {does} {a} need for {x} {items} at {ys} each?",
)
CHANGES = (
    "{A} buy{s} {one} for {ys} and pay{s} with {xs}. How much change {does} {she} get[ back|]?",
    "{One} costs {ys}. {A} pay{s} with {xs}. How much change {does} {she} get[ back|]?",
    "{One} costs {ys}. {A} give{s} the cashier {xs}. [What is the change|How much change {does} "
    "{she} get]?",
    "{A} [paid|paid with] {xs} for {one} that costs {ys}. [What is the change|How much change]?",
    "If {one} costs {ys} and {a} pay{s} {xs}, [what is the change|how much change {does} {she} "
    "get|how much {does} {she} get back]?",
    "How much change {does} {a} get from {xs} if {one} costs {ys}?",
    "How much change from {xs} for {ys}?",
    "Change from {xs} [if I spend|after spending|for a bill of|for] {ys}?",
    "~[Work out|Calculate|Find|Tell me] the change: {one} costs {ys}, {a} pay{s} {xs}.",
    "{A} [hand{s} over|pay{s} with|give{s}] {xs} for {one} at {ys}. What is the change?",
    "The bill is {ys}. {A} pay{s} {xs}. [What is the change|How much change {does} {she} get]?",
    "[Price|Cost|Bill]: {ys}. Paid: {xs}. [Change|How much change]?",
    "[What's|What is] the change from {xs} when {one} costs {ys}?",
    "{A} bought {one} for {ys}. {She} paid with {xs}. How much [change|money] did {she} get back?",
    "[Word problem|Math problem]: {one} costs {ys} and {a} pay{s} with {xs}. How much change?",
    "I pay {xs} for something that costs {ys}. What do I get back?",
)
CHANGES_OF_SEVERAL = (
    "What is left of {xs} after {a} buy{s} {n} {items} for {ys} each?",
    "{A} [hand{s} over|give{s}] {xs} for {n} {items} that cost {ys} each. What is the change?",
    "{A} buy{s} {n} {items} for {ys} each and pay{s} with {xs}. How much change {does} {she} get?",
    "{One} costs {ys}. {A} buy{s} {n} and pay{s} with {xs}. [How much change|What is the "
    "change|How much change {does} {she} get]?",
    "If {a} buy{s} {n} {items} at {ys} each and pay{s} {xs}, how much change {does} {she} get?",
    "How much change from {xs} for {n} {items} at {ys} each?",
    "{n} {items} at {ys} each, paid with {xs}. [What is the change|How much change|Change]?",
    "{A} paid {xs} for {n} {items} at {ys} each. [What is the change|How much change did {she} "
    "get]?",
    "~[Work out|Calculate|Find] the change from {xs} for {n} {items} at {ys} each.",
    "Each {item} costs {ys}. {A} take{s} {n} and give{s} the cashier {xs}. How much change "
    "{does} {she} get?",
    "[Word problem|Math problem]: {n} {items}, {ys} each, paid with {xs}. How much change?",
    "{A} {has} {xs} and buy{s} {n} {items} at {ys} each. How much change {does} {she} get?",
)
PAIRS_OF_PRICES = (
    "{One} costs {xs} and {two} costs {ys}. How much do they cost together?",
    "{One} costs {xs}. {Two} costs {ys}. How much [for both|do both cost|is it in total|are both]?",
    "{A} buy{s} {one} for {xs} and {two} for {ys}. How much [is that|does {she} spend|in "
    "total|does that cost]?",
    "If {one} costs {xs} and {two} costs {ys}, how much do [both|they] cost[ together|]?",
    "How much are {one} for {xs} and {two} for {ys} together?",
    "How much do {one} and {two} cost if they cost {xs} and {ys}?",
    "{A} [spent|paid] {xs} on {one} and {ys} on {two}. How much did they cost [together|in total]?",
    "~[Work out|Calculate|Find] the total: {one} for {xs} and {two} for {ys}.",
    "{One}: {xs}. {Two}: {ys}. [Total|What is the total|How much for both]?",
    "[What's|What is] the total price of {one} ({xs}) and {two} ({ys})?",
    "[Word problem|Math problem]: {one} costs {xs}, {two} costs {ys}. What do both cost?",
    "The price of {one} is {xs} and the price of {two} is {ys}. How much is that together?",
)
UNIT_PRICES = (
    "A pack of {n} {items} costs {xs}. How much is that for one?",
    "What does one {item} cost if {n} {items} cost {xs}?",
    "{n} {items} cost {xs}. How much does one [{item} |]cost?",
    "{A} paid {xs} for {n} {items}. How much is [one|each]?",
    "If {n} {items} cost {xs}, [how much is one|how much is one {item}|what does one cost|how "
    "much does each cost]?",
    "How much [is one {item}|does one {item} cost] if {n} cost {xs}?",
    "{n} {items} for {xs}. [How much each|Price of one|How much is one|What does one cost]?",
    "~[Work out|Calculate|Find] the price of one {item} if {n} cost {xs}.",
    "{A} buy{s} {n} {items} for {xs} in total. What does each [{item} |]cost?",
    "[What's|What is] the price of one {item} when {n} cost {xs}?",
    "[Word problem|Math problem]: {n} {items} cost {xs}. What is the price of one?",
    "The price of {n} {items} is {xs}. How much for one?",
)
AFFORDABLE = (
    "{One} is {ys} and {a} {has} {xs}. How many {items} can {she} [afford|buy|get]?",
    "{A} spend{s} {xs} on {items} that cost {ys} each. How many {does} {she} get?",
    "{One} costs {ys}. How many [{items}|] can {a} buy [with|for] {xs}?",
    "How many {items} can {a} buy with {xs} if {one} costs {ys}?",
    "{A} {has} {xs}. {One} costs {ys}. How many [{items}|] can {she} buy?",
    "If {one} costs {ys}, how many [{items}|] can {a} buy [with|for] {xs}?",
    "{Items} cost {ys} each. How many can {a} [buy|get|afford] with {xs}?",
    "With {xs}, how many {items} at {ys} each can {a} [buy|afford]?",
    "~[Work out|Find|Tell me] how many {items} at {ys} {a} can buy with {xs}.",
    "How many {items} {does} {a} get for {xs} at {ys} each?",
    "[Word problem|Math problem]: {a} {has} {xs}, {one} costs {ys}. How many can {she} buy?",
    "{A} want{s} to spend {xs} on {items} at {ys} each. How many {does} {she} get?",
)
NOTES = (5, 10, 20, 50, 100)


def _said(draw: Draw, *numbers: int) -> tuple[dict[str, str], str]:
    """Slots of people, a thing and amounts of money y, x; and the currency of the answer."""
    currency = money(draw)
    slots = dict(zip(("y", "x"), numbers, strict=False))
    shown = {f"{slot}s": price(draw, value, currency) for slot, value in slots.items()}
    return shown, currency.one


def goods_slots(draw: Draw, prefix: str = "one") -> tuple[dict[str, str], str, str]:
    """Slots of a thing that is bought, and its names."""
    noun = thing(draw)
    one = draw.pick((noun.slots()["anitem"], noun.slots()["anitem"], f"one {noun.one}"))
    slots = {prefix: one, prefix.title(): one[0].upper() + one[1:]}
    return (
        slots | {"item": noun.one, "items": noun.many, "Items": noun.many.title()},
        noun.one,
        noun.many,
    )


def in_currency(amount: int, currency: str) -> str:
    """An amount of money as in answers."""
    return f"{amount} {currency}{'' if amount == 1 else 's'}"


def cost(draw: Draw) -> Problem:
    """Price of several things, or of one of them, or their number for an amount of money."""
    one, (goods, item, items) = actor(draw), goods_slots(draw)
    slots = people_slots(draw, one) | goods
    number, each = draw.rng.randint(2, 9), draw.rng.randint(2, draw.pick((9, 12, 12, 20, 50)))
    total, kind = number * each, draw.rng.random()
    amounts, currency = _said(draw, each, total)
    (slots["x"],) = number_shown(draw, number)
    slots |= amounts | {"n": slots["x"]}
    if kind < 0.6:
        request, work = draw.say(COSTS, **slots), work_product(number, each)
        reference = f"The {items} cost {in_currency(total, currency)}."
        return told(f"cost:{number}:{each}", [product_key(number, each)], request, work, reference)
    if kind < 0.8:
        request, work = draw.say(UNIT_PRICES, **slots), work_quotient(total, number)
        reference = f"One {item} costs {in_currency(each, currency)}."
        keys = [quotient_key(total, number)]
        return told(f"one_of:{total}:{number}", keys, request, work, reference)
    request, work = draw.say(AFFORDABLE, **slots), work_quotient(total, each)
    reference = f"{one.told} can buy {number} {items}."
    return told(f"buys:{total}:{each}", [quotient_key(total, each)], request, work, reference)


def change(draw: Draw) -> Problem:
    """Change of a payment for one thing or several, or the price of two things."""
    one, (goods, _, _) = actor(draw), goods_slots(draw)
    slots, kind = people_slots(draw, one) | goods, draw.rng.random()
    if kind < 0.25:
        x, y = draw.rng.randint(2, draw.pick((10, 20, 60))), draw.rng.randint(2, 30)
        amounts, currency = _said(draw, y, x)
        second, _, _ = goods_slots(draw, "two")
        request = draw.say(PAIRS_OF_PRICES, **{**slots, **second, **amounts})
        reference = f"They cost {in_currency(x + y, currency)}."
        return told(f"both:{x}:{y}", [sum_key(x, y)], request, work_sum(x, y), reference)
    number = draw.rng.randint(2, 6) if kind < 0.45 else 1
    each = draw.rng.randint(1, draw.pick((9, 9, 12)) if number > 1 else draw.pick((9, 19, 49)))
    total = number * each
    notes = [note for note in NOTES if note > total]
    paid = draw.pick((*notes[:2], notes[0], total + draw.rng.randint(1, 9)))
    amounts, currency = _said(draw, each, paid)
    slots |= amounts | {"n": str(number)}
    keys, work = [difference_key(paid, total)], work_difference(paid, total)
    reference = f"The change is {in_currency(paid - total, currency)}."
    if number == 1:
        return told(f"change:{paid}:{each}", keys, draw.say(CHANGES, **slots), work, reference)
    keys.append(product_key(number, each))
    request = draw.say(CHANGES_OF_SEVERAL, **slots)
    work = f"{work_product(number, each)}. {work}"
    return told(f"change:{paid}:{number}:{each}", keys, request, work, reference)
