"""Small Python expressions and programs for reading."""

from training.tasks.code.recipes import VARIABLES
from training.wordings import Draw


def _text(draw: Draw) -> str:
    return draw.word()[:8]


def _numbers(draw: Draw, low: int = 3, high: int = 5, top: int = 9) -> list[int]:
    return [draw.rng.randint(1, top) for _ in range(draw.rng.randint(low, high))]


def _words(draw: Draw) -> list[str]:
    return draw.distinct(draw.pick((2, 3, 3)))


def arithmetic(draw: Draw) -> str:
    """An expression on two or three small numbers."""
    a, b = draw.rng.randint(1, draw.pick((9, 20, 99))), draw.rng.randint(1, 9)
    c = draw.rng.randint(1, 9)
    return draw.pick(
        (
            *(f"{a} + {b}", f"{a} - {b}", f"{b} * {c}", f"{a} % {b}", f"{a} // {b}"),
            *(f"{b} ** 2", f"2 ** {c}", f"{c} + {b} * 2", f"({b} + {c}) * 2", f"{b * c} / {c}"),
            *(f"{a} == {b}", f"{a} > {b}", f"{a} < {b}", f"{b} != {c}", f"{b} + {c} == {b + c}"),
            *(f"abs({b - c})", f"max({a}, {b})", f"min({a}, {b})", f"{a}+{b}", f"{b}*{c}"),
            *(f'int("{a}") + {b}', f'str({a}) + "{b}"', f"{a} % 2 == 0", f"not {a} > {b}"),
            *(f"True and {a} > {b}", f"{a} > {b} or {c} > {b}", f"bool({draw.pick((0, a))})"),
        )
    )


def on_text(draw: Draw) -> str:
    """An expression on a short string."""
    w, x = draw.distinct(2)
    k = draw.rng.randint(2, 4)
    i = draw.rng.randrange(min(3, len(w)))
    c = draw.pick(w)
    quote = draw.pick('"""\'')
    text = f"{quote}{w}{quote}"
    return draw.pick(
        (
            *(f"len({text})", f"len({text})", f"{quote}{draw.pick(w)}{quote} * {k}"),
            *(
                f"{text}.upper()",
                f"{quote}{w.upper()}{quote}.lower()",
                f"{text}[{i}]",
                f"{text}[-1]",
            ),
            *(f"{text} + {quote}{x}{quote}", f"{text}[::-1]", f"{text}[:{k}]", f"{text}.title()"),
            *(
                f"{text}.capitalize()",
                f"{quote}{c}{quote} in {text}",
                f"{text}.count({quote}{c}{quote})",
            ),
            *(
                f"{text} == {quote}{draw.pick((w, x))}{quote}",
                f"{text}.startswith({quote}{c}{quote})",
            ),
            f"{text}.replace({quote}{c}{quote}, {quote}{draw.pick('xyz')}{quote})",
            f"{quote}{w} {x}{quote}.split()",
            f"{quote}{w},{x}{quote}.split({quote},{quote})",
            f"{quote}-{quote}.join([{text}, {quote}{x}{quote}])",
            f"{quote} {w} {quote}.strip()",
            f"{text}.isdigit()",
            f"list({quote}{w[:4]}{quote})",
            f"{quote}{w[:3]}{quote} * {k}",
        )
    )


def on_list(draw: Draw) -> str:
    """An expression on a short list or a dictionary."""
    numbers, words = _numbers(draw), _words(draw)
    i, n = draw.rng.randrange(3), draw.rng.randint(1, 9)
    w, x = words[:2]
    k = draw.rng.randint(2, 5)
    return draw.pick(
        (
            *(f"{numbers}[{i}]", f"{numbers}[-1]", f"{numbers}[0]", f"len({numbers})"),
            *(f"sum({numbers[:3]})", f"max({numbers})", f"min({numbers})", f"sorted({numbers})"),
            *(f"{numbers}[::-1]", f"{numbers}[:2]", f"{numbers}[1:]", f"{n} in {numbers}"),
            *(f"{numbers[:2]} + [{n}]", f"{numbers[:2]} * 2", f"{numbers}.count({n})"),
            *(f"{words}[{draw.rng.randrange(2)}]", f"len({words})", f"sorted({words})"),
            *(f"list(range({k}))", f"list(range(1, {k}))", f"list(reversed({numbers[:3]}))"),
            *(f"[x * 2 for x in {numbers[:3]}]", f"[x + 1 for x in {numbers[:3]}]"),
            *(f"[x ** 2 for x in range({k})]", f"[x for x in {numbers} if x > {n}]"),
            *(f"({n}, {k})[1]", f"len({{'{w}': {n}, '{x}': {k}}})", f"sum(range({k + 1}))"),
            *(f"{{'{w}': {n}, '{x}': {k}}}['{draw.pick((w, x))}']", f"[{n}] == [{k}]"),
        )
    )


def assignments(draw: Draw) -> tuple[str, str]:
    """Statements that change a variable, and its name."""
    v, u = draw.rng.sample([name for name in VARIABLES if len(name) < 6], 2)
    a, b = draw.rng.randint(1, draw.pick((9, 20, 50))), draw.rng.randint(1, 9)
    w, x = draw.distinct(2)
    numbers = _numbers(draw, 2, 3)
    return (
        draw.pick(
            (
                *(f"{v} = {a}\n{v} += {b}", f"{v} = {a}\n{v} -= {b}", f"{v} = {b}\n{v} *= 2"),
                *(f"{v} = {a}\n{v} = {v} + {b}", f"{v} = {a}\n{v} = {v} - {b}", f"{v} = {a}"),
                *(f"{u} = {a}\n{v} = {u} + {b}", f"{u} = {b}\n{v} = {u} * 2", f'{v} = "{w}"'),
                *(f"{u} = {a}\n{v} = {u}\n{u} = {b}", f"{v} = {a} + {b}", f"{v} = {b} * 3"),
                f"{v} = {a}\n{u} = {b}\n{v}, {u} = {u}, {v}",
                f"{v} = {numbers}\n{v}.append({b})",
                f"{v} = {numbers}\n{v}[0] = {b}",
                f'{v} = "{w}"\n{v} = {v}.upper()',
                f'{v} = "{w}"\n{v} += "{x}"',
                f"{v} = {numbers}\n{v}.pop()",
                f"{v} = {{'{w}': {a}}}\n{v}['{x}'] = {b}",
                f"{v} = {a}\nif {v} > {b}:\n    {v} = {b}",
                f"{v} = 0\nfor i in range({draw.rng.randint(2, 4)}):\n    {v} += {b}",
            )
        ),
        v,
    )


def program(draw: Draw) -> str:
    """A few lines that print something."""
    if draw.chance(0.3):
        code, v = assignments(draw)
        return f"{code}\nprint({v})"
    v, f, g = draw.pick(VARIABLES), draw.pick(("f", "g", "add", "foo", "calc")), draw.word()
    a, b = draw.rng.randint(1, 20), draw.rng.randint(1, 9)
    k, w = draw.rng.randint(2, 4), _text(draw)
    words, numbers = _words(draw), _numbers(draw, 2, 4)
    name, x = draw.name(), draw.word()
    return draw.pick(
        (
            f"for i in range({k}):\n    print(i)",
            f"for i in range(1, {k + 1}):\n    print(i)",
            f"for i in range({k}):\n    print(i * {b})",
            f"for i in range({k}):\n    print('{w}')",
            f"for x in {numbers[:3]}:\n    print(x)",
            f"for x in {numbers[:3]}:\n    print(x + {b})",
            f"for word in {words}:\n    print(word)",
            f"for word in {words}:\n    print(len(word))",
            f"for c in '{w[:4]}':\n    print(c)",
            f"{v} = {a}\nif {v} > {b}:\n    print('{w}')\nelse:\n    print('{x}')",
            f"{v} = {a}\nif {v} % 2 == 0:\n    print('even')\nelse:\n    print('odd')",
            f"{v} = {a}\nprint({v} + {b})",
            f"{v} = '{w}'\nprint({v})",
            f"{v} = '{w}'\nprint(len({v}))",
            f"{v} = '{w}'\nprint({v}.upper())",
            f"{v} = {numbers}\nprint({v}[0])",
            f"{v} = {numbers}\nprint(len({v}))",
            f"{v} = {numbers}\n{v}.append({b})\nprint({v})",
            f"{v} = {numbers}\n{v}.sort()\nprint({v})",
            f"{v} = {numbers}\nprint({v}[-1])",
            f"def {f}(x):\n    return x + {b}\n\nprint({f}({a}))",
            f"def {f}(x):\n    return x * {k}\n\nprint({f}({b}))",
            f"def {f}(a, b):\n    return a + b\n\nprint({f}({a}, {b}))",
            f"def {f}(a, b):\n    return a - b\n\nprint({f}({a}, {b}))",
            f"i = {k}\nwhile i > 0:\n    print(i)\n    i -= 1",
            f"i = 0\nwhile i < {k}:\n    print(i)\n    i += 1",
            f"total = 0\nfor x in {numbers[:3]}:\n    total += x\nprint(total)",
            f"name = '{name}'\nprint('Hello, ' + name)",
            f"name = '{name}'\nprint(f'Hi {{name}}!')",
            f"a = {a}\nb = {b}\nprint(a + b)",
            f"a = {a}\nb = {b}\nprint(a > b)",
            f"{v} = {{'{w}': {a}, '{g}': {b}}}\nprint({v}['{draw.pick((w, g))}'])",
            f"print('{w}')\nprint('{x}')",
            f"print('{w}', '{x}')",
            f"print({a}, {b})",
        )
    )
