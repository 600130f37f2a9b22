"""Embeddings of tokens, some of them mixed with the mask token's, in one pass."""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.layers.reference import TINY
from unmask_kernels.quantization.gpu import row_warps
from unmask_kernels.variant import Variant


@triton.jit
def _length(b_row, dtype: tl.constexpr):
    """Length of a row, rounded to its dtype."""
    return tl.sqrt(tl.sum(b_row * b_row, 0)).to(dtype).to(tl.float32)


@triton.jit
def mix_kernel(
    token_ids, shares, embedding, out, mask_token_id, num_columns, tiny, BLOCK: tl.constexpr
):  # fmt: skip
    """Embedding of a row's token, or its mixture with the mask token's at their mean length."""
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    i_token = tl.load(token_ids + i_row)
    share = tl.load(shares + i_row)
    dtype: tl.constexpr = embedding.dtype.element_ty
    p_token = embedding + i_token * num_columns + o_column
    b_row = tl.load(p_token, mask=m_column, other=0.0).to(tl.float32)
    if share < 1.0:
        p_mask = embedding + tl.cast(mask_token_id, tl.int64) * num_columns + o_column
        b_mask = tl.load(p_mask, mask=m_column, other=0.0).to(tl.float32)
        b_mixed = b_row * share + b_mask * (1.0 - share)
        wanted = _length(b_row, dtype) * share + _length(b_mask, dtype) * (1.0 - share)
        b_row = b_mixed * (wanted / (_length(b_mixed, tl.float32) + tiny))
    tl.store(out + i_row * num_columns + o_column, b_row.to(dtype), mask=m_column)


def mixed_embedding(
    token_ids: Tensor, embedding: Tensor, shares: Tensor, mask_token_id: int
) -> Tensor:
    """See `unmask_kernels.layers.ops.mixed_embedding`."""
    num_rows, num_columns = len(token_ids), embedding.shape[1]
    out = torch.empty(num_rows, num_columns, dtype=embedding.dtype, device=embedding.device)
    if num_rows:
        block = triton.next_power_of_2(num_columns)
        mix_kernel[(num_rows,)](
            token_ids, shares, embedding, out, mask_token_id, num_columns, TINY,
            BLOCK=block, num_warps=row_warps(block),
        )  # fmt: skip
    return out


def variants(capability: int) -> Iterator[Variant]:
    """Every kind of launch, for the compile checks."""
    types = {"token_ids": "*i64", "shares": "*fp32", "embedding": "*bf16", "out": "*bf16"}
    types |= {"mask_token_id": "i32", "num_columns": "i32", "tiny": "fp32"}
    for block in (1024, 4096):
        yield Variant(
            f"mixed embeddings {block}", mix_kernel, types, {"BLOCK": block},
            num_warps=row_warps(block),
        )  # fmt: skip
