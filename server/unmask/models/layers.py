"""Rotary tables and the KV cache that every architecture shares."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask_kernels.attention import AttentionPlan


@dataclass(frozen=True, slots=True)
class KVCache:
    """Keys and values of each layer, [pages, page_size, kv_heads, head_dim]."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @classmethod
    def empty(
        cls,
        num_layers: int,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> "KVCache":
        """A cache of zeros, whose memory is touched page by page as it is first used."""

        def pages() -> tuple[Tensor, ...]:
            return tuple(torch.zeros(shape, dtype=dtype, device=device) for _ in range(num_layers))

        return cls(pages(), pages())


@dataclass(frozen=True, slots=True)
class StepInput:
    """The tensors of one step that a model's forward reads."""

    token_ids: Tensor  # [T] int64
    positions: Tensor  # [T] int64
    slots: Tensor  # [T] int64
    plan: AttentionPlan
    cache: KVCache


def rotary_tables(
    num_positions: int, head_dim: int, theta: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosines and sines [num_positions, 1, head_dim / 2] (Su et al., 2021)."""
    inverse = 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.arange(num_positions, dtype=torch.float32)[:, None, None] * inverse
    return angles.cos().to(device, dtype), angles.sin().to(device, dtype)
