"""Arguments in Gemma's and LFM2's notations: those of the JSON that a schema has."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import jsonschema
import pytest

from tests.support.automata import BYTES, denoise, random_word, schema_language
from tests.support.json_schema import random_schema
from unmask.api.tools.arguments import ArgumentReader, GemmaReader, PythonReader
from unmask.decoding.automata.automaton import build_automaton
from unmask.decoding.automata.errors import InvalidGrammar, NotSupported
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import ByteAutomaton
from unmask.grammar import (
    GemmaArguments,
    Grammar,
    JsonSchema,
    Literal,
    PythonArguments,
    SpecialToken,
    json_schema_of,
)

MARK = '<|"|>'
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NESTED = {
    "type": "object",
    "properties": {
        "a-b.c$é": {"type": "array", "items": {"enum": ["x", 'say "no"', "\\", "\n", 1.5, None]}},
        "to": {"$ref": "#/$defs/point"},
        "any": {"type": ["boolean", "null", "integer"]},
        "say": {"type": "string", "pattern": '^["<|>a]{2,6}$'},
    },
    "additionalProperties": False,
    "$defs": {"point": {"type": "object", "additionalProperties": {"type": "number"}}},
}
EMPTY_OBJECT = {"type": "object", "maxProperties": 0}


@dataclass(frozen=True)
class Notation:
    """A notation: its grammar of a schema, a value as it is written, and a reader."""

    grammar: Callable[[JsonSchema], Grammar]
    written: Callable[[Any], str]
    reader: Callable[[], ArgumentReader]
    not_in_names: str


def gemma_written(value: Any) -> str:
    """A value as Gemma's published template writes it."""
    match value:
        case str():
            return f"{MARK}{value}{MARK}"
        case dict():
            inner = ",".join(f"{name}:{gemma_written(item)}" for name, item in value.items())
            return f"{{{inner}}}"
        case list():
            return f"[{','.join(map(gemma_written, value))}]"
        case _:
            return json.dumps(value)


def python_written(arguments: dict[str, Any]) -> str:
    """Arguments of a call, whose strings are those of JSON."""
    inner = (f"{name}={python_value(value)}" for name, value in arguments.items())
    return f"({', '.join(inner)})"


def python_value(value: Any) -> str:
    match value:
        case dict():
            items = (f"{python_value(name)}: {python_value(item)}" for name, item in value.items())
            return f"{{{', '.join(items)}}}"
        case list():
            return f"[{', '.join(map(python_value, value))}]"
        case bool() | None:
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


GEMMA = Notation(
    lambda schema: GemmaArguments(schema, Literal(MARK)),
    gemma_written,
    GemmaReader,
    not_in_names='{}[]:,"<>\\\n',
)
PYTHON = Notation(PythonArguments, python_written, PythonReader, not_in_names=' ()[]{}=:,"\\\n')
both = pytest.mark.parametrize("notation", [GEMMA, PYTHON], ids=["gemma", "python"])


def language(schema: Any, notation: Notation = GEMMA) -> ByteAutomaton:
    return language_of(notation.grammar(json_schema_of(schema)), {}, Budget())


def read(text: str, random: Random, notation: Notation = GEMMA) -> tuple[str, str]:
    """JSON of arguments that come in random pieces, and the text behind them."""
    reader, held, at, found = notation.reader(), "", 0, ""
    while at < len(text):
        size = random.randint(1, 6)
        held, at = held + text[at : at + size], at + size
        result = reader.read(held)
        held, found = held[result.length :], found + result.json_text
        if result.is_end:
            return found, held + text[at:]
    raise AssertionError(f"no end in {text!r}")


@both
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (CITY, {"city": ""}),
        (CITY, {"city": 'é "quoted" \\ {a:1}, \n\t</x>😀'}),
        (CITY, {"city": '<|"|<|<<|"'}),
        (NESTED, {}),
        (NESTED, {"a-b.c$é": ["x", 'say "no"', "\\", "\n", 1.5, None], "any": True}),
        (NESTED, {"a-b.c$é": [], "to": {"x": -1.5e-3, "y_2": 0}, "any": None, "say": '"<|'}),
        (EMPTY_OBJECT, {}),
    ],
)
def test_what_a_template_writes_is_accepted_and_read_as_it_was(
    schema: Any, value: Any, notation: Notation
) -> None:
    text = notation.written(value)
    assert language(schema, notation).matches(text.encode()), text
    for seed in range(5):
        found, behind = read(f"{text}<tool_call|>", Random(seed), notation)
        assert json.loads(found) == value
        assert behind == "<tool_call|>"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (CITY, "{}"),
        (CITY, '{"city":"a"}'),
        (CITY, "{city:a}"),
        (CITY, f"{{city: {MARK}a{MARK}}}"),
        (CITY, f"{{city:{MARK}a{MARK},}}"),
        (CITY, f"{{city:{MARK}a{MARK}"),
        (CITY, f"{{city:{MARK}{MARK}{MARK}}}"),  # strings spell no mark
        (CITY, f"{{city:5,other:{MARK}a{MARK}}}"),
        (NESTED, f"{{say:{MARK}{MARK}{MARK}}}"),
        (NESTED, "{to:{x:true}}"),
        (EMPTY_OBJECT, "{a:1}"),
    ],
)
def test_other_texts_are_not_accepted(schema: Any, text: str) -> None:
    assert not language(schema).matches(text.encode())


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (CITY, "()"),
        (CITY, "(city='a')"),
        (CITY, "(city=a)"),
        (CITY, '(city = "a")'),
        (CITY, '(city="a",)'),
        (CITY, '(city="a"'),
        (CITY, '("city"="a")'),
        (CITY, '{"city": "a"}'),
        (NESTED, '(to={"x": True})'),
        (NESTED, "(any=Null)"),
        (EMPTY_OBJECT, "(a=1)"),
    ],
)
def test_other_calls_in_python_are_not_accepted(schema: Any, text: str) -> None:
    assert not language(schema, PYTHON).matches(text.encode())


@pytest.mark.parametrize("text", ["(any=true)", "(any=null)", "(any=None)", "(any=True)"])
def test_constants_may_be_spelled_as_in_json_or_as_in_python(text: str) -> None:
    assert language(NESTED, PYTHON).matches(text.encode())
    assert json.loads(read(text, Random(0), PYTHON)[0])["any"] in (True, None)


def is_written(value: Any, notation: Notation) -> bool:
    """True where no name has a character that may not be bare, and no string has Gemma's mark."""
    names = value if notation is PYTHON else _names(value)
    is_plain = all(name and not set(name) & set(notation.not_in_names) for name in names)
    return is_plain and (notation is PYTHON or MARK not in json.dumps(value).replace("\\", ""))


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from _names(part)


def _supported(random: Random) -> Iterator[dict[str, Any]]:
    """Objects of random schemas that are supported."""
    while True:
        properties = {"a": random_schema(random, 2)}
        defs = {"shared": random_schema(random, 0)}
        schema = {"type": "object", "properties": properties, "$defs": defs}
        with contextlib.suppress(NotSupported):
            schema_language(schema)
            yield schema


@pytest.mark.usual_cases(10)
@both
@pytest.mark.parametrize("seed", range(100))
def test_texts_of_random_schemas_are_those_of_json(seed: int, notation: Notation) -> None:
    random = Random(seed)
    schema = next(_supported(random))
    made, of_json = language(schema, notation), schema_language(schema)
    for goal in (2, 10, 40, 200):
        text = random_word(made, random, goal).decode()
        assert of_json.matches(read(text, random, notation)[0].encode()), text
        value = json.loads(random_word(of_json, random, goal))
        text = notation.written(value)
        assert made.matches(text.encode()) == is_written(value, notation), text


@both
@pytest.mark.parametrize("name", ["a:b", "", 'say "x"', "{a}", "a,b", "a\n"])
def test_names_that_cannot_be_bare_are_left_out(name: str, notation: Notation) -> None:
    schema = {
        "type": "object",
        "properties": {name: {"type": "null"}},
        "additionalProperties": False,
    }
    made = language(schema, notation)
    assert made.matches(notation.written({}).encode())
    assert not made.matches(notation.written({name: None}).encode())
    with pytest.raises(InvalidGrammar, match="cannot write these arguments"):
        language({**schema, "required": [name]}, notation)


def test_marks_may_be_tokens_of_their_own() -> None:
    grammar = GemmaArguments(json_schema_of(CITY), SpecialToken(MARK))
    made = language_of(grammar, {MARK: 300}, Budget())
    assert made.matches([*b"{city:", 300, *b'a"', 300, *b"}"])
    assert not made.matches([*b"{city:", 300, *MARK.encode(), 300, *b"}"])
    assert not made.matches(gemma_written({"city": "a"}).encode())


@both
def test_answers_of_blocks_are_whole(notation: Notation) -> None:
    automaton = build_automaton(language(NESTED, notation), BYTES, Budget())
    for seed in range(3):
        random = Random(seed)
        tokens = denoise(automaton, random, 16, 96)
        text = bytes(token for token in tokens if token < 256).decode()
        jsonschema.validate(json.loads(read(text, random, notation)[0]), NESTED)
