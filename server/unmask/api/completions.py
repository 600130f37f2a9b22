"""`/v1/completions`: continues prompts, given as text or token ids."""

from collections.abc import Mapping, Sequence

from unmask.api.backend import Backend
from unmask.api.choices import ChoiceWriter
from unmask.api.dialect import EncodedPrompts
from unmask.api.job import Job
from unmask.api.logprobs import (
    TextOffsets,
    TokenTexts,
    completion_logprobs,
    echoed_logprobs,
    joined,
    prompt_logprobs,
)
from unmask.api.prompts import decode, encode_prompts
from unmask.api.requests import CompletionBody
from unmask.api.response_models import (
    ChunkFields,
    Completion,
    CompletionChoice,
    CompletionChunkChoice,
    CompletionLogprobs,
    FilledHole,
    Usage,
)
from unmask.api.structured import Structured, structure_of
from unmask.api.template_bodies import ALONE, check_parts
from unmask.api.templates import encode_template, filled_holes
from unmask.errors import InvalidRequest
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, FinishReason, TokenLogprob


class CompletionDialect:
    """Text completions, with vLLM's `return_token_ids`."""

    path = "/v1/completions"
    name = "completions"
    description = "Continue a prompt, or many."
    id_prefix = "cmpl"
    default_max_tokens: int | None = 16  # OpenAI's
    body = CompletionBody
    answer: type | None = Completion

    def check(self, body: CompletionBody) -> None:
        """Raise `InvalidRequest` for fields that exclude `echo`, or a template."""
        if body.echo and body.suffix:
            raise InvalidRequest("echo cannot be combined with suffix", field="echo")
        if body.template is not None:
            check_parts(body.template)
            for name, neutral in ALONE.items():
                if getattr(body, name) not in (None, neutral):
                    raise InvalidRequest(f"{name} cannot be combined with template", field=name)
            if structure_of(body) is not None:
                raise InvalidRequest("each hole has a structure of its own", field="template")
        elif body.prompt is None:
            raise InvalidRequest(
                "prompt is required", field="prompt", code="missing_required_parameter"
            )

    def field_names(self, body: CompletionBody) -> Mapping[str, str]:
        if body.template is not None:
            return dict.fromkeys(("prompt", "suffix", "max_tokens"), "template")
        return {"prompt_logprobs": "echo"} if body.prompt_logprobs is None else {}

    def num_prompts(self, body: CompletionBody) -> int:
        return len(body.prompt or ("",))

    def max_tokens(self, body: CompletionBody) -> int | None:
        return body.max_tokens

    def echoes(self, body: CompletionBody) -> bool:
        return bool(body.echo)

    def structure(
        self, body: CompletionBody, prompts: EncodedPrompts, tokenizer: Tokenizer
    ) -> Structured | None:
        return structure_of(body)

    def num_logprobs(self, body: CompletionBody) -> int | None:
        return body.logprobs

    def num_prompt_logprobs(self, body: CompletionBody) -> int | None:
        asked = [body.prompt_logprobs, body.logprobs if body.echo else None]
        return max((number for number in asked if number is not None), default=None)

    async def encode(self, body: CompletionBody, backend: Backend) -> EncodedPrompts:
        """Tokenize prompts and suffix; special tokens are added by default, as in vLLM."""
        has_special = body.add_special_tokens is not False
        if body.template is not None:
            made = await encode_template(
                body.template,
                backend,
                add_special_tokens=has_special,
                allowed_token_ids=body.allowed_token_ids,
            )
            return EncodedPrompts(
                (made.prompt_token_ids,),
                echoes=(made.before,),
                suffix=made.suffix_token_ids,
                template=made.template,
                behind=made.behind,
                compiled=made.compiled,
            )
        return await self._encode_texts(
            body, backend, has_gap=bool(body.suffix or body.number_of_mask)
        )

    async def encode_gap(self, prompt: str, suffix: str, backend: Backend) -> EncodedPrompts:
        """Tokenize the texts around a gap, both of which may be empty."""
        gap = CompletionBody.model_construct(prompt=(prompt,), suffix=suffix)
        return await self._encode_texts(gap, backend, has_gap=True)

    async def _encode_texts(
        self, body: CompletionBody, backend: Backend, *, has_gap: bool
    ) -> EncodedPrompts:
        has_special = body.add_special_tokens is not False
        given = body.prompt or ()
        prompts = await encode_prompts(backend, given, add_special_tokens=has_special)
        suffix: tuple[int, ...] = ()
        if body.suffix:
            (suffix,) = await encode_prompts(
                backend, [body.suffix], add_special_tokens=False, field="suffix"
            )
        commands = backend.client.model.length_commands
        if commands is not None and has_special and has_gap:
            suffix += commands.end
            prompts = [
                commands.begin + ids if isinstance(prompt, str) else ids
                for prompt, ids in zip(given, prompts, strict=True)
            ]
        echoes = [""] * len(prompts)
        if body.echo:
            for i, (prompt, ids) in enumerate(zip(given, prompts, strict=True)):
                echoes[i] = prompt if isinstance(prompt, str) else await decode(backend, ids)
        return EncodedPrompts(tuple(prompts), tuple(echoes), suffix)

    def writer(
        self, job: Job, body: CompletionBody, tokenizer: Tokenizer, texts: TokenTexts
    ) -> ChoiceWriter:
        return ChoiceWriter(job, _CompletionFormat(job, body, tokenizer, texts))


class _CompletionFormat:
    chunk = "text_completion"

    def __init__(
        self, job: Job, body: CompletionBody, tokenizer: Tokenizer, texts: TokenTexts
    ) -> None:
        self._job = job
        self._num_logprobs, self._num_read = body.logprobs, body.prompt_logprobs
        self._echoes = bool(body.echo) and body.logprobs is not None
        self._read: dict[int, Sequence[TokenLogprob]] = {}  # of prompts, but for their first tokens
        self._tokenizer, self._texts = tokenizer, texts
        self._written = [list[int]() for _ in job.requests]  # of templates
        self._offsets = [
            TextOffsets(texts, tokenizer.stream(), place=len(echo))
            for echo in (job.echoes if body.logprobs is not None else ())
        ]

    def read(self, prompt: int, logprobs: Sequence[TokenLogprob]) -> None:
        self._read[prompt] = logprobs

    def answer(self, deltas: Sequence[Delta], usage: Usage) -> Completion:
        job = self._job
        choices = [self._choice(index, deltas[index]) for index in job.best(deltas)]
        for number, choice in enumerate(choices):
            choice["index"] = number
        return {
            "id": job.job_id,
            "object": "text_completion",
            "created": job.created_s,
            "model": job.model_name,
            "choices": choices,
            "usage": usage,
        }

    def _choice(self, index: int, delta: Delta) -> CompletionChoice:
        """The text after the prompt, and before it the prompt if it is echoed."""
        assert delta.finish is not None, "the choice has ended"
        choice: CompletionChoice = {
            "index": index,
            "text": self._job.echoes[index] + delta.text + self._job.behind,
            "logprobs": self._logprobs(index, delta),
            "finish_reason": delta.finish.reason,
            "stop_reason": delta.finish.stop_reason,
        }
        if (echoed := self._echoed(index)) is not None:
            choice["logprobs"] = joined(echoed, choice["logprobs"])
        if self._num_read is not None:
            read = self._read[index // self._job.n]
            choice["prompt_logprobs"] = prompt_logprobs(self._texts, read, self._num_read)
        if (holes := self._holes(index, delta)) is not None:
            choice["holes"], choice["finish_reason"] = holes, FinishReason.STOP
        if self._job.return_token_ids:
            choice["token_ids"] = delta.token_ids
            choice["prompt_token_ids"] = self._job.requests[index].prompt_token_ids
        return choice

    def opening(self, index: int) -> CompletionChunkChoice | None:
        """The echoed prompt and its token ids, if either is asked for.

        A prompt without text has log-probabilities still.
        """
        choice = self.empty(index)
        choice["text"], choice["logprobs"] = self._job.echoes[index], self._echoed(index)
        if self._job.return_token_ids:
            choice["prompt_token_ids"] = self._job.requests[index].prompt_token_ids
            return choice
        return choice if choice["text"] or choice["logprobs"] is not None else None

    def opening_fields(self, index: int) -> ChunkFields:
        return {}

    def pieces(self, index: int, delta: Delta) -> tuple[CompletionChunkChoice]:
        choice = self.empty(index)
        choice["text"] = delta.text
        choice["logprobs"] = self._logprobs(index, delta)
        if delta.finish is not None:
            choice["text"] += self._job.behind
            choice["finish_reason"] = delta.finish.reason
            choice["stop_reason"] = delta.finish.stop_reason
        if (holes := self._holes(index, delta)) is not None:
            choice["holes"], choice["finish_reason"] = holes, FinishReason.STOP
        if self._job.return_token_ids:
            choice["token_ids"] = delta.token_ids
        return (choice,)

    def empty(self, index: int) -> CompletionChunkChoice:
        return {"index": index, "text": "", "logprobs": None, "finish_reason": None}

    def _holes(self, index: int, delta: Delta) -> list[FilledHole] | None:
        """The holes of a template once it is over; pieces are noted until then."""
        template = self._job.requests[index].template
        if template is None:
            return None
        self._written[index] += delta.token_ids
        if delta.finish is None:
            return None
        return filled_holes(template, self._written[index], self._job.eos_ids, self._tokenizer)

    def _echoed(self, index: int) -> CompletionLogprobs | None:
        """Log-probabilities of the prompt, if they are echoed."""
        if not self._echoes or self._num_logprobs is None:
            return None
        read = self._read[index // self._job.n]
        prompt = self._job.requests[index].prompt_token_ids
        offsets = TextOffsets(self._texts, self._tokenizer.stream(), echo=self._job.echoes[index])
        return echoed_logprobs(self._texts, prompt, read, self._num_logprobs, offsets)

    def _logprobs(self, index: int, delta: Delta) -> CompletionLogprobs | None:
        """Log-probabilities of the choice's next delta: text offsets continue from call to call."""
        if self._num_logprobs is None or not delta.logprobs:
            return None
        return completion_logprobs(
            self._texts, delta.logprobs, self._num_logprobs, self._offsets[index]
        )


COMPLETIONS = CompletionDialect()
