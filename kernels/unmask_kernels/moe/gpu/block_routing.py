"""Routing by block in Triton: the experts that a block of rows keeps, then each row's best."""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.moe.gpu.routing import (
    NOTHING,
    empty_routing,
    find_best,
    in_parts,
    load_logits,
    rank,
    store_best,
)
from unmask_kernels.variant import Variant

TILE_ROWS = 8  # rows of a block that are read at a time


@triton.jit
def keep_experts_kernel(
    logits, bias, blocks, kept, num_rows, num_experts, stride_part, PARTS: tl.constexpr,
    CAPACITY: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_E: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Experts of the CAPACITY highest scores of a block: a program a row, idle after the first."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0)
    block = tl.load(blocks + i_row)
    if block != tl.load(blocks + i_row - 1, mask=i_row > 0, other=-1):
        o_row, o_expert = tl.arange(0, BLOCK_R), tl.arange(0, BLOCK_E)
        m_expert = o_expert < num_experts
        b_bias = tl.load(bias + o_expert, mask=m_expert, other=0.0).to(tl.float32)
        b_best = tl.full([BLOCK_E], NOTHING, tl.int32)
        first = i_row
        is_inside = True
        while is_inside:
            o_all = first + o_row
            m_row = tl.load(blocks + o_all, mask=o_all < num_rows, other=-1) == block
            p_logits = logits + o_all.to(tl.int64)[:, None] * num_experts + o_expert[None, :]
            m_all = m_row[:, None] & m_expert[None, :]
            b_logit = load_logits(p_logits, stride_part, m_all, 0.0, PARTS)
            b_rank = rank(tl.sigmoid(b_logit) + b_bias[None, :])
            b_best = tl.maximum(b_best, tl.max(tl.where(m_all, b_rank, NOTHING), 0))
            first += BLOCK_R
            is_inside = tl.min(m_row.to(tl.int32)) == 1
        b_kept = tl.zeros([BLOCK_E], tl.int32)
        for _ in range(CAPACITY):
            m_best = o_expert == find_best(b_best, o_expert)
            b_kept = tl.where(m_best, 1, b_kept)
            b_best = tl.where(m_best, NOTHING, b_best)
        p_kept = kept + block * num_experts + o_expert
        tl.store(p_kept, b_kept.to(tl.int8), mask=m_expert)


@triton.jit
def route_by_block_kernel(
    logits, bias, blocks, kept, ids, topk_weights, scale, num_experts, stride_part,
    PARTS: tl.constexpr, TOP: tl.constexpr, RENORMALISE: tl.constexpr, BLOCK_E: tl.constexpr,
    BLOCK_K: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Experts of a row among those that its block keeps, and their top-k weights."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_expert = tl.arange(0, BLOCK_E)
    m_expert = o_expert < num_experts
    p_kept = kept + tl.load(blocks + i_row) * num_experts + o_expert
    m_kept = tl.load(p_kept, mask=m_expert, other=0) != 0
    p_logits = logits + i_row * num_experts + o_expert
    b_logit = load_logits(p_logits, stride_part, m_expert, 0.0, PARTS)
    b_bias = tl.load(bias + o_expert, mask=m_expert, other=0.0).to(tl.float32)
    b_rank = tl.where(m_kept, rank(tl.sigmoid(b_logit) + b_bias), NOTHING)
    store_best(
        b_rank, b_logit, o_expert, ids + i_row * TOP, topk_weights + i_row * TOP, scale, TOP,
        RENORMALISE, BLOCK_K,
    )  # fmt: skip


def route_by_block(
    logits: Tensor,
    blocks: Tensor,
    bias: Tensor,
    top: int,
    *,
    capacity: int,
    scale: float,
    renormalise: bool,
) -> tuple[Tensor, Tensor]:
    """Implements `moe.routing.route_by_block`; of equal experts the first is taken."""
    logits = in_parts(logits)
    num_parts, num_rows, num_experts = logits.shape
    ids, topk_weights = empty_routing(logits, top)
    if num_rows:
        kept = torch.empty((num_rows, num_experts), dtype=torch.int8, device=logits.device)
        blocks = blocks.contiguous()
        sizes = {"PARTS": num_parts, "BLOCK_E": triton.next_power_of_2(num_experts)}
        launch = dependent_launch(logits.device, num_rows)
        keep_experts_kernel[(num_rows,)](
            logits, bias, blocks, kept, num_rows, num_experts, logits.stride(0),
            CAPACITY=capacity, BLOCK_R=TILE_ROWS, num_warps=4, **sizes, **launch,
        )  # fmt: skip
        route_by_block_kernel[(num_rows,)](
            logits, bias, blocks, kept, ids, topk_weights, float(scale), num_experts,
            logits.stride(0), TOP=top, RENORMALISE=renormalise,
            BLOCK_K=triton.next_power_of_2(top), num_warps=1, **sizes, **launch,
        )  # fmt: skip
    return ids, topk_weights


def variants(capability: int) -> Iterator[Variant]:
    """Every kernel as it is launched, for the compile checks."""
    types = {"logits": "*fp32", "bias": "*fp32", "blocks": "*i64", "kept": "*i8"}
    types |= {"ids": "*i64", "topk_weights": "*fp32", "scale": "fp32"}
    types |= {"num_rows": "i32:16", "num_experts": "i32:16", "stride_part": "i32:16"}
    for experts in (256, 1024):
        shape = {"PARTS": 4, "BLOCK_E": experts}
        keep = {"CAPACITY": 48, "BLOCK_R": TILE_ROWS}
        yield Variant(f"keep experts {experts}", keep_experts_kernel, types, shape | keep)
        top = {"TOP": 8, "RENORMALISE": True, "BLOCK_K": 8}
        name = f"route by block {experts}"
        yield Variant(name, route_by_block_kernel, types, shape | top, num_warps=1)
