"""Rules of blocks, by the names or rows of their policies."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unmask.types import MAX_BLOCK_LENGTH
from unmask_kernels.policies.ops import Rules
from unmask_kernels.policies.table import BY_NAME, MAX_NUMBERS, Policy


def make_rules(
    policies: Sequence[str | Policy],
    block: Tensor,
    quota: Tensor,
    threshold: Tensor,
    *,
    longest: int = MAX_BLOCK_LENGTH,
) -> Rules:
    """For rows of which `block` [M] tells the block, on its device.

    `threshold` is [B], or [B, N] with the first N numbers of each policy.
    """
    rows = [BY_NAME[row] if isinstance(row, str) else row for row in policies]
    codes = torch.tensor([policy.code for policy in rows], dtype=torch.int32)
    starts = torch.searchsorted(block, torch.arange(len(policies) + 1, device=block.device))
    given = threshold.view(len(policies), -1)
    numbers = torch.nn.functional.pad(given, (0, MAX_NUMBERS - given.shape[1]))
    return Rules(frozenset(rows), codes.to(block.device), starts, quota, numbers, longest)
