"""Decoding rules by policy name."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unmask.decoding.policies import Rules
from unmask.types import MAX_BLOCK_LENGTH, PolicyName
from unmask_kernels.policies.table import CODES


def make_rules(
    policies: Sequence[PolicyName],
    block: Tensor,
    quota: Tensor,
    limit: Tensor,
    *,
    longest: int = MAX_BLOCK_LENGTH,
) -> Rules:
    """Rules of rows with block index `block` [M], on its device."""
    codes = torch.tensor([CODES[name] for name in policies], dtype=torch.int32)
    starts = torch.searchsorted(block, torch.arange(len(policies) + 1, device=block.device))
    return Rules(frozenset(policies), codes.to(block.device), starts, quota, limit, longest)
