"""Expressions of two operations, and equations of one unknown."""

import re
from collections.abc import Callable

from training.tasks.numbers.arithmetic import (
    LARGEST_TABLE,
    LARGEST_TINY,
    difference_key,
    product_key,
    quotient_key,
    sum_key,
    work_difference,
    work_product,
    work_quotient,
    work_sum,
)
from training.tasks.problem import Problem, ask
from training.wordings import Draw

EXPRESSIONS = (
    "[What is|What's|whats|wats] {e}[?| equal to?]",
    "{e}",
    "{e} [=|= ?|=?|?|equals]",
    "[How much|What] is {e}?",
    "~[Calculate|Compute|Work out|Find|Evaluate|Solve|Simplify|Do] {e}[.|]",
    "~[Calculate|Compute|Work out|Evaluate|Solve|Simplify][:|] {e}",
    "[What|How much] does {e} [equal|make|give|come to]?",
    "{e} [is|makes|equals|gives] [what|how much]?",
    "[The result of|Result of|Value of|The value of|The answer to|Answer to] {e}[?|]",
    "[Answer this|Solve this|Math question|Maths|Math problem|Exercise]: {e}[ = ?|]",
    "[Do you know|Can you tell me|Can you work out] what {e} is?",
    "[What is|What's] the [value|result|answer] of {e}?",
    "~[Find|Give me|Tell me|Determine|Get] the [value|result|answer] of {e}.",
    "[How about|And|Now|Try|What about] {e}[?|]",
    "What do you get for {e}?",
    "[gimme|give me|show me|I need|I want] {e}",
    "~[Calculate|Compute|Evaluate|Work out] the expression {e}[.|]",
    "{e} = [x. What is x?|___|... Fill it in.|_ ?]",
    "[eval|calc|print]({e})",
    "[calc|Calculate|Compute|Evaluate|Answer][:|] {e}",
    "[Q|Question|Exercise]: {e}[\nA:|\nAnswer:|]",
    "~[Show me|Tell me|Say] [what {e} is|the answer to {e}|the result of {e}].",
    "~Help me [with|solve|work out] {e}[.|]",
    "[What would|What will] {e} be?",
    "{e}, [order of operations|step by step|with the steps]",
    "{e}. [Calculate.|Result?|What is it?|Answer?|How much?]",
    "[Expression|Problem|Sum|Task]: {e}[\nResult:|\nAnswer:|]",
    "If you [compute|calculate|evaluate] {e}, what [do you get|is the result]?",
)
TWO_STEPS = (
    "{First}[,| and] then {then}.",
    "{First}[, then| and then| and|, and then] {then}. What [do you get|is the result|is it]?",
    "First {first}[, then|, and then| and] {then}.",
    "If I {first}[ and| and then|, then] {then}, what do I get?",
    "What do you get [if|when] you {first} and then {then}?",
    "{First} and {then}.",
    "[Step one|Step 1|1.|First]: {first}. [Step two|Step 2|2.|Then]: {then}.",
    "{First}, [next|after that|afterwards|finally] {then}.",
    "[I want you to|Your task is to|You have to] {first}, then {then}.",
    "What is the result [if|when] I {first}, then {then}?",
    "{First}. [Now|Then|Next,] {then}. [Result?|What is it?|What is the answer?|]",
    "[Do you know|Can you tell me] what you get [if|when] you {first} and then {then}?",
    "[Two steps|Puzzle|Task|Problem]: {first}, then {then}",
    "Suppose [I|you] {first} and then {then}. [What is the result|What comes out]?",
)
EQUATIONS = (
    "~Solve [|this: ]{e}[.|]",
    "~Solve for {x}[:|,| in| if] {e}",
    "~Solve {e} for {x}[.|]",
    "~Solve[:|] {e}[, what is {x}?|. Find {x}.|]",
    "{e}",
    "{e}[, what is|. What is|. Find|, find|; what's] {x}[?|]",
    "If {e}, [what is|what's|then what is|how much is] {x}?",
    "~[Find|Determine|Calculate|Work out|Give me] {x}[:| if| when| such that] {e}",
    "What is {x} [if|when|in|for] {e}?",
    "~Solve [the equation|this equation|this|the following equation][:|] {e}",
    "[For which|For what|Which] {x} is {e}?",
    "{e}[, |; |\n]{x} = ?",
    "{e} - [solve|solve it|solve for {x}|what is {x}]",
    "[Equation|Algebra|Solve|Maths]: {e}",
    "[What|Which] [value|number] of {x} [solves|satisfies|fits] {e}?",
    "[What is|What's] the [value|solution] of {x}[ in| if|:] {e}?",
    "[The solution|Solution] of {e}[?|]",
    "[What|Which] value [must|does] {x} have if {e}?",
    "Given {e}, [find|what is|compute] {x}.",
    "[I have|We know|It is given] that {e}. What is {x}?",
    "[Can you solve|How do I solve|Do you know how to solve] {e}?",
    "~Find the unknown[ {x}|]: {e}",
    "~Solve[ for the unknown| algebraically|]: {e}",
)
CHECKS = (
    "Is {e} = {c}[ true| correct| right|]?",
    "Is {e} [equal to|really|the same as] {c}?",
    "Does {e} [equal|make|give|=] {c}?",
    "{e} = {c}[?|, right?|, correct?|, true or false?|. Is that right?|, is it?]",
    "{e}={c}[?|, right?| correct?|, true or false?]",
    "[True or false|Right or wrong|Correct or not|Check]: {e} = {c}",
    "~[Check|Verify|Check if|Check that] {e} = {c}.",
    "[Is it true|Is it right|Is it correct] that {e} [=|is|equals] {c}?",
    "[I think|I say|My friend says] {e} [=|is|equals] {c}. [Is that right|Am I right|True]?",
    "[I got|My answer is] {c} for {e}. Is [that|it] [right|correct]?",
    "{e} is {c}[, right|, isn't it|, yes or no|]?",
    "[Are you sure|Would you say] {e} [is|equals] {c}?",
    "Did I get this right: {e} = {c}",
)
Result = tuple[str, str, int, tuple[str, ...]]
"""An expression, the working before its result, its value, and keys of its operations."""


def _add(a: int, b: int) -> tuple[str, int, str]:
    return work_sum(a, b), a + b, sum_key(a, b)


def _subtract(a: int, b: int) -> tuple[str, int, str]:
    return work_difference(a, b), a - b, difference_key(a, b)


def _multiply(a: int, b: int) -> tuple[str, int, str]:
    return work_product(a, b), a * b, product_key(a, b)


def _divide(a: int, b: int) -> tuple[str, int, str]:
    return work_quotient(a, b), a // b, quotient_key(a, b)


OPERATIONS: dict[str, Callable[[int, int], tuple[str, int, str]]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
}
SHAPES = (
    *("a + b * c", "a + b * c", "a * b + c", "a * b + c", "a * b - c", "a - b * c"),
    *("(a + b) * c", "(a + b) * c", "(a - b) * c", "a * (b + c)", "a * (b - c)"),
    *("a + b - c", "a + b - c", "a - b + c", "a - b - c", "a - (b + c)"),
    *("a * b * c", "a / b + c", "a + b / c", "(a + b) / c", "a * b / c"),
)


def _is_fine(sign: str, a: int, b: int) -> bool:
    if sign == "-":
        return a >= b
    return sign != "/" or (b > 0 and a % b == 0)


def _worked(shape: str, numbers: dict[str, int]) -> Result | None:
    """The result of a shape of two operations, or None for negative or broken results."""
    tokens = shape.replace("(", "( ").replace(")", " )").split()
    plain = [token for token in tokens if token not in "()"]
    first_left = plain[1] in "*/" or plain[3] in "+-"
    if "(" in tokens:
        first_left = tokens[0] == "("
    a, b, c = (numbers[name] for name in "abc")
    signs = plain[1], plain[3]
    one, two = (a, b) if first_left else (b, c)
    inner, outer = signs if first_left else signs[::-1]
    if not _is_fine(inner, one, two):
        return None
    work_inner, value, key_inner = OPERATIONS[inner](one, two)
    one, two = (value, c) if first_left else (a, value)
    if not _is_fine(outer, one, two):
        return None
    work_outer, value, key_outer = OPERATIONS[outer](one, two)
    expression = "".join(str(numbers[x]) if x in numbers else x for x in shape)
    return expression, f"{work_inner}, {work_outer}", value, (key_inner, key_outer)


def _in_signs(draw: Draw, expression: str) -> str:
    """The expression in the signs and with the spaces of people."""
    if draw.chance(0.35):
        times = draw.pick(("x", "×", "×", "·"))
        expression = expression.replace("*", times).replace("/", draw.pick("/÷"))
    if draw.chance(0.3):
        return expression.replace(" ", "")
    if "(" not in expression and draw.chance(0.12):
        words = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
        return " ".join(words.get(part, part) for part in expression.split())
    return expression


def _in_steps(shape: str, numbers: dict[str, int]) -> tuple[str, str] | None:
    """The two operations of a shape as orders, if the first one is on the left."""
    steps = re.fullmatch(r"\(a (.) b\) (.) c|a ([-+]) b ([-+]) c|a ([*/]) b (.) c", shape)
    if steps is None:
        return None
    a, b, c = (numbers[name] for name in "abc")
    first, then = (sign for sign in steps.groups() if sign)
    orders = {
        "+": f"add {a} and {b}",
        "-": f"subtract {b} from {a}",
        "*": f"multiply {a} by {b}",
        "/": f"divide {a} by {b}",
    }
    nexts = {
        "+": f"add {c}",
        "-": f"subtract {c}",
        "*": "double it" if c == 2 else f"multiply by {c}",
        "/": "halve it" if c == 2 else f"divide by {c}",
    }
    return orders[first], nexts[then]


def mixed_operations(draw: Draw) -> Problem:
    """Evaluate an expression of two operations, one after the other."""
    result = None
    while result is None:
        upper = draw.pick((6, 10, 12, 20))
        numbers = {name: draw.rng.randint(2 if upper < 12 else 1, upper) for name in "abc"}
        shape = draw.pick(SHAPES)
        if upper > 12 and "*" in shape:
            numbers["b"] = draw.rng.randint(2, 9)
        if shape[0] == "a" and shape[2] in "-/":
            # Something large enough to subtract from or to divide.
            numbers["a"] = draw.rng.randint(10, draw.pick((50, 100)))
        result = _worked(shape, numbers)
    expression, work, value, keys = result
    reference = f"{expression} = {value}"
    told = _in_steps(shape, numbers) if draw.chance(0.5) else None
    if told:
        first, then = told
        request = draw.say(TWO_STEPS, First=first.capitalize(), first=first, then=then)
    else:
        request = draw.say(EXPRESSIONS, e=_in_signs(draw, expression))
    return Problem(
        "mix",
        (f"mix:{expression}", *keys),
        ask(request),
        f"{work}, so {reference}",
        "final",
        reference,
    )


def _one_step(draw: Draw, x: str) -> tuple[str, str, str]:
    """An equation of one operation, its key without the letter, and its solution."""
    rng = draw.rng
    upper = draw.pick((10, 10, 20, 50))
    value, other = rng.randint(1, upper), rng.randint(1, upper)
    total, product = value + other, value * other
    kind = draw.pick(("x+a", "x+a", "a+x", "x-a", "a-x", "ax", "ax", "x/a"))
    if kind in ("ax", "x/a"):
        value, other = rng.randint(1, 12), rng.randint(2, 10)
        product = value * other
    times = draw.pick(("", "", "", " * ", "*", "·"))
    match kind:
        case "x+a":
            return f"{x} + {other} = {total}", f"{kind}:{other}:{total}", _minus(total, other)
        case "a+x":
            return f"{other} + {x} = {total}", f"{kind}:{other}:{total}", _minus(total, other)
        case "x-a":
            return f"{x} - {other} = {value}", f"{kind}:{other}:{value}", _plus(value, other)
        case "a-x":
            return f"{total} - {x} = {other}", f"{kind}:{total}:{other}", _minus(total, other)
        case "ax":
            solution = f"{product} / {other} = {value}"
            return f"{other}{times}{x} = {product}", f"{kind}:{other}:{product}", solution
        case _:
            return (
                f"{x} / {other} = {value}",
                f"{kind}:{other}:{value}",
                f"{value} * {other} = " + (str(product)),
            )


def check_equation(draw: Draw) -> Problem:
    """Say whether a small sum, difference or product is what somebody thinks."""
    sign, rng = draw.pick("++-**"), draw.rng
    upper = LARGEST_TABLE if sign == "*" else LARGEST_TINY
    a, b = rng.randint(1, draw.pick((9, upper))), rng.randint(1, draw.pick((9, upper)))
    if sign == "-":
        a, b = max(a, b), min(a, b)
    work, value, key = OPERATIONS[sign](a, b)
    claimed = value
    if draw.chance(0.5):
        claimed = max(0, value + draw.pick((-10, -3, -2, -1, -1, 1, 1, 2, 3, 10)))
    expression = _in_signs(draw, f"{a} {sign} {b}")
    request = draw.say(CHECKS, e=expression, c=claimed)
    answer = f"{work}, so {'yes' if claimed == value else 'no'}."
    return Problem("check", (f"check:{a}{sign}{b}={claimed}", key), ask(request), answer)


def _plus(a: int, b: int) -> str:
    return f"{a} + {b} = {a + b}"


def _minus(a: int, b: int) -> str:
    return f"{a} - {b} = {a - b}"


def _contained(solution: str) -> list[str]:
    """Names of the operations in a solution."""
    named = {"+": sum_key, "-": difference_key, "*": product_key, "/": quotient_key}
    found = re.findall(r"(\d+) ([-+*/]) (\d+)", solution)
    return [named[sign](int(a), int(b)) for a, sign, b in found]


def _two_steps(draw: Draw, x: str) -> tuple[str, str, str]:
    """An equation of a product and a sum or difference, with its key and solution."""
    value, factor = draw.rng.randint(1, 10), draw.rng.randint(2, 6)
    other, times = draw.rng.randint(1, 12), draw.pick(("", "", "", " * ", "*"))
    product = factor * value
    left = f"{factor}{times}{x}"
    if product > other and draw.chance(0.4):
        right = product - other
        step, equation = _plus(right, other), f"{left} - {other} = {right}"
    else:
        right = product + other
        step, equation = _minus(right, other), f"{left} + {other} = {right}"
    key = f"2:{equation.replace(left, str(factor))}"
    return equation, key, f"{step}, {x} = {product} / {factor} = {value}"


def equation(draw: Draw) -> Problem:
    """Solve an equation of one or two steps."""
    x = draw.pick("xxxxxxxyyznabt")
    if draw.chance(0.25):
        shown, key, solution = _two_steps(draw, x)
        factor = shown.split(x)[0].rstrip(" *")
        answer = f"{factor}{x} = {solution}"
        reference = f"{x} = {solution.rpartition(f'{x} = ')[2]}"
    else:
        shown, key, solution = _one_step(draw, x)
        answer = reference = f"{x} = {solution}"
    if draw.chance(0.15):
        shown = shown.replace(" ", "")
    request = draw.say(EQUATIONS, e=shown, x=x)
    keys = (f"solve:{key}", *_contained(solution))
    return Problem("solve", keys, ask(request), answer, "final", reference)
