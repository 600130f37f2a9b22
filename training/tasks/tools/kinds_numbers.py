"""Tools that calculate and convert."""

import math

from training.tasks.tools import kinds as t
from training.tasks.tools.kinds import Given, Kind, Result, Value, fields
from training.wordings import Draw


def _total(draw: Draw, given: Given) -> Value:
    return int(given["a"]) + int(given["b"])  # type: ignore[arg-type]


def _difference(draw: Draw, given: Given) -> Value:
    return int(given["a"]) - int(given["b"])  # type: ignore[arg-type]


def _product(draw: Draw, given: Given) -> Value:
    return int(given["a"]) * int(given["b"])  # type: ignore[arg-type]


def _quotient(draw: Draw, given: Given) -> Value:
    return round(int(given["a"]) / int(given["b"]), 2)  # type: ignore[arg-type]


UNITS = "km miles meters feet kg pounds liters gallons inches cm grams ounces".split()


def _unit(draw: Draw) -> str:
    return draw.pick(UNITS)


def _expression(draw: Draw) -> str:
    text = str(t.up_to(9, 20, 99)(draw))
    for _ in range(draw.pick((1, 2, 2))):
        text += f"{draw.pick((' + ', ' - ', ' * '))}{t.up_to(9, 20, 99)(draw)}"
    return text


def _value(draw: Draw, given: Given) -> Value:
    terms = str(given["expression"]).replace(" - ", " + -").split(" + ")
    return sum(math.prod(map(int, term.split(" * "))) for term in terms)


def _mean(draw: Draw, given: Given) -> Value:
    numbers = [int(one) for one in given["numbers"]]  # type: ignore[union-attr]
    return round(sum(numbers) / len(numbers), 2)


ADD = Kind(
    tuple("add add_numbers sum plus addition calculate_sum".split()),
    ("Add two numbers.", "Returns a plus b."),
    {
        "a": t.whole("a a x first num1 left", t.up_to(9, 20, 99, 500, 9999)),
        "b": t.whole("b b y second num2 right", t.up_to(9, 20, 99, 500, 9999)),
    },
    (
        "[What is|What's|whats|How much is] {a} + {b}?",
        "[What is|What's|How much is|what does] {a} plus {b}[ equal|]?",
        "~Add {a} [and|to] {b}.",
        "~[Compute|Calculate|Work out] {a} [+|plus] {b}.",
        "{a} [+|plus] {b}[ =| = ?|?|]",
        "[What is|What's] the sum of {a} and {b}?",
        "~[Sum|Sum up|Add up] {a} and {b}.",
        "~[Give|Tell] me the [sum|total] of {a} and {b}.",
        "I have {a} [apples|coins|books] and get {b} more. How many do I have?",
        "~Use the tool to add {a} and {b}.",
        "If I add {a} to {b}, what do I get?",
        "{a} and {b}, what is the [sum|total]?",
        "~Put {a} and {b} together[ and give me the sum|].",
    ),
    (Result("{a} + {b} = {result}", fields(result=_total)),),
)
SUBTRACT = Kind(
    tuple("subtract subtract_numbers minus difference".split()),
    ("Subtract b from a.", "Difference of two numbers."),
    {
        "a": t.whole("a a x first num1", t.up_to(20, 99, 500, 9999)),
        "b": t.whole("b b y second num2", t.up_to(9, 20, 99, 500)),
    },
    (
        "[What is|What's|How much is] {a} - {b}?",
        "[What is|What's|How much is] {a} minus {b}?",
        "~Subtract {b} from {a}.",
        "~[Compute|Calculate|Work out] {a} [-|minus] {b}.",
        "{a} [-|minus] {b}[ =| = ?|?|]",
        "~Take {b} [away from|off] {a}.",
        "[What is|What's] the difference between {a} and {b}?",
        "What [is left|remains] if I take {b} from {a}?",
        "~[Give|Tell] me {a} minus {b}.",
        "I have {a} [apples|coins|books] and lose {b}. How many are left?",
        "~Find the difference between {a} and {b}.",
        "{a} less {b}[?|]",
        "If I take {b} from {a}, what do I get?",
    ),
    (Result("{a} - {b} = {result}", fields(result=_difference)),),
)
MULTIPLY = Kind(
    tuple("multiply multiply_numbers times product mul".split()),
    ("Multiply two numbers.", "Product of a and b."),
    {
        "a": t.whole("a a x first num1 left", t.up_to(9, 12, 20, 99, 500)),
        "b": t.whole("b b y second num2 right", t.up_to(9, 12, 20, 99)),
    },
    (
        "[What is|What's|How much is] {a} [*|x] {b}?",
        "[What is|What's|How much is] {a} times {b}?",
        "~Multiply {a} [by|and|with] {b}.",
        "~[Compute|Calculate|Work out] {a} [*|x|times|multiplied by] {b}.",
        "{a} [*|x|times] {b}[ =| = ?|?|]",
        "[What is|What's] the product of {a} and {b}?",
        "~[Give|Tell] me the product of {a} and {b}.",
        "What do I get if I multiply {a} by {b}?",
        "~Find the product of {a} and {b}.",
        "{a} boxes with {b} eggs each. How many eggs?",
        "I need {a} times {b}.",
        "~Take {a} times {b}.",
        "{a} multiplied by {b}[?|]",
    ),
    (Result("{a} * {b} = {result}", fields(result=_product)),),
)
DIVIDE = Kind(
    tuple("divide divide_numbers quotient div".split()),
    ("Divide a by b.", "Quotient of two numbers."),
    {
        "a": t.whole("a a x dividend num1", t.up_to(20, 99, 500, 9999)),
        "b": t.whole("b b y divisor num2", t.up_to(9, 12, 20)),
    },
    (
        "[What is|What's|How much is] {a} / {b}?",
        "[What is|What's|How much is] {a} divided by {b}?",
        "~Divide {a} by {b}.",
        "~[Compute|Calculate|Work out] {a} [/|divided by|over] {b}.",
        "{a} [/|divided by] {b}[ =| = ?|?|]",
        "~Split {a} into {b} [equal|] parts.",
        "How [often|many times] does {b} go into {a}?",
        "~Find the quotient of {a} and {b}.",
        "{a} [sweets|cookies] for {b} [kids|children]. How many for each?",
        "I need {a} divided by {b}.",
        "~[Give|Tell] me {a} [/|divided by] {b}.",
        "{a} over {b}[?|]",
    ),
    (Result("{a} / {b} = {result}", fields(result=_quotient)),),
)
CALCULATE = Kind(
    tuple("calculate calculator evaluate compute eval_expression math".split()),
    ("Evaluate an expression.", "A calculator."),
    {
        "expression": t.text(
            "expression expression formula expr input",
            _expression,
        )
    },
    (
        "[What is|What's|How much is] {expression}?",
        "~[Calculate|Compute|Evaluate|Solve|Work out] {expression}.",
        "{expression}[ =| = ?|?|]",
        "~[Give|Tell] me the [result|value] of {expression}.",
        "[What is|What's] the [result|value] of {expression}?",
        "~Use the calculator [for|on|to get] {expression}.",
        "I need {expression}.",
        "[Can you calculate|What do you get for] {expression}?",
        "[Calculator|Calculate|Compute]: {expression}",
        "~Do the math: {expression}",
        "How much does {expression} make?",
    ),
    (Result("The result is {result}.", fields(result=_value)),),
    "add subtract multiply divide",
)
AVERAGE = Kind(
    tuple("average mean calculate_average compute_mean".split()),
    ("Average of a list of numbers.", "Mean of numbers."),
    {
        "numbers": t.numbers(
            "numbers numbers values list data",
            lambda draw: [
                draw.rng.randint(1, draw.pick((9, 99))) for _ in range(draw.pick((3, 3, 4, 5)))
            ],
        )
    },
    (
        "[What is|What's] the [average|mean] of {numbers}?",
        "~[Calculate|Compute|Find|Get|Work out] the [average|mean] of {numbers}.",
        "[Average|Mean] of {numbers}[?|]",
        "~[Give|Tell] me the [average|mean] of {numbers}.",
        "{numbers}: what is the [average|mean]?",
        "I need the [average|mean] of [these numbers: |]{numbers}",
        "[My scores are|I got] {numbers}. What is my average?",
        "~Take the [average|mean] of these[ numbers|]: {numbers}",
        "[What is|What's] [their|the] [average|mean]: {numbers}",
        "~Average {numbers}.",
        "{numbers} - [average|mean][?|]",
    ),
    (Result("The average is {average}.", fields(average=_mean)),),
)
CONVERT_CURRENCY = Kind(
    tuple("convert_currency currency_converter exchange exchange_money convert_money".split()),
    ("Convert an amount of money.", "Currency conversion."),
    {
        "amount": t.number("amount amount value sum", t.amount),
        "from": t.text("from from_currency source base from", t.currency),
        "to": t.text("to to_currency target to dest", t.currency),
    },
    (
        "~[Convert|Change|Exchange|Turn] {amount} {from} [to|into] {to}.",
        "[What is|What's|How much is] {amount} {from} in {to}?",
        "How [much|many] {to} [is|are|do I get for] {amount} {from}?",
        "{amount} {from} [to|in|into] {to}[?|]",
        "~[Give|Tell] me {amount} {from} in {to}.",
        "I have {amount} {from}. How much is that in {to}?",
        "I want to [change|exchange] {amount} {from} [to|into|for] {to}.",
        "What do I get in {to} for {amount} {from}?",
        "[Currency|Exchange|Convert]: {amount} {from} to {to}",
        "~Calculate {amount} {from} in {to}.",
        "~Tell me how [much|many] {to} {amount} {from} [is|are].",
        "{amount} {from} [is|are|=] how [much|many] {to}?",
        "~Swap {amount} {from} for {to}.",
    ),
    (
        Result("{amount} {from} is {result} {to}.", fields(result=t.any_price)),
        Result("{amount} {from} is {converted} {to}.", fields(converted=t.any_price)),
    ),
)
CONVERT_UNITS = Kind(
    tuple("convert_units unit_converter convert convert_unit".split()),
    ("Convert a value to another unit.", "Unit conversion."),
    {
        "value": t.number("value value amount number", t.amount),
        "from": t.text(
            "from_unit from from_unit source_unit",
            _unit,
        ),
        "to": t.text("to_unit to to_unit target_unit", _unit),
    },
    (
        "~[Convert|Change|Turn] {value} {from} [to|into] {to}.",
        "[What is|What's|How much is] {value} {from} in {to}?",
        "How many {to} [are|is|are there in] {value} {from}?",
        "{value} {from} [to|in|into] {to}[?|]",
        "~[Give|Tell] me {value} {from} in {to}.",
        "~Express {value} {from} in {to}.",
        "{value} {from} [are|is] how many {to}?",
        "[Convert|Units|Conversion]: {value} {from} to {to}",
        "{value} {from} =[ how many|] {to}?",
        "I need {value} {from} in {to}.",
        "~Tell me how many {to} {value} {from} [is|are].",
        "~Calculate {value} {from} in {to}.",
    ),
    (Result("{value} {from} is {result} {to}.", fields(result=t.any_price)),),
)
DICE = Kind(
    tuple("roll_dice roll_die dice throw_dice".split()),
    ("Roll a die.", "Roll dice with some sides."),
    {
        "sides": t.whole(
            "sides sides faces num_sides", lambda draw: draw.pick((4, 6, 6, 8, 10, 12, 20, 100))
        ),
        "count": t.whole(
            "count count times num_dice",
            t.up_to(3, 5),
            ", {value} times",
            " ({value} times)",
            " {value} times",
        ),
    },
    (
        "~[Roll|Throw] a [die|dice] with {sides} sides.",
        "~[Roll|Throw] a {sides} sided [die|dice].",
        "~Roll a d{sides}.",
        "I [want|need] to [roll|throw] a {sides}-sided [die|dice].",
        "A [die|dice] with {sides} sides{more}: roll it",
        "d{sides}",
        "What do I get [with|from] a {sides} sided [die|dice]?",
        "~Use a die with {sides} sides.",
        "~Let me [roll|throw] a d{sides}.",
        "~[Roll|Throw] the dice ({sides} sides).",
        "I need a roll of a {sides} sided die.",
        "Dice with {sides} sides",
    ),
    (
        Result(
            "You rolled a {result}.",
            fields(result=lambda d, g: d.rng.randint(1, int(str(g["sides"])))),
        ),
    ),
)
RANDOM_NUMBER = Kind(
    tuple("random_number get_random random_int generate_number random_integer".split()),
    ("Get a random number.", "Random integer in a range."),
    {
        "min": t.whole("min low start lower from", lambda draw: draw.pick((0, 1, 1, 1, 10, 50))),
        "max": t.whole(
            "max high end upper to", lambda draw: draw.pick((6, 10, 20, 99, 100, 500, 1000))
        ),
    },
    (
        (
            "~[Pick|Choose|Give me|Generate|Draw|Get] a [random |]number [between {min} and "
            "{max}|from {min} to {max}]."
        ),
        "A random number [between {min} and {max}|from {min} to {max}]",
        "Random number, {min} to {max}",
        "I need a random [number|integer] [between {min} and {max}|from {min} to {max}].",
        "~Think of a number between {min} and {max}.",
        "[What is|Can I have] a random number from {min} to {max}?",
        "random {min} {max}",
        "~Give me any number from {min} to {max}.",
        "~Surprise me with a number between {min} and {max}.",
        "Any number [between {min} and {max}|from {min} to {max}][?|]",
        "~Pick something between {min} and {max}.",
        "Choose a number at random, {min} to {max}.",
    ),
    (Result("The number is {result}.", fields(result=lambda d, g: d.rng.randint(1, 999))),),
)
