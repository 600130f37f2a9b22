"""Answers with `choices`, of completions and chats: one JSON object, or a stream of chunks."""

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import cached_property
from typing import Protocol

from unmask.api.errors import RequestFailed, note_failure, stream_error
from unmask.api.job import Job, UsageTally
from unmask.api.readings import PromptReader, Readings
from unmask.api.response_models import ChunkFields, Diffusion, DraftToken, Usage
from unmask.api.sse import DONE, PING, encode, frame, to_json
from unmask.api.streams import Batch, Merger
from unmask.types import Delta, RefinedToken, Refinement

Json = Mapping[str, object]


class ChoiceFormat(PromptReader, Protocol):
    """Choices of one job as JSON; the pieces of a stream add up to the whole answer."""

    chunk: str  # the `object` of a stream's chunks

    def answer(self, deltas: Sequence[Delta], usage: Usage) -> Json:
        """The whole answer; `deltas` has one for each choice."""
        ...

    def opening(self, index: int) -> Json | None:
        """The choice of a stream's first chunk, before any text; None for no such chunk."""
        ...

    def opening_fields(self, index: int) -> ChunkFields:
        """Fields of that chunk beside its choice."""
        ...

    def pieces(self, index: int, delta: Delta) -> Sequence[Json]:
        """The choices of chunks, one for each, with text or a finish reason."""
        ...

    def empty(self, index: int) -> Json:
        """The choice of a chunk without text, such as one with a refinement."""
        ...


class ChoiceWriter:
    """Gathers deltas into one answer, or turns batches of events into chunks."""

    def __init__(self, job: Job, form: ChoiceFormat) -> None:
        self._job = job
        self._form = form
        self._tally = UsageTally(job)
        self._readings = Readings(job, form, self._tally) if job.readings else None
        self._begun: set[int] = set()
        self._unseen: dict[int, list[Delta]] = {}  # of each choice since its last chunk

    def whole(self, answers: Sequence[Delta]) -> Json:
        """The JSON object of all choices."""
        if self._readings is not None:
            answers = self._readings.choices(answers)
        for index, answer in enumerate(answers):
            self._tally.add(index, answer)
        return self._form.answer(answers, self._tally.total())

    async def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """Server-sent events; a failure in mid-stream is an event too."""
        if unread := self._unread():
            yield self._batch(unread)
        async with aclosing(merger.batches(ping_s)) as batches:
            try:
                async for batch in batches:
                    data = self._batch(self._of_choices(batch)) if batch else PING
                    if data:
                        yield data
            except RequestFailed as error:
                note_failure(error)
                yield encode(stream_error(error)) + DONE
                return
        yield self._end()

    def _unread(self) -> Batch:
        """Events of choices whose prompt needs no reading."""
        return [] if self._readings is None else self._readings.begin()

    def _of_choices(self, batch: Batch) -> Batch:
        return batch if self._readings is None else self._readings.take(batch)

    def _head(self) -> Json:
        job = self._job
        return {
            "id": job.job_id,
            "object": self._form.chunk,
            "created": job.created_s,
            "model": job.model_name,
        }

    def _batch(self, batch: Batch) -> bytes:
        chunks: list[bytes] = []
        for index, event in batch:
            assert isinstance(event, Delta | Refinement), "failures were raised"
            if index not in self._begun:
                self._begun.add(index)
                opening = self._form.opening(index)
                if opening is not None:
                    chunks.append(self._chunk(opening, self._form.opening_fields(index)))
            if isinstance(event, Refinement):
                fields: ChunkFields = {"diffusion": diffusion(index, event)}
                chunks.append(self._chunk(self._form.empty(index), fields))
                continue
            self._tally.add(index, event)
            if event.text or event.logprobs or event.finish or self._job.return_token_ids:
                if self._unseen:
                    event = Delta.joined([*self._unseen.pop(index, ()), event])
                chunks += [self._chunk(piece, {}) for piece in self._form.pieces(index, event)]
            else:
                self._unseen.setdefault(index, []).append(event)
        return b"".join(chunks)

    @cached_property
    def _opening(self) -> bytes:
        """The JSON that all chunks begin with, encoded once; a choice and other fields follow."""
        return to_json(self._head())[:-1] + b',"choices":['

    def _chunk(self, choice: Json, fields: ChunkFields) -> bytes:
        if self._job.include_usage:
            usage = self._tally.so_far() if self._job.continuous_usage else None
            fields = {**fields, "usage": usage}
        rest = b"," + to_json(fields)[1:] if fields else b"}"
        return frame(b"%b%b]%b" % (self._opening, to_json(choice), rest))

    def _end(self) -> bytes:
        if not self._job.include_usage:
            return DONE
        return encode({**self._head(), "choices": [], "usage": self._tally.total()}) + DONE


def diffusion(index: int, event: Refinement) -> Diffusion:
    """The `diffusion` field of a chunk."""
    draft: Diffusion = {
        "event": "refinement",
        "index": index,
        "block": event.block,
        "step": event.step,
        "max_steps": event.max_steps,
        "span": event.span,
        "unresolved": event.unresolved,
        "text": event.text,
    }
    if event.tokens is not None:
        draft["tokens"] = [_draft_token(token) for token in event.tokens]
    return draft


def _draft_token(token: RefinedToken) -> DraftToken:
    confidence = round(token.confidence, 4) if math.isfinite(token.confidence) else None
    return {
        "id": token.token_id,
        "text": token.text,
        "confidence": confidence,
        "resolved": token.resolved,
    }
