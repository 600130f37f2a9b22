"""Prompts, conversations and templates of callers in the same process, one or many of them."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from unmask.errors import InvalidRequest
from unmask.templates import Blank, Part

Prompt = str | Sequence[int]
Conversation = Sequence[Mapping[str, Any]]


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
    return [[_as_turn(message) for message in messages] for messages in many]


def _as_turn(message: object) -> Mapping[str, Any]:
    """A message with its text parts joined by newlines: many templates pass over parts."""
    if not isinstance(message, Mapping):
        raise InvalidRequest(
            f"a message must have a role and content, got {message!r:.60}", field="messages"
        )
    content = message.get("content")
    if not isinstance(content, list | tuple):
        return message
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
    texts = [text for text in parts if isinstance(text, str)]
    if len(texts) < len(parts):
        raise InvalidRequest(
            f"content must be text or text parts, got {content!r:.60}", field="messages"
        )
    return {**message, "content": "\n".join(texts)}


def as_templates(
    templates: Sequence[Part] | Sequence[Sequence[Part]],
) -> Sequence[Sequence[Part]]:
    """Templates as a sequence, also of a single one."""
    if templates and isinstance(templates[0], str | Blank):
        return [cast(Sequence[Part], templates)]
    return cast(Sequence[Sequence[Part]], templates)
