"""Objects of the Responses API as typed dictionaries; see `response_models`."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict  # pydantic does not take that of Python 3.11


class OutputText(TypedDict):
    """The one part of a message."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Any]


ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed"]


class ReasoningText(TypedDict):
    """The one part of thoughts."""

    type: Literal["reasoning_text"]
    text: str


class Reasoning(TypedDict):
    """Thoughts as they are; they are not summed up."""

    type: Literal["reasoning"]
    id: str
    summary: list[Any]
    content: list[ReasoningText]
    encrypted_content: None
    status: ResponseStatus


class FunctionCall(TypedDict):
    """A call of a function, with the text of a JSON object as its arguments."""

    type: Literal["function_call"]
    id: str
    call_id: str
    name: str
    arguments: str
    status: ResponseStatus
    namespace: NotRequired[str]


class OutputMessage(TypedDict):
    """Text of a response."""

    type: Literal["message"]
    id: str
    status: ResponseStatus
    role: Literal["assistant"]
    content: list[OutputText]


OutputItem: TypeAlias = Reasoning | FunctionCall | OutputMessage


class InputTokensDetails(TypedDict):
    """Tokens that were in the prefix cache; writing to it is not counted: 0."""

    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(TypedDict):
    """Reasoning tokens, which are not counted: 0."""

    reasoning_tokens: int


class ResponseUsage(TypedDict):
    """Cost of a response."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class IncompleteDetails(TypedDict):
    """The reason why a response is incomplete."""

    reason: Literal["max_output_tokens"]


class ResponseError(TypedDict):
    """The reason why a response failed."""

    code: str
    message: str


class ResponseObject(TypedDict):
    """The answer of `/v1/responses`, which events of its stream repeat."""

    id: str
    object: Literal["response"]
    created_at: int
    status: ResponseStatus
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: Mapping[str, Any]
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: None
    reasoning: Mapping[str, None]
    service_tier: Literal["default"]
    store: bool
    temperature: float | None
    text: Mapping[str, Mapping[str, str]]
    tool_choice: Any
    tools: list[Any]
    top_p: float | None
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None
    user: str | None
