"""Rules of blocks, by the names or rows of their policies."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unmask.types import MAX_BLOCK_LENGTH
from unmask_kernels.policies.ops import Rules
from unmask_kernels.policies.table import BY_NAME, Policy


def make_rules(
    policies: Sequence[str | Policy],
    block: Tensor,
    quota: Tensor,
    threshold: Tensor,
    *,
    longest: int = MAX_BLOCK_LENGTH,
) -> Rules:
    """For rows of which `block` [M] tells the block, on its device."""
    rows = [BY_NAME[row] if isinstance(row, str) else row for row in policies]
    codes = torch.tensor([policy.code for policy in rows], dtype=torch.int32)
    starts = torch.searchsorted(block, torch.arange(len(policies) + 1, device=block.device))
    return Rules(frozenset(rows), codes.to(block.device), starts, quota, threshold, longest)
