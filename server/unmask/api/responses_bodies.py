"""Bodies of OpenAI's Responses API."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from unmask.api.body import MAX_TOOLS
from unmask.api.errors import json_excerpt
from unmask.api.fields import Body, Bool, Int, items
from unmask.api.message_parts import InputParts, InputTexts
from unmask.api.requests import Generation
from unmask.api.structured import StructuredBody
from unmask.api.tools.bodies import WORDS
from unmask.errors import InvalidRequest

# Thoughts go to and fro as plain text, so that asking for them encrypted changes nothing.
INCLUDED = ("reasoning.encrypted_content",)
PATHS: Mapping[str, str] = {
    "tool_choice.function.": "tool_choice.",
    "tool_choice.function": "tool_choice.name",
    "tool_choice.allowed_tools.": "tool_choice.",
    "tool_choice.allowed_tools": "tool_choice.tools",
    "messages": "input",
    "response_format.json_schema": "text.format",
    "response_format": "text.format",
}
"""Fields of a chat, and their paths here; `paths_of` adds those of tools."""


class InputItem(Body):
    """An item of a conversation, a message if it says nothing; references are refused."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] | None = None
    status: str | None = None


class MessageItem(InputItem):
    """One message; `phase` tells comments from answers, which no template does."""

    role: Literal["user", "assistant", "system", "developer"]
    content: InputParts
    phase: str | None = None


class CallItem(InputItem):
    """A call of an earlier answer."""

    call_id: str
    name: str
    namespace: str | None = None
    arguments: str


class OutputItem(InputItem):
    """The result of a call, maybe with the name of its function."""

    call_id: str
    name: str | None = None
    namespace: str | None = None
    output: InputParts


class ReasoningItem(InputItem):
    """Thoughts of an earlier answer, of which a template may show some; a summary stands in."""

    summary: InputTexts = ()
    content: InputTexts | None = None
    encrypted_content: str | None = None


ITEMS: dict[str, type[InputItem]] = {
    "message": MessageItem,
    "function_call": CallItem,
    "function_call_output": OutputItem,
    "reasoning": ReasoningItem,
}


def _as_item(value: Any) -> InputItem:
    kind = value.get("type") if isinstance(value, dict) else ""
    kind = "message" if kind is None else kind
    return ITEMS.get(kind if isinstance(kind, str) else "", InputItem).model_validate(value)


Item = Annotated[
    InputItem,
    PlainValidator(
        _as_item, json_schema_input_type=MessageItem | CallItem | OutputItem | ReasoningItem
    ),
]


def _as_items(value: Any) -> Any:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise ValueError("must be a string or a list of items")
    return value


class FlatTool(Body):
    """A function that an answer may call; tools that a server runs are refused."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: Bool | None = None


class Namespace(Body):
    """Functions with a common name, which stands before their own, and a dot between them."""

    type: Literal["namespace"]
    name: str
    description: str | None = None
    tools: tuple[FlatTool, ...]


def _as_tool(value: Any) -> FlatTool | Namespace:
    kind = value.get("type") if isinstance(value, dict) else None
    return (Namespace if kind == "namespace" else FlatTool).model_validate(value)


def _as_choice(value: Any) -> Any:
    if isinstance(value, str) and value in WORDS:
        return {"type": value}
    if value is None or isinstance(value, dict):
        return value
    raise ValueError(f"must be {', '.join(WORDS)} or a function")


class FlatAllowedTool(Body):
    """One of the functions that an answer may call."""

    type: Literal["function"]
    name: str


class FlatChoice(Body):
    """The functions to call, or a word that says whether any is called."""

    type: Literal["none", "auto", "required", "function", "allowed_tools"]
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: Annotated[tuple[FlatAllowedTool, ...] | None, items(1)] = None


class TextFormat(Body):
    """The format of an answer; beside the schema are its name and whether it is strict."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    json_schema: Any = Field(None, alias="schema")
    strict: Bool | None = None


class TextOptions(Body):
    """Options of the text of an answer."""

    format: TextFormat | None = None


class ResponsesBody(Generation):
    """The body of `/v1/responses`."""

    absent = (
        *("n", "best_of", "max_tokens", "stream_refinements", "diffusing", "return_token_ids"),
        "prompt_logprobs",
        *StructuredBody.model_fields,
    )

    input: Annotated[
        tuple[Item, ...],
        BeforeValidator(_as_items, json_schema_input_type=str | tuple[Item, ...]),
        items(1),
    ]
    instructions: str | None = None
    max_output_tokens: Int | None = None
    text: TextOptions | None = None
    reasoning: dict[str, Any] | None = None
    include: tuple[str, ...] | None = None
    tools: tuple[Annotated[FlatTool | Namespace, PlainValidator(_as_tool)], ...] | None = None
    tool_choice: Annotated[FlatChoice | None, BeforeValidator(_as_choice)] = None
    parallel_tool_calls: Bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NamedFunction:
    """A function, its path in the body, its namespace if it has one, and its name with that."""

    path: str
    namespace: str | None
    full_name: str
    tool: FlatTool


def functions_of(body: ResponsesBody) -> Iterator[NamedFunction]:
    """All functions that are offered."""
    for i, tool in enumerate(body.tools or ()):
        path = f"tools[{i}]"
        if isinstance(tool, FlatTool):
            yield NamedFunction(path, None, tool.name, tool)
            continue
        for j, inner in enumerate(tool.tools):
            yield NamedFunction(
                f"{path}.tools[{j}]", tool.name, full_name(tool.name, inner.name), inner
            )


def full_name(namespace: str | None, name: str) -> str:
    return name if namespace is None else f"{namespace}.{name}"


def paths_of(body: ResponsesBody) -> dict[str, str]:
    """Fields of the chat, and their paths in the body."""
    functions = {
        f"tools[{i}].function.": f"{function.path}."
        for i, function in enumerate(functions_of(body))
    }
    return {**functions, **PATHS}


def check_body(body: ResponsesBody) -> None:
    """Raise `InvalidRequest` for an empty input, too many functions and data no response has."""
    if not body.input:
        raise InvalidRequest("input must not be empty", field="input")
    number = sum(1 for _ in functions_of(body))
    if number > MAX_TOOLS:
        raise InvalidRequest(
            f"tools may have at most {MAX_TOOLS} functions, got {number}", field="tools"
        )
    _check_include(body.include)


def _check_include(include: tuple[str, ...] | None) -> None:
    for i, name in enumerate(include or ()):
        if name not in INCLUDED:
            raise InvalidRequest(
                f"include[{i}] is not supported; the only value accepted is "
                f"{json_excerpt(INCLUDED[0])}, got {json_excerpt(name)}",
                field=f"include[{i}]",
                code="unsupported_parameter",
            )


def oldest_items(body: ResponsesBody) -> list[int]:
    """Indices of items that may be left out of a long conversation, the oldest first.

    The last item and what the system or a developer says stay.
    """
    roles = (getattr(item, "role", None) for item in body.input[:-1])
    return [i for i, role in enumerate(roles) if role not in ("system", "developer")]
