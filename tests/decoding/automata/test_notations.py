"""Arguments in Gemma's notation: those of the JSON that a schema has, whatever it says."""

import contextlib
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import jsonschema
import pytest

from tests.support.automata import BYTES, denoise, random_word, schema_language
from tests.support.json_schema import random_schema
from unmask.api.tools.arguments import GemmaReader
from unmask.decoding.automata.automaton import build_automaton
from unmask.decoding.automata.errors import NoAnswer, NotSupported
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import ByteAutomaton
from unmask.grammar import GemmaArguments, Literal, SpecialToken, json_schema_of

MARK = '<|"|>'
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NESTED = {
    "type": "object",
    "properties": {
        "a b-c.d$é": {"type": "array", "items": {"enum": ["x", 'say "no"', "\\", "\n", 1.5, None]}},
        "to": {"$ref": "#/$defs/point"},
        "any": {"type": ["boolean", "null", "integer"]},
        "say": {"type": "string", "pattern": '^["<|>a]{2,6}$'},
    },
    "additionalProperties": False,
    "$defs": {"point": {"type": "object", "additionalProperties": {"type": "number"}}},
}
EMPTY_OBJECT = {"type": "object", "maxProperties": 0}


def language(schema: Any) -> ByteAutomaton:
    arguments = GemmaArguments(json_schema_of(schema), Literal(MARK))
    return language_of(arguments, {}, Budget())


def written(value: Any) -> str:
    """A value as Gemma's published template writes it."""
    match value:
        case str():
            return f"{MARK}{value}{MARK}"
        case dict():
            inner = ",".join(f"{name}:{written(item)}" for name, item in value.items())
            return f"{{{inner}}}"
        case list():
            return f"[{','.join(map(written, value))}]"
        case _:
            return json.dumps(value)


def read(text: str, random: Random) -> tuple[str, str]:
    """JSON of arguments that come in random pieces, and the text behind them."""
    reader, held, at, found = GemmaReader(), "", 0, ""
    while at < len(text):
        size = random.randint(1, 6)
        held, at = held + text[at : at + size], at + size
        result = reader.read(held)
        held, found = held[result.length :], found + result.json_text
        if result.is_end:
            return found, held + text[at:]
    raise AssertionError(f"no end in {text!r}")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (CITY, {"city": ""}),
        (CITY, {"city": 'é "quoted" \\ {a:1}, \n\t</x>😀'}),
        (CITY, {"city": '<|"|<|<<|"'}),
        (NESTED, {}),
        (NESTED, {"a b-c.d$é": ["x", 'say "no"', "\\", "\n", 1.5, None], "any": True}),
        (NESTED, {"a b-c.d$é": [], "to": {"x": -1.5e-3, "y_2": 0}, "any": None, "say": '"<|'}),
        (EMPTY_OBJECT, {}),
    ],
)
def test_what_a_template_writes_is_accepted_and_read_as_it_was(schema: Any, value: Any) -> None:
    text = written(value)
    assert language(schema).matches(text.encode())
    for seed in range(5):
        found, behind = read(f"{text}<tool_call|>", Random(seed))
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


def _bare(value: Any) -> bool:
    """True where all names may be bare, and no string has the mark."""
    match value:
        case str():
            return MARK not in value
        case dict():
            names = all(name and not set(name) & set('{}[]:,"<>\\\n') for name in value)
            return names and all(map(_bare, value.values()))
        case list():
            return all(map(_bare, value))
    return True


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
@pytest.mark.parametrize("seed", range(100))
def test_texts_of_random_schemas_are_those_of_json(seed: int) -> None:
    random = Random(seed)
    schema = next(_supported(random))
    made, of_json = language(schema), schema_language(schema)
    for goal in (2, 10, 40, 200):
        text = random_word(made, random, goal).decode()
        assert of_json.matches(read(text, random)[0].encode()), text
        value = json.loads(random_word(of_json, random, goal))
        assert made.matches(written(value).encode()) == _bare(value), value


@pytest.mark.parametrize("name", ["a:b", "", 'say "x"', "{a}", "a,b", "a\n"])
def test_names_that_cannot_be_bare_are_left_out(name: str) -> None:
    optional = {"properties": {name: {"type": "null"}}, "additionalProperties": False}
    assert language({"type": "object", **optional}).matches(b"{}")
    assert not language({"type": "object", **optional}).matches(f"{{{name}:null}}".encode())
    with pytest.raises(NoAnswer):
        build_automaton(
            language({"type": "object", **optional, "required": [name]}), BYTES, Budget()
        )


def test_marks_may_be_tokens_of_their_own() -> None:
    grammar = GemmaArguments(json_schema_of(CITY), SpecialToken(MARK))
    made = language_of(grammar, {MARK: 300}, Budget())
    assert made.matches([*b"{city:", 300, *b'a"', 300, *b"}"])
    assert not made.matches([*b"{city:", 300, *MARK.encode(), 300, *b"}"])
    assert not made.matches(written({"city": "a"}).encode())


def test_answers_of_blocks_are_whole() -> None:
    automaton = build_automaton(language(NESTED), BYTES, Budget())
    for seed in range(3):
        random = Random(seed)
        tokens = denoise(automaton, random, 16, 96)
        text = bytes(token for token in tokens if token < 256).decode()
        jsonschema.validate(json.loads(read(text, random)[0]), NESTED)
