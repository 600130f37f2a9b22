"""Conversations: which turns may lack what, and the options of a chat template."""

from dataclasses import dataclass, field
from typing import Any

from unmask.api.schemas import ChatBody, ChatMessage, TokenizeBody
from unmask.api.spelling import spell
from unmask.errors import InvalidRequest

MAY_LACK_CONTENT = ("assistant", "tool")
# Arguments of the function that renders templates, which are no option of a template.
RESERVED = frozenset(
    {
        *("self", "conversation", "messages", "tools", "documents", "chat_template"),
        *("add_generation_prompt", "continue_final_message", "tokenize", "padding", "truncation"),
        *("max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
        "tokenizer_kwargs",
    }
)


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """Arguments of a chat template besides the messages."""

    add_generation_prompt: bool = True
    continue_final_message: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


def template_options(body: ChatBody | TokenizeBody) -> TemplateOptions:
    """The options of a body; raises `InvalidRequest` for those that contradict each other."""
    continues = bool(body.continue_final_message)
    if continues and body.add_generation_prompt:
        raise InvalidRequest(
            "continue_final_message cannot be combined with add_generation_prompt",
            field="continue_final_message",
        )
    extra = body.chat_template_kwargs or {}
    for name in extra:
        if name in RESERVED:
            raise InvalidRequest(
                f"chat_template_kwargs may not set {name}", field=f"chat_template_kwargs.{name}"
            )
    wants_prompt = body.add_generation_prompt is not False and not continues
    return TemplateOptions(wants_prompt, continues, extra)


def check_messages(messages: tuple[ChatMessage, ...]) -> None:
    """Raise `InvalidRequest` for a turn that lacks its content, or has what is another's."""
    for i, message in enumerate(messages):
        path = f"messages[{i}]"
        if message.content is None and message.role not in MAY_LACK_CONTENT:
            raise InvalidRequest(
                f"{path}.content is required, as role is {message.role}",
                field=f"{path}.content",
                code="missing_required_parameter",
            )
        _check_calls(message, path)


def _check_calls(message: ChatMessage, path: str) -> None:
    for name, role in (("tool_calls", "assistant"), ("tool_call_id", "tool")):
        if getattr(message, name) and message.role != role:
            raise InvalidRequest(
                f"{path}.{name} is for the role {role}, not {message.role}", field=f"{path}.{name}"
            )
    for call in message.tool_calls or ():
        function = call.get("function")
        if not (isinstance(function, dict) and isinstance(function.get("name"), str)):
            raise InvalidRequest(
                f"{path}.tool_calls must be functions with a name, got {spell(call)}",
                field=f"{path}.tool_calls",
            )
