"""The engine requests of one HTTP request, and the usage of its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unmask import types
from unmask.api.request_record import current_record
from unmask.api.response_models import TokenCounts, Usage
from unmask.likelihood import mean_logprob
from unmask.types import Delta, Finish, Request


@dataclass(frozen=True, slots=True)
class Job:
    """The choices of one HTTP request, in order: the first `n` belong to the first prompt.

    Of them the `num_kept` best are returned. `readings` are of the log-probabilities of prompts,
    None for those that are not read, such as one of a token; if not `generates`, nothing else is
    done. `echoes` are texts to prepend to each choice, `behind` is one to append to all.
    `field_names` are the body's, by those of the engine.
    """

    job_id: str
    created_s: int
    model_name: str
    requests: tuple[Request, ...]
    n: int
    num_kept: int
    echoes: tuple[str, ...]
    readings: tuple[Request | None, ...] = ()
    generates: bool = True
    behind: str = ""
    eos_ids: tuple[int, ...] = ()
    return_token_ids: bool = False
    include_usage: bool = False
    continuous_usage: bool = False
    field_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def submitted(self) -> tuple[Request, ...]:
        """The requests of choices, then those of readings."""
        choices = self.requests if self.generates else ()
        return (*choices, *(reading for reading in self.readings if reading is not None))

    def best(self, deltas: Sequence[Delta]) -> list[int]:
        """Choices that are returned, of each prompt those with the highest mean log-probability."""
        indices = range(len(self.requests))
        if self.num_kept == self.n:
            return list(indices)
        means = [mean_logprob(delta.logprobs) for delta in deltas]
        prompts = [indices[i : i + self.n] for i in indices[:: self.n]]
        ranked = [sorted(own, key=lambda i: -means[i]) for own in prompts]
        return [i for own in ranked for i in own[: self.num_kept]]

    @property
    def num_prompt_tokens(self) -> int:
        """Prompt and suffix tokens, each counted once however many choices a prompt has."""
        return sum(request.num_given for request in self.requests[:: self.n])

    @property
    def num_image_tokens(self) -> int:
        """Prompt tokens that are rows of images, counted once as well."""
        prompts = self.requests[:: self.n]
        return sum(rows.end - rows.start for request in prompts for rows in request.images)


class UsageTally:
    """Adds up deltas as they pass; prompt tokens are counted once per prompt."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._record = current_record()
        sampling = job.requests[0].sampling if job.requests else None
        self._record.begin(job.job_id, job.model_name, job.num_prompt_tokens, sampling)
        self._num_tokens = 0
        self._finishes: dict[int, Finish] = {}
        self._readings: list[types.Usage] = []

    @property
    def first_token_s(self) -> float | None:
        """Time of the first token of a choice; None before it."""
        return self._record.first_token_s

    def add(self, index: int, delta: Delta) -> None:
        self._record.note(delta)
        self._num_tokens += len(delta.token_ids)
        if delta.finish is not None:
            self._finishes[index] = delta.finish

    def add_reading(self, usage: types.Usage) -> None:
        """Add the passes of a prompt's reading; its tokens are the prompt's."""
        self._readings.append(usage)

    def so_far(self) -> TokenCounts:
        """Tokens so far, for chunks of a stream."""
        num_prompt, num_completion = self._job.num_prompt_tokens, self._num_tokens
        return {
            "prompt_tokens": num_prompt,
            "completion_tokens": num_completion,
            "total_tokens": num_prompt + num_completion,
        }

    def total(self) -> Usage:
        """Usage of all choices, which must have finished."""
        usage = self._summed()
        total: Usage = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "denoising_steps": usage.denoising_steps,
            "forward_passes": usage.forward_passes,
            "query_tokens": usage.query_tokens,
            "block_length": usage.block_length,
        }
        if num_image_tokens := self._job.num_image_tokens:
            total["prompt_tokens_details"]["image_tokens"] = num_image_tokens
        if usage.mode is not None:
            total["mode"] = usage.mode
        return total

    def _summed(self) -> types.Usage:
        """The choices' usage as that of one, whose mode is `auto` if theirs differ."""
        if len(self._finishes) == 1 and not self._readings:
            return self._finishes[0].usage
        usages = [self._finishes[i].usage for i in range(len(self._job.requests))]
        firsts = usages[:: self._job.n]
        passes = [*usages, *self._readings]
        modes = {usage.mode for usage in usages}
        return types.Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in firsts),
            cached_tokens=sum(usage.cached_tokens for usage in firsts),
            completion_tokens=sum(usage.completion_tokens for usage in usages),
            denoising_steps=sum(usage.denoising_steps for usage in passes),
            forward_passes=sum(usage.forward_passes for usage in passes),
            query_tokens=sum(usage.query_tokens for usage in passes),
            block_length=min(usage.block_length for usage in usages),
            mode=usages[0].mode if len(modes) == 1 else "auto",
        )
