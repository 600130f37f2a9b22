"""Comparison of tensors that a model shares and a checkpoint may store twice."""

from dataclasses import fields

import torch
from torch import Tensor

from unmask.models.adapted import AdaptedTensor
from unmask.models.quantized import Quantized
from unmask.models.shards import StoredTensor

Stored = Tensor | StoredTensor | Quantized | AdaptedTensor


def are_copies(one: Stored, other: Stored) -> bool:
    """True if both have the same numbers; of an adapted tensor those beneath its additions.

    Of two types, the finer one may have digits that rounding took from the other.
    A tensor that an adapter replaces is a copy of any.
    """
    if isinstance(other, AdaptedTensor):
        return not other.additions or are_copies(one, other.base)
    if isinstance(one, StoredTensor) and isinstance(other, StoredTensor):
        if one.dtype is other.dtype:
            return one.equals(other)
        are_floats = one.dtype.is_floating_point and other.dtype.is_floating_point
        return are_floats and one.rounds_to(other)
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)
    return type(one) is type(other) and all(
        _are_same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
    )


def _are_same(one: object, other: object) -> bool:
    """True if two parts of quantized tensors are equal."""
    if isinstance(one, StoredTensor) and isinstance(other, StoredTensor):
        return one.equals(other)
    return one == other
