"""Prompts, conversations and templates of callers in the same process, one or many of them."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from pydantic_core import from_json

from unmask.errors import InvalidRequest
from unmask.templates import Blank, Part

Prompt = str | Sequence[int]
Conversation = Sequence[Mapping[str, Any]]

# Arguments of `apply_chat_template` that are not variables of a template.
RESERVED = frozenset(
    {
        *("self", "conversation", "messages", "tools", "documents", "chat_template"),
        *("add_generation_prompt", "continue_final_message", "tokenize", "padding", "truncation"),
        *("max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
        "tokenizer_kwargs",
    }
)


def as_prompts(prompts: Prompt | Iterable[Prompt]) -> list[Prompt]:
    """Prompts as a list, also of a single one; arrays of token ids are taken like lists."""
    if isinstance(prompts, str | bytes | Mapping):
        return [cast(Prompt, prompts)]
    many = list(prompts)
    # A token id has an index, as have arrays of a single one.
    is_one = bool(many) and hasattr(many[0], "__index__") and not getattr(many[0], "ndim", 0)
    return [cast(Sequence[int], many)] if is_one else cast(list[Prompt], many)


def as_ids(prompt: Sequence[int], field: str) -> list[int]:
    """Token ids as Python's integers; raises `InvalidRequest` for anything else."""
    try:
        if not isinstance(prompt, str | bytes | Mapping):
            return list(map(operator.index, prompt))
    except TypeError:
        pass
    raise InvalidRequest(f"{field} must be text or token ids, got {prompt!r:.60}", field=field)


def as_conversations(
    conversations: Conversation | Sequence[Conversation],
) -> list[list[Mapping[str, Any]]]:
    """Conversations with texts as content, also of a single one; raises `InvalidRequest`."""
    one = bool(conversations) and isinstance(next(iter(conversations)), Mapping)
    many = [conversations] if one else conversations
    return [[as_turn(message) for message in messages] for messages in many]


def as_turn(message: object) -> Mapping[str, Any]:
    """A message for a chat template.

    Text parts are joined by newlines, as in vLLM: many templates pass over parts. Arguments of tool
    calls are parsed; `developer` is OpenAI's new name of `system`.
    """
    if not isinstance(message, Mapping):
        raise InvalidRequest(
            f"a message must have a role and content, got {message!r:.60}", field="messages"
        )
    turn = dict(message)
    if turn.get("role") == "developer":
        turn["role"] = "system"
    content = turn.get("content")
    if isinstance(content, list | tuple):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        texts = [text for text in parts if isinstance(text, str)]
        if len(texts) < len(parts):
            raise InvalidRequest(
                f"content must be text or text parts, got {content!r:.60}", field="messages"
            )
        turn["content"] = "\n".join(texts)
    if calls := turn.get("tool_calls"):
        turn["content"] = turn.get("content") or ""
        try:
            turn["tool_calls"] = [_with_arguments(call) for call in calls]
        except (KeyError, TypeError, AttributeError):
            raise InvalidRequest(
                f"tool_calls must be calls of functions, got {calls!r:.60}", field="messages"
            ) from None
    return turn


def _with_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """The tool call with its arguments parsed, as templates want them; none are an object."""
    function = call["function"]
    arguments = function.get("arguments")
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        arguments = {}
    elif isinstance(arguments, str):
        with suppress(ValueError):  # of what is no JSON, no Unicode or too deep
            arguments = from_json(arguments)
    return {**call, "function": {**function, "arguments": arguments}}


def check_template_options(options: Mapping[str, Any]) -> None:
    """Raise `InvalidRequest` for options that are no variables of a chat template."""
    for name in options:
        if name in RESERVED:
            raise InvalidRequest(
                f"chat_template_kwargs may not set {name}", field=f"chat_template_kwargs.{name}"
            )


def as_templates(
    templates: Sequence[Part] | Sequence[Sequence[Part]],
) -> Sequence[Sequence[Part]]:
    """Templates as a sequence, also of a single one."""
    if templates and isinstance(templates[0], str | Blank):
        return [cast(Sequence[Part], templates)]
    return cast(Sequence[Sequence[Part]], templates)
