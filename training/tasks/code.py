"""Small Python functions, checked by running them."""

from dataclasses import dataclass
from random import Random

from training.tasks.problem import Problem, as_json, ask
from training.tasks.words import WORDS


@dataclass(frozen=True, slots=True)
class Recipe:
    """A kind of function: its request, its source, and expressions that show it works.

    Texts are format strings over `w` (a word), `W` (capitalised), `n` (a number), `v` (a variable).
    """

    kind: str
    request: str
    source: str
    calls: tuple[str, ...]


NUMBERS = "[1, 5, {n}, {n} + 1, {n} + 7]"
RECIPES = (
    Recipe(
        "add",
        "Write a Python function add_{n} that adds {n} to {v}.",
        "def add_{n}({v}):\n    return {v} + {n}",
        ("add_{n}(0)", "add_{n}(7)", "add_{n}(-50)"),
    ),
    Recipe(
        "subtract",
        "Write a Python function minus_{n} that subtracts {n} from {v}.",
        "def minus_{n}({v}):\n    return {v} - {n}",
        ("minus_{n}(0)", "minus_{n}(7)", "minus_{n}(150)"),
    ),
    Recipe(
        "times",
        "Write a Python function times_{n} that multiplies {v} by {n}.",
        "def times_{n}({v}):\n    return {v} * {n}",
        ("times_{n}(0)", "times_{n}(7)", "times_{n}(-3)"),
    ),
    Recipe(
        "equals",
        "Write a Python function is_{w} that checks if {v} equals {n}.",
        "def is_{w}({v}):\n    return {v} == {n}",
        ("is_{w}({n})", "is_{w}({n} + 1)", "is_{w}(-1)"),
    ),
    Recipe(
        "divisible",
        "Write a Python function {w}_divides that checks if {v} is divisible by {n}.",
        "def {w}_divides({v}):\n    return {v} % {n} == 0",
        ("{w}_divides({n} * 3)", "{w}_divides({n} * 3 + 1)", "{w}_divides(1)"),
    ),
    Recipe(
        "sum_above",
        "Write a Python function {w}_sum that sums all numbers in items greater than {n}.",
        "def {w}_sum(items):\n    total = 0\n    for item in items:\n        if item > {n}:\n"
        "            total += item\n    return total",
        ("{w}_sum([])", "{w}_sum(" + NUMBERS + ")", "{w}_sum([100, 200])"),
    ),
    Recipe(
        "keep_below",
        "Write a Python function keep_{w} that keeps the numbers in items less than {n}.",
        "def keep_{w}(items):\n    return [item for item in items if item < {n}]",
        ("keep_{w}([])", "keep_{w}(" + NUMBERS + ")", "keep_{w}([-1, 200])"),
    ),
    Recipe(
        "count_equal",
        "Write a Python function count_{w} that counts how often {n} is in items.",
        "def count_{w}(items):\n    return items.count({n})",
        ("count_{w}([])", "count_{w}(" + NUMBERS + ")", "count_{w}([{n}, {n}])"),
    ),
    Recipe(
        "multiples",
        "Write a Python function make_{w} that returns a list of the first {v} multiples of {n}.",
        "def make_{w}({v}):\n    return [i * {n} for i in range(1, {v} + 1)]",
        ("make_{w}(0)", "make_{w}(1)", "make_{w}(4)"),
    ),
    Recipe(
        "greet",
        "Write a Python function greet_{w} that says hello to a name.",
        'def greet_{w}(name):\n    return "Hello, " + name + "!"',
        ("greet_{w}('Anna')", "greet_{w}('')"),
    ),
    Recipe(
        "larger",
        "Write a Python function max_{w} that returns the larger of {v} and {n}.",
        "def max_{w}({v}):\n    if {v} > {n}:\n        return {v}\n    return {n}",
        ("max_{w}({n} + 5)", "max_{w}({n} - 5)", "max_{w}({n})"),
    ),
    Recipe(
        "field",
        "Write a Python class {W} with a field {v} that defaults to {n}.",
        "class {W}:\n    def __init__(self, {v}={n}):\n        self.{v} = {v}",
        ("{W}().{v}", "{W}(3).{v}", "{W}({v}=4).{v}"),
    ),
)


def draw_function(rng: Random) -> tuple[Recipe, dict[str, object]]:
    """Draw a kind of function and the names that fill its texts."""
    word = rng.choice(WORDS)
    names = {"w": word, "W": word.capitalize(), "n": rng.randint(1, 99), "v": rng.choice("xnay")}
    return rng.choice(RECIPES), names


def function_key(recipe: Recipe, names: dict[str, object]) -> str:
    """Name a function by its kind and what its source contains."""
    return "code:" + recipe.source.format(**names)


def python_function(rng: Random) -> Problem:
    """Write a Python function from a sentence."""
    recipe, names = draw_function(rng)
    source = recipe.source.format(**names)
    first, rest = source.split("\n", 1)
    cases = []
    scope: dict[str, object] = {}
    exec(source, scope)
    for call in recipe.calls:
        expression = call.format(**names)
        cases.append([expression, repr(eval(expression, scope))])
    return Problem(
        "code",
        (function_key(recipe, names),),
        ask(recipe.request.format(**names)),
        source,
        "python",
        as_json(cases),
        (first + "\n", rest) if recipe.kind in ("add", "subtract", "times") else None,
    )
