"""Answers as typed dictionaries: `/openapi.json` describes them, mypy checks their construction.

Fields that are `NotRequired` are sent only if the request asks for them.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic does not take that of Python 3.11

from unmask.types import EngineState, FinishReason, ModeName

exact = with_config(ConfigDict(extra="forbid"))  # additionalProperties: false
TokenIds = Annotated[Sequence[int], Field(json_schema_extra={"default": []})]
ChatFinishReason = FinishReason | Literal["tool_calls"]
ErrorType = Literal["invalid_request_error", "requests", "tokens", "server_error"]


class ErrorDetail(TypedDict):
    """OpenAI's description of an error; `param` is the path of the wrong field."""

    message: str
    type: ErrorType
    param: str | None
    code: str | None


class ErrorEnvelope(TypedDict):
    """The body of an error response, and the last event of a stream that failed."""

    error: ErrorDetail


@exact
class PromptTokensDetails(TypedDict):
    """Prompt tokens that were in the prefix cache, and rows of images, which SGLang names so."""

    cached_tokens: int
    image_tokens: NotRequired[int]  # of prompts with images


class TokenCounts(TypedDict):
    """Token counts, as in chunks of a stream."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@exact
class Usage(TokenCounts):
    """Cost of a request; the last five are not OpenAI's.

    `mode` is there for models with several, `auto` if choices were written in different ones.
    """

    prompt_tokens_details: PromptTokensDetails
    denoising_steps: int
    forward_passes: int
    query_tokens: int
    block_length: int
    mode: NotRequired[ModeName]


@exact
class CompletionLogprobs(TypedDict):
    """Lists with an entry for each token; an echoed prompt's first one has no log-probability."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


@exact
class RankedLikelihood(TypedDict):
    """A token that is in the prompt, or might have been; the likeliest has rank 1."""

    logprob: float
    rank: int
    decoded_token: str


PromptLogprobs = list[dict[str, RankedLikelihood] | None]


@exact
class FilledHole(TypedDict):
    """Text of one hole of a template; `length` if it has all the tokens that it may have."""

    text: str
    finish_reason: Literal["stop", "length"]


@exact
class CompletionChoice(TypedDict):
    """One answer to one prompt, or one template with its holes filled."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason
    stop_reason: int | str | None
    prompt_logprobs: NotRequired[PromptLogprobs]
    holes: NotRequired[list[FilledHole]]
    token_ids: NotRequired[TokenIds]
    prompt_token_ids: NotRequired[TokenIds]


@exact
class Completion(TypedDict):
    """The answer of `/v1/completions` that is no stream."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class CompletionChunkChoice(TypedDict):
    """A piece of one answer to one prompt; the last one has a `finish_reason`."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason | None
    stop_reason: NotRequired[int | str | None]
    holes: NotRequired[list[FilledHole]]
    token_ids: NotRequired[TokenIds]
    prompt_token_ids: NotRequired[TokenIds]


@exact
class TokenLikelihood(TypedDict):
    """A token; `bytes` may be a part of a character."""

    token: str
    logprob: float
    bytes: list[int]


@exact
class ChosenLikelihood(TokenLikelihood):
    """The token that was taken, and others that might have been."""

    top_logprobs: list[TokenLikelihood]


@exact
class ChatLogprobs(TypedDict):
    """An entry for each token."""

    content: list[ChosenLikelihood]
    refusal: None


@exact
class CalledFunction(TypedDict):
    """Name of a function and its arguments, the text of a JSON object."""

    name: str
    arguments: str


@exact
class ToolCall(TypedDict):
    """A call of a function."""

    id: str
    type: Literal["function"]
    function: CalledFunction


@exact
class AnswerMessage(TypedDict):
    """The message that answers a conversation; with calls and no text, its content is null."""

    role: Literal["assistant"]
    content: str | None
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[ToolCall]]
    refusal: None


@exact
class ChatChoice(TypedDict):
    """One answer to the conversation."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinishReason
    stop_reason: int | str | None
    token_ids: NotRequired[TokenIds]


@exact
class ChatCompletion(TypedDict):
    """The answer of `/v1/chat/completions` that is no stream."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    prompt_token_ids: NotRequired[TokenIds]
    prompt_logprobs: NotRequired[PromptLogprobs]


class FunctionDelta(TypedDict):
    """A piece of a function's arguments; the first one has its name alone."""

    name: NotRequired[str]
    arguments: str


class ToolCallDelta(TypedDict):
    """A piece of one call; the first one has its id."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: FunctionDelta


class ChatDelta(TypedDict, total=False):
    """A piece of a message; the first one has the role, a later one at most a piece of a call."""

    role: Literal["assistant"]
    content: str
    reasoning_content: str
    tool_calls: list[ToolCallDelta]


class ChatChunkChoice(TypedDict):
    """A piece of one answer to the conversation; the last one has a `finish_reason`."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinishReason | None
    stop_reason: NotRequired[int | str | None]
    token_ids: NotRequired[TokenIds]


class DraftToken(TypedDict):
    """A position of an open block; `confidence` is null where it is not finite."""

    id: int
    text: str
    confidence: float | None
    resolved: bool


class Diffusion(TypedDict):
    """A refinement of an open block, beside `choices` in a chunk."""

    event: Literal["refinement"]
    index: int
    block: int
    step: int
    max_steps: int
    span: tuple[int, int]
    unresolved: int
    text: str
    tokens: NotRequired[list[DraftToken]]


class ChunkFields(TypedDict, total=False):
    """Fields of a chunk beside its choices."""

    prompt_token_ids: Sequence[int]
    diffusion: Diffusion
    usage: TokenCounts | None


@exact
class ModelCard(TypedDict):
    """A model, with the decoding modes that requests may name and the kinds of input it takes."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int
    modes: Sequence[str]
    input_modalities: list[Literal["text", "image"]]


@exact
class ModelList(TypedDict):
    """All models that are served."""

    object: Literal["list"]
    data: list[ModelCard]


@exact
class TokenizedPrompt(TypedDict):
    """Token ids, and their spellings in the vocabulary."""

    count: int
    max_model_len: int
    tokens: Sequence[int]
    token_strs: NotRequired[list[str]]


@exact
class RenderedPrompt(TypedDict):
    """Text of a conversation."""

    prompt: str


@exact
class TokenizerInfo(TypedDict):
    """Special tokens, null where there is none, and the chat template."""

    tokenizer_class: str
    model_max_length: int
    vocab_size: int
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    unk_token: str | None
    mask_token: str | None
    chat_template: str | None


@exact
class CountedTokens(TypedDict):
    """Prompt tokens, in Anthropic's words."""

    input_tokens: int


@exact
class DetokenizedPrompt(TypedDict):
    """Text of token ids."""

    prompt: str


@exact
class Version(TypedDict):
    """The version of this package."""

    version: str


@exact
class Readiness(TypedDict):
    """State of the engines, those that take requests, and the number of their requests."""

    state: EngineState
    detail: str
    running: int
    waiting: int
    engines: int
    engines_up: int


@exact
class Liveness(TypedDict):
    """A sign that the process answers, and may serve again without being started anew."""

    state: Literal["live", "failed"]
