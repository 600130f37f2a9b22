"""Reading Python: saying what small programs print and what functions do."""

import re
from contextlib import redirect_stdout
from io import StringIO

from training.tasks.code.expressions import arithmetic, assignments, on_list, on_text, program
from training.tasks.code.functions import source_key
from training.tasks.code.recipes import (
    KNOWN_FUNCTIONS,
    OPEN_FUNCTIONS,
    fill,
    first_phrase,
    write,
)
from training.tasks.code.recipes_base import inflected
from training.tasks.problem import MEMORISED, Problem, ask
from training.tasks.text.layouts import Kinds, one_kind
from training.wordings import Draw

PRINTS = (
    "What does {code} [print|output|display|show|write]?",
    "What [is|will be] the output of {code}?",
    "What [will|would] {code} [print|output|show|display]?",
    "[Output|The output|Result] of {code}[?|]",
    "~[Tell me|Say|Predict|Give me|Find] the output of {code}.",
    "{code}[?| =>| ->| prints?| # ?]",
    "[python|Python][:|] {code}",
    "~[Run|Execute|Evaluate] {code}.",
    "What is printed by {code}?",
    "What [do I get|happens] [if|when] I run {code}?",
    "[What does Python|What would python] [print|show|output] for {code}?",
    "~[Run|Execute] [this|this code|this Python]: {code}",
    "{code} [outputs|prints|shows|gives] what?",
    "[In Python|In python], what does {code} [print|output]?",
    "If I [type|enter|run] {code} in Python, what [comes out|is printed|do I see]?",
    "[Output?|Output:|What is printed?|Result?] {code}",
)
PROGRAMS = (
    "What does this [code|program|Python code|script|snippet] [print|output|display|show]?\n{code}",
    "What [is|will be] the output of this [code|program|Python code|script]?\n{code}",
    "What [will|would] this [code |program |]print?\n{code}",
    "~[Tell me|Predict|Give|Find|Say] the output[ of this code|]:\n{code}",
    "~[Run|Execute] this [code|program|Python code|script]:\n{code}",
    "{code}\n[What does this print?|What is the output?|What will it print?|Output?]",
    "{code}\n\n[What does this code print?|What does it output?|What is printed?]",
    "[Output|Output?|Output of this code|What is printed]:\n{code}",
    "[Here is some code.|Look at this code.|Given this code:] What does it print?\n{code}",
    "~[Read|Follow] this program and [say|tell me] what it prints:\n{code}",
    "[python|Python]:\n{code}",
    "{code}\n# output:",
    "What do I [get|see] when I run this?\n{code}",
    "[What's|Whats] the result of this program?\n{code}",
    "~[Act as|Be] a Python interpreter:\n{code}",
)
VALUES = (
    "What [is|does] {code} [in Python|in python|evaluate to|return|give]?",
    "What is the value of {code}[ in Python| in python|]?",
    "What does {code} [return|evaluate to|give|equal][ in Python|]?",
    "~[Evaluate|Compute|Work out] {code} in [Python|python].",
    ">>> {code}",
    "~Evaluate this Python expression: {code}",
    "[Python|python] value of {code}",
    "[Value|Result] of {code} in [Python|python][?|]",
    "[In Python|In python], what is {code}?",
    "{code} in [Python|python][?| is what?| gives what?]",
    "What [would|will] Python [say|answer|return] for {code}?",
    "[Python expression|python expression]: {code}",
    "~Tell me what {code} [is|returns|gives] in Python.",
    "If I type {code} in the Python shell, what [is returned|do I get|comes back]?",
)
VARIABLE_VALUES = (
    "{code}\nWhat is [the value of |]{v}?",
    "{code}\n\nWhat is {v}[ now| at the end|]?",
    "What is [the value of |]{v} after this[ code|]?\n{code}",
    "After {line}, what is {v}?",
    "What is {v} after {line}?",
    "~[Tell me|Find|Give me] the value of {v} after this code:\n{code}",
    "[Python|python]: {line}; {v} is what?",
    "{line}; what is {v}[ now|]?",
    "~[Follow|Run|Trace] this code and tell me the value of {v}:\n{code}",
    "[Value of|Final value of] {v}[?|:]\n{code}",
    "I run {line} in Python. What does {v} equal?",
    "What does {v} [equal|hold|contain] [at the end|after this]?\n{code}",
)
PURPOSES = (
    "What does this [function|code|Python function|Python code] do?\n{code}",
    "{code}\n[What does this do?|What does this function do?|What does it do?|Explain this.]",
    "{code}\n\n[What does this function do?|Explain this code.|What is this for?]",
    "~[Explain|Describe] [this|this Python] [function|code]:\n{code}",
    "~[Tell me|Say] what this [function|code] does:\n{code}",
    "What is this [function|code] for?\n{code}",
    "[What is|What's] the purpose of this [function|code]?\n{code}",
    "~Explain what this [code|function] does.\n{code}",
    "~[Summarize|Summarise] this [function|code] in one sentence:\n{code}",
    "[Explain|explain|Meaning|What does it do]: {code}",
    "I found this [function|code]. What does it do?\n{code}",
    "I don't understand this [function|code]:\n{code}",
    "~Describe in one sentence what this does:\n{code}",
    "~Write a [comment|docstring|description] for this [function|code]:\n{code}",
    "[Can you|Could you] tell me what this [function|code] does?\n{code}",
    "What happens in this [function|code]?\n{code}",
)
NAMES_WANTED = (
    "What is a good name for this function?\n{code}",
    "~[Suggest|Give me|Find|Propose|Think of] a [good |better |]name for this function:\n{code}",
    "~Name this function:\n{code}",
    "{code}\n[What would you call this function?|What is a good name for it?|Name it.]",
    "How [should|would|could] [I|you|we] [name|call] this function?\n{code}",
    "[A better name|Better name|Good name|A name] for this function[?|:]\n{code}",
    "This function is badly named. What should it be called?\n{code}",
    "~[Choose|Pick] a name for this [function|code]:\n{code}",
    "The name {name} is bad. [Find|Suggest|Give me] a better one:\n{code}",
    "What should {name} be called?\n{code}",
    "What function name fits[ here| this code|]?\n{code}",
    "~Come up with a [good |]function name:\n{code}",
)
TYPES = (
    "[What is|What's] the type of {code}[ in Python| in python|]?",
    "What type is {code}[ in Python| in python|]?",
    "[What|Which] [data type|type] [does {code} have|is {code}] in [Python|python]?",
    "[Python|python] type of {code}",
    "~[Tell me|Give me|Name|Say] the [Python |python ]type of {code}.",
    "[Type|The type|Data type] of {code} in Python[?|]",
    "Of [what|which] type is {code} in Python?",
    "What does Python call the type of {code}?",
    "[In Python|In python], what type is {code}?",
    "{code} is [of what|of which|what|which] [type|data type] in Python?",
)


def printed(code: str) -> str:
    """Text that a program prints."""
    with redirect_stdout(StringIO()) as out:
        exec(code, {})
    return out.getvalue().rstrip("\n")


def shown(draw: Draw, code: str) -> str:
    """The code as people put it into a request: sometimes in a fence."""
    if draw.chance(0.8):
        return code
    return f"```{draw.pick(('', 'python', 'python', 'py'))}\n{code}\n```"


def spaced(draw: Draw, code: str) -> str:
    """The expression with or without spaces, as people type it."""
    tight = code
    if draw.chance(0.25):
        tight = tight.replace(", ", ",")
    if draw.chance(0.25):
        tight = re.sub(r" ([-+*/%<>=]{1,2}) ", r"\1", tight)
    return tight if eval(tight) == eval(code) else code


def _what_is_printed(draw: Draw) -> Problem:
    kind = draw.rng.random()
    if kind < 0.5:
        code = program(draw)
        key = f"code_read:{code}"
        asked = draw.say(PROGRAMS, code=shown(draw, code))
    else:
        expression = draw.pick((arithmetic, on_text, on_list))(draw)
        key = f"code_read:print({expression})"
        code = f"print({spaced(draw, expression)})"
        if draw.chance(0.08):
            code = draw.pick((f'print("{draw.word()}")', f'print("{draw.word()}, {draw.word()}!")'))
            key = f"code_read:{code}"
        templates = PROGRAMS if kind < 0.6 else PRINTS
        inline = draw.rng.choices(("{}", "`{}`"), (85, 15))[0].format(code)
        asked = draw.say(templates, code=shown(draw, code) if templates is PROGRAMS else inline)
    return Problem("code_read", (key,), ask(asked), printed(code))


def _what_is_the_value(draw: Draw) -> Problem:
    if draw.chance(0.4):
        code, v = assignments(draw)
        line = code.replace("\n", "; ")
        one_line = draw.pick(("{}", "{}", "`{}`")).format(line)
        is_simple = ":\n" not in code
        templates = [t for t in VARIABLE_VALUES if is_simple or "{code}" in t]
        asked = draw.say(templates, code=shown(draw, code), line=one_line, v=v)
        answer = printed(f"{code}\nprint(repr({v}))")
        key = f"code_read:{code}\nprint({v})"
    else:
        code = draw.pick((arithmetic, on_text, on_text, on_list, on_list))(draw)
        key = f"code_read:print({code})"
        code = spaced(draw, code)
        asked = draw.say(VALUES, code=draw.rng.choices(("{}", "`{}`"), (85, 15))[0].format(code))
        answer = repr(eval(code))
    return Problem("code_read", (key,), ask(asked), answer)


def _which_type(draw: Draw) -> Problem:
    w, n = draw.word(), draw.rng.randint(0, 99)
    m = draw.rng.randint(1, 9)
    code = draw.pick(
        (
            *(f"{n}", f"{n}", f'"{w}"', f"'{w}'", f"{n}.{m}", f"{m}.5", "True", "False", "None"),
            *(f"[{n}, {m}]", f'["{w}"]', f"({n}, {m})", f"{{'{w}': {n}}}", f"{{{n}, {m}}}", "[]"),
            *("{}", "()", f'"{n}"', f"{n} + {m}", f"{n} / {m}", f"{n} > {m}", f"len('{w}')"),
            *(f"'{w}'.upper()", f"str({n})", f"int('{n}')", f"float({n})", "'a' + 'b'"),
        )
    )
    key = f"code_read:type:{code}"
    return Problem("code_read", (key,), ask(draw.say(TYPES, code=code)), type(eval(code)).__name__)


def _what_it_does(draw: Draw) -> Problem:
    is_open = draw.chance(0.5)
    wants_name = not is_open and draw.chance(0.25)
    recipe = draw.pick(OPEN_FUNCTIONS if is_open else KNOWN_FUNCTIONS)
    state = draw.rng.getstate()
    own = write(draw, recipe)
    draw.rng.setstate(state)
    code = write(draw, recipe, new_name=wants_name or draw.chance(0.8), new_parameters=is_open)
    if wants_name:
        asked = draw.say(NAMES_WANTED, code=shown(draw, code.source), name=code.name)
        answer = own.name
    else:
        asked = draw.say(PURPOSES, code=shown(draw, code.source))
        answer = f"It {inflected(fill(first_phrase(recipe), code.names)).does}."
    inner = source_key(code.source)
    keys = (f"code_read:does:{code.source}", inner) if is_open else (f"{MEMORISED}:{inner}",)
    return Problem("code_read", keys, ask(asked), answer)


KINDS: Kinds = (
    (_what_is_printed, 45),
    (_what_is_the_value, 25),
    (_what_it_does, 22),
    (_which_type, 8),
)


def read_python(draw: Draw) -> Problem:
    """Say what a small program prints, what its value is or what it does."""
    return one_kind(draw, KINDS)
