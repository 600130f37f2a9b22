"""Embeddings, norms, RoPE, KV writes and gates in plain torch."""

import torch
import torch.nn.functional as F
from torch import Tensor

TINY = 1e-6  # keeps a quotient of lengths finite


def mixed_embedding(
    token_ids: Tensor, embedding: Tensor, shares: Tensor, mask_token_id: int
) -> Tensor:
    """Embeddings [T, C] of tokens, each with its share [T], and of the mask token with the rest.

    `decode_uniform` of czg1225/DMax (parallel_strategy.py), whose lengths of embeddings are of the
    embeddings' type.
    """
    rows, mask = F.embedding(token_ids, embedding), embedding[mask_token_id]
    share = shares[:, None]
    rest = 1.0 - share
    mixed = rows.float() * share + mask.float() * rest
    wanted = _length(rows).float() * share + _length(mask).float() * rest
    mixed *= wanted / (_length(mixed) + TINY)
    return torch.where(share < 1.0, mixed.to(rows.dtype), rows)


def _length(rows: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return length


def kv_store(
    key: Tensor, value: Tensor, key_pages: Tensor, value_pages: Tensor, slots: Tensor
) -> None:
    """Write rows [T, Hkv, D] to the slots [T] of pages [N, page, Hkv, D], in place."""
    for rows, pages in ((key, key_pages), (value, value_pages)):
        if pages.itemsize == 1:  # torch copies bytes, but not floats of 8 bits, by index
            rows, pages = rows.view(torch.uint8), pages.view(torch.uint8)
        pages.view(-1, *pages.shape[2:]).index_copy_(0, slots, rows)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm over the last dimension (Zhang and Sennrich, 2019), in float32."""
    wide = x.float()
    norm: Tensor = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    if x.dtype == torch.float32:
        return wide * scale * weight
    return wide.mul_(scale).to(x.dtype).mul_(weight)


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the halves of each head of `x` [T, H, D] by angles given as [T, 1, D / 2]."""
    low, high = x.chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) * up (Shazeer, 2020)."""
    return F.silu(gate).mul_(up)


def geglu(gate: Tensor, up: Tensor) -> Tensor:
    """gelu(gate) * up, with the tanh approximation (Shazeer, 2020)."""
    return F.gelu(gate, approximate="tanh").mul_(up)
