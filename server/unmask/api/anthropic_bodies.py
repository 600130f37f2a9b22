"""Bodies of Anthropic's Messages API, and the same conversation in OpenAI's words."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from unmask.api.anthropic_schema import BLOCK, CHOICE, MESSAGE, TEXTS, without
from unmask.api.fields import Body, Bool, Int, bounded, items
from unmask.api.images import SentImage
from unmask.api.message_parts import ChatPart, ImagePart, ImageSource, TextPart
from unmask.api.requests import ChatBody, ChatMessage, Generation
from unmask.api.structured import ResponseFormat, StructuredBody
from unmask.api.tools.bodies import NAME, Function, FunctionName, Tool, ToolChoice
from unmask.errors import InvalidRequest
from unmask.parameter import MAX_INT

CHOICES: Mapping[str, Literal["none", "auto", "required", "function"]] = {
    "auto": "auto",
    "any": "required",
    "none": "none",
    "tool": "function",
}
# A text that Claude Code puts before all others. It differs in every request, so that no two of
# them would have pages in common.
BILLING = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n*")
ABSENT = (
    *("n", "best_of", "stream_refinements", "diffusing", "return_token_ids", "stream_options"),
    "prompt_logprobs",
    *StructuredBody.model_fields,
)
"""Fields of `Generation` that are unknown to `/v1/messages`."""


def _as_blocks(value: Any) -> Any:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


class Block(Body):
    """A piece of a message, of a system prompt or of a tool's result."""

    model_config = ConfigDict(json_schema_extra=BLOCK)

    type: Literal["text", "image", "thinking", "redacted_thinking", "tool_use", "tool_result"]
    text: str | None = None
    source: ImageSource | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: "Blocks | None" = None
    is_error: Bool | None = None
    cache_control: dict[str, Any] | None = None
    citations: Any = None


Blocks = Annotated[
    tuple[Block, ...], BeforeValidator(_as_blocks, json_schema_input_type=str | tuple[Block, ...])
]


System = Annotated[Blocks | None, Field(json_schema_extra=dict(TEXTS))]


class Message(Body):
    """One turn of a conversation; Claude Code has system turns in the midst of it."""

    model_config = ConfigDict(json_schema_extra=MESSAGE)

    role: Literal["user", "assistant", "system"]
    content: Blocks


class AnthropicTool(Body):
    """A tool that the client runs itself; tools of Anthropic's servers are refused."""

    type: Literal["custom"] | None = None
    name: Annotated[str, Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})]
    description: str | None = None
    input_schema: dict[str, Any]
    strict: Bool | None = None
    cache_control: dict[str, Any] | None = None
    eager_input_streaming: Bool | None = None  # without effect: inputs are always streamed


class AnthropicChoice(Body):
    """Choice of tools: any, one, none, or the model's own."""

    model_config = ConfigDict(json_schema_extra=CHOICE)

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: Bool | None = None


class Thinking(Body):
    """Request for thoughts, which the chat template is told; their budget has no effect."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Int | None = None
    display: str | None = None


class OutputFormat(Body):
    """The format of an answer, JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: Any = Field(alias="schema")


class OutputConfig(Body):
    """Options of an answer; its effort has no effect."""

    format: OutputFormat | None = None
    effort: str | None = None


class CountBody(Body):
    """The body of `/v1/messages/count_tokens`."""

    model: str | None = None
    messages: Annotated[tuple[Message, ...], items(1)]
    system: System = None
    tools: tuple[AnthropicTool, ...] | None = None
    tool_choice: AnthropicChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class MessagesBody(Generation):
    """The body of `/v1/messages`."""

    absent = ABSENT
    model_config = ConfigDict(json_schema_extra=partial(without, (*ABSENT, "thread")))

    messages: Annotated[tuple[Message, ...], items(1)]
    max_tokens: Annotated[Int, bounded(1, MAX_INT)]
    system: System = None
    tools: tuple[AnthropicTool, ...] | None = None
    tool_choice: AnthropicChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    thread: Any = None

    @model_validator(mode="before")
    @classmethod
    def _rename_stops(cls, value: Any) -> Any:
        if isinstance(value, dict) and "stop_sequences" in value:
            value = {**value, "stop": value["stop_sequences"]}
            del value["stop_sequences"]
        return value


def as_chat(body: MessagesBody | CountBody) -> ChatBody:
    """The conversation and its tools as a chat; raises `InvalidRequest` for odd blocks."""
    messages = list(_system(body.system))
    for i, message in enumerate(body.messages):
        messages += _turns(message, f"messages[{i}].content")
    options: dict[str, Any] = {}
    if body.thinking is not None:
        options["enable_thinking"] = body.thinking.type != "disabled"
    choice = body.tool_choice
    is_single = choice is not None and bool(choice.disable_parallel_tool_use)
    return ChatBody.model_construct(
        messages=tuple(messages),
        tools=tuple(map(_tool, body.tools)) if body.tools else None,
        tool_choice=None if choice is None else _choice(choice),
        parallel_tool_calls=False if is_single else None,
        chat_template_kwargs=options | (body.chat_template_kwargs or {}),
        response_format=_format(body.output_config),
        # An answer that has begun is gone on with.
        continue_final_message=bool(body.messages) and body.messages[-1].role == "assistant",
    )


def _system(blocks: tuple[Block, ...] | None) -> Iterator[ChatMessage]:
    """The system prompt, without Claude Code's billing header."""
    given = [_text_of(block, f"system[{i}]") for i, block in enumerate(blocks or ())]
    texts = [BILLING.sub("", text) for text in given if not BILLING.fullmatch(text)]
    if texts:
        yield ChatMessage.of("system", map(TextPart.of, texts))


def images_of(body: MessagesBody | CountBody) -> Iterator[SentImage]:
    """Images of the conversation, in the order of the turns of `as_chat`."""
    for i, message in enumerate(body.messages):
        path = f"messages[{i}].content"
        for j, block in enumerate(message.content):
            yield from _images(block.content or (), f"{path}[{j}].content")
        yield from _images(message.content, path)


def _images(blocks: Iterable[Block], path: str) -> Iterator[SentImage]:
    for i, block in enumerate(blocks):
        if block.type == "image" and block.source is not None:
            yield SentImage(block.source, f"{path}[{i}].source")


def _turns(message: Message, path: str) -> Iterator[ChatMessage]:
    """The turns of a message: results of tools are turns of their own, and come first."""
    rest: list[ChatPart] = []
    thoughts, calls = "", list[dict[str, Any]]()
    for i, block in enumerate(message.content):
        own = f"{path}[{i}]"
        match block.type:
            case "text":
                rest.append(_text(block, own))
            case "image" if message.role == "user":
                rest.append(_image(block, own))
            case "tool_result" if message.role == "user":
                parts = _result(block.content or (), f"{own}.content")
                yield ChatMessage.of("tool", parts, tool_call_id=_given(block.tool_use_id, own))
            case "tool_use" if message.role == "assistant":
                arguments = json.dumps(block.input or {}, ensure_ascii=False)
                function = {"name": _given(block.name, own), "arguments": arguments}
                calls.append({"id": block.id, "type": "function", "function": function})
            case "thinking" if message.role == "assistant":
                thoughts += block.thinking or ""
            case "redacted_thinking" if message.role == "assistant":
                pass
            case _:
                raise InvalidRequest(
                    f"{own}.type {block.type} is none of the role {message.role}",
                    field=f"{own}.type",
                )
    if rest or calls or thoughts or message.role == "assistant":
        yield ChatMessage.of(
            message.role,
            rest,
            tool_calls=tuple(calls) or None,
            reasoning_content=thoughts or None,
        )


def _result(blocks: tuple[Block, ...], path: str) -> list[ChatPart]:
    """The parts of a tool's result."""
    return [
        (_image if block.type == "image" else _text)(block, f"{path}[{i}]")
        for i, block in enumerate(blocks)
    ]


def _image(block: Block, path: str) -> ImagePart:
    if block.source is None:
        raise _missing(f"{path}.source")
    return ImagePart.of(block.source)


def _text(block: Block, path: str) -> TextPart:
    return TextPart.of(_text_of(block, path))


def _text_of(block: Block, path: str) -> str:
    if block.text is None:
        raise _missing(f"{path}.text")
    return block.text


def _missing(field: str) -> InvalidRequest:
    return InvalidRequest(f"{field} is required", field=field, code="missing_required_parameter")


def _given(value: str | None, path: str) -> str:
    if value is None:
        raise InvalidRequest(f"{path} lacks its name or id", field=path)
    return value


def _tool(tool: AnthropicTool) -> Tool:
    function = Function(
        name=tool.name,
        description=tool.description,
        parameters=tool.input_schema,
        strict=tool.strict,
    )
    return Tool(type="function", function=function)


def _format(config: OutputConfig | None) -> ResponseFormat | None:
    if config is None or config.format is None:
        return None
    schema = {"schema": config.format.json_schema}
    return ResponseFormat.model_construct(type="json_schema", json_schema=schema)


def _choice(choice: AnthropicChoice) -> ToolChoice:
    kind = CHOICES[choice.type]
    if kind != "function":
        return ToolChoice(type=kind)
    if choice.name is None:
        raise InvalidRequest(
            "tool_choice.name is required",
            field="tool_choice.name",
            code="missing_required_parameter",
        )
    return ToolChoice(type=kind, function=FunctionName(name=choice.name))
