"""Softmax statistics of rows of logits by the C kernel of `softmax_stats.c`."""

import torch
from torch import Tensor

from unmask_kernels.native.library import address, kernels
from unmask_kernels.native.threads import get_num_threads


def softmax_stats(
    logits: Tensor, *, with_below: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Same as `unmask_kernels.scoring.reference.softmax_stats`."""
    logits = logits.contiguous()
    num_rows = len(logits)
    token = logits.new_empty(num_rows, dtype=torch.int64)
    highest = logits.new_empty(num_rows)
    others = logits.new_empty(num_rows, dtype=torch.float64)
    below = torch.empty_like(others) if with_below else None
    kernels(torch.float32).softmax_stats(
        logits.data_ptr(),
        token.data_ptr(),
        highest.data_ptr(),
        others.data_ptr(),
        address(below),
        *logits.shape,
        get_num_threads(),
    )
    return token, highest, others, below
