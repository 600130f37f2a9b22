"""Bodies of OpenAI's Responses API, and the same conversation as a chat."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from unmask.api.body import MAX_TOOLS
from unmask.api.errors import json_excerpt
from unmask.api.fields import Body, Bool, Int, items
from unmask.api.requests import ChatBody, ChatMessage, Generation, TextPart
from unmask.api.structured import ResponseFormat, StructuredBody
from unmask.api.tools.bodies import (
    WORDS,
    AllowedTool,
    AllowedTools,
    Function,
    FunctionName,
    Tool,
    ToolChoice,
)
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


def _as_parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "input_text", "text": value}]
    if not isinstance(value, list):
        raise ValueError("must be a string or a list of text parts")
    return value


class InputPart(Body):
    """A piece of text; `output_text` is that of an earlier answer."""

    type: Literal["input_text", "output_text", "text", "summary_text", "reasoning_text"]
    text: str
    logprobs: tuple[Any, ...] | None = None


InputParts = Annotated[
    tuple[InputPart, ...],
    BeforeValidator(_as_parts, json_schema_input_type=str | tuple[InputPart, ...]),
]


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

    summary: InputParts = ()
    content: InputParts | None = None
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
                f"{path}.tools[{j}]", tool.name, _full_name(tool.name, inner.name), inner
            )


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


def as_chat(body: ResponsesBody) -> ChatBody:
    """The conversation, its tools and its format as a chat."""
    return ChatBody.model_construct(
        messages=tuple(_messages(body)),
        tools=tuple(map(_tool, functions_of(body))) if body.tools else None,
        tool_choice=None if body.tool_choice is None else _choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=_format(body.text),
    )


def _messages(body: ResponsesBody) -> Iterator[ChatMessage]:
    """Messages with thoughts, text and calls of the assistant joined to one turn."""
    if body.instructions is not None:
        yield _message("system", [body.instructions])
    turn = _Turn()
    for item in body.input:
        if not turn.may_have(item):
            yield from turn.taken()
        match item:
            case ReasoningItem():
                turn.thoughts += [part.text for part in item.content or item.summary]
            case MessageItem(role="assistant"):
                turn.texts += [part.text for part in item.content]
            case CallItem():
                name = _full_name(item.namespace, item.name)
                function = {"name": name, "arguments": item.arguments}
                turn.calls.append({"id": item.call_id, "type": "function", "function": function})
            case MessageItem():
                yield _message(item.role, [part.text for part in item.content])
            case OutputItem():
                texts = [part.text for part in item.output]
                called = None if item.name is None else _full_name(item.namespace, item.name)
                yield _message("tool", texts, tool_call_id=item.call_id, name=called)
    yield from turn.taken()


class _Turn:
    """A turn of the assistant, whose items come one by one: thoughts, text, calls."""

    def __init__(self) -> None:
        self.thoughts = list[str]()
        self.texts = list[str]()
        self.calls = list[dict[str, Any]]()

    def may_have(self, item: InputItem) -> bool:
        """True if the item can be of the same turn."""
        match item:
            case CallItem():
                return True
            case ReasoningItem() | MessageItem(role="assistant"):
                return not (self.texts or self.calls)
        return False

    def taken(self) -> Iterator[ChatMessage]:
        """The turn, if it has anything; then it has nothing."""
        if self.thoughts or self.texts or self.calls:
            yield _message(
                "assistant",
                self.texts,
                reasoning_content="\n".join(self.thoughts) or None,
                tool_calls=tuple(self.calls) or None,
            )
        self.thoughts, self.texts, self.calls = [], [], []


def _message(role: Any, texts: list[str], **fields: Any) -> ChatMessage:
    parts = tuple(TextPart(type="text", text=text) for text in texts)
    return ChatMessage.model_construct(role=role, content=parts, **fields)


def _full_name(namespace: str | None, name: str) -> str:
    return name if namespace is None else f"{namespace}.{name}"


def _tool(named: NamedFunction) -> Tool:
    tool = named.tool
    function = Function(
        name=named.full_name,
        description=tool.description,
        parameters=tool.parameters,
        strict=tool.strict,
    )
    return Tool(type="function", function=function)


def _choice(choice: FlatChoice) -> ToolChoice:
    name = None if choice.name is None else FunctionName(name=choice.name)
    allowed = None
    if choice.tools is not None:
        tools = tuple(
            AllowedTool(type=tool.type, function=FunctionName(name=tool.name))
            for tool in choice.tools
        )
        if choice.mode is None:
            raise InvalidRequest(
                "tool_choice.mode is required",
                field="tool_choice.mode",
                code="missing_required_parameter",
            )
        allowed = AllowedTools(mode=choice.mode, tools=tools)
    return ToolChoice(type=choice.type, function=name, allowed_tools=allowed)


def _format(text: TextOptions | None) -> ResponseFormat | None:
    form = None if text is None else text.format
    if form is None:
        return None
    is_schema = form.type == "json_schema"
    schema = {"schema": form.json_schema} if is_schema else form.json_schema
    return ResponseFormat.model_construct(type=form.type, json_schema=schema)
