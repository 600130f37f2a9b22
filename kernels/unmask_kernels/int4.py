"""Weights of 4 bits in groups of inputs, and products with them (W4A16).

Activations stay in bfloat16 or float32. A group of 128 inputs of an output shares a scale, so the
8 billion weights of a dense model take 4.3 GB and a step of few rows, which waits for its weights,
takes half the time of one with 8 bits. Symmetric integers as of compressed-tensors and GPTQ.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import capability, uses_triton

GROUP = 128
LOWEST, HIGHEST = -8, 7
CHUNK_ROWS = 1024
# Scales that are tried for each group, relative to the one that clips nothing.
SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8)


@dataclass(frozen=True, slots=True)
class Int4Weight:
    """A weight [N, K] in groups of 128 inputs, the last one padded with zeros.

    Byte j of a group holds input j in its lower half and input 64 + j in its upper half, so that a
    tile of bytes unpacks into two tiles of consecutive inputs.
    """

    packed: Tensor  # [N, G * 64] uint8
    scales: Tensor  # [N, G] float32
    num_inputs: int

    def ordered(self, order: Tensor) -> "Int4Weight":
        """The outputs that `order` [N] names, in its order."""
        return Int4Weight(self.packed[order], self.scales[order], self.num_inputs)


def quantize_int4(weight: Tensor) -> Int4Weight:
    """Round a weight [N, K] to 4 bits, each group by the scale of least squared error."""
    num_outputs, num_inputs = weight.shape
    groups = -(-num_inputs // GROUP)
    packed = torch.empty((num_outputs, groups * GROUP // 2), dtype=torch.uint8)
    packed = packed.to(weight.device)
    scales = torch.empty((num_outputs, groups), dtype=torch.float32, device=weight.device)
    for first in range(0, num_outputs, CHUNK_ROWS):  # little of it is in float32 at a time
        rows = slice(first, first + CHUNK_ROWS)
        wide = F.pad(weight[rows].float(), (0, groups * GROUP - num_inputs))
        wide = wide.view(-1, groups, GROUP)
        own = _best_scales(wide)
        scales[rows] = own
        packed[rows] = pack_int4(_rounded(wide, own).to(torch.int8).flatten(1))
    return Int4Weight(packed, scales, num_inputs)


def pack_int4(values: Tensor) -> Tensor:
    """Integers [N, G * 128] from -8 to 7 as bytes [N, G * 64]."""
    halves = (values.view(len(values), -1, 2, GROUP // 2) & 0xF).to(torch.uint8)
    return (halves[:, :, 0] | halves[:, :, 1] << 4).flatten(1)


def unpack_int4(packed: Tensor) -> Tensor:
    """Integers [N, G * 128] of bytes [N, G * 64]."""
    grouped = packed.view(len(packed), -1, 1, GROUP // 2)
    halves = torch.cat((grouped & 0xF, grouped >> 4), 2).to(torch.int8)
    return ((halves ^ 8) - 8).flatten(1)


def join_int4(weights: list[Int4Weight]) -> Int4Weight:
    """Weights with the same inputs as one, outputs in order."""
    return Int4Weight(
        torch.cat([weight.packed for weight in weights]),
        torch.cat([weight.scales for weight in weights]),
        weights[0].num_inputs,
    )


def dequantize_int4(weight: Int4Weight, dtype: torch.dtype) -> Tensor:
    """The weight [N, K] that is meant, rounded once."""
    wide = unpack_int4(weight.packed).view(len(weight.packed), -1, GROUP).float()
    wide = (wide * weight.scales[:, :, None]).flatten(1)
    return wide[:, : weight.num_inputs].to(dtype)


def int4_product(x: Tensor, weight: Int4Weight) -> Tensor:
    """Rows `x` [M, K] times a weight: rows [M, N] in x's type; a row's are the same in any company.

    Groups are summed one by one in float32, each times its scale.
    """
    if x.shape[1] != weight.num_inputs:
        raise ValueError(f"rows {tuple(x.shape)} do not fit {weight.num_inputs} inputs")
    if uses_triton(x.device):
        from unmask_kernels.gpu import int4

        return int4.product(x, weight.packed, weight.scales, capability(x.device))
    return F.linear(x, dequantize_int4(weight, x.dtype))


def _best_scales(wide: Tensor) -> Tensor:
    """Scales [N, G] of groups [N, G, 128]."""
    top = wide.abs().amax(2) / HIGHEST
    top = torch.where(top > 0, top, 1.0)
    best, least = top, torch.full_like(top, torch.inf)
    for shrink in SHRINKS:
        scales = top * shrink
        error = (_rounded(wide, scales) * scales[:, :, None] - wide).square().sum(2)
        best = torch.where(error < least, scales, best)
        least = torch.minimum(error, least)
    return best


def _rounded(wide: Tensor, scales: Tensor) -> Tensor:
    return (wide / scales[:, :, None]).round_().clamp_(LOWEST, HIGHEST)
