"""Selection of the masked positions to fill: every policy of a step in one launch."""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.policies.table import CODES
from unmask_kernels.variant import Variant

THRESHOLD, FACTOR = tl.constexpr(CODES["threshold"]), tl.constexpr(CODES["factor"])
ENTROPY_BOUND = tl.constexpr(CODES["entropy_bound"])
ENTROPY_THRESHOLD = tl.constexpr(CODES["entropy_threshold"])
ENTROPY, MARGIN = tl.constexpr(CODES["entropy"]), tl.constexpr(CODES["margin"])
SEQUENTIAL = tl.constexpr(CODES["sequential"])
SIZES, COLUMNS, WARPS = (64, 256, 1024), 8, 8  # rows of a block


@triton.jit
def _key(values, o_row, m_row, policy, BY_ENTROPY: tl.constexpr):
    """Keys that rank rows, the highest first."""
    if BY_ENTROPY:
        return tl.where(m_row, -tl.load(values + o_row, mask=m_row, other=0.0), float("-inf"))
    b_value = tl.load(values + o_row, mask=m_row, other=-1.0)
    # In sequence all masked rows are equals.
    return tl.where((policy == SEQUENTIAL) & (b_value >= 0.0), 1.0, b_value)


@triton.jit
def _select(
    values, selected, first, count, policy, quota, threshold,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr, BY_ENTROPY: tl.constexpr,
):  # fmt: skip
    o_row = tl.arange(0, BLOCK)
    m_row = o_row < count
    b_key = _key(values, first + o_row, m_row, policy, BY_ENTROPY)
    b_rank = tl.zeros([BLOCK], tl.int32)
    b_before = tl.zeros([BLOCK], tl.float64)  # entropy of rows that rank before
    for start in range(0, count, COLUMNS):
        o_other = start + tl.arange(0, COLUMNS)
        m_other = o_other < count
        b_other = _key(values, first + o_other, m_other, policy, BY_ENTROPY)
        earlier = (b_other[None, :] > b_key[:, None]) | (
            (b_other[None, :] == b_key[:, None]) & (o_other[None, :] < o_row[:, None])
        )
        earlier = earlier & m_other[None, :]
        b_rank += tl.sum(earlier.to(tl.int32), 1)
        if BY_ENTROPY:
            b_before += tl.sum(tl.where(earlier, -b_other.to(tl.float64)[None, :], 0.0), 1)
    b_chosen = b_rank < quota
    if BY_ENTROPY:
        b_chosen = b_chosen | ((policy == ENTROPY_BOUND) & (b_before <= threshold))
        b_chosen = b_chosen | ((policy == ENTROPY_THRESHOLD) & (-b_key < threshold))
    elif policy == THRESHOLD:
        b_chosen = b_chosen | (b_key >= threshold)
    elif policy == FACTOR:
        # The n most confident are taken, up to the first that fails.
        b_fails = ((b_rank + 2) * (1.0 - b_key) >= threshold) & m_row
        b_chosen = b_chosen | (b_rank < tl.min(tl.where(b_fails, b_rank, 2147483647), 0))
    tl.store(selected + first + o_row, b_chosen, mask=m_row)


@triton.jit
def select_kernel(
    confidence, entropy, margin, starts, policies, quotas, thresholds, selected,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr,
    WITH_ENTROPY: tl.constexpr, WITH_MARGIN: tl.constexpr,
):  # fmt: skip
    """Rank the rows of a block, the first of equals before the others, and apply its policy."""
    i_block = tl.program_id(0)
    first = tl.load(starts + i_block)
    count = (tl.load(starts + i_block + 1) - first).to(tl.int32)
    policy = tl.load(policies + i_block)
    quota, threshold = tl.load(quotas + i_block), tl.load(thresholds + i_block)
    by_entropy = (policy == ENTROPY_BOUND) | (policy == ENTROPY) | (policy == ENTROPY_THRESHOLD)
    if WITH_ENTROPY:
        if by_entropy:
            _select(entropy, selected, first, count, policy, quota, threshold,
                    BLOCK, COLUMNS, True)  # fmt: skip
    if WITH_MARGIN:
        if policy == MARGIN:
            _select(margin, selected, first, count, policy, quota, threshold,
                    BLOCK, COLUMNS, False)  # fmt: skip
    if (not by_entropy) & (policy != MARGIN):
        _select(confidence, selected, first, count, policy, quota, threshold,
                BLOCK, COLUMNS, False)  # fmt: skip


def select(
    confidence: Tensor,
    entropy: Tensor | None,
    margin: Tensor | None,
    starts: Tensor,
    codes: Tensor,
    quota: Tensor,
    threshold: Tensor,
    longest: int,
) -> Tensor:
    """Positions to fill, as a boolean [M] of masked rows; none of rows that are in no block.

    `starts` [B + 1] int64 are the first rows of the blocks; `codes` [B] int32, `quota` [B]
    int64 and `threshold` [B] float32 have one entry each. No block has more than `longest` rows.
    """
    num_blocks = len(starts) - 1
    selected = torch.zeros(len(confidence), dtype=torch.bool, device=confidence.device)
    if len(confidence):
        select_kernel[(num_blocks,)](
            confidence, entropy, margin, starts, codes, quota, threshold,
            selected.view(torch.int8), BLOCK=next(size for size in SIZES if size >= longest),
            COLUMNS=COLUMNS, WITH_ENTROPY=entropy is not None, WITH_MARGIN=margin is not None,
            num_warps=WARPS,
        )  # fmt: skip
    return selected


def variants(capability: int) -> Iterator[Variant]:
    """Every launch, for the compile checks."""
    types = {"confidence": "*fp32", "entropy": "*fp32", "margin": "*fp32", "starts": "*i64"}
    types |= {"policies": "*i32", "quotas": "*i64", "thresholds": "*fp32", "selected": "*i8"}
    for size in SIZES:
        shape = {"BLOCK": size, "COLUMNS": COLUMNS}
        plain = {"WITH_ENTROPY": False, "WITH_MARGIN": False, "entropy": None, "margin": None}
        yield Variant(f"select {size}", select_kernel, types, shape | plain, num_warps=WARPS)
        every = {"WITH_ENTROPY": True, "WITH_MARGIN": True}
        name = f"select {size} by any"
        yield Variant(name, select_kernel, types, shape | every, num_warps=WARPS)
