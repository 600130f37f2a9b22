"""Products of rows with the weights of the experts that they were sent to."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.gpu import routing
from unmask_kernels.layers import Activation, gated
from unmask_kernels.testing.variant import Variant


@dataclass(frozen=True, slots=True)
class ProductConfig:
    """Tile sizes of the grouped product; they follow the dtype, never the load."""

    rows: int = 64
    outputs: int = 128
    inputs: int = 64
    num_warps: int = 4
    num_stages: int = 3


def product_config(dtype: torch.dtype, capability: int) -> ProductConfig:
    """The tiles for a dtype of rows on a chip, such as 90 for sm_90."""
    if dtype == torch.float32:
        return ProductConfig(rows=32, outputs=64, inputs=32, num_stages=2)
    return ProductConfig() if capability >= 90 else ProductConfig(outputs=64)


@triton.jit
def grouped_product_kernel(
    x, weights, scales, out, row_of, expert_of, num_pairs, num_outputs, num_inputs,
    stride_x, stride_expert, stride_output, pairs_per_row,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, STAGES: tl.constexpr,
    SCALED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A tile of pairs of a row and an expert, the same for all; `num_pairs` stands for none.

    Pair p reads row p // pairs_per_row of `x`: several experts may take the same row.
    """
    i_tile, i_n = tl.program_id(0), tl.program_id(1)
    expert = tl.load(expert_of + i_tile)
    if expert < 0:
        return
    b_pair = tl.load(row_of + i_tile * BLOCK_M + tl.arange(0, BLOCK_M))
    m_pair = b_pair < num_pairs
    o_n = i_n * BLOCK_N + tl.arange(0, BLOCK_N)
    o_k = tl.arange(0, BLOCK_K)
    m_n = o_n < num_outputs
    p_x = x + (b_pair // pairs_per_row).to(tl.int64)[:, None] * stride_x + o_k[None, :]
    p_w = weights + expert.to(tl.int64) * stride_expert
    p_w += o_n.to(tl.int64)[:, None] * stride_output + o_k[None, :]
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for start in tl.range(0, num_inputs, BLOCK_K, num_stages=STAGES):
        m_k = start + o_k < num_inputs
        b_x = tl.load(p_x + start, mask=m_pair[:, None] & m_k[None, :], other=0.0)
        b_w = tl.load(p_w + start, mask=m_n[:, None] & m_k[None, :], other=0.0)
        acc = tl.dot(b_x, tl.trans(b_w.to(b_x.dtype)), acc, input_precision=PRECISION)
    if SCALED:
        b_scale = tl.load(scales + expert * num_outputs + o_n, mask=m_n, other=0.0)
        acc *= b_scale[None, :]
    p_out = out + b_pair.to(tl.int64)[:, None] * num_outputs + o_n[None, :]
    tl.store(p_out, acc.to(out.dtype.element_ty), mask=m_pair[:, None] & m_n[None, :])


@triton.jit
def combine_kernel(
    parts, shares, out, num_columns, TOP: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Sum a row's experts, each by its share, in the order they were chosen."""
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    acc = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(TOP):
        share = tl.load(shares + i_row * TOP + k)
        p_part = parts + (i_row * TOP + k) * num_columns + o_column
        acc += share * tl.load(p_part, mask=m_column, other=0.0).to(tl.float32)
    p_out = out + i_row * num_columns + o_column
    tl.store(p_out, acc.to(out.dtype.element_ty), mask=m_column)


def experts(
    x: Tensor,
    gate_up: Tensor,
    down: Tensor,
    ids: Tensor,
    shares: Tensor,
    gate_up_scales: Tensor | None,
    down_scales: Tensor | None,
    activation: Activation,
    capability: int,
) -> Tensor:
    """As of `experts.experts`, which checks."""
    (num_rows, num_columns), top = x.shape, ids.shape[1]
    out = torch.empty((num_rows, num_columns), dtype=x.dtype, device=x.device)
    if not num_rows:
        return out
    config = product_config(x.dtype, capability)
    row_of, expert_of = routing.align(ids, len(gate_up), config.rows)
    both = _product(x, gate_up, gate_up_scales, row_of, expert_of, ids.numel(), top, config)
    mixed = gated(both, activation)
    parts = _product(mixed, down, down_scales, row_of, expert_of, ids.numel(), 1, config)
    block = min(1024, triton.next_power_of_2(num_columns))
    grid = (num_rows, triton.cdiv(num_columns, block))
    combine_kernel[grid](parts, shares, out, num_columns, TOP=top, BLOCK=block)
    return out


def _product(
    x: Tensor,
    weights: Tensor,
    scales: Tensor | None,
    row_of: Tensor,
    expert_of: Tensor,
    num_pairs: int,
    pairs_per_row: int,
    config: ProductConfig,
) -> Tensor:
    num_outputs, num_inputs = weights.shape[1:]
    out = torch.empty((num_pairs, num_outputs), dtype=x.dtype, device=x.device)
    grouped_product_kernel[(len(expert_of), triton.cdiv(num_outputs, config.outputs))](
        x, weights, scales, out, row_of, expert_of, num_pairs, num_outputs, num_inputs,
        x.stride(0), weights.stride(0), weights.stride(1), pairs_per_row,
        BLOCK_M=config.rows, BLOCK_N=config.outputs, BLOCK_K=config.inputs,
        STAGES=config.num_stages, SCALED=scales is not None,
        PRECISION="ieee" if x.dtype == torch.float32 else "tf32", num_warps=config.num_warps,
    )  # fmt: skip
    return out


def variants(capability: int) -> Iterator[Variant]:
    """What is launched, for the compile checks."""
    config = product_config(torch.bfloat16, capability)
    tiles = {
        "BLOCK_M": config.rows, "BLOCK_N": config.outputs, "BLOCK_K": config.inputs,
        "STAGES": config.num_stages, "PRECISION": "tf32",
    }  # fmt: skip
    types = {"x": "*bf16", "out": "*bf16", "row_of": "*i32", "expert_of": "*i32"}
    sizes = ("num_outputs", "num_inputs", "stride_x", "stride_expert", "stride_output")
    types |= dict.fromkeys(sizes, "i32:16") | {"num_pairs": "i32", "pairs_per_row": "i32"}
    for weights in ("bf16", "fp8e4nv"):
        if weights != "bf16" and capability < 89:
            continue
        scaled = weights != "bf16"
        own = types | {"weights": f"*{weights}"} | ({"scales": "*fp32"} if scaled else {})
        constants = tiles | {"SCALED": scaled} | ({} if scaled else {"scales": None})
        name = f"experts {weights}"
        yield Variant(name, grouped_product_kernel, own, constants, config.num_warps, True)
    yield from routing.variants(capability)
    sums = {"parts": "*bf16", "shares": "*fp32", "out": "*bf16", "num_columns": "i32:16"}
    yield Variant("experts combined", combine_kernel, sums, {"TOP": 8, "BLOCK": 1024})
