"""Comparison of tensors that a model shares and a checkpoint may store twice."""

from dataclasses import fields

import torch
from torch import Tensor

from unmask.models.adapted import AdaptedTensor
from unmask.models.compressed import CompressedTensor
from unmask.models.quantized import Quantized
from unmask.models.shards import StoredTensor

# Errors of quantization, by the norms of rows: usual ones are 0.03 and 0.1.
SHARE_OF_8_BITS, SHARE_OF_FEW_BITS = 0.06, 0.25
CHUNK_ROWS = 4096
CPU = torch.device("cpu")
Stored = Tensor | StoredTensor | Quantized | AdaptedTensor


def are_copies(one: Stored, other: Stored) -> bool:
    """True if both have the same numbers; of an adapted tensor those beneath its additions.

    Of two types, rounding may have taken digits from either, and of a quantized one a share.
    A tensor that an adapter replaces is a copy of any.
    """
    if isinstance(other, AdaptedTensor):
        return not other.additions or are_copies(one, other.base)
    if isinstance(one, StoredTensor) and isinstance(other, StoredTensor):
        if one.dtype is other.dtype:
            return one.equals(other)
        are_floats = one.dtype.is_floating_point and other.dtype.is_floating_point
        return are_floats and one.rounds_to(other)
    if isinstance(one, StoredTensor) and isinstance(other, Quantized):
        return _is_quantized(one, other)
    if isinstance(one, Quantized) and isinstance(other, StoredTensor):
        return _is_quantized(other, one)
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)
    return type(one) is type(other) and all(
        _are_same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
    )


def _is_quantized(plain: StoredTensor, quantized: Quantized) -> bool:
    """True if a matrix may be another in fewer bits: no row is further away than its share."""
    if plain.shape != quantized.shape or len(plain.shape) != 2:
        return False
    share = SHARE_OF_8_BITS if isinstance(quantized, CompressedTensor) else SHARE_OF_FEW_BITS
    whole, rounded = (part.to(CPU, torch.bfloat16) for part in (plain, quantized))
    for first in range(0, len(whole), CHUNK_ROWS):
        rows = slice(first, first + CHUNK_ROWS)
        wide = whole[rows].float()
        if not bool(((rounded[rows].float() - wide).norm(dim=1) <= share * wide.norm(dim=1)).all()):
            return False
    return True


def _are_same(one: object, other: object) -> bool:
    """True if two parts of quantized tensors are equal."""
    if isinstance(one, StoredTensor) and isinstance(other, StoredTensor):
        return one.equals(other)
    return one == other
