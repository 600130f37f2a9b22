"""An embedding tied to the LM head, in slices of the vocabulary."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask_kernels.linear.onednn import MAX_BF16_INPUTS, MAX_PARTS
from unmask_kernels.linear.ops import Linear, make_linear, packs

# Entries whose logits are in memory at a time; a multiple of four. Packed weights have slices of
# as many as are summed in order for any number of rows; see `unmask_kernels.linear.onednn`.
SLICE = 16384
PACKED_SLICE = MAX_BF16_INPUTS * MAX_PARTS


@dataclass(frozen=True, slots=True)
class VocabularySlice:
    """Entries from `first` on."""

    first: int
    head: Linear  # rows [M, C] to logits of the slice
    embedding: Linear  # probabilities of the slice to rows [M, C]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """An embedding tied to the LM head, in slices; `softcap` bounds logits by a tangent."""

    slices: tuple[VocabularySlice, ...]
    slice_len: int
    embedding: Tensor | None  # [V, C]; None where weights are packed
    softcap: float | None
    scale: float  # of embeddings

    def logits(self, rows: Tensor) -> Tensor:
        """Logits [M, V] of rows [M, C], float32."""
        return torch.cat([self.cap(part.head(rows)) for part in self.slices], -1)

    def cap(self, products: Tensor) -> Tensor:
        """Logits, float32, bounded if the model has a softcap."""
        logits = products.float()
        return logits if self.softcap is None else (logits / self.softcap).tanh_() * self.softcap


def make_vocabulary(
    embedding: Tensor, *, softcap: float | None, scale: float, slice_len: int | None = None
) -> Vocabulary:
    """Cut an embedding [V, C] into slices, which are views of it unless weights are packed."""
    if slice_len is None:
        slice_len = PACKED_SLICE if packs(embedding) else SLICE
    assert slice_len % 4 == 0, "a slice begins where a counter of noise does"
    slices = [
        VocabularySlice(i * slice_len, make_linear(part), make_linear(part.T))
        for i, part in enumerate(torch.split(embedding, slice_len))
    ]
    whole = None if packs(embedding) else embedding
    return Vocabulary(tuple(slices), slice_len, whole, softcap, scale)
