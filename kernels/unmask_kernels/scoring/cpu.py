"""Rows of logits by the C kernels of `softmax_stats.c` and `class_masks.c`."""

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


def forbid_classes(logits: Tensor, grammar_of_row: Tensor, class_of: Tensor, words: Tensor) -> None:
    """Set tokens of `logits` [M, V] to -inf whose class the bits `words` [M, W] leave out.

    `class_of` [G, at least V] has the class of each token in each grammar; a negative
    `grammar_of_row` [M] changes nothing.
    """
    assert logits.is_contiguous(), "rows are written in place"
    grammar_of_row, class_of, words = (x.contiguous() for x in (grammar_of_row, class_of, words))
    kernels(torch.float32).forbid_classes(
        logits.data_ptr(),
        grammar_of_row.data_ptr(),
        class_of.data_ptr(),
        words.data_ptr(),
        *logits.shape,
        class_of.shape[1],
        words.shape[1],
        get_num_threads(),
    )
