"""`/infill`: llama-server's infilling, which editors ask for; over completions with a suffix."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any

from pydantic import AliasChoices, Field

from unmask.api.backend import Backend
from unmask.api.completions import COMPLETIONS
from unmask.api.dialect import EncodedPrompts
from unmask.api.errors import RequestFailed, note_failure, stream_error
from unmask.api.fields import Body, Bool, Float, Int
from unmask.api.fim import DEFAULT_MAX_TOKENS
from unmask.api.job import Job, UsageTally
from unmask.api.logprobs import TokenTexts
from unmask.api.paths import respelled
from unmask.api.prompts import encode_prompts
from unmask.api.requests import Generation
from unmask.api.sampling import refuse_fields
from unmask.api.sse import PING, encode
from unmask.api.streams import Merger
from unmask.api.structured import Structured, structure_of
from unmask.errors import InvalidRequest
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, Finish, FinishReason

PATHS: Mapping[str, str] = {"prompt": "input_prefix", "suffix": "input_suffix"}
"""Fields of a completion, and their paths here."""
Json = dict[str, Any]


class ExtraText(Body):
    """Text of another file, for context, and when an editor has seen it."""

    filename: str | None = None
    text: str
    time: Any = None


class InfillBody(Generation):
    """The body of `/infill`; `prompt` is the beginning of the line in which the gap is."""

    absent = (
        *("n", "best_of", "stream_options", "stream_refinements", "diffusing", "return_token_ids"),
        "prompt_logprobs",
    )

    input_prefix: str
    input_suffix: str
    input_extra: tuple[ExtraText, ...] | None = None
    prompt: str | None = None
    max_tokens: Annotated[
        Int | None, Field(validation_alias=AliasChoices("n_predict", "max_tokens"))
    ] = None
    response_fields: tuple[str, ...] | None = None
    return_tokens: Bool | None = None
    # Hints on caching, time and order, without effect.
    cache_prompt: Bool | None = None
    id_slot: Int | None = None
    n_cache_reuse: Int | None = None
    n_indent: Int | None = None
    n_keep: Int | None = None
    samplers: tuple[str, ...] | str | None = None
    t_max_prompt_ms: Float | None = None
    t_max_predict_ms: Float | None = None
    timings_per_token: Bool | None = None


class InfillDialect:
    """Text before a gap and behind it, and the gap as a completion of llama.cpp."""

    path = "/infill"
    name = "infill"
    description = "Fill in the middle, in the words of llama.cpp's server."
    id_prefix = "infill"
    default_max_tokens: int | None = DEFAULT_MAX_TOKENS
    body = InfillBody
    answer: type | None = None

    def check(self, body: InfillBody) -> None:
        """Raise `InvalidRequest` for fields of other endpoints."""
        refuse_fields(body)

    def field_names(self, body: InfillBody) -> Mapping[str, str]:
        return {**PATHS, "max_tokens": "n_predict"}

    def num_prompts(self, body: InfillBody) -> int:
        return 0 if body.max_tokens == 0 else 1

    def max_tokens(self, body: InfillBody) -> int | None:
        """The limit of tokens; -1 is none, and 0 asks for nothing but a warm cache."""
        return body.max_tokens if body.max_tokens not in (0, -1) else None

    def echoes(self, body: InfillBody) -> bool:
        return False

    def structure(
        self, body: InfillBody, prompts: EncodedPrompts, tokenizer: Tokenizer
    ) -> Structured | None:
        return structure_of(body)

    def num_logprobs(self, body: InfillBody) -> int | None:
        return None

    def num_prompt_logprobs(self, body: InfillBody) -> int | None:
        return None

    async def encode(self, body: InfillBody, backend: Backend) -> EncodedPrompts:
        """Tokenize both texts, and before them as many of the last extra texts as fit."""
        if self.num_prompts(body) == 0:
            return EncodedPrompts((), ())
        before, behind = body.input_prefix + (body.prompt or ""), body.input_suffix
        with respelled(PATHS):
            encoded = await COMPLETIONS.encode_gap(before, behind, backend)
            (ids,) = encoded.token_ids
            used = len(ids) + len(encoded.suffix) + (self.max_tokens(body) or DEFAULT_MAX_TOKENS)
            room = backend.client.model.max_model_len - used
            extra = await _fitting(body.input_extra or (), room, backend)
            if not extra:
                return encoded
            return await COMPLETIONS.encode_gap(extra + before, behind, backend)

    def writer(
        self, job: Job, body: InfillBody, tokenizer: Tokenizer, texts: TokenTexts
    ) -> "InfillWriter":
        return InfillWriter(job, body)


async def _fitting(extras: tuple[ExtraText, ...], room: int, backend: Backend) -> str:
    """The last extra texts, each below its name, that take at most about `room` tokens."""
    text = ""
    for extra in reversed(extras):
        name = "" if extra.filename is None else f"{extra.filename}\n"
        piece = f"{name}{extra.text}\n\n"
        try:
            (ids,) = await encode_prompts(
                backend, [piece], add_special_tokens=False, field="input_extra"
            )
        except InvalidRequest as error:
            if error.code != "context_length_exceeded":
                raise
            break
        room -= len(ids)
        if room < 0:
            break
        text = piece + text
    return text


class InfillWriter:
    """Gathers one completion, or writes its pieces, the last of which has the rest."""

    def __init__(self, job: Job, body: InfillBody) -> None:
        self._job = job
        self._body = body
        self._tally = UsageTally(job)
        self._text = ""
        self._token_ids: list[int] = []
        self._finish: Finish | None = None
        self._start_s = time.monotonic()

    def whole(self, answers: Sequence[Delta]) -> Json:
        """The whole completion."""
        for answer in answers:
            self._take(answer)
        tokens = self._token_ids if self._body.return_tokens else []
        return _selected(self._ended(self._text, tokens), self._body.response_fields)

    async def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """Server-sent events; a failure in mid-stream is an event too.

        Tokens whose text is still to come are in the next piece, or in the end if they are wanted.
        """
        fresh: list[int] = []
        async with aclosing(merger.batches(ping_s)) as batches:
            try:
                async for batch in batches:
                    data = b"" if batch else PING
                    for _, event in batch:
                        assert isinstance(event, Delta), "no refinements were asked for"
                        self._take(event)
                        fresh += event.token_ids
                        if event.text:
                            data += encode(self._piece(event.text, fresh))
                            fresh = []
                    if data:
                        yield data
            except RequestFailed as error:
                note_failure(error)
                yield encode(stream_error(error))
                return
        tokens = fresh if self._body.return_tokens else []
        yield encode(_selected(self._ended("", tokens), self._body.response_fields))

    def _take(self, delta: Delta) -> None:
        self._tally.add(0, delta)
        self._text += delta.text
        self._token_ids += delta.token_ids
        self._finish = delta.finish

    def _piece(self, text: str, token_ids: list[int]) -> Json:
        return {
            "index": 0,
            "content": text,
            "tokens": token_ids,
            "stop": False,
            "tokens_predicted": len(self._token_ids),
            "tokens_evaluated": self._job.num_prompt_tokens,
        }

    def _ended(self, text: str, token_ids: list[int]) -> Json:
        """The completion with its end; without a request there is nothing but the limit."""
        finish = self._finish
        cached = 0 if finish is None else finish.usage.cached_tokens
        matched = None if finish is None else finish.stop_reason
        stop_type = "word" if isinstance(matched, str) else "eos"
        if finish is None or finish.reason is FinishReason.LENGTH:
            stop_type = "limit"
        return {
            "index": 0,
            "content": text,
            "tokens": token_ids,
            "stop": True,
            "model": self._job.model_name,
            "tokens_predicted": len(self._token_ids),
            "tokens_evaluated": self._job.num_prompt_tokens,
            "has_new_line": "\n" in self._text,
            "truncated": False,
            "stop_type": stop_type,
            "stopping_word": matched if stop_type == "word" else "",
            "tokens_cached": cached,
            "timings": self._timings(cached),
        }

    def _timings(self, num_cached: int) -> Json:
        """Times until the first tokens and from there on."""
        now_s = time.monotonic()
        first_s = self._tally.first_token_s or now_s
        prompt = self._job.num_prompt_tokens - num_cached
        return {
            **_rates("prompt", prompt, first_s - self._start_s),
            **_rates("predicted", len(self._token_ids), now_s - first_s),
            "cache_n": num_cached,
        }


def _rates(name: str, number: int, elapsed_s: float) -> Json:
    return {
        f"{name}_n": number,
        f"{name}_ms": 1000 * elapsed_s,
        f"{name}_per_token_ms": 1000 * elapsed_s / max(1, number),
        f"{name}_per_second": number / elapsed_s if elapsed_s > 0 else 0.0,
    }


def _selected(answer: Json, fields: tuple[str, ...] | None) -> Json:
    """The fields that are asked for; with a slash, one of an object within."""
    if not fields:
        return answer
    selected: Json = {}
    for field in fields:
        value: Any = answer
        for name in field.split("/"):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            selected[field] = value
    return selected


INFILL = InfillDialect()
