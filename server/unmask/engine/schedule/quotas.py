"""Schedules of quotas: the fewest positions that each step of a block fills."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

LAST_TIME = 1e-3


def even_quotas(block_len: int, steps: int) -> tuple[int, ...]:
    """`block_len` cut into `steps`, the first steps taking what is left over (LLaDA, SDAR)."""
    return tuple(
        max(1, block_len // steps + (1 if step < block_len % steps else 0)) for step in range(steps)
    )


def part_quotas(lengths: Sequence[int], steps: int) -> tuple[int, ...]:
    """Parts of a block that are filled one after the other, each in an even share of the steps.

    A part takes one step at least, and no more than it has positions.
    """
    if steps >= sum(lengths):
        return (1,) * sum(lengths)
    shares = even_quotas(max(steps, len(lengths)), len(lengths))
    parts = zip(lengths, shares, strict=True)
    return tuple(
        quota for length, share in parts for quota in even_quotas(length, min(share, length))
    )


def window_quotas(window_len: int, steps: int) -> tuple[int, ...]:
    """The same share in each of at most `steps` passes, in which a whole window is filled."""
    share = -(-window_len // steps)
    return (share,) * -(-window_len // share)


@lru_cache(maxsize=256)
def timed_quotas(
    num_masked: int, steps: int, first: int = 0, last_time: float | None = None
) -> tuple[int, ...]:
    """Of what is masked, the share that falls between one time and the next, rounded down (Dream).

    Times run from 1 down to `last_time` (0.001 if it is None) in `steps` equal parts, in float32,
    whose rounding decides some of the numbers; those of the steps from `first` on are used, and the
    last fills what is left.
    Steps that would fill nothing are left out: they change nothing.
    """
    # A line as torch draws it: from both ends to the middle, rounded once.
    end = np.float32(LAST_TIME if last_time is None else last_time)
    slope = float((end - np.float32(1)) / np.float32(steps))
    index = np.arange(steps + 1)
    from_start, from_end = 1.0 + slope * index, float(end) - slope * (steps - index)
    times = np.where(index < (steps + 1) // 2, from_start, from_end).astype(np.float32)
    falls = np.float32(1) - times[1:] / times[:-1]
    quotas: list[int] = []
    for fall in falls[first:-1]:
        quotas.append(int(np.float32(num_masked) * fall))
        num_masked -= quotas[-1]
    quotas.append(num_masked)
    return tuple(quota for quota in quotas if quota)


@lru_cache(maxsize=256)
def rounded_quotas(num_masked: int, steps: int) -> tuple[int, ...]:
    """Of what is masked, an even share for the steps that are left, rounded half to even (dLLM).

    Shares are products with times in float32, whose rounding decides some of the numbers.
    """
    parts = (np.arange(steps, -1, -1) / steps).astype(np.float32)
    times = np.float32(1) - (np.float32(1) - parts)
    quotas: list[int] = []
    for share in 1 - (times[1:] / times[:-1]).astype(np.float64):
        quotas.append(min(round(num_masked * float(share)), num_masked))
        num_masked -= quotas[-1]
    return tuple(quota for quota in quotas if quota)


@lru_cache(maxsize=256)
def remaining_quotas(num_masked: int, steps: int) -> tuple[int, ...]:
    """Differences of what stays masked after each step: its share, rounded down (RND1)."""
    kept = [
        int(np.float32(num_masked) * np.float32(step / steps)) for step in range(steps - 1, -1, -1)
    ]
    quotas = [before - after for before, after in pairwise([num_masked, *kept])]
    return tuple(quota for quota in quotas if quota)


# Schedules that depend on how many positions and steps there are, and on nothing else.
SHARES: Mapping[str, Callable[[int, int], tuple[int, ...]]] = {
    "rounded": rounded_quotas,
    "remaining": remaining_quotas,
}


def chance_quotas(block_len: int, steps: int) -> tuple[int, ...]:
    """Nothing for certain in each of the `steps`, and all that is left in the last (MDLM)."""
    return (0,) * (steps - 1) + (block_len,)
