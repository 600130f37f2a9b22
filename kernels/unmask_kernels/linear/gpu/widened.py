"""Weight-only products in Triton: 8-bit weights are widened in registers."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.quantization.gpu import side_by_side
from unmask_kernels.variant import Variant


@dataclass(frozen=True, slots=True)
class ScaledConfig:
    """Tile sizes of the product, which follow the dtype, never the load."""

    rows: int = 64
    outputs: int = 64
    inputs: int = 128
    num_warps: int = 4
    num_stages: int = 3


def scaled_config(dtype: torch.dtype, capability: int) -> ScaledConfig:
    """The tiles for a dtype of rows on a chip, such as 90 for sm_90."""
    if dtype == torch.float32:
        return ScaledConfig(rows=32, inputs=32, num_stages=2)
    return ScaledConfig() if capability >= 90 else ScaledConfig(inputs=64)


@triton.jit
def scaled_product_kernel(
    x, weights, scales, out, num_rows, num_outputs, num_inputs, stride_x, stride_output,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """A tile of rows and outputs; one program sums all inputs in order."""
    i_m, i_n = tl.program_id(1), tl.program_id(0)
    o_m = i_m * BLOCK_M + tl.arange(0, BLOCK_M)
    o_n = i_n * BLOCK_N + tl.arange(0, BLOCK_N)
    o_k = tl.arange(0, BLOCK_K)
    m_m, m_n = o_m < num_rows, o_n < num_outputs
    p_x = x + o_m.to(tl.int64)[:, None] * stride_x + o_k[None, :]
    p_w = weights + o_n.to(tl.int64)[:, None] * stride_output + o_k[None, :]
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for start in tl.range(0, num_inputs, BLOCK_K, num_stages=STAGES):
        m_k = start + o_k < num_inputs
        b_x = tl.load(p_x + start, mask=m_m[:, None] & m_k[None, :], other=0.0)
        b_w = tl.load(p_w + start, mask=m_n[:, None] & m_k[None, :], other=0.0)
        if weights.dtype.element_ty == tl.int8:
            b_w = b_w.to(tl.float32)  # the interpreter casts integers to bfloat16 by this alone
        acc = tl.dot(b_x, tl.trans(b_w.to(b_x.dtype)), acc, input_precision=PRECISION)
    acc *= tl.load(scales + o_n, mask=m_n, other=0.0)[None, :]
    p_out = out + o_m.to(tl.int64)[:, None] * num_outputs + o_n[None, :]
    tl.store(p_out, acc.to(out.dtype.element_ty), mask=m_m[:, None] & m_n[None, :])


def scaled_product(x: Tensor, values: Tensor, scales: Tensor, capability: int) -> Tensor:
    """Implements `linear.quantized.product`."""
    (num_rows, num_inputs), num_outputs = x.shape, len(values)
    x = side_by_side(x)
    out = torch.empty((num_rows, num_outputs), dtype=x.dtype, device=x.device)
    if not num_rows:
        return out
    config = scaled_config(x.dtype, capability)
    # Programs of one tile of weights are consecutive, so that each tile is read about once.
    grid = (triton.cdiv(num_outputs, config.outputs), triton.cdiv(num_rows, config.rows))
    scaled_product_kernel[grid](
        x, values, scales, out, num_rows, num_outputs, num_inputs, x.stride(0), values.stride(0),
        BLOCK_M=config.rows, BLOCK_N=config.outputs, BLOCK_K=config.inputs,
        STAGES=config.num_stages, PRECISION="ieee" if x.dtype == torch.float32 else "tf32",
        num_warps=config.num_warps,
    )  # fmt: skip
    return out


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    config = scaled_config(torch.bfloat16, capability)
    constants = {
        "BLOCK_M": config.rows, "BLOCK_N": config.outputs, "BLOCK_K": config.inputs,
        "STAGES": config.num_stages, "PRECISION": "tf32",
    }  # fmt: skip
    types = {"x": "*bf16", "out": "*bf16", "scales": "*fp32", "num_rows": "i32"}
    types |= dict.fromkeys(("num_outputs", "num_inputs", "stride_x", "stride_output"), "i32:16")
    for weights in ("i8", "fp8e4nv"):
        if weights == "i8" or capability >= 89:
            signature = types | {"weights": f"*{weights}"}
            yield Variant(
                f"product {weights}",
                scaled_product_kernel,
                signature,
                constants,
                config.num_warps,
                True,
            )
