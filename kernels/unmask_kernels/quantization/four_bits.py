"""Weights of 4 bits in memory: numbers with scales, and zero points, of groups of inputs.

AWQ (Lin et al., 2023), GPTQ (Frantar et al., 2022) and compressed-tensors store whole numbers, each
in a layout for its own kernels, NVFP4 and MXFP4 floats (e2m1, Open Compute Project). Here a byte
has two inputs that are half a run apart, so that a kernel unpacks a run of inputs into two tiles,
by a mask and by a shift.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

RUN_INPUTS = 128  # inputs whose numbers share a run of bytes
HALF_RUN = RUN_INPUTS // 2
USUAL_ZERO = 8  # of numbers from 0 to 15
SMALLEST_GROUP = 16
Codes = Literal["int4", "e2m1"]
# Twice the numbers of e2m1, whose third bit from the right is the first of the exponent.
E2M1_DOUBLED = (0, 1, 2, 3, 4, 6, 8, 12)
USUAL_GROUP = 128
# Shares of a group's largest number that are tried as its range: a few numbers that are cut off
# leave smaller steps to all others.
RANGES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
CHUNK_ROWS = 1024


@dataclass(frozen=True, slots=True)
class FourBitWeight:
    """A weight [N, K]: numbers less the zero points of their groups, times their scales.

    Each of G groups has K / G inputs, one after the other, which GPTQ's act-order takes from all
    over the weight: then `input_order` has the input of each place. Numbers of `e2m1` are doubled,
    so that they are whole too, and have no zero points.
    """

    values: Tensor  # [N, 64 * runs of inputs] uint8
    scales: Tensor  # [N, G] float32
    num_inputs: int
    zeros: Tensor | None = None  # [N, G] int8, or float32; `USUAL_ZERO` if there are none
    codes: Codes = "int4"
    input_order: Tensor | None = None  # [K] int64; None: places are inputs

    def __len__(self) -> int:
        return len(self.values)

    @property
    def group_inputs(self) -> int:
        """Inputs of a group."""
        return self.num_inputs // self.scales.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        parts = self.values, self.scales, self.zeros, self.input_order
        return sum(part.nbytes for part in parts if part is not None)

    def ordered(self, order: Tensor) -> "FourBitWeight":
        """Outputs in the order of the indices `order` [N]."""
        zeros = None if self.zeros is None else self.zeros[order]
        return replace(self, values=self.values[order], scales=self.scales[order], zeros=zeros)

    def shares_rows(self, other: "FourBitWeight") -> bool:
        """True if both take the inputs of rows in the same order."""
        if self.input_order is None or other.input_order is None:
            return self.input_order is other.input_order
        return torch.equal(self.input_order, other.input_order)


def has_tiles(num_inputs: int, num_groups: int) -> bool:
    """True if groups of inputs are whole parts, or multiples, of the tiles that kernels unpack."""
    group = num_inputs // num_groups
    is_power = group >= SMALLEST_GROUP and group & (group - 1) == 0
    return num_groups == 1 or (is_power and group * num_groups == num_inputs)


def pack_four_bits(
    numbers: Tensor,
    scales: Tensor,
    zeros: Tensor | None = None,
    codes: Codes = "int4",
    *,
    groups: Tensor | None = None,
) -> FourBitWeight:
    """Pack `numbers` [N, K] from 0 to 15 with `scales` and `zeros` [N, G] of groups of inputs.

    `groups` [K] has the group of each input, as many inputs in each, if they do not lie one after
    the other. Zero points that are no whole numbers, as of weights with biases, are float32.
    """
    num_outputs, num_inputs = numbers.shape
    if not has_tiles(num_inputs, scales.shape[1]):
        raise ValueError(f"{scales.shape[1]} groups of {num_inputs} inputs have no tiles")
    order = None if groups is None else groups.argsort(stable=True)
    if order is not None:
        numbers = numbers[:, order]
    full = F.pad(numbers.to(torch.uint8), (0, -num_inputs % RUN_INPUTS)).contiguous()
    halves = full.view(num_outputs, -1, 2, HALF_RUN)
    values = (halves[:, :, 0] | halves[:, :, 1] << 4).flatten(1)
    if zeros is not None and not zeros.is_floating_point():
        zeros = None if bool((zeros == USUAL_ZERO).all()) else zeros.to(torch.int8)
    return FourBitWeight(values, scales.float(), num_inputs, zeros, codes, order)


def quantize_int4(weight: Tensor) -> FourBitWeight:
    """A weight [N, K] in groups of 128 inputs, or one, each with the scale of least squared error.

    The numbers are the nearest to the weights; no data is seen.
    """
    num_outputs, num_inputs = weight.shape
    group = num_inputs if num_inputs % USUAL_GROUP else USUAL_GROUP
    numbers = torch.empty(weight.shape, dtype=torch.uint8, device=weight.device)
    scales = torch.empty(num_outputs, num_inputs // group, device=weight.device)
    for first in range(0, num_outputs, CHUNK_ROWS):  # little of it in float32 at a time
        rows = slice(first, first + CHUNK_ROWS)
        wide = weight[rows].float().view(-1, num_inputs // group, group)
        chosen, few_scales = _nearest(wide)
        numbers[rows], scales[rows] = chosen.flatten(1), few_scales[:, :, 0]
    return pack_four_bits(numbers, scales)


def _nearest(wide: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of groups [N, G, inputs] from 0 to 15, and their scales [N, G, 1]."""
    top = wide.abs().amax(2, keepdim=True)
    top = torch.where(top > 0, top, 1.0)
    best = torch.full_like(top, torch.inf)
    numbers, scales = torch.zeros_like(wide), top
    for share in RANGES:
        scale = top * (share / (USUAL_ZERO - 0.5))
        tried = (wide / scale).round_().clamp_(-USUAL_ZERO, USUAL_ZERO - 1)
        error = (tried * scale - wide).square_().sum(2, keepdim=True)
        is_better = error < best
        best = torch.where(is_better, error, best)
        numbers = torch.where(is_better, tried, numbers)
        scales = torch.where(is_better, scale, scales)
    return numbers.add_(USUAL_ZERO).to(torch.uint8), scales


def unpack_four_bits(weight: FourBitWeight) -> Tensor:
    """Numbers [N, K] from 0 to 15, in uint8, place by place."""
    runs = weight.values.view(len(weight), -1, HALF_RUN)
    return torch.stack((runs & 0xF, runs >> 4), dim=2).flatten(1)[:, : weight.num_inputs]


def dequantize_four_bits(weight: FourBitWeight, dtype: torch.dtype) -> Tensor:
    """The weight [N, K], rounded once."""
    group, numbers = weight.group_inputs, unpack_four_bits(weight)
    if weight.codes == "e2m1":
        whole = doubled_e2m1(numbers).float()
    else:
        whole = numbers.float() - _zeros(weight).float().repeat_interleave(group, 1)
    values = (whole * weight.scales.repeat_interleave(group, 1)).to(dtype)
    if weight.input_order is None:
        return values
    return torch.empty_like(values).index_copy_(1, weight.input_order, values)


def doubled_e2m1(codes: Tensor) -> Tensor:
    """Twice the numbers of e2m1 codes from 0 to 15, in int8."""
    doubled = torch.tensor(E2M1_DOUBLED, dtype=torch.int8, device=codes.device)
    return torch.cat((doubled, -doubled))[codes.int()]


def join_four_bits(weights: Sequence[FourBitWeight]) -> FourBitWeight:
    """Weights with the same inputs and their order, groups and codes as one, outputs in order."""
    assert all(weight.shares_rows(weights[0]) for weight in weights)
    zeros = None
    if any(weight.zeros is not None for weight in weights):
        zeros = torch.cat([_zeros(weight) for weight in weights])
    return replace(
        weights[0],
        values=torch.cat([weight.values for weight in weights]),
        scales=torch.cat([weight.scales for weight in weights]),
        zeros=zeros,
    )


def _zeros(weight: FourBitWeight) -> Tensor:
    if weight.zeros is not None:
        return weight.zeros
    return torch.full_like(weight.scales, USUAL_ZERO, dtype=torch.int8)
