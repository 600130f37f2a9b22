"""Bodies of OpenAI's Responses API as chats."""

from collections.abc import Iterable, Iterator
from typing import Any

from unmask.api.images import SentImage
from unmask.api.message_parts import ChatPart, ImagePart, InputImage, InputPart, TextPart
from unmask.api.requests import ChatBody, ChatMessage
from unmask.api.responses_bodies import (
    CallItem,
    FlatChoice,
    InputItem,
    MessageItem,
    NamedFunction,
    OutputItem,
    ReasoningItem,
    ResponsesBody,
    TextOptions,
    full_name,
    functions_of,
)
from unmask.api.structured import ResponseFormat
from unmask.api.tools.bodies import (
    AllowedTool,
    AllowedTools,
    Function,
    FunctionName,
    Tool,
    ToolChoice,
)
from unmask.errors import InvalidRequest


def images_of(body: ResponsesBody) -> Iterator[SentImage]:
    """Images of the conversation in their order.

    Raises `InvalidRequest` for one of another role than the user's.
    """
    for i, item in enumerate(body.input):
        match item:
            case MessageItem():
                path, parts = f"input[{i}].content", item.content
            case OutputItem():
                path, parts = f"input[{i}].output", item.output
            case _:
                continue
        for j, part in enumerate(parts):
            if not isinstance(part, InputImage):
                continue
            if isinstance(item, MessageItem) and item.role != "user":
                field = f"{path}[{j}].type"
                raise InvalidRequest(
                    f"{field} input_image is none of the role {item.role}", field=field
                )
            yield SentImage(part, f"{path}[{j}].image_url")


def as_chat(body: ResponsesBody) -> ChatBody:
    """The conversation, its tools and its format as a chat."""
    return ChatBody.model_construct(
        messages=tuple(_messages(body)),
        tools=tuple(map(_tool, functions_of(body))) if body.tools else None,
        tool_choice=None if body.tool_choice is None else _choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        chat_template_kwargs=body.chat_template_kwargs,
        response_format=_format(body.text),
    )


def _messages(body: ResponsesBody) -> Iterator[ChatMessage]:
    """Messages with thoughts, text and calls of the assistant joined to one turn."""
    if body.instructions is not None:
        yield ChatMessage.of("system", [TextPart.of(body.instructions)])
    turn = _Turn()
    for item in body.input:
        if not turn.may_have(item):
            yield from turn.taken()
        match item:
            case ReasoningItem():
                turn.thoughts += [part.text for part in item.content or item.summary]
            case MessageItem(role="assistant"):
                turn.parts += _parts(item.content)
            case CallItem():
                name = full_name(item.namespace, item.name)
                function = {"name": name, "arguments": item.arguments}
                turn.calls.append({"id": item.call_id, "type": "function", "function": function})
            case MessageItem():
                yield ChatMessage.of(item.role, _parts(item.content))
            case OutputItem():
                called = None if item.name is None else full_name(item.namespace, item.name)
                parts = _parts(item.output)
                yield ChatMessage.of("tool", parts, tool_call_id=item.call_id, name=called)
    yield from turn.taken()


class _Turn:
    """A turn of the assistant, whose items come one by one: thoughts, text, calls."""

    def __init__(self) -> None:
        self.thoughts = list[str]()
        self.parts = list[ChatPart]()
        self.calls = list[dict[str, Any]]()

    def may_have(self, item: InputItem) -> bool:
        """True if the item can be of the same turn."""
        match item:
            case CallItem():
                return True
            case ReasoningItem() | MessageItem(role="assistant"):
                return not (self.parts or self.calls)
        return False

    def taken(self) -> Iterator[ChatMessage]:
        """The turn, if it has anything; then it has nothing."""
        if self.thoughts or self.parts or self.calls:
            yield ChatMessage.of(
                "assistant",
                self.parts,
                reasoning_content="\n".join(self.thoughts) or None,
                tool_calls=tuple(self.calls) or None,
            )
        self.thoughts, self.parts, self.calls = [], [], []


def _parts(parts: Iterable[InputPart | InputImage]) -> list[ChatPart]:
    return [
        TextPart.of(part.text) if isinstance(part, InputPart) else ImagePart.of(part)
        for part in parts
    ]


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
