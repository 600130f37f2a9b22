"""The engine requests of one HTTP request, and the usage of its answer."""

from dataclasses import dataclass

from unmask.api.response_models import TokenCounts, Usage
from unmask.types import Delta, Finish, Request


@dataclass(frozen=True, slots=True)
class Job:
    """The choices of one HTTP request, in order: the first `n` belong to the first prompt.

    `echoes` are texts to prepend to each choice, `behind` is one to append to all, `grammar_field`
    is the field that asks for a grammar, if one does.
    """

    job_id: str
    created_s: int
    model_name: str
    requests: tuple[Request, ...]
    n: int
    echoes: tuple[str, ...]
    behind: str = ""
    eos_ids: tuple[int, ...] = ()
    return_token_ids: bool = False
    include_usage: bool = False
    continuous_usage: bool = False
    grammar_field: str | None = None

    @property
    def num_prompt_tokens(self) -> int:
        """Prompt and suffix tokens, each counted once however many choices a prompt has."""
        return sum(request.num_given for request in self.requests[:: self.n])


class UsageTally:
    """Adds up deltas as they pass; prompt tokens are counted once per prompt."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._num_tokens = 0
        self._finishes: dict[int, Finish] = {}

    def add(self, index: int, delta: Delta) -> None:
        self._num_tokens += len(delta.token_ids)
        if delta.finish is not None:
            self._finishes[index] = delta.finish

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
        usages = [self._finishes[i].usage for i in range(len(self._job.requests))]
        firsts = usages[:: self._job.n]
        num_prompt = sum(usage.prompt_tokens for usage in firsts)
        num_completion = sum(usage.completion_tokens for usage in usages)
        total: Usage = {
            "prompt_tokens": num_prompt,
            "completion_tokens": num_completion,
            "total_tokens": num_prompt + num_completion,
            "prompt_tokens_details": {"cached_tokens": sum(u.cached_tokens for u in firsts)},
            "denoising_steps": sum(usage.denoising_steps for usage in usages),
            "forward_passes": sum(usage.forward_passes for usage in usages),
            "query_tokens": sum(usage.query_tokens for usage in usages),
            "block_length": min(usage.block_length for usage in usages),
        }
        if usages[0].mode is not None:
            modes = {usage.mode for usage in usages}
            total["mode"] = usages[0].mode if len(modes) == 1 else "auto"
        return total
