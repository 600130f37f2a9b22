"""The bodies of requests, field by field as OpenAI and vLLM name them, and our own extensions."""

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, PlainValidator, StrictInt, WithJsonSchema

from unmask.api.counts import MAX_CHOICES, MAX_N
from unmask.api.fields import Body, Bool, Float, Int, bounded
from unmask.api.sampling_fields import with_sampling_fields
from unmask.api.workers import ITEM
from unmask.sampling_params import MAX_LOGPROBS

MAX_ID_DIGITS = 9
PromptInput = str | tuple[int, ...]


def _as_prompts(value: Any) -> tuple[PromptInput, ...]:
    """One prompt or many, each text or token ids."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value:
        if all(type(item) is int for item in value):
            return (tuple(value),)
        if all(isinstance(item, str) for item in value):
            return tuple(value)
        if all(isinstance(ids, list) and all(type(i) is int for i in ids) for ids in value):
            return tuple(tuple(ids) for ids in value)
    raise ValueError("must be a string, a list of strings, token ids, or a list of token ids")


def _as_refinements(value: Any) -> Any:
    if isinstance(value, bool):
        return {} if value else None
    if value is not None and not isinstance(value, dict):
        raise ValueError("must be true, false or an object")
    return value


def _as_biases(value: Any) -> Any:
    """Token ids are the names of an object, so they come as strings, `"1"` but not `"01"`."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("must be an object of token ids and numbers")
    if any(not (isinstance(name, str) and _is_id(name)) for name in value):
        raise ValueError("must have token ids as its names")
    return value


def _is_id(name: str) -> bool:
    return (
        name.isascii() and name.isdigit() and len(name) <= MAX_ID_DIGITS and name == str(int(name))
    )


def _as_parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if value is not None and not isinstance(value, list):
        raise ValueError("must be a string or a list of text parts")
    return value


SOME = {"minItems": 1, "maxItems": MAX_CHOICES}
TEXT = {"type": "string"}
IDS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
Prompts = Annotated[
    tuple[PromptInput, ...],
    PlainValidator(_as_prompts),
    WithJsonSchema(
        {
            "anyOf": [
                TEXT,
                {"type": "array", "items": TEXT, **SOME},
                IDS,
                {"type": "array", "items": IDS, **SOME},
            ]
        }
    ),
]


class StreamOptions(Body):
    """What a stream carries besides text."""

    include_usage: Bool | None = None
    continuous_usage_stats: Bool | None = None


class RefinementBody(Body):
    """Which refinements a stream carries."""

    every: Int = 1
    max_fps: Float | None = None
    tokens: Bool = False


@with_sampling_fields
class Generation(Body):
    """Fields of both completions and chats, with all sampling parameters; null is not given."""

    if TYPE_CHECKING:  # sampling parameters that the API reads itself
        max_tokens: int | None
        temperature: float | None
        top_p: float | None
        seed: int | None
        stop_token_ids: tuple[int, ...] | None
        allowed_token_ids: tuple[int, ...] | None

    model: str | None = None
    n: Annotated[Int | None, bounded(1, MAX_N)] = None
    best_of: Annotated[Int | None, bounded(1, MAX_N)] = None
    stream: Bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: Annotated[dict[str, Float] | None, BeforeValidator(_as_biases)] = None
    return_token_ids: Bool | None = None
    user: str | None = None
    stream_refinements: Annotated[RefinementBody | None, BeforeValidator(_as_refinements)] = None
    diffusing: Bool | None = None


class CompletionBody(Generation):
    """The body of `/v1/completions`."""

    prompt: Prompts
    suffix: str | None = None
    echo: Bool | None = None
    logprobs: Annotated[Int | None, bounded(0, MAX_LOGPROBS)] = None
    add_special_tokens: Bool | None = None


class TextPart(Body):
    """A piece of a message; other kinds of parts are refused."""

    type: Literal["text"]
    text: str


class ChatMessage(Body):
    """One turn of a conversation; the content of `assistant` and `tool` may be missing."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[tuple[TextPart, ...] | None, BeforeValidator(_as_parts)] = None
    name: str | None = None
    tool_calls: tuple[dict[str, Any], ...] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None

    @property
    def cost(self) -> int:
        """The work of encoding it, in characters."""
        calls = sum(len(str(call)) for call in self.tool_calls or ())
        texts = sum(len(part.text) + ITEM for part in self.content or ())
        return texts + calls + len(self.reasoning_content or "") + ITEM

    def for_template(self) -> dict[str, Any]:
        """The message as chat templates know it; `developer` is OpenAI's new word for `system`.

        Texts of several parts are lines, as in vLLM.
        """
        role = "system" if self.role == "developer" else self.role
        content = "\n".join(part.text for part in self.content or ())
        message: dict[str, Any] = {"role": role, "content": content}
        for name in ("name", "tool_call_id", "reasoning_content"):
            if (value := getattr(self, name)) is not None:
                message[name] = value
        if self.tool_calls:
            message["tool_calls"] = [_with_arguments(call) for call in self.tool_calls]
        return message


def _with_arguments(call: dict[str, Any]) -> dict[str, Any]:
    """A tool call whose arguments are an object, as templates want them, not JSON text."""
    function = call["function"]
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        with suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    return {**call, "function": {**function, "arguments": arguments}}


class ChatBody(Generation):
    """The body of `/v1/chat/completions`."""

    messages: tuple[ChatMessage, ...]
    max_completion_tokens: Annotated[Int | None, bounded(1)] = None
    logprobs: Bool | None = None
    top_logprobs: Annotated[Int | None, bounded(0, MAX_LOGPROBS)] = None
    add_special_tokens: Bool | None = None
    add_generation_prompt: Bool | None = None
    continue_final_message: Bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class TokenizeBody(Body):
    """The body of `/tokenize`: either a prompt or messages."""

    model: str | None = None
    prompt: str | None = None
    messages: tuple[ChatMessage, ...] | None = None
    add_special_tokens: Bool | None = None
    add_generation_prompt: Bool | None = None
    continue_final_message: Bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class DetokenizeBody(Body):
    """The body of `/detokenize`."""

    model: str | None = None
    tokens: tuple[StrictInt, ...]
