"""Fields of bodies that ask for structured output.

They have the shapes of OpenAI, vLLM, SGLang and llama.cpp.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from unmask.api.errors import json_excerpt
from unmask.api.fields import Body, Bool
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar, GrammarText, JsonObject, Regex, choice_of, json_schema_of

MAX_TEXTS = 1024  # of a choice


JsonSchema = Annotated[Any, WithJsonSchema({"type": ["object", "boolean", "string", "null"]})]
"""A schema, or its text."""


class ResponseFormat(Body):
    """OpenAI's format, whose `json_schema` has a name and a `schema`, or llama.cpp's `schema`."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {
                    "required": ["json_schema"],
                    "properties": {
                        "type": {"const": "json_schema"},
                        "json_schema": {
                            "type": "object",
                            "required": ["schema"],
                            "properties": {"schema": {"type": ["object", "boolean", "string"]}},
                        },
                        "schema": {"type": "null"},
                    },
                },
                {
                    "required": ["schema"],
                    "properties": {
                        "type": {"enum": ["json_object", "json_schema"]},
                        "json_schema": {"type": "null"},
                        "schema": {"type": ["object", "boolean", "string"]},
                    },
                },
                {
                    "properties": {
                        "type": {"enum": ["text", "json_object"]},
                        "json_schema": {"type": "null"},
                        "schema": {"type": "null"},
                    }
                },
            ]
        }
    )

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None
    of_schema: JsonSchema = Field(None, alias="schema")


class StructuredOutputs(Body):
    """vLLM's options, of which one is given; the last three say nothing here."""

    of_json: JsonSchema = Field(None, alias="json")
    json_object: Bool | None = None
    regex: str | None = None
    choice: tuple[str, ...] | None = None
    grammar: str | None = None
    disable_any_whitespace: Bool | None = None
    disable_additional_properties: Bool | None = None
    disable_fallback: Bool | None = None


class StructuredBody(Body):
    """Fields of which one may ask for a structure."""

    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: JsonSchema = None
    guided_regex: str | None = None
    guided_choice: tuple[str, ...] | None = None
    guided_grammar: str | None = None
    json_schema: JsonSchema = None
    grammar: str | None = None
    regex: str | None = None
    ebnf: str | None = None


FIELDS = frozenset(StructuredBody.model_fields)


@dataclass(frozen=True, slots=True)
class Structured:
    """A grammar, and the path of the field that asks for it; `parts` have fields of their own."""

    grammar: Grammar
    field: str
    parts: tuple["Structured", ...] = ()


def structure_of(body: StructuredBody) -> Structured | None:
    """The structure that a body asks for; None without one.

    Raises `InvalidRequest` for more than one, and for what is no schema or not supported.
    """
    if body.model_fields_set.isdisjoint(FIELDS):
        return None
    return _only(_asked(body))


def options_of(options: StructuredOutputs, path: str) -> Structured | None:
    """The structure that vLLM's options at `path` ask for; raises `InvalidRequest`."""
    return _only(_of_options(options, path))


def _only(found: Iterator[Structured]) -> Structured | None:
    asked = list(found)
    if len(asked) > 1:
        first, second = asked[0].field, asked[1].field
        raise InvalidRequest(f"{first} and {second} both ask for a structure", field=second)
    return asked[0] if asked else None


def schema_of(value: Any, field: str) -> Structured:
    """Structure of a JSON schema, given as such or as its text; raises `InvalidRequest`."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"{field} is not JSON: {error}", field=field) from None
    if not isinstance(value, dict | bool):
        raise InvalidRequest(
            f"{field} must be a JSON schema, got {json_excerpt(value)}", field=field
        )
    return Structured(json_schema_of(value), field)


def format_of(kind: str, schema: Any, field: str) -> Structured | None:
    """Structure of an OpenAI format: `text`, `json_object`, or `json_schema` with its schema.

    Raises `InvalidRequest` for a schema with another type, which would have no effect.
    """
    if kind != "json_schema" and schema is not None:
        raise InvalidRequest(f"{field} has a schema, but its type is {kind}", field=field)
    match kind:
        case "json_object":
            return Structured(JsonObject(), field)
        case "json_schema":
            return schema_of(schema, field)
    return None


def _asked(body: StructuredBody) -> Iterator[Structured]:
    if (form := body.response_format) is not None:
        yield from _of_format(form)
    if (options := body.structured_outputs) is not None:
        yield from _of_options(options, "structured_outputs")
    yield from _schema(body.guided_json, "guided_json")
    yield from _texts(body.guided_regex, body.guided_choice, body.guided_grammar, "guided_")
    yield from _schema(body.json_schema, "json_schema")
    yield from _texts(body.regex, None, body.grammar, "")
    if body.ebnf:
        yield Structured(GrammarText(body.ebnf), "ebnf")


def _of_format(form: ResponseFormat) -> Iterator[Structured]:
    if form.of_schema is not None and form.json_schema is None and form.type != "text":
        yield schema_of(form.of_schema, "response_format.schema")
        return
    if form.of_schema is not None:
        field = "response_format.schema"
        raise InvalidRequest(f"{field} is for json_object, without json_schema", field=field)
    is_schema, named = form.type == "json_schema", form.json_schema or {}
    field = "response_format.json_schema.schema" if is_schema else "response_format"
    if is_schema and "schema" not in named:
        raise InvalidRequest(f"{field} is required", field=field, code="missing_required_parameter")
    schema = named["schema"] if is_schema else form.json_schema
    if (structured := format_of(form.type, schema, field)) is not None:
        yield structured


def _of_options(options: StructuredOutputs, path: str) -> Iterator[Structured]:
    yield from _schema(options.of_json, f"{path}.json")
    yield from _texts(options.regex, options.choice, options.grammar, f"{path}.")
    if options.json_object:
        yield Structured(JsonObject(), f"{path}.json_object")


def _schema(value: Any, field: str) -> Iterator[Structured]:
    if value is not None:
        yield schema_of(value, field)


def _texts(
    pattern: str | None, choice: tuple[str, ...] | None, grammar: str | None, prefix: str
) -> Iterator[Structured]:
    if pattern:
        yield Structured(Regex(pattern), f"{prefix}regex")
    if choice:
        if len(choice) > MAX_TEXTS:
            raise InvalidRequest(
                f"{prefix}choice has at most {MAX_TEXTS} texts, got {len(choice)}",
                field=f"{prefix}choice",
            )
        yield Structured(choice_of(choice), f"{prefix}choice")
    if grammar:
        yield Structured(GrammarText(grammar), f"{prefix}grammar")
