"""Stored tensors that are adapted as they are read."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.models.compressed import CompressedTensor
from unmask.models.quantized import Quantized
from unmask.models.shards import StoredTensor

CHUNK_ROWS = 4096


@dataclass(frozen=True, slots=True)
class LowRankStored:
    """Addition `scale` x B A to a weight [N, K], on disk."""

    a: StoredTensor  # [R, K]
    b: StoredTensor  # [N, R]
    scale: float

    @property
    def num_bytes(self) -> int:
        """Bytes of both matrices on disk."""
        return self.a.num_bytes + self.b.num_bytes


@dataclass(frozen=True, slots=True)
class AdaptedTensor:
    """Tensor on disk with an adapter's additions; summed in float32 and rounded once.

    Without additions, the adapter has the tensor itself in place of the checkpoint's.
    """

    base: StoredTensor | Quantized
    additions: tuple[LowRankStored, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the checkpoint's tensor."""
        return self.base.shape

    @property
    def num_bytes(self) -> int:
        """Bytes on disk, of additions too."""
        return self.base.num_bytes + sum(part.num_bytes for part in self.additions)

    def select(self, index: int) -> "AdaptedTensor":
        """Entry of the first dimension of a tensor that the adapter has itself."""
        assert not self.additions
        assert isinstance(self.base, StoredTensor | CompressedTensor)
        return AdaptedTensor(self.base.select(index))

    def to(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Sum in `dtype` on a device."""
        if not self.additions:
            return self.base.to(device, dtype)
        total = self.base.to(device, torch.float32)
        for part in self.additions:
            a, b = (matrix.to(device, torch.float32) for matrix in (part.a, part.b))
            for first in range(0, len(total), CHUNK_ROWS):
                rows = slice(first, first + CHUNK_ROWS)
                total[rows] += part.scale * F.linear(b[rows], a.T)
        return total.to(dtype)
