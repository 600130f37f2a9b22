"""Logit biases, masks of allowed tokens and of classes of tokens, laid out for rows of a step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask_kernels.dispatch import uses_native
from unmask_kernels.scoring import cpu
from unmask_kernels.scoring.request_constraint import WORD, Constraint

PIECE = 2048  # entries of the vocabulary of one program of a kernel


@dataclass(frozen=True, slots=True)
class Biases:
    """Sets of biases, and the set of each row."""

    set_of_row: Tensor  # [M] int32, negative for none
    starts: Tensor  # [Q, pieces + 1] int32, first token of each piece of the vocabulary
    tokens: Tensor  # [N] int32, sets one after another
    values: Tensor  # [N] float32
    factors: Tensor  # [N] float32


@dataclass(frozen=True, slots=True)
class Masks:
    """Masks of allowed tokens, and the mask of each row."""

    mask_of_row: Tensor  # [M] int32, negative for none
    words: Tensor  # [B, ceil(V / 32)] int32


@dataclass(frozen=True, slots=True)
class ClassMasks:
    """Masks of allowed classes of tokens, a mask for each row; grammars have classes of their own.

    A mask of classes has a hundredth of the bits of a mask of tokens.
    """

    grammar_of_row: Tensor  # [M] int32, negative for none
    class_of: Tensor  # [G, V] int16, class of each token in each grammar
    words: Tensor  # [M, W] int32

    def select(self, rows: Tensor) -> "ClassMasks":
        """Masks of `rows` [R], by their indices."""
        return ClassMasks(self.grammar_of_row[rows], self.class_of, self.words[rows])


@dataclass(frozen=True, slots=True)
class Constraints:
    """Biases and masks of M rows; None if no row has any."""

    biases: Biases | None = None
    masks: Masks | None = None
    classes: ClassMasks | None = None

    def select(self, rows: Tensor) -> "Constraints":
        """Constraints of `rows` [R], by their indices."""
        biases, masks, classes = self.biases, self.masks, self.classes
        if biases is not None:
            biases = replace(biases, set_of_row=biases.set_of_row[rows])
        if masks is not None:
            masks = Masks(masks.mask_of_row[rows], masks.words)
        return Constraints(biases, masks, None if classes is None else classes.select(rows))


def make_constraints(
    constraints: Sequence[Constraint | None],
    owner: npt.NDArray[np.int64],
    vocab_size: int,
    device: torch.device,
) -> Constraints | None:
    """Lay out constraints of requests for rows [M]; `owner` is each row's request.

    None if no request that has a row has a constraint.
    """
    used = set(np.unique(owner).tolist())
    with_bias = [i for i in used if (c := constraints[i]) is not None and len(c.bias_tokens)]
    with_mask = [i for i in used if (c := constraints[i]) is not None and c.allowed is not None]
    if not with_bias and not with_mask:
        return None

    def index(chosen: list[int]) -> Tensor:
        place = np.full(len(constraints), -1, np.int32)
        place[chosen] = np.arange(len(chosen))
        return torch.from_numpy(place[owner]).to(device, non_blocking=True)

    biases = masks = None
    if with_bias:
        biased = [constraints[i] for i in with_bias]
        biases = _lay_out(index(with_bias), [c for c in biased if c is not None], vocab_size)
    if with_mask:
        words = [c.allowed for i in with_mask if (c := constraints[i]) is not None]
        stacked = torch.from_numpy(np.stack([w for w in words if w is not None]))
        masks = Masks(index(with_mask), stacked.to(device, non_blocking=True))
    return Constraints(biases, masks)


def _lay_out(set_of_row: Tensor, sets: list[Constraint], vocab_size: int) -> Biases:
    edges = np.arange(-(-vocab_size // PIECE) + 1) * PIECE
    starts, first = [], 0
    for constraint in sets:
        starts.append(first + np.searchsorted(constraint.bias_tokens, edges))
        first += len(constraint.bias_tokens)

    def to_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(set_of_row.device, non_blocking=True)

    return Biases(
        set_of_row,
        to_device(np.stack(starts).astype(np.int32)),
        to_device(np.concatenate([constraint.bias_tokens for constraint in sets])),
        to_device(np.concatenate([constraint.bias_values for constraint in sets])),
        to_device(np.concatenate([_factors(constraint) for constraint in sets])),
    )


def _factors(constraint: Constraint) -> npt.NDArray[np.float32]:
    own = constraint.bias_factors
    return np.ones_like(constraint.bias_values) if own is None else own


def constrain(logits: Tensor, constraints: Constraints) -> None:
    """Add biases to `logits` [M, V], float32, in place; forbidden tokens become -inf."""
    biases, masks = constraints.biases, constraints.masks
    if biases is not None:
        for i, row in enumerate(biases.starts.tolist()):
            rows = (biases.set_of_row == i).nonzero()
            entries = slice(row[0], row[-1])
            factors, tokens = biases.factors[entries], biases.tokens[entries].long()
            own = logits[rows, tokens]
            scaled = torch.where(own > 0, own / factors, own * factors)
            logits[rows, tokens] = scaled + biases.values[entries]
    if masks is not None:
        shifts = torch.arange(WORD, dtype=torch.int32, device=logits.device)
        forbidden = (masks.words[:, :, None] >> shifts) & 1 == 0
        rows = (masks.mask_of_row >= 0).nonzero()[:, 0]
        of_row = forbidden.flatten(1)[:, : logits.shape[1]][masks.mask_of_row[rows].long()]
        logits[rows] = logits[rows].masked_fill(of_row, float("-inf"))
    if (classes := constraints.classes) is None:
        return
    if uses_native(logits) and logits.is_contiguous():
        cpu.forbid_classes(logits, classes.grammar_of_row, classes.class_of, classes.words)
    else:
        _constrain_classes(logits, classes)


def _constrain_classes(logits: Tensor, classes: ClassMasks) -> None:
    shifts = torch.arange(WORD, dtype=torch.int32, device=logits.device)
    for i, class_of in enumerate(classes.class_of):
        rows = (classes.grammar_of_row == i).nonzero()[:, 0]
        forbidden = ((classes.words[rows, :, None] >> shifts) & 1 == 0).flatten(1)
        of_token = forbidden.index_select(1, class_of[: logits.shape[1]].int())
        logits[rows] = logits[rows].masked_fill_(of_token, float("-inf"))
