"""Products of rows with the weights of the experts that they were sent to."""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.gpu import grouped, routing
from unmask_kernels.gpu.grouped import (
    GroupedConfig,
    Pairs,
    grouped_config,
    multiply_down,
    multiply_gate_up,
)
from unmask_kernels.layers import Activation
from unmask_kernels.quantized import QuantizedRows
from unmask_kernels.testing.variant import Variant


@triton.jit
def combine_kernel(
    parts, shares, out, first, last, stride_out,
    TOP: tl.constexpr, ADDS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sum a row's experts, each by its share, in the order they were chosen, and what is there.

    Parts have the columns from `first` up to `last` of the result.
    """
    i_row = tl.program_id(0).to(tl.int64)
    o_column = first + tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_column = o_column < last
    acc = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(TOP):
        share = tl.load(shares + i_row * TOP + k)
        p_part = parts + (i_row * TOP + k) * (last - first) + o_column - first
        acc += share * tl.load(p_part, mask=m_column, other=0.0).to(tl.float32)
    p_out = out + i_row * stride_out + o_column
    if ADDS:
        acc += tl.load(p_out, mask=m_column, other=0.0).to(tl.float32)
    tl.store(p_out, acc.to(out.dtype.element_ty), mask=m_column)


def experts(
    x: Tensor | QuantizedRows,
    gate_up: Tensor,
    down: Tensor,
    ids: Tensor,
    shares: Tensor,
    gate_up_scales: Tensor | None,
    down_scales: Tensor | None,
    activation: Activation,
    capability: int,
    residual: Tensor | None = None,
    config: GroupedConfig | None = None,
) -> Tensor:
    """As of `experts.experts`, which checks; `config` is the chip's own if unset."""
    (num_rows, top), num_columns = ids.shape, gate_up.shape[2]
    if residual is None:
        out = torch.empty((num_rows, num_columns), dtype=x.dtype, device=ids.device)
    else:
        out = residual.contiguous()
    if not num_rows:
        return out
    if isinstance(x, Tensor) and x.stride(1) != 1:
        x = x.contiguous()
    dtype = x.values.dtype if isinstance(x, QuantizedRows) else x.dtype
    if config is None:
        config = grouped_config(dtype, gate_up.dtype, capability, ids.numel() / len(gate_up))
    assert gate_up.is_contiguous()
    assert down.is_contiguous()
    pairs = Pairs(*routing.align(ids, len(gate_up), config.rows), ids.numel(), top)
    inner = multiply_gate_up(x, gate_up, gate_up_scales, pairs, activation, config)
    width = _width(num_columns, pairs.num_pairs * out.element_size(), config)
    block = min(1024, triton.next_power_of_2(width))
    for first in range(0, num_columns, width):
        some = first, min(first + width, num_columns)
        parts = multiply_down(inner, down, down_scales, pairs, x.dtype, config, some)
        combine_kernel[(num_rows, triton.cdiv(some[1] - first, block))](
            parts, shares, out, *some, out.stride(0),
            TOP=top, ADDS=residual is not None, BLOCK=block,
        )  # fmt: skip
    return out


def _width(num_columns: int, column_bytes: int, config: GroupedConfig) -> int:
    """Columns of all pairs that are made before they are summed, whole tiles of them."""
    tile = config.down.outputs
    return min(num_columns, max(tile, config.parts_bytes // column_bytes // tile * tile))


def variants(capability: int) -> Iterator[Variant]:
    """What is launched, for the compile checks."""
    yield from grouped.variants(capability)
    yield from routing.variants(capability)
    sums = {"parts": "*bf16", "shares": "*fp32", "out": "*bf16"}
    sums |= dict.fromkeys(("first", "last", "stride_out"), "i32:16")
    constants = {"TOP": 8, "ADDS": True, "BLOCK": 1024}
    yield Variant("experts combined", combine_kernel, sums, constants)
