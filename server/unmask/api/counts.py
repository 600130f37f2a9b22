"""Refusals by count, before anything is made of a body's items."""

from typing import Any

from unmask.errors import InvalidRequest, context_exceeded
from unmask.types import MAX_STOP_STRINGS, ModelInfo

MAX_CHOICES = 1024
MAX_N = 128  # choices of a prompt
MAX_MESSAGES = 4096  # of a conversation, their parts included
MAX_FIELDS = 200  # of an object
NAMES_PER_NODE = 4  # that take as long to read
MAX_NODES = 200_000  # some 50 ms of reading
NODES_PER_TOKEN = 4


def check_density(content: bytes, model: ModelInfo) -> None:
    """Raise `InvalidRequest` for JSON of so many lists and names that reading it takes long.

    A text may have as many brackets, but not one that fits the context.
    """
    number = content.count(b"[") + content.count(b"{") + content.count(b'":') // NAMES_PER_NODE
    limit = max(MAX_NODES, NODES_PER_TOKEN * model.max_model_len)
    if number > limit:
        raise InvalidRequest(
            f"the body may have at most {limit} lists, objects and names, got {number}"
        )


def check_counts(body: Any, model: ModelInfo) -> None:
    """Raise `InvalidRequest` for more items than any request of this model may have.

    `body` is JSON that nobody has looked at yet; what is no list where one belongs is left alone.
    """
    if not isinstance(body, dict):
        return
    _check(len(body), MAX_FIELDS, "the body", "fields", None)
    context, vocabulary = model.max_model_len, model.vocab_size
    limits = {
        "stop": (MAX_STOP_STRINGS, "strings"),
        "stop_token_ids": (vocabulary, "token ids"),
        "allowed_token_ids": (vocabulary, "token ids"),
        "logit_bias": (vocabulary, "token ids"),
        "messages": (MAX_MESSAGES, "messages"),
        "tokens": (max(context, MAX_CHOICES), "token ids"),
    }
    for field, (limit, items) in limits.items():
        _check(_length(body.get(field)), limit, field, items, field)
    _check_prompt(body.get("prompt"), context)
    _check_messages(body.get("messages"), "messages")
    _check_messages(body.get("input"), "input")


def _check_prompt(prompt: Any, context: int) -> None:
    if not isinstance(prompt, list) or not prompt:
        return
    if isinstance(prompt[0], str | list):
        _check(len(prompt), MAX_CHOICES, "prompt", "prompts", "prompt")
        longest = max((len(ids) for ids in prompt if isinstance(ids, list)), default=0)
    else:
        longest = len(prompt)
    if longest >= context:
        raise context_exceeded(context, f"a prompt has {longest} tokens", "prompt")


def _check_messages(messages: Any, field: str) -> None:
    if not isinstance(messages, list):
        return
    turns = [message for message in messages if isinstance(message, dict)]
    parts = sum(_length(turn.get(name)) for turn in turns for name in ("content", "tool_calls"))
    _check(len(messages) + parts, MAX_MESSAGES, field, "messages and parts", field)
    for turn in turns:
        _check(len(turn), MAX_FIELDS, "a message", "fields", field)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _check(number: int, limit: int, subject: str, items: str, field: str | None) -> None:
    if number > limit:
        raise InvalidRequest(
            f"{subject} may have at most {limit} {items}, got {number}", field=field
        )
