"""What an HTTP request cost, summed over its choices."""

from typing import Any

from unmask.api.job import Job
from unmask.types import Delta, Finish


class UsageTally:
    """Adds up deltas as they pass; prompt tokens are counted once per prompt."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._num_tokens = 0
        self._finishes: dict[int, Finish] = {}

    def add(self, index: int, delta: Delta) -> None:
        """Count a delta of choice `index`."""
        self._num_tokens += len(delta.token_ids)
        if delta.finish is not None:
            self._finishes[index] = delta.finish

    def so_far(self) -> dict[str, Any]:
        """Tokens of a stream that goes on."""
        return _tokens(self._job.num_prompt_tokens, self._num_tokens)

    def total(self) -> dict[str, Any]:
        """Everything, when all choices have ended."""
        usages = [self._finishes[i].usage for i in range(len(self._job.requests))]
        firsts = usages[:: self._job.n]
        return {
            **_tokens(
                sum(usage.prompt_tokens for usage in firsts),
                sum(usage.completion_tokens for usage in usages),
            ),
            "prompt_tokens_details": {"cached_tokens": sum(u.cached_tokens for u in firsts)},
            "denoising_steps": sum(usage.denoising_steps for usage in usages),
            "forward_passes": sum(usage.forward_passes for usage in usages),
            "query_tokens": sum(usage.query_tokens for usage in usages),
            "block_length": min(usage.block_length for usage in usages),
        }


def _tokens(num_prompt: int, num_completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_completion,
        "total_tokens": num_prompt + num_completion,
    }
