"""Request bodies: fields of OpenAI and vLLM under their names, and extensions for diffusion."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, PlainValidator, StrictInt, WithJsonSchema

from unmask.api.fields import MAX_ID, Body, Bool, Float, Int, Priority, Seconds, bounded, items
from unmask.api.message_parts import ChatPart, ChatParts
from unmask.api.sampling_fields import with_sampling_fields
from unmask.api.structured import StructuredBody
from unmask.api.template_bodies import PROMPTED, TEMPLATED, Parts
from unmask.api.tools.bodies import Choice, Tool
from unmask.prompts import IMAGE_ROLES
from unmask.sampling_params import MAX_LOGIT_BIAS, MAX_LOGPROBS

MAX_CHOICES = 1024  # of a request: prompts times n
MAX_N = 128  # choices of a prompt
MAX_ID_DIGITS = 9
PromptInput = str | tuple[int, ...]
Role = Literal["system", "developer", "user", "assistant", "tool"]
MAY_LACK_CONTENT: Sequence[Role] = ("assistant", "tool")
FIELDS_OF_ROLES: Mapping[str, Role] = {"tool_calls": "assistant", "tool_call_id": "tool"}
TURNS: Sequence[Sequence[Role]] = (("system", "developer"), ("user",), ("assistant",), ("tool",))


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
    """Keys are token ids as strings: `"1"` but not `"01"`."""
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


SOME = {"minItems": 1, "maxItems": MAX_CHOICES}
TEXT = {"type": "string"}
BIASES = {
    "anyOf": [
        {
            "type": "object",
            "propertyNames": {"pattern": f"^(0|[1-9][0-9]{{0,{MAX_ID_DIGITS - 1}}})$"},
            "additionalProperties": {
                "type": "number",
                "minimum": -MAX_LOGIT_BIAS,
                "maximum": MAX_LOGIT_BIAS,
            },
        },
        {"type": "null"},
    ]
}
IDS = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": MAX_ID},
    "minItems": 1,
}
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
    """Token counts in a stream, at its end or in every chunk."""

    include_usage: Bool | None = None
    continuous_usage_stats: Bool | None = None


class RefinementBody(Body):
    """Frequency and content of a stream's refinements."""

    every: Annotated[Int, bounded(1)] = 1
    max_fps: Annotated[Float | None, bounded(0, above=True)] = None
    tokens: Bool = False


@with_sampling_fields
class Generation(StructuredBody):
    """Fields of both completions and chats, with all sampling parameters; null is not given."""

    if TYPE_CHECKING:  # sampling parameters that the API reads itself
        max_tokens: int | None
        temperature: float | None
        top_p: float | None
        seed: int | None
        number_of_mask: int | None
        stop_token_ids: tuple[int, ...] | None
        allowed_token_ids: tuple[int, ...] | None
        prompt_logprobs: int | None

    model: str | None = None
    n: Annotated[Int | None, bounded(1, MAX_N)] = None
    best_of: Annotated[Int | None, bounded(1, MAX_N)] = None
    stream: Bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: Annotated[
        dict[str, Float] | None, BeforeValidator(_as_biases), WithJsonSchema(BIASES)
    ] = None
    return_token_ids: Bool | None = None
    user: str | None = None
    priority: Priority | None = None
    timeout: Seconds | None = None
    stream_refinements: Annotated[
        RefinementBody | None,
        BeforeValidator(_as_refinements, json_schema_input_type=bool | RefinementBody | None),
    ] = None
    diffusing: Bool | None = None


class CompletionBody(Generation):
    """The body of `/v1/completions`: with a prompt or a template."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [PROMPTED, TEMPLATED]})

    prompt: Prompts | None = None
    template: Parts | None = None
    suffix: str | None = None
    echo: Bool | None = None
    logprobs: Annotated[Int | None, bounded(0, MAX_LOGPROBS)] = None
    add_special_tokens: Bool | None = None


def _turn(roles: Sequence[Role]) -> dict[str, Any]:
    """Fields of a turn of some roles, for the schema; `check_messages` checks them."""
    required = [] if set(roles) <= set(MAY_LACK_CONTENT) else ["content"]
    absent = [name for name, role in FIELDS_OF_ROLES.items() if role not in roles]
    content: dict[str, Any] = {"type": ["string", "array"]} if required else {}
    if not set(roles) <= set(IMAGE_ROLES):
        content["items"] = {"properties": {"type": {"const": "text"}}}
    return {
        "required": required,
        "properties": {
            "role": {"enum": list(roles)},
            "content": content,
            **{name: {"enum": [None, "", []]} for name in absent},
        },
    }


class ChatMessage(Body):
    """One turn of a conversation; the content of `assistant` and `tool` may be missing."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [*map(_turn, TURNS)]})

    role: Role
    content: ChatParts = None
    name: str | None = None
    tool_calls: tuple[dict[str, Any], ...] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @classmethod
    def of(cls, role: Role, parts: Iterable[ChatPart], **fields: Any) -> Self:
        """A turn of parts that were checked."""
        return cls.model_construct(role=role, content=tuple(parts), **fields)

    @property
    def thoughts(self) -> str | None:
        """Earlier thoughts under DeepSeek's name, or else under vLLM's and OpenRouter's."""
        return self.reasoning if self.reasoning_content is None else self.reasoning_content


class ChatBody(Generation):
    """The body of `/v1/chat/completions`."""

    messages: Annotated[tuple[ChatMessage, ...], items(1)]
    tools: tuple[Tool, ...] | None = None
    tool_choice: Choice = None
    parallel_tool_calls: Bool | None = None
    max_completion_tokens: Annotated[Int | None, bounded(1)] = None
    logprobs: Bool | None = None
    top_logprobs: Annotated[Int | None, bounded(0, MAX_LOGPROBS)] = None
    add_special_tokens: Bool | None = None
    add_generation_prompt: Bool | None = None
    continue_final_message: Bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    separate_reasoning: Bool | None = None
    include_reasoning: Bool | None = None


class TokenizeBody(Body):
    """The body of `/tokenize`: either a prompt or messages."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": kind}, other: {"type": "null"}}}
                for name, kind, other in (
                    ("prompt", "string", "messages"),
                    ("messages", "array", "prompt"),
                )
            ]
        }
    )

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[tuple[ChatMessage, ...] | None, items(1)] = None
    tools: tuple[Tool, ...] | None = None
    return_token_strs: Bool | None = None
    add_special_tokens: Bool | None = None
    add_generation_prompt: Bool | None = None
    continue_final_message: Bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class TemplateBody(Body):
    """The body of `/apply-template`."""

    model: str | None = None
    messages: Annotated[tuple[ChatMessage, ...], items(1)]
    tools: tuple[Tool, ...] | None = None
    add_generation_prompt: Bool | None = None
    continue_final_message: Bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class DetokenizeBody(Body):
    """The body of `/detokenize`."""

    model: str | None = None
    tokens: Annotated[tuple[StrictInt, ...], items(type="integer", minimum=0, maximum=MAX_ID)]
