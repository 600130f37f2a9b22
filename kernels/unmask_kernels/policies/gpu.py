"""Selection of the masked positions to fill: every policy of a step in one launch."""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.philox_gpu import position_noise
from unmask_kernels.policies.table import CODES, MAX_NUMBERS
from unmask_kernels.variant import Variant

THRESHOLD, FACTOR = tl.constexpr(CODES["threshold"]), tl.constexpr(CODES["factor"])
ENTROPY_BOUND = tl.constexpr(CODES["entropy_bound"])
ENTROPY_THRESHOLD = tl.constexpr(CODES["entropy_threshold"])
ENTROPY, MARGIN = tl.constexpr(CODES["entropy"]), tl.constexpr(CODES["margin"])
SEQUENTIAL, RANDOM = tl.constexpr(CODES["sequential"]), tl.constexpr(CODES["random"])
HIERARCHICAL = tl.constexpr(CODES["hierarchical"])
KLASS, CREDIT = tl.constexpr(CODES["klass"]), tl.constexpr(CODES["credit"])
ANCESTRAL = tl.constexpr(CODES["ancestral"])
REMDM_CAP, REMDM_RESCALE, REMDM_LOOP, REMDM_CONF = (
    tl.constexpr(CODES[f"remdm_{name}"]) for name in ("cap", "rescale", "loop", "conf")
)
LOCAL_LEAP, DMAX = tl.constexpr(CODES["local_leap"]), tl.constexpr(CODES["dmax"])
NUMBERS = tl.constexpr(MAX_NUMBERS)
READY = tl.constexpr(2.0)  # confidence of the least confident row that is ready
SIZES, COLUMNS, WARPS = (64, 256, 1024), 8, 8  # rows of a block
NOISE_ROWS = 128


@triton.jit
def _key(values, o_row, m_row, policy, BY_ENTROPY: tl.constexpr):
    """Keys that rank rows, the highest first."""
    if BY_ENTROPY:
        return tl.where(m_row, -tl.load(values + o_row, mask=m_row, other=0.0), float("-inf"))
    b_value = tl.load(values + o_row, mask=m_row, other=-1.0)
    # In sequence all masked rows are equals.
    in_sequence = (policy == SEQUENTIAL) | (policy == DMAX)
    return tl.where(in_sequence & (b_value >= 0.0), 1.0, b_value)


@triton.jit
def _is_by_chance(policy):
    is_remdm = (policy == REMDM_CAP) | (policy == REMDM_RESCALE) | (policy == REMDM_LOOP)
    return (policy == ANCESTRAL) | is_remdm | (policy == REMDM_CONF)


@triton.jit
def _is_earlier(b_other, o_other, m_other, b_key, o_row):
    """True [BLOCK, COLUMNS] where another row ranks before a row."""
    earlier = (b_other[None, :] > b_key[:, None]) | (
        (b_other[None, :] == b_key[:, None]) & (o_other[None, :] < o_row[:, None])
    )
    return earlier & m_other[None, :]


@triton.jit
def _begins_run(values, positions, first, o_row, m_row):
    """True for masked rows that do not go on from a masked row before them."""
    m_before = m_row & (o_row > 0)
    b_value = tl.load(values + first + o_row, mask=m_row, other=-1.0)
    b_before = tl.load(values + first + o_row - 1, mask=m_before, other=-1.0)
    b_position = tl.load(positions + first + o_row, mask=m_row, other=0).to(tl.int32)
    b_last = tl.load(positions + first + o_row - 1, mask=m_before, other=0).to(tl.int32)
    return (b_value >= 0.0) & ~((b_before >= 0.0) & (b_last + 1 == b_position))


@triton.jit
def _select_of_runs(
    values, positions, selected, first, count, quota, threshold, low_threshold,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The policy `hierarchical`."""
    o_row = tl.arange(0, BLOCK)
    m_row = o_row < count
    b_key = tl.load(values + first + o_row, mask=m_row, other=-1.0)
    b_run = tl.cumsum(_begins_run(values, positions, first, o_row, m_row).to(tl.int32), 0)
    b_rank = tl.zeros([BLOCK], tl.int32)
    b_best = tl.full([BLOCK], -1.0, tl.float32)
    num_runs = 0  # that begin before the columns
    for start in range(0, count, COLUMNS):
        o_other = start + tl.arange(0, COLUMNS)
        m_other = o_other < count
        b_other = tl.load(values + first + o_other, mask=m_other, other=-1.0)
        b_begins = _begins_run(values, positions, first, o_other, m_other).to(tl.int32)
        b_other_run = num_runs + tl.cumsum(b_begins, 0)
        num_runs += tl.sum(b_begins, 0)
        b_rank += tl.sum(_is_earlier(b_other, o_other, m_other, b_key, o_row).to(tl.int32), 1)
        is_of_run = b_other_run[None, :] == b_run[:, None]
        b_best = tl.maximum(b_best, tl.max(tl.where(is_of_run, b_other[None, :], -1.0), 1))
    b_chosen = (b_rank < quota) | (b_key > threshold)
    b_chosen = b_chosen | ((b_key == b_best) & (b_key > low_threshold))
    tl.store(selected + first + o_row, b_chosen, mask=m_row)


@triton.jit
def _select_near(
    values, positions, selected, first, count, quota, threshold, relaxed, radius,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The policy `local_leap`."""
    o_row = tl.arange(0, BLOCK)
    m_row = o_row < count
    b_key = tl.load(values + first + o_row, mask=m_row, other=-1.0)
    b_position = tl.load(positions + first + o_row, mask=m_row, other=0).to(tl.int32)
    b_rank = tl.zeros([BLOCK], tl.int32)
    b_near = tl.zeros([BLOCK], tl.int32)  # 1 where one that reaches the threshold is near
    for start in range(0, count, COLUMNS):
        o_other = start + tl.arange(0, COLUMNS)
        m_other = o_other < count
        b_other = tl.load(values + first + o_other, mask=m_other, other=-1.0)
        b_place = tl.load(positions + first + o_other, mask=m_other, other=0).to(tl.int32)
        b_rank += tl.sum(_is_earlier(b_other, o_other, m_other, b_key, o_row).to(tl.int32), 1)
        is_near = tl.abs(b_place[None, :] - b_position[:, None]) <= radius.to(tl.int32)
        is_anchor = m_other & (b_other >= threshold)
        b_near = tl.maximum(b_near, tl.max((is_anchor[None, :] & is_near).to(tl.int32), 1))
    b_asked = tl.where(b_near > 0, relaxed, threshold)
    tl.store(selected + first + o_row, (b_rank < quota) | (b_key >= b_asked), mask=m_row)


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
        earlier = _is_earlier(b_other, o_other, m_other, b_key, o_row)
        b_rank += tl.sum(earlier.to(tl.int32), 1)
        if BY_ENTROPY:
            b_before += tl.sum(tl.where(earlier, -b_other.to(tl.float64)[None, :], 0.0), 1)
    b_chosen = b_rank < quota
    if BY_ENTROPY:
        b_chosen = b_chosen | ((policy == ENTROPY_BOUND) & (b_before <= threshold))
        b_chosen = b_chosen | ((policy == ENTROPY_THRESHOLD) & (-b_key < threshold))
    elif policy == KLASS:
        b_chosen = b_chosen | (b_key >= READY)
    elif (policy == THRESHOLD) | (policy == CREDIT):
        b_chosen = b_chosen | (b_key >= threshold)
    elif _is_by_chance(policy):
        b_chosen = b_chosen | (b_key >= 0.0)
    elif policy == DMAX:
        # All masked rows before the first that fails are taken.
        b_value = tl.load(values + first + o_row, mask=m_row, other=-1.0)
        b_fails = (b_value >= 0.0) & (b_value < threshold)
        first_failed = tl.min(tl.where(b_fails, o_row, BLOCK), 0)
        b_chosen = b_chosen | ((b_value >= 0.0) & (o_row < first_failed))
    elif policy == FACTOR:
        # The n most confident are taken, up to the first that fails.
        b_fails = ((b_rank + 2) * (1.0 - b_key) >= threshold) & m_row
        b_chosen = b_chosen | (b_rank < tl.min(tl.where(b_fails, b_rank, 2147483647), 0))
    tl.store(selected + first + o_row, b_chosen, mask=m_row)


@triton.jit
def select_kernel(
    confidence, entropy, margin, noise, positions, starts, policies, quotas, numbers, selected,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr,
    WITH_ENTROPY: tl.constexpr, WITH_MARGIN: tl.constexpr, WITH_NOISE: tl.constexpr,
    WITH_POSITIONS: tl.constexpr,
):  # fmt: skip
    """Rank the rows of a block, the first of equals before the others, and apply its policy."""
    i_block = tl.program_id(0)
    first = tl.load(starts + i_block)
    count = (tl.load(starts + i_block + 1) - first).to(tl.int32)
    policy = tl.load(policies + i_block)
    quota, threshold = tl.load(quotas + i_block), tl.load(numbers + i_block * NUMBERS)
    second = tl.load(numbers + i_block * NUMBERS + 1)
    third = tl.load(numbers + i_block * NUMBERS + 2)
    by_entropy = (policy == ENTROPY_BOUND) | (policy == ENTROPY) | (policy == ENTROPY_THRESHOLD)
    if WITH_ENTROPY:
        if by_entropy:
            _select(entropy, selected, first, count, policy, quota, threshold,
                    BLOCK, COLUMNS, True)  # fmt: skip
    if WITH_MARGIN:
        if policy == MARGIN:
            _select(margin, selected, first, count, policy, quota, threshold,
                    BLOCK, COLUMNS, False)  # fmt: skip
    by_noise = (policy == RANDOM) | _is_by_chance(policy)
    if WITH_NOISE:
        if by_noise:
            _select(noise, selected, first, count, policy, quota, threshold,
                    BLOCK, COLUMNS, False)  # fmt: skip
    by_place = (policy == HIERARCHICAL) | (policy == LOCAL_LEAP)
    if WITH_POSITIONS:
        if policy == HIERARCHICAL:
            _select_of_runs(confidence, positions, selected, first, count, quota, threshold,
                            second, BLOCK, COLUMNS)  # fmt: skip
        if policy == LOCAL_LEAP:
            _select_near(confidence, positions, selected, first, count, quota, threshold,
                         second, third, BLOCK, COLUMNS)  # fmt: skip
    if (not by_entropy) & (not by_place) & (policy != MARGIN) & (not by_noise):
        _select(confidence, selected, first, count, policy, quota, threshold,
                BLOCK, COLUMNS, False)  # fmt: skip


def select(
    confidence: Tensor,
    entropy: Tensor | None,
    margin: Tensor | None,
    noise: Tensor | None,
    positions: Tensor | None,
    starts: Tensor,
    codes: Tensor,
    quota: Tensor,
    numbers: Tensor,
    longest: int,
) -> Tensor:
    """Positions to fill, as a boolean [M] of masked rows; none of rows that are in no block.

    `starts` [B + 1] int64 are the first rows of the blocks; `codes` [B] int32, `quota` [B]
    int64 and `numbers` [B, MAX_NUMBERS] float32 have one entry each. No block has more than
    `longest` rows.
    """
    num_blocks = len(starts) - 1
    selected = torch.zeros(len(confidence), dtype=torch.bool, device=confidence.device)
    if len(confidence):
        select_kernel[(num_blocks,)](
            confidence, entropy, margin, noise, positions, starts, codes, quota, numbers,
            selected.view(torch.int8), BLOCK=next(size for size in SIZES if size >= longest),
            COLUMNS=COLUMNS, WITH_ENTROPY=entropy is not None, WITH_MARGIN=margin is not None,
            WITH_NOISE=noise is not None, WITH_POSITIONS=positions is not None,
            num_warps=WARPS,
        )  # fmt: skip
    return selected


@triton.jit
def noise_kernel(
    seeds, steps, block, positions, noise, num_rows,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Noise of `BLOCK` rows, by the seed and the step of the block that each is in."""
    o_row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    m_row = o_row < num_rows
    b_block = tl.load(block + o_row, mask=m_row, other=0)
    b_seed, b_step = tl.load(seeds + b_block), tl.load(steps + b_block)
    b_position = tl.load(positions + o_row, mask=m_row, other=0)
    tl.store(noise + o_row, position_noise(b_seed, b_position, b_step), mask=m_row)


def noise_of(seeds: Tensor, steps: Tensor, block: Tensor, positions: Tensor) -> Tensor:
    """Noise [M] float32 of rows in blocks `block` [M], with `seeds` and `steps` [B] int64."""
    noise = torch.empty(len(block), dtype=torch.float32, device=block.device)
    if len(block):
        grid = (triton.cdiv(len(block), NOISE_ROWS),)
        noise_kernel[grid](seeds, steps, block, positions, noise, len(block), BLOCK=NOISE_ROWS)
    return noise


def variants(capability: int) -> Iterator[Variant]:
    """Every launch, for the compile checks."""
    types = {"confidence": "*fp32", "entropy": "*fp32", "margin": "*fp32", "starts": "*i64"}
    types |= {"noise": "*fp32", "positions": "*i64"}
    types |= {"policies": "*i32", "quotas": "*i64", "numbers": "*fp32", "selected": "*i8"}
    for size in SIZES:
        shape = {"BLOCK": size, "COLUMNS": COLUMNS}
        statistics = ("entropy", "margin", "noise", "positions")
        plain: dict[str, bool | None] = {f"WITH_{name.upper()}": False for name in statistics}
        plain |= dict.fromkeys(statistics)
        yield Variant(f"select {size}", select_kernel, types, shape | plain, num_warps=WARPS)
        every = {f"WITH_{name.upper()}": True for name in statistics}
        name = f"select {size} by any"
        yield Variant(name, select_kernel, types, shape | every, num_warps=WARPS)
    pointers = dict.fromkeys(("seeds", "steps", "block", "positions"), "*i64")
    types = pointers | {"noise": "*fp32", "num_rows": "i32"}
    yield Variant("noise of positions", noise_kernel, types, {"BLOCK": NOISE_ROWS})
