"""Routing in Triton: router logits, top-k weights, and pairs of rows and experts by expert."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.quantization.gpu import side_by_side
from unmask_kernels.variant import Variant

NOTHING = tl.constexpr(-(2**31))  # a rank below any expert's
NO_ENTRY = tl.constexpr(2**31 - 1)
PARTS_NDIM = 3
ROUTER_SPAN = 512  # inputs of a partial sum of a logit, for any number of rows
ROUTER_ROWS = {16: 256, 32: 512}  # rows of a tile: most rows of a step
MOST_ROUTER_ROWS = 64  # 4,608 rows took 53 us on an H100, tiles of 128 rows and 8 warps 116
COUNTED_PAIRS = 128  # pairs of a program


@dataclass(frozen=True, slots=True)
class RouterTile:
    """Sizes of the router's product; `rows` may follow the load, `inputs` may not."""

    rows: int
    experts: int = 64
    inputs: int = 64
    num_warps: int = 4
    num_stages: int = 3


def router_tile(num_rows: int, dtype: torch.dtype) -> RouterTile:
    """The tile for a number of rows, which changes no sum, and their dtype."""
    if dtype == torch.float32:  # three times the registers
        return RouterTile(16)
    fitting = (rows for rows, most in ROUTER_ROWS.items() if num_rows <= most)
    return RouterTile(next(fitting, MOST_ROUTER_ROWS))


@triton.jit
def router_kernel(
    x, weights, out, num_rows, num_experts, num_inputs, stride_x,
    BLOCK_R: tl.constexpr, BLOCK_E: tl.constexpr, BLOCK_K: tl.constexpr, SPAN: tl.constexpr,
    STAGES: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Partial router logits of a tile of experts and rows over SPAN inputs, from a multiple of it.

    A float32 router times bfloat16 rows is three bfloat16 products, which hold all its bits; the
    compiler splits float32 rows in three.
    """
    wait_for_inputs(PDL)
    i_r, i_e, i_part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    o_r, o_e = i_r * BLOCK_R + tl.arange(0, BLOCK_R), i_e * BLOCK_E + tl.arange(0, BLOCK_E)
    o_k = tl.arange(0, BLOCK_K)
    m_r, m_e = o_r < num_rows, o_e < num_experts
    p_x = x + o_r.to(tl.int64)[:, None] * stride_x + o_k[None, :]
    p_w = weights + o_e[:, None] * num_inputs + o_k[None, :]
    acc = tl.zeros([BLOCK_E, BLOCK_R], tl.float32)
    first = i_part * SPAN
    for start in tl.range(first, tl.minimum(first + SPAN, num_inputs), BLOCK_K, num_stages=STAGES):
        m_k = start + o_k < num_inputs
        b_x = tl.load(p_x + start, mask=m_r[:, None] & m_k[None, :], other=0.0)
        b_w = tl.load(p_w + start, mask=m_e[:, None] & m_k[None, :], other=0.0)
        b_xt = tl.trans(b_x)
        if b_x.dtype == tl.bfloat16 and b_w.dtype == tl.float32:
            b_high = b_w.to(tl.bfloat16)
            b_rest = b_w - b_high.to(tl.float32)
            b_middle = b_rest.to(tl.bfloat16)
            b_low = (b_rest - b_middle.to(tl.float32)).to(tl.bfloat16)
            acc = tl.dot(b_low, b_xt, acc)
            acc = tl.dot(b_middle, b_xt, acc)
            acc = tl.dot(b_high, b_xt, acc)
        elif b_x.dtype == b_w.dtype and b_x.dtype != tl.float32:
            acc = tl.dot(b_w, b_xt, acc)
        else:
            b_xt = b_xt.to(tl.float32)
            acc = tl.dot(b_w.to(tl.float32), b_xt, acc, input_precision="tf32x3")
    p_row = out + (i_part.to(tl.int64) * num_rows + o_r) * num_experts
    tl.store(p_row[None, :] + o_e[:, None], acc, mask=m_e[:, None] & m_r[None, :])


@triton.jit
def load_logits(p_logits, stride_part, m_expert, other, PARTS: tl.constexpr):
    """Logits of a row: their partial sums added in order."""
    b_logit = tl.load(p_logits, mask=m_expert, other=other).to(tl.float32)
    for part in tl.static_range(1, PARTS):
        b_logit += tl.load(p_logits + part * stride_part, mask=m_expert, other=0.0)
    return b_logit


@triton.jit
def rank(b_x):
    """Integers in the order of float32 `b_x`, NaN included, so that a row always has a highest."""
    b_bits = tl.where(b_x == 0.0, 0.0, b_x).to(tl.int32, bitcast=True)
    return tl.maximum(b_bits ^ ((b_bits >> 31) & 0x7FFFFFFF), NOTHING + 1)


@triton.jit
def find_best(b_rank, o_entry):
    """Entry of the highest rank, the first of equals."""
    return tl.min(tl.where(b_rank == tl.max(b_rank), o_entry, NO_ENTRY))


@triton.jit
def _keep_groups(
    b_choice, o_group, o_member, GROUPS: tl.constexpr, SIZE: tl.constexpr, TOP_GROUPS: tl.constexpr
):  # fmt: skip
    """Mask [G] of the groups of `b_choice` [G, S] with the highest sums of their two best."""
    b_group = tl.max(b_choice, 1)
    if SIZE > 1:
        m_best = b_choice == b_group[:, None]
        b_first = tl.min(tl.where(m_best, o_member[None, :], NO_ENTRY), 1)
        m_first = o_member[None, :] == b_first[:, None]
        b_group += tl.max(tl.where(m_first, float("-inf"), b_choice), 1)
    b_rank = tl.where(o_group < GROUPS, rank(b_group), NOTHING)
    m_kept = o_group < 0
    for _ in tl.static_range(TOP_GROUPS):
        m_best_group = o_group == find_best(b_rank, o_group)
        m_kept = m_kept | m_best_group
        b_rank = tl.where(m_best_group, NOTHING, b_rank)
    return m_kept


@triton.jit
def store_best(
    b_rank, b_logit, o_expert, p_ids, p_weights, scale, TOP: tl.constexpr,
    RENORMALISE: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Store the TOP experts of the highest ranks, and the scaled sigmoids of their logits."""
    o_k = tl.arange(0, BLOCK_K)
    b_id = tl.zeros([BLOCK_K], tl.int32)
    b_weight = tl.zeros([BLOCK_K], tl.float32)
    total = 0.0
    for k in tl.static_range(TOP):
        expert = find_best(b_rank, o_expert)
        b_rank = tl.where(o_expert == expert, NOTHING, b_rank)
        weight = tl.sigmoid(tl.sum(tl.where(o_expert == expert, b_logit, 0.0)))
        total += weight
        b_id = tl.where(o_k == k, expert, b_id)
        b_weight = tl.where(o_k == k, weight, b_weight)
    if RENORMALISE:
        b_weight = b_weight / (total + 1e-20)
    tl.store(p_ids + o_k, b_id.to(tl.int64), mask=o_k < TOP)
    tl.store(p_weights + o_k, b_weight * scale, mask=o_k < TOP)


@triton.jit
def route_sigmoid_kernel(
    logits, bias, ids, topk_weights, scale, stride_part, PARTS: tl.constexpr,
    GROUPS: tl.constexpr, SIZE: tl.constexpr, TOP_GROUPS: tl.constexpr, TOP: tl.constexpr,
    RENORMALISE: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_K: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """Experts of a row and their top-k weights."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_group, o_member = tl.arange(0, BLOCK_G), tl.arange(0, BLOCK_S)
    o_expert = o_group[:, None] * SIZE + o_member[None, :]
    m_expert = (o_group < GROUPS)[:, None] & (o_member < SIZE)[None, :]
    p_logits = logits + i_row * GROUPS * SIZE + o_expert
    b_logit = load_logits(p_logits, stride_part, m_expert, 0.0, PARTS)
    b_bias = tl.load(bias + o_expert, mask=m_expert, other=0.0).to(tl.float32)
    b_choice = tl.where(m_expert, tl.sigmoid(b_logit) + b_bias, float("-inf"))
    if TOP_GROUPS < GROUPS:
        m_kept = _keep_groups(b_choice, o_group, o_member, GROUPS, SIZE, TOP_GROUPS)
        b_choice = tl.where(m_kept[:, None], b_choice, float("-inf"))
    b_rank = tl.where(m_expert, rank(b_choice), NOTHING)
    store_best(
        b_rank, b_logit, o_expert, ids + i_row * TOP, topk_weights + i_row * TOP, scale, TOP,
        RENORMALISE, BLOCK_K,
    )  # fmt: skip


@triton.jit
def route_softmax_kernel(
    logits, bias, scales, ids, topk_weights, num_experts, stride_part, PARTS: tl.constexpr,
    TOP: tl.constexpr, RENORMALISE: tl.constexpr, BIASED: tl.constexpr, SCALED: tl.constexpr,
    BLOCK_E: tl.constexpr, BLOCK_K: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Experts of a row and their top-k weights; without a bias they are ranked by their logits."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_expert = tl.arange(0, BLOCK_E)
    m_expert = o_expert < num_experts
    p_logits = logits + i_row * num_experts + o_expert
    b_logit = load_logits(p_logits, stride_part, m_expert, float("-inf"), PARTS)
    highest = tl.max(b_logit, 0)
    b_exp = tl.exp(b_logit - highest)
    whole = tl.sum(b_exp, 0)
    b_choice = b_logit
    if BIASED:
        b_bias = tl.load(bias + o_expert, mask=m_expert, other=0.0).to(tl.float32)
        b_choice = b_exp / whole + b_bias
    b_rank = tl.where(m_expert, rank(b_choice), NOTHING)
    o_k = tl.arange(0, BLOCK_K)
    b_id = tl.zeros([BLOCK_K], tl.int32)
    b_weight = tl.zeros([BLOCK_K], tl.float32)
    total = 0.0
    for k in tl.static_range(TOP):
        expert = find_best(b_rank, o_expert)
        b_rank = tl.where(o_expert == expert, NOTHING, b_rank)
        logit = tl.sum(tl.where(o_expert == expert, b_logit, 0.0))
        weight = tl.exp(logit - highest) / whole
        if BIASED:
            weight += tl.load(bias + expert).to(tl.float32)
        total += weight
        b_id = tl.where(o_k == k, expert, b_id)
        b_weight = tl.where(o_k == k, weight, b_weight)
    if RENORMALISE:
        b_weight = b_weight / total
    if SCALED:
        b_weight *= tl.load(scales + b_id, mask=o_k < TOP, other=0.0)
    tl.store(ids + i_row * TOP + o_k, b_id.to(tl.int64), mask=o_k < TOP)
    tl.store(topk_weights + i_row * TOP + o_k, b_weight, mask=o_k < TOP)


@triton.jit
def count_pairs_kernel(ids, counts, ranks, num_pairs, BLOCK: tl.constexpr, PDL: tl.constexpr):
    """Number of pairs of each expert, and each pair's index among its expert's."""
    wait_for_inputs(PDL)
    o_pair = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    m_pair = o_pair < num_pairs
    b_id = tl.load(ids + o_pair, mask=m_pair, other=0)
    b_rank = tl.atomic_add(counts + b_id, 1, mask=m_pair, sem="relaxed")
    tl.store(ranks + o_pair, b_rank, mask=m_pair)


@triton.jit
def place_pairs_kernel(
    ids, counts, ranks, row_of, expert_of, num_pairs, num_experts,
    TILE: tl.constexpr, BLOCK_E: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Expert and padding of a tile, and the places of as many pairs.

    Tiles of an expert follow those of the experts before it.
    """
    wait_for_inputs(PDL)
    i_tile = tl.program_id(0)
    o_expert = tl.arange(0, BLOCK_E)
    b_count = tl.load(counts + o_expert, mask=o_expert < num_experts, other=0)
    b_tiles = (b_count + TILE - 1) // TILE
    b_end = tl.cumsum(b_tiles, 0)
    expert = tl.sum((b_end <= i_tile).to(tl.int32), 0)  # num_experts for a padding tile
    tl.store(expert_of + i_tile, tl.where(expert < num_experts, expert, -1))
    b_first = b_end - b_tiles
    b_count_here = b_count - (i_tile - b_first) * TILE
    num_pairs_here = tl.sum(tl.where(o_expert == expert, b_count_here, 0), 0)
    o_place = tl.arange(0, TILE)
    o_pair = i_tile * TILE + o_place
    tl.store(row_of + o_pair, num_pairs, mask=o_place >= num_pairs_here)
    m_pair = o_pair < num_pairs
    b_id = tl.load(ids + o_pair, mask=m_pair, other=0).to(tl.int32)
    b_rank = tl.load(ranks + o_pair, mask=m_pair, other=0)
    b_place = tl.gather(b_first, b_id, 0) * TILE + b_rank
    tl.store(row_of + b_place, o_pair, mask=m_pair)


def router_logits(x: Tensor, weight: Tensor, tile: RouterTile | None = None) -> Tensor:
    """Partial sums [G, T, E] of the logits of rows [T, C], for a router's weight [E, C]."""
    (num_rows, num_inputs), num_experts = x.shape, len(weight)
    x = side_by_side(x)
    num_parts, tile = triton.cdiv(num_inputs, ROUTER_SPAN), tile or router_tile(len(x), x.dtype)
    shape = (num_parts, num_rows, num_experts)
    out = torch.empty(shape, dtype=torch.float32, device=x.device)
    if num_rows:
        grid = (triton.cdiv(num_rows, tile.rows), triton.cdiv(num_experts, tile.experts), num_parts)
        router_kernel[grid](
            x, weight.contiguous(), out, num_rows, num_experts, num_inputs, x.stride(0),
            BLOCK_R=tile.rows, BLOCK_E=tile.experts, BLOCK_K=tile.inputs, SPAN=ROUTER_SPAN,
            STAGES=tile.num_stages, num_warps=tile.num_warps,
            **dependent_launch(x.device, num_rows),
        )  # fmt: skip
    return out


def route_softmax(
    logits: Tensor,
    top: int,
    *,
    renormalise: bool,
    bias: Tensor | None,
    scales: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Implements `moe.routing.route_softmax`; of experts with equal logits the first is taken."""
    logits = in_parts(logits)
    num_parts, num_rows, num_experts = logits.shape
    assert top <= num_experts
    ids, topk_weights = empty_routing(logits, top)
    if num_rows:
        route_softmax_kernel[(num_rows,)](
            logits, bias, scales, ids, topk_weights, num_experts, logits.stride(0),
            PARTS=num_parts, TOP=top, RENORMALISE=renormalise, BIASED=bias is not None,
            SCALED=scales is not None, BLOCK_E=triton.next_power_of_2(num_experts),
            BLOCK_K=triton.next_power_of_2(top), num_warps=1,
            **dependent_launch(logits.device, num_rows),
        )  # fmt: skip
    return ids, topk_weights


def route_sigmoid(
    logits: Tensor,
    bias: Tensor,
    top: int,
    *,
    groups: int,
    top_groups: int,
    scale: float,
    renormalise: bool,
) -> tuple[Tensor, Tensor]:
    """Implements `moe.routing.route_sigmoid`; of equal experts and groups the first is taken."""
    logits = in_parts(logits)
    num_parts, num_rows, num_experts = logits.shape
    size = num_experts // groups
    assert top <= num_experts == groups * size
    assert top_groups <= groups
    ids, topk_weights = empty_routing(logits, top)
    if num_rows:
        route_sigmoid_kernel[(num_rows,)](
            logits, bias, ids, topk_weights, float(scale), logits.stride(0), PARTS=num_parts,
            GROUPS=groups, SIZE=size, TOP_GROUPS=top_groups, TOP=top, RENORMALISE=renormalise,
            BLOCK_G=triton.next_power_of_2(groups), BLOCK_S=triton.next_power_of_2(size),
            BLOCK_K=triton.next_power_of_2(top), num_warps=1,
            **dependent_launch(logits.device, num_rows),
        )  # fmt: skip
    return ids, topk_weights


def in_parts(logits: Tensor) -> Tensor:
    """Logits [T, E] as one part [1, T, E]; those in parts unchanged."""
    return (logits if logits.ndim == PARTS_NDIM else logits[None]).contiguous()


def empty_routing(logits: Tensor, top: int) -> tuple[Tensor, Tensor]:
    shape, device = (logits.shape[1], top), logits.device
    ids = torch.empty(shape, dtype=torch.int64, device=device)
    return ids, torch.empty(shape, dtype=torch.float32, device=device)


def align_block_size(ids: Tensor, num_experts: int, tile: int) -> tuple[Tensor, Tensor]:
    """Same as `reference.align_block_size`, but pairs of an expert come in any order.

    Atomic additions decide the order. The sum of a row's product does not depend on its place in a
    tile, so no bit of a result depends on the order.
    """
    flat = ids.flatten()
    num_pairs, device = len(flat), ids.device
    num_tiles = triton.cdiv(num_pairs, tile) + min(num_experts, num_pairs)
    row_of = torch.empty(num_tiles * tile, dtype=torch.int32, device=device)
    expert_of = torch.empty(num_tiles, dtype=torch.int32, device=device)
    if num_pairs:
        counts = torch.zeros(num_experts, dtype=torch.int32, device=device)
        ranks = torch.empty(num_pairs, dtype=torch.int32, device=device)
        count_pairs_kernel[(triton.cdiv(num_pairs, COUNTED_PAIRS),)](
            flat, counts, ranks, num_pairs, BLOCK=COUNTED_PAIRS,
            **dependent_launch(device, len(ids)),
        )  # fmt: skip
        place_pairs_kernel[(num_tiles,)](
            flat, counts, ranks, row_of, expert_of, num_pairs, num_experts,
            TILE=tile, BLOCK_E=triton.next_power_of_2(num_experts),
            **dependent_launch(device, len(ids)),
        )  # fmt: skip
    return row_of, expert_of


def variants(capability: int) -> Iterator[Variant]:
    """Every kernel as it is launched, for the compile checks."""
    kinds = [(torch.float32, "fp32", "fp32", 1)]
    for num_rows in (1, 512, 4096):
        kinds += [(torch.bfloat16, "bf16", router, num_rows) for router in ("fp32", "bf16")]
    for dtype, rows, router, num_rows in kinds:
        cut = router_tile(num_rows, dtype)
        tile = {"BLOCK_R": cut.rows, "BLOCK_E": cut.experts, "BLOCK_K": cut.inputs}
        tile |= {"STAGES": cut.num_stages, "SPAN": ROUTER_SPAN}
        signature = {"weights": f"*{router}", "out": "*fp32", "num_rows": "i32", "x": f"*{rows}"}
        signature |= dict.fromkeys(("num_experts", "num_inputs", "stride_x"), "i32:16")
        name = f"router logits {rows} {router} {cut.rows} rows"
        yield Variant(name, router_kernel, signature, tile, cut.num_warps, multiplies=True)
    types = {"bias": "*fp32", "ids": "*i64", "topk_weights": "*fp32", "stride_part": "i32:16"}
    grouped = {"PARTS": 4, "TOP_GROUPS": 4, "TOP": 8, "RENORMALISE": True, "BLOCK_K": 8}
    for groups, experts in ((8, 256), (1, 1024)):
        size = experts // groups
        shape = {"GROUPS": groups, "SIZE": size, "BLOCK_G": groups, "BLOCK_S": size}
        shape |= {"TOP_GROUPS": min(4, groups)}
        signature = types | {"logits": "*fp32", "scale": "fp32"}
        name = f"route sigmoid {groups} of {size}"
        yield Variant(name, route_sigmoid_kernel, signature, grouped | shape, num_warps=1)
    for experts, top, biased in ((64, 8, True), (128, 8, False), (1024, 16, False)):
        signature = types | {"logits": "*bf16", "num_experts": "i32:16", "scales": "*fp32"}
        constants: dict[str, Any] = {
            "PARTS": 4,
            "TOP": top,
            "RENORMALISE": not biased,
            "BIASED": biased,
        }
        constants |= {"BLOCK_E": experts, "BLOCK_K": top} | ({} if biased else {"bias": None})
        constants |= {"SCALED": experts == 128} | ({} if experts == 128 else {"scales": None})
        yield Variant(
            f"route softmax {experts}", route_softmax_kernel, signature, constants, num_warps=1
        )
    pairs = dict.fromkeys(("counts", "ranks", "row_of", "expert_of"), "*i32") | {"ids": "*i64"}
    pairs |= {"num_pairs": "i32:16", "num_experts": "i32:16"}
    yield Variant("count pairs", count_pairs_kernel, pairs, {"BLOCK": COUNTED_PAIRS})
    for experts in (64, 256, 1024):
        tiles = {"TILE": 64, "BLOCK_E": experts}
        yield Variant(f"place pairs of {experts}", place_pairs_kernel, pairs, tiles)
