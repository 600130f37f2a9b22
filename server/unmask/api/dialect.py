"""Endpoints that generate differ in their `Dialect`, one for each kind of body."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from unmask.api.backend import Backend
from unmask.api.job import Job
from unmask.api.logprobs import TokenTexts
from unmask.api.requests import Generation
from unmask.api.streams import Merger
from unmask.api.structured import Structured
from unmask.images import ImageRows
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, Template

BodyT = TypeVar("BodyT", bound=Generation)


@dataclass(frozen=True, slots=True)
class EncodedPrompts:
    """Token ids of prompts and their common suffix; `echoes` are texts to prepend to answers.

    There are `images` of each prompt, or none at all.
    """

    token_ids: tuple[tuple[int, ...], ...]
    echoes: tuple[str, ...]
    suffix: tuple[int, ...] = ()
    template: Template | None = None
    behind: str = ""  # text behind a template's last hole
    compiled: tuple[object, ...] = ()  # grammars of its holes
    images: tuple[tuple[ImageRows, ...], ...] = ()


class AnswerWriter(Protocol):
    """Writes the answers of one job, whole or as a stream."""

    def whole(self, answers: Sequence[Delta]) -> Mapping[str, object]:
        """The JSON object of all choices, from one delta of each of `Job.submitted`."""
        ...

    def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """Server-sent events; a failure in mid-stream is an event too."""
        ...


class Dialect(Protocol[BodyT]):
    """Everything in which one endpoint that generates differs from the others.

    To add an endpoint: an object with these members, a body model, an entry in `routes.DIALECTS`.
    """

    path: str
    name: str  # of the operation in /openapi.json
    description: str
    id_prefix: str  # of jobs and of the engine's requests
    default_max_tokens: int | None  # None: as many as the context holds
    body: type[BodyT]
    answer: type | None  # a whole answer's type; None leaves the endpoint out of /openapi.json

    def check(self, body: BodyT) -> None:
        """Raise `InvalidRequest` for fields that are contradictory or not implemented."""
        ...

    def field_names(self, body: BodyT) -> Mapping[str, str]:
        """Names in errors: from fields of `Request` and `SamplingParams` to fields of the body."""
        ...

    def num_prompts(self, body: BodyT) -> int:
        """Prompts of the body, each with `n` choices."""
        ...

    def max_tokens(self, body: BodyT) -> int | None:
        """The limit of tokens of each choice; None for the default."""
        ...

    def echoes(self, body: BodyT) -> bool:
        """True if the prompt is written before the answer, so that it may be all there is."""
        ...

    def structure(
        self, body: BodyT, prompts: EncodedPrompts, tokenizer: Tokenizer
    ) -> Structured | None:
        """The structure that the body asks for, behind its prompt; raises `InvalidRequest`."""
        ...

    def num_logprobs(self, body: BodyT) -> int | None:
        """Top log-probabilities of each token; None for no log-probabilities at all."""
        ...

    def num_prompt_logprobs(self, body: BodyT) -> int | None:
        """The same of each token of the prompt."""
        ...

    async def encode(self, body: BodyT, backend: Backend) -> EncodedPrompts:
        """Tokenize prompts or messages; raises `InvalidRequest`."""
        ...

    def writer(
        self, job: Job, body: BodyT, tokenizer: Tokenizer, texts: TokenTexts
    ) -> AnswerWriter: ...
