"""Grouped gate_up and down products, and the sum of each row's experts."""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.layers.ops import Activation
from unmask_kernels.moe.gpu import block_routing, grouped, routing
from unmask_kernels.moe.gpu.grouped import (
    GroupedConfig,
    Pairs,
    grouped_config,
    multiply_down,
    multiply_gate_up,
)
from unmask_kernels.moe.types import PER_OUTPUT_NDIM
from unmask_kernels.quantization.gpu import side_by_side
from unmask_kernels.quantization.types import QuantizedRows
from unmask_kernels.variant import Variant


@triton.jit
def combine_kernel(
    parts, topk_weights, out, num_columns,
    TOP: tl.constexpr, ADDS: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Sum a row's experts by their top-k weights, in order, and the residual if it ADDS."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    acc = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(TOP):
        weight = tl.load(topk_weights + i_row * TOP + k)
        p_part = parts + (i_row * TOP + k) * num_columns + o_column
        acc += weight * tl.load(p_part, mask=m_column, other=0.0).to(tl.float32)
    p_out = out + i_row * num_columns + o_column
    if ADDS:
        acc += tl.load(p_out, mask=m_column, other=0.0).to(tl.float32)
    tl.store(p_out, acc.to(out.dtype.element_ty), mask=m_column)


def experts(
    x: Tensor | QuantizedRows,
    gate_up: Tensor,
    down: Tensor,
    ids: Tensor,
    topk_weights: Tensor,
    gate_up_scales: Tensor | None,
    down_scales: Tensor | None,
    activation: Activation,
    capability: int,
    residual: Tensor | None = None,
    config: GroupedConfig | None = None,
) -> Tensor:
    """Implements `moe.ops.experts`, which checks; `config` is the chip's if unset."""
    (num_rows, top), num_columns = ids.shape, gate_up.shape[2]
    if residual is None:
        out = torch.empty((num_rows, num_columns), dtype=x.dtype, device=ids.device)
    else:
        out = residual.contiguous()
    if not num_rows:
        return out
    x = side_by_side(x) if isinstance(x, Tensor) else x
    dtype = x.values.dtype if isinstance(x, QuantizedRows) else x.dtype
    if config is None:
        in_groups = gate_up_scales is not None and gate_up_scales.ndim > PER_OUTPUT_NDIM
        rows_an_expert = ids.numel() / len(gate_up)
        config = grouped_config(dtype, capability, rows_an_expert, in_groups=in_groups)
    assert gate_up.is_contiguous()
    assert down.is_contiguous()
    pairs = Pairs(*routing.align_block_size(ids, len(gate_up), config.rows), ids.numel(), top)
    inner = multiply_gate_up(x, gate_up, gate_up_scales, pairs, activation, config)
    parts = multiply_down(inner, down, down_scales, pairs, x.dtype, config)
    block = min(1024, triton.next_power_of_2(num_columns))
    combine_kernel[(num_rows, triton.cdiv(num_columns, block))](
        parts, topk_weights, out, num_columns,
        TOP=top, ADDS=residual is not None, BLOCK=block,
        **dependent_launch(ids.device, num_rows),
    )  # fmt: skip
    return out


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    yield from grouped.variants(capability)
    yield from routing.variants(capability)
    yield from block_routing.variants(capability)
    sums = {"parts": "*bf16", "topk_weights": "*fp32", "out": "*bf16"}
    sums |= {"num_columns": "i32:16"}
    constants = {"TOP": 8, "ADDS": True, "BLOCK": 1024}
    yield Variant("experts combined", combine_kernel, sums, constants)
