"""`/v1/fim/completions`: Mistral's infilling, a thin layer over completions with a suffix."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from unmask.api.backend import Backend
from unmask.api.chat_choices import ChatFormat, MessageSplitter
from unmask.api.choices import ChoiceWriter
from unmask.api.completions import COMPLETIONS
from unmask.api.dialect import EncodedPrompts
from unmask.api.fields import Int
from unmask.api.job import Job
from unmask.api.logprobs import TokenTexts
from unmask.api.requests import CompletionBody, Generation
from unmask.api.sampling import refuse_fields
from unmask.api.structured import Structured, structure_of
from unmask.tokenizer import Tokenizer

DEFAULT_MAX_TOKENS = 128


class FimBody(Generation):
    """The body of `/v1/fim/completions`."""

    absent = ("n", "best_of", "return_token_ids", "prompt_logprobs")

    prompt: str
    suffix: str | None = None
    seed: Annotated[Int | None, Field(validation_alias="random_seed")] = None


class FimDialect:
    """Text before a gap and behind it, and the gap as a message."""

    path = "/v1/fim/completions"
    name = "fim"
    description = "Fill in the middle, in the words of Mistral's API."
    id_prefix = "fim"
    default_max_tokens: int | None = DEFAULT_MAX_TOKENS
    body = FimBody
    answer: type | None = None

    def check(self, body: FimBody) -> None:
        """Raise `InvalidRequest` for fields of other endpoints."""
        refuse_fields(body)

    def field_names(self, body: FimBody) -> Mapping[str, str]:
        return {"seed": "random_seed"}

    def num_prompts(self, body: FimBody) -> int:
        return 1

    def max_tokens(self, body: FimBody) -> int | None:
        return body.max_tokens

    def echoes(self, body: FimBody) -> bool:
        return False

    def structure(
        self, body: FimBody, prompts: EncodedPrompts, tokenizer: Tokenizer
    ) -> Structured | None:
        return structure_of(body)

    def num_logprobs(self, body: FimBody) -> int | None:
        return None

    def num_prompt_logprobs(self, body: FimBody) -> int | None:
        return None

    async def encode(self, body: FimBody, backend: Backend) -> EncodedPrompts:
        """Tokenize both texts."""
        if body.suffix is not None or body.number_of_mask:
            return await COMPLETIONS.encode_gap(body.prompt, body.suffix or "", backend)
        whole = CompletionBody.model_construct(prompt=(body.prompt,))
        return await COMPLETIONS.encode(whole, backend)

    def writer(
        self, job: Job, body: FimBody, tokenizer: Tokenizer, texts: TokenTexts
    ) -> ChoiceWriter:
        plain = MessageSplitter(
            calls=None, separates_reasoning=False, shows_reasoning=False, begins_inside=False
        )
        return ChoiceWriter(job, ChatFormat(job, [plain], texts, has_logprobs=False, num_read=None))


FIM = FimDialect()
