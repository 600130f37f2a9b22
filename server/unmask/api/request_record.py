"""Facts of one HTTP request, gathered while it is answered, for its access line and its trace."""

import logging
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from unmask.types import Delta, Finish, SamplingParams

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class RequestRecord:
    """One HTTP request; times are those of `time.monotonic`.

    Fields of the answer are set once its requests were queued. `key_name` is the name of the API
    key that was sent, if it has one.
    """

    request_id: str
    received_s: float
    key_name: str | None = None
    answer_id: str | None = None
    model_name: str = ""
    sampling: SamplingParams | None = None
    queued_s: float | None = None
    first_token_s: float | None = None
    num_prompt_tokens: int = 0
    num_tokens: int = 0  # of all choices so far
    finishes: list[Finish] = field(default_factory=list)
    failure_code: str | None = None

    def begin(
        self,
        answer_id: str,
        model_name: str,
        num_prompt_tokens: int,
        sampling: SamplingParams | None,
    ) -> None:
        """Note that the requests of an answer were queued."""
        self.answer_id, self.model_name = answer_id, model_name
        self.num_prompt_tokens, self.sampling = num_prompt_tokens, sampling
        self.queued_s = time.monotonic()

    def note_token(self) -> None:
        """Note that a token is there; the time of the first one counts."""
        if self.first_token_s is None:
            self.first_token_s = time.monotonic()

    def note(self, delta: Delta) -> None:
        """Note tokens, and the end, of a choice."""
        if delta.token_ids:
            self.note_token()
            self.num_tokens += len(delta.token_ids)
        if delta.finish is not None:
            self.finishes.append(delta.finish)

    def fail(self, message: str, status: int, code: str) -> None:
        """Note and log that the request failed after it was queued."""
        self.failure_code = code
        level = logging.ERROR if status == 500 else logging.WARNING
        named = f"answer {self.answer_id}, request {self.request_id}"
        logger.log(level, "%s failed: %s", named, message)

    @property
    def queue_s(self) -> float | None:
        """Longest time that a choice waited for its first step; None if that is not known."""
        waits = [finish.queue_s for finish in self.finishes if finish.queue_s is not None]
        return max(waits, default=None)

    @property
    def num_cached_tokens(self) -> int:
        """Prompt tokens of all choices whose keys and values were reused."""
        return sum(finish.usage.cached_tokens for finish in self.finishes)

    @property
    def num_steps(self) -> int:
        """Denoising steps of choices that have ended."""
        return sum(finish.usage.denoising_steps for finish in self.finishes)

    @property
    def tokens_per_forward(self) -> float | None:
        """Tokens of a choice for each of its denoising steps; None before the first end."""
        num_tokens = sum(finish.usage.completion_tokens for finish in self.finishes)
        return num_tokens / self.num_steps if self.num_steps else None

    @property
    def reasons(self) -> list[str]:
        """Finish reasons, each once."""
        return sorted({finish.reason.value for finish in self.finishes})


_RECORD: ContextVar[RequestRecord] = ContextVar("record")


def follow(record: RequestRecord) -> None:
    """Make `record` that of the running task, and of tasks that it creates."""
    _RECORD.set(record)


def current_record() -> RequestRecord:
    """Record of the HTTP request that is being answered; outside of one, a new record."""
    return _RECORD.get(None) or RequestRecord("", time.monotonic())
