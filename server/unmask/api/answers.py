"""What routes answer with, as `/openapi.json` describes it; answers are made without these.

Fields with a default are not always there: that is what the defaults say.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from unmask.types import EngineState, FinishReason


class Answer(BaseModel):
    """A JSON object with these fields and no others."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class PromptTokensDetails(Answer):
    """What of the prompt was in the cache."""

    cached_tokens: int


class Usage(Answer):
    """Cost of a request; the last four are not OpenAI's."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    denoising_steps: int
    forward_passes: int
    query_tokens: int
    block_length: int


class CompletionLogprobs(Answer):
    """Lists with an entry for each token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(Answer):
    """One answer to one prompt."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason
    stop_reason: int | str | None
    token_ids: list[int] = []
    prompt_token_ids: list[int] = []


class Completion(Answer):
    """The answer of `/v1/completions` that is no stream."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class TokenLikelihood(Answer):
    """A token; `bytes` is null where it is a part of a character."""

    token: str
    logprob: float
    bytes: list[int] | None


class ChosenLikelihood(TokenLikelihood):
    """The token that was taken, and others that might have been."""

    top_logprobs: list[TokenLikelihood]


class ChatLogprobs(Answer):
    """An entry for each token."""

    content: list[ChosenLikelihood]
    refusal: None


class AnswerMessage(Answer):
    """What was said."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(Answer):
    """One answer to the conversation."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason
    stop_reason: int | str | None
    token_ids: list[int] = []


class ChatCompletion(Answer):
    """The answer of `/v1/chat/completions` that is no stream."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    prompt_token_ids: list[int] = []


class ModelCard(Answer):
    """A model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int


class ModelList(Answer):
    """All models that are served."""

    object: Literal["list"]
    data: list[ModelCard]


class TokenizedPrompt(Answer):
    """Token ids."""

    count: int
    max_model_len: int
    tokens: list[int]


class DetokenizedPrompt(Answer):
    """Their text."""

    prompt: str


class Version(Answer):
    """The version of this package."""

    version: str


class Readiness(Answer):
    """Whether requests are taken, and how many there are."""

    state: EngineState
    detail: str
    running: int
    waiting: int


class Liveness(Answer):
    """That the process answers."""

    state: Literal["live"]
