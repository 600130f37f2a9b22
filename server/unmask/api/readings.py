"""Prompts whose log-probabilities are asked for are read before their choices are written."""

from collections.abc import Sequence
from typing import Protocol

from unmask.api.job import Job, UsageTally
from unmask.api.streams import Batch
from unmask.types import Delta, Event, Finish, FinishReason, TokenLogprob, Usage


class PromptReader(Protocol):
    """Takes the log-probabilities of a prompt's tokens after the first."""

    def read(self, prompt: int, logprobs: Sequence[TokenLogprob]) -> None:
        """Note those of the prompt with this number."""
        ...


class Readings:
    """Takes the readings of prompts out of a job's events, and holds choices back until then.

    Streams are those of `Job.submitted`: of choices, then of readings.
    """

    def __init__(self, job: Job, reader: PromptReader, tally: UsageTally) -> None:
        self._job, self._reader, self._tally = job, reader, tally
        self._num_choices = len(job.requests) if job.generates else 0
        self._prompts = [i for i, reading in enumerate(job.readings) if reading is not None]
        self._logprobs: dict[int, list[TokenLogprob]] = {prompt: [] for prompt in self._prompts}
        self._held: dict[int, Batch] = {prompt: [] for prompt in self._prompts}

    def begin(self) -> Batch:
        """Events of choices whose prompt is not read."""
        unread = [i for i, reading in enumerate(self._job.readings) if reading is None]
        return [event for prompt in unread for event in self._end(prompt, block_length=1)]

    def choices(self, answers: Sequence[Delta]) -> list[Delta]:
        """Whole answers of the choices, of those of all streams."""
        events = dict(self.begin() + self.take(list(enumerate(answers))))
        deltas = [events[index] for index in sorted(events)]
        return [delta for delta in deltas if isinstance(delta, Delta)]

    def take(self, batch: Batch) -> Batch:
        """Events of choices that may be written now, each behind its prompt's reading."""
        ready: Batch = []
        for index, event in batch:
            if index < self._num_choices:
                self._held.get(index // self._job.n, ready).append((index, event))
                continue
            prompt = self._prompts[index - self._num_choices]
            assert isinstance(event, Delta), "a reading has no drafts"
            self._logprobs[prompt] += event.logprobs
            if event.finish is not None:
                usage = event.finish.usage
                self._tally.add_reading(usage)
                ready += self._end(prompt, block_length=usage.block_length)
        return ready

    def _end(self, prompt: int, *, block_length: int) -> Batch:
        """Hand a whole reading on; returns the events that waited for it."""
        self._reader.read(prompt, self._logprobs.pop(prompt, ()))
        held, n = self._held.pop(prompt, []), self._job.n
        if self._job.generates:
            return held
        # Nothing follows the prompt.
        length = len(self._job.requests[prompt * n].prompt_token_ids)
        finish = Finish(FinishReason.LENGTH, Usage(length, 0, 0, 0, 0, 0, block_length))
        event: Event = Delta("", (), "", finish=finish)
        return [(prompt * n + i, event) for i in range(n)]
