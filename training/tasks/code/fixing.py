"""Mending Python: one mistake in a short source, or other names for its parts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from training.tasks.code.functions import (
    KNOWN_SNIPPETS,
    OPEN_CODE,
    cases_of,
    draw_recipe,
    source_key,
)
from training.tasks.code.reading import shown
from training.tasks.code.recipes import (
    KNOWN_FUNCTIONS,
    VARIABLES,
    Code,
    identifiers,
    renamed,
    write,
)
from training.tasks.code.recipes_base import Recipe
from training.tasks.problem import Problem, as_json, ask
from training.tasks.text.layouts import Kinds, one_kind
from training.wordings import Draw

LONGEST = 160  # characters of a source
REPAIRS = (
    "~[Fix|Correct|Repair] [this|the|this Python|my] [code|function|program]:\n{code}",
    "~[Fix|Correct|Find and fix|Remove] the [bug|mistake|error]:\n{code}",
    "~[Fix|Correct|Find and fix] the [bug|mistake|error|syntax error] in this code:\n{code}",
    "~Debug [this|this code|this Python code|my code]:\n{code}",
    "This [code|function|Python code|program] [does not|doesn't] [work|run]. Fix it.\n{code}",
    "[This code|My code|This] has [a bug|an error|a mistake]. [Fix|Correct] it:\n{code}",
    "{code}\n[Fix this.|Fix it.|Fix the bug.|Correct this code.|Correct the error.]",
    "{code}\n\n[Why does this not work?|This gives an error.|It does not run. Fix it.]",
    "How [do I get this code to|can I make this code|do I make this] [run|work]?\n{code}",
    "[I get an error|I get a SyntaxError|Python complains|It crashes]. [Fix|Correct] this:\n{code}",
    "~Make this code [work|run|correct]:\n{code}",
    "~Rewrite this [code|function] without the [bug|error|mistake]:\n{code}",
    "[Bug|Error|Broken code|Wrong code]:\n{code}\n[Fixed|Correct|Fixed code]:",
    "[What is|What's] the [correct|right] [code|version][ of this|]?\n{code}",
    "[Fix|Correct|Debug|fix code][:|] {code}",
    "[Help, my code is broken|My code is broken|This won't run|this is broken]:\n{code}",
    "There is [a mistake|an error|a bug|a typo] in [this|my] code. [Fix|Correct] it.\n{code}",
    "~[Spot|Find] the [error|mistake|bug] and [write|give] the [correct|fixed] code:\n{code}",
    "~Mend this Python [code|function]:\n{code}",
    "~Help me fix this [code|function|Python code]:\n{code}",
)
TOLD_REPAIRS = (
    "This [function|code] should {do}, but it [does not|doesn't]. Fix it:\n{code}",
    "~[Fix|Correct] this function so that it {does}:\n{code}",
    "~[Fix|Correct|Repair|Debug] this [function|code]. It should {do}.\n{code}",
    "{code}\nIt should {do}. [Fix it.|Fix the bug.|Correct it.|What is the correct code?]",
    "[I want to|I need to] {do}, but this is wrong:\n{code}",
    "This [function|code] is meant to {do}. [Fix|Correct] [it|the bug|the mistake]:\n{code}",
    "~Find [and fix |]the [bug|mistake] in this function [that {does}|to {do}]:\n{code}",
    "Why does this not {do}? [Fix|Correct] it.\n{code}",
    "The [result|answer] is wrong. It should {do}:\n{code}",
    "~Change this function to {do}:\n{code}",
    "~Make this function {do}:\n{code}",
    "# it should {do}\n{code}\n# [fix it|fix this|there is a bug]",
    "[Goal|Task|Wanted]: {do}. [Fix|Correct] the code:\n{code}",
    "[Wrong|Buggy|Broken] [code|function] to {do}:\n{code}\n[Fixed|Correct|Right]:",
    "~Rewrite this function so that it really {does}:\n{code}",
)
FAULTS = (
    "[What is|What's|Whats] wrong with this [code|function|program|Python code]?\n{code}",
    "[What is|What's] wrong [here|in this code]?\n{code}",
    "{code}\n[What is wrong with this?|What is wrong here?|Why does this not work?]",
    "Why does this [code|function] not [work|run]?\n{code}",
    "Why do I get [an error|a SyntaxError|a syntax error] here?\n{code}",
    "[What is|What's|Where is|Where's] the [mistake|bug|error] in this [code|function]?\n{code}",
    "[Where is|What is|Where's] the [mistake|bug|error]?\n{code}",
    "~[Find|Spot|Show me|Tell me|Name] the [mistake|bug|error] in this code:\n{code}",
    "~Explain the [error|bug|mistake] in this [code|function]:\n{code}",
    "~[Tell me|Explain|Say] what is wrong with this [code|function]:\n{code}",
    "[Why|Why does Python complain|Why is this invalid|Why the error]?\n{code}",
    "What is missing [in|from] this code?\n{code}",
    "[Which|What] mistake [did I make|is in this code|do you see here]?\n{code}",
    "{code}\n\n[Find the mistake.|Find the bug.|Where is the error?]",
)
RENAMES = (
    "~Rename [the |]{kind} {old} to {new}:\n{code}",
    "~Rename {old} to {new} in this [code|function]:\n{code}",
    "~Change the name of [the |]{kind} {old} to {new}:\n{code}",
    "~[Change|Replace] {old} [to|with|by] {new} in [this|the] code:\n{code}",
    "{code}\n[Rename|Change] {old} to {new}.",
    "~Call [the |]{kind} {new} instead of {old}:\n{code}",
    "~Use the name {new} [instead of|for] {old}:\n{code}",
    "~Use {new} instead of {old}:\n{code}",
    "In this code, [rename|change] {old} to {new}:\n{code}",
    "The {kind} {old} should be [called|named] {new}:\n{code}",
    "[Refactor|Refactoring|Edit]: rename {old} to {new}.\n{code}",
    "~Rewrite this with {new} as the name of {old}:\n{code}",
    "{old} -> {new}:\n{code}",
)
MISSPELT = {
    "def": ("dfe", "fed", "de", "deff"),
    "return": ("retrun", "retun", "returm", "reutrn"),
    "print": ("pritn", "prnit", "pint", "prin"),
    "for": ("fro", "fr"),
    "while": ("whlie", "wile"),
    "import": ("improt", "imort"),
    "else": ("esle", "els"),
    "class": ("calss", "clas"),
    "range": ("rnage", "rage"),
}
CLOSING = {")": "closing parenthesis", "]": "closing bracket", "}": "closing brace"}
SWAPS = (
    *((" + ", " - "), (" - ", " + "), (" * ", " + "), (" / ", " * "), (" ** ", " * ")),
    *((" == ", " != "), (" != ", " == "), (" > ", " < "), (" < ", " > "), (" % ", " // ")),
    *((" in ", " not in "), (" += ", " -= "), ("max(", "min("), ("min(", "max(")),
    *((".upper()", ".lower()"), (".lower()", ".upper()"), ("[-1]", "[0]"), ("[0]", "[-1]")),
    *((".startswith(", ".endswith("), (".endswith(", ".startswith("), ("[::-1]", "[::1]")),
)


class Mistake(NamedTuple):
    """A source with a mistake, and a sentence that says it."""

    source: str
    fault: str


def _replaced(lines: Sequence[str], at: int, line: str) -> str:
    return "\n".join([*lines[:at], line, *lines[at + 1 :]])


def no_colon(draw: Draw, source: str) -> Mistake | None:
    """Lose the colon at the end of a line."""
    lines = source.split("\n")
    places = [i for i, line in enumerate(lines) if line.endswith(":")]
    if not places:
        return None
    at = draw.pick(places)
    return Mistake(
        _replaced(lines, at, lines[at][:-1]), f"The colon at the end of line {at + 1} is missing."
    )


def no_closing(draw: Draw, source: str) -> Mistake | None:
    """Lose the last closing sign of a line."""
    lines = source.split("\n")
    places = [i for i, line in enumerate(lines) if line.rstrip(":")[-1:] in CLOSING]
    if not places:
        return None
    at = draw.pick(places)
    line = lines[at]
    end = len(line.rstrip(":")) - 1
    name = CLOSING[line[end]]
    return Mistake(
        _replaced(lines, at, line[:end] + line[end + 1 :]), f"A {name} is missing in line {at + 1}."
    )


def no_quote(draw: Draw, source: str) -> Mistake | None:
    """Lose the quotation mark that ends a string."""
    quote = "'" if "'" in source else '"'
    lines = source.split("\n")
    places = [i for i, line in enumerate(lines) if line.count(quote) == 2]
    if not places:
        return None
    at = draw.pick(places)
    end = lines[at].rindex(quote)
    line = lines[at][:end] + lines[at][end + 1 :]
    return Mistake(_replaced(lines, at, line), f"A quotation mark is missing in line {at + 1}.")


def no_return(draw: Draw, source: str) -> Mistake | None:
    """Lose the only `return`."""
    lines = source.split("\n")
    places = [i for i, line in enumerate(lines) if line.lstrip().startswith("return ")]
    if len(places) != 1:
        return None
    at = places[0]
    line = lines[at].replace("return ", "", 1)
    return Mistake(_replaced(lines, at, line), f"The return in line {at + 1} is missing.")


def misspelt(draw: Draw, source: str) -> Mistake | None:
    """Misspell a keyword."""
    lines = source.split("\n")
    places = [
        (i, word) for i, line in enumerate(lines) for word in MISSPELT if word in identifiers(line)
    ]
    if not places:
        return None
    at, word = draw.pick(places)
    wrong = draw.pick(MISSPELT[word])
    line = re.sub(rf"\b{word}\b", wrong, lines[at], count=1)
    return Mistake(
        _replaced(lines, at, line), f'In line {at + 1}, "{word}" is misspelled as "{wrong}".'
    )


def not_indented(draw: Draw, source: str) -> Mistake | None:
    """Lose the indentation of the only line of a body."""
    lines = source.split("\n")
    if len(lines) != 2 or not lines[1].startswith("    "):
        return None
    return Mistake(_replaced(lines, 1, lines[1].lstrip()), "Line 2 must be indented.")


def wrong_name(draw: Draw, source: str) -> Mistake | None:
    """Use another name for a parameter in the body."""
    found = re.match(r"def \w+\((\w+)\):\n( +.*)$", source)
    if found is None or len(re.findall(rf"(?<![\w.]){found[1]}(?!\w)", found[2])) != 1:
        return None
    other = draw.pick([name for name in VARIABLES if name not in identifiers(source)])
    line = renamed(found[2], {found[1]: other})
    return Mistake(
        _replaced(source.split("\n"), 1, line), f'In line 2, "{other}" should be "{found[1]}".'
    )


def one_equals(draw: Draw, source: str) -> Mistake | None:
    """Write `=` for `==` in a condition."""
    lines = source.split("\n")
    places = [i for i, line in enumerate(lines) if "if " in line and line.count(" == ") == 1]
    if not places:
        return None
    at = draw.pick(places)
    line = lines[at].replace(" == ", " = ")
    return Mistake(_replaced(lines, at, line), f'Line {at + 1} needs "==" and not "=".')


def wrong_case(draw: Draw, source: str) -> Mistake | None:
    """Write a constant in lower case, or a keyword with a capital."""
    pairs = (
        *(("True", "true"), ("False", "false"), ("None", "none"), ("return", "Return")),
        *(("def", "Def"), ("print", "Print"), ("for", "For")),
    )
    lines = source.split("\n")
    places = [
        (i, *pair) for i, line in enumerate(lines) for pair in pairs if pair[0] in identifiers(line)
    ]
    if not places:
        return None
    at, right, wrong = draw.pick(places)
    line = re.sub(rf"\b{right}\b", wrong, lines[at], count=1)
    return Mistake(_replaced(lines, at, line), f'In line {at + 1}, "{wrong}" should be "{right}".')


def wrong_operator(draw: Draw, source: str) -> str | None:
    """The source with an operator or a method that does something else."""
    head, *body = source.split("\n")
    text = "\n".join(body)
    fitting = [(right, wrong) for right, wrong in SWAPS if text.count(right) == 1]
    fitting = [pair for pair in fitting if not (pair[0] == " in " and " for " in text)]
    if not fitting:
        return None
    return "\n".join([head, text.replace(*draw.pick(fitting))])


MISTAKES: tuple[tuple[Callable[[Draw, str], Mistake | None], float], ...] = (
    (no_colon, 22),
    (no_closing, 20),
    (no_quote, 14),
    (no_return, 10),
    (misspelt, 14),
    (not_indented, 7),
    (wrong_name, 8),
    (one_equals, 6),
    (wrong_case, 6),
)


def draw_short(draw: Draw, *, functions: bool = False) -> Code:
    """Some short code, of a function mostly with drawn names."""
    while True:
        recipes: Sequence[Recipe] = KNOWN_FUNCTIONS if draw.chance(0.5) else OPEN_CODE
        if not functions and draw.chance(0.12):
            recipes = KNOWN_SNIPPETS
        is_new = draw.chance(0.6)
        recipe = draw_recipe(draw, recipes)
        code = write(draw, recipe, new_name=is_new, new_parameters=draw.chance(0.5))
        if "'" not in code.source and draw.chance(0.25):
            code = replace(code, source=code.source.replace('"', "'"))
        if len(code.source) <= LONGEST and not (functions and recipe.form != "function"):
            return code


def _answered(key: str, asked: str, code: Code, source: str) -> Problem:
    cases = cases_of(code) if code.calls else []
    checker, reference = ("python", as_json(cases)) if cases else ("exact", None)
    keys = (key, source_key(source))
    return Problem("code_fix", keys, ask(asked), source, checker, reference)


def _repair(draw: Draw) -> Problem:
    makers, shares = zip(*MISTAKES, strict=True)
    while True:
        code = draw_short(draw)
        mistake = draw.rng.choices(makers, shares)[0](draw, code.source)
        if mistake is not None:
            break
    key = f"code_fix:{mistake.source}"
    text = shown(draw, mistake.source)
    if draw.chance(0.25):
        asked = draw.say(FAULTS, code=text)
        return Problem("code_fix", (key,), ask(asked), mistake.fault)
    is_told = code.recipe.form == "function" and draw.chance(0.2)
    asked = _told(draw, code, text) if is_told else draw.say(REPAIRS, code=text)
    return _answered(key, asked, code, code.source)


def _told(draw: Draw, code: Code, text: str) -> str:
    return draw.say(TOLD_REPAIRS, code=text, do=code.said.do, does=code.said.does)


def _change_operator(draw: Draw) -> Problem:
    while True:
        code = draw_short(draw, functions=True)
        broken = wrong_operator(draw, code.source)
        if broken is not None:
            break
    asked = _told(draw, code, shown(draw, broken))
    return _answered(f"code_fix:{broken}", asked, code, code.source)


def _rename(draw: Draw) -> Problem:
    code = draw_short(draw, functions=True)
    olds = [(code.name, "function"), *((name, "parameter") for name in code.parameters)]
    old, kind = draw.pick(olds)
    if kind == "parameter":
        kind = draw.pick(("parameter", "argument", "variable"))
    new = old
    while new in identifiers(code.source):
        new = draw.word() if kind == "function" or draw.chance(0.4) else draw.pick(VARIABLES)
    source = renamed(code.source, {old: new})
    asked = draw.say(RENAMES, code=shown(draw, code.source), old=old, new=new, kind=kind)
    keys = (f"code_fix:{old}:{new}:{code.source}", source_key(source))
    return Problem("code_fix", keys, ask(asked), source)


KINDS: Kinds = ((_repair, 65), (_change_operator, 20), (_rename, 15))


def fix_python(draw: Draw) -> Problem:
    """Mend a mistake in Python, say what it is, or rename a part."""
    return one_kind(draw, KINDS)
