"""Weights of 4 bits on disk, and of 2 to 8 of GPTQ: integers, also of AWQ, NVFP4 and MXFP4."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from unmask.models.bit_stream import NIBBLE_BITS, unpack_awq, unpack_bits, unpack_nibbles
from unmask.models.gptq import read_zeros
from unmask.models.shards import StoredTensor
from unmask_kernels.quantization.four_bits import (
    USUAL_ZERO,
    Codes,
    FourBitWeight,
    doubled_e2m1,
    pack_four_bits,
)
from unmask_kernels.quantization.types import DTYPES, GROUP_INPUTS, Quantization, QuantizedWeight

Format = Literal["int4", "awq", "gptq", "nvfp4", "mxfp4"]
GROUP_OF: dict[Format, int] = {"nvfp4": 16, "mxfp4": 32}  # inputs that share a scale
CHUNK_ROWS = 1024
E8M0_BIAS = 127


@dataclass(frozen=True, slots=True)
class PackedTensor:
    """Weight [N, K] of few bits on disk, with a scale for each output or group of inputs.

    Read a stack of matrices, such as all experts of a layer, with `select`.
    """

    label: Format
    values: StoredTensor  # in the format's layout, of 4 bits two numbers a byte
    scales: StoredTensor  # [N, G], or [G, N] of AWQ and GPTQ
    shape: tuple[int, ...]
    zeros: StoredTensor | None = None  # zero points, as many as scales
    zero_offset: int = 0  # that GPTQ's first format has left out
    groups: StoredTensor | None = None  # [K], group of each input if they are not in order
    factor: StoredTensor | None = None  # of all scales
    divides: bool = False  # by the factor, rather than multiplying
    share: float = 1.0  # of the factor that scales are multiplied by
    bits: int = NIBBLE_BITS  # with more, neither e4m3 nor products of 4 bits have the numbers
    fits_int8: bool = True  # of numbers less their zero points

    @property
    def format(self) -> str:
        """Name of the format, for people."""
        return self.label if self.bits == NIBBLE_BITS else f"{self.label} of {self.bits} bits"

    @property
    def num_bytes(self) -> int:
        """Bytes on disk."""
        parts = self.values, self.scales, self.zeros, self.groups, self.factor
        return sum(part.num_bytes for part in parts if part is not None)

    @property
    def num_groups(self) -> int:
        """Groups of inputs."""
        return self.scales.shape[0 if self.label in ("awq", "gptq") else 1]

    @property
    def group(self) -> int:
        """Inputs that share a scale."""
        return self.shape[1] // self.num_groups

    @property
    def per_output(self) -> bool:
        """True if every output has one scale, as weight-only products take them."""
        return self.num_groups == 1 and self.fits_int8

    @property
    def in_groups(self) -> bool:
        """True if the scales are of groups of inputs of the size that W8A8 products take."""
        is_usual = self.group == GROUP_INPUTS and self.groups is None and self.num_groups > 1
        return is_usual and self.bits <= NIBBLE_BITS

    @property
    def has_even_groups(self) -> bool:
        """True if every group has as many inputs, wherever they lie."""
        if self.groups is None:
            return True
        counts = self._group_of_inputs(torch.device("cpu")).bincount(minlength=self.num_groups)
        return bool((counts == self.group).all())

    @property
    def kind(self) -> Quantization:
        """Kind of 8 bits that holds the same numbers with the same scales."""
        return "int8" if self.per_output else "fp8"

    def select(self, index: int) -> "PackedTensor":
        """Matrix [N, K] at `index` of a stack [E, N, K] of floats, as MLX stores them."""
        assert self.label in GROUP_OF
        values, scales = self.values.select(index), self.scales.select(index)
        factor = None if self.factor is None else self.factor.select(index)
        return replace(self, values=values, scales=scales, shape=self.shape[1:], factor=factor)

    def to(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Dequantized weight [N, K], rounded once."""
        values, scales = self._read_values(device), self._read_scales(device)
        out = torch.empty(self.shape, dtype=dtype, device=device)
        groups = self._group_of_inputs(device)
        for first in range(0, len(out), CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            out[rows] = values[rows].float() * scales[rows][:, groups]
        return out

    def quantized(self, device: torch.device) -> QuantizedWeight:
        """The same numbers in 8 bits: e4m3 has all whole numbers up to 16."""
        assert self.per_output or self.in_groups
        values, scales = self._read_values(device), self._read_scales(device)
        if self.per_output:
            return QuantizedWeight(values.to(torch.int8), scales[:, 0].contiguous())
        return QuantizedWeight(values.to(DTYPES["fp8"]), scales)

    def in_four_bits(self, device: torch.device) -> FourBitWeight:
        """The same numbers, scales and zero points, as products of 4 bits take them."""
        assert self.has_even_groups
        assert self.bits <= NIBBLE_BITS
        zeros = None if self.zeros is None else self._read_zeros(device)
        codes: Codes = "e2m1" if self.label in GROUP_OF else "int4"
        numbers, scales = self._read_numbers(device), self._read_scales(device)
        groups = None if self.groups is None else self._group_of_inputs(device)
        return pack_four_bits(numbers, scales, zeros, codes, groups=groups)

    def _group_of_inputs(self, device: torch.device) -> Tensor:
        if self.groups is not None:
            return self.groups.to(device, torch.int64)
        return torch.arange(self.shape[1], device=device) // self.group

    def _read_scales(self, device: torch.device) -> Tensor:
        """Scales [N, G] of the numbers that `_read_values` gives."""
        if self.label == "mxfp4":
            return read_e8m0(self.scales, device) / 2
        scales = self.scales.to(device, torch.float32)
        if self.label in ("awq", "gptq"):
            return scales.T.contiguous()
        if self.label == "nvfp4":
            scales = scales / 2
            if self.factor is not None:
                factor = self.factor.to(device, torch.float32).reshape(())
                scales = scales / factor if self.divides else scales * (factor * self.share)
        return scales

    def _read_values(self, device: torch.device) -> Tensor:
        """Whole numbers [N, K] in int8, or int16 of more than 4 bits, zero points taken off."""
        if self.label in GROUP_OF:
            return doubled_e2m1(self._read_numbers(device))
        dtype = torch.int8 if self.bits <= NIBBLE_BITS else torch.int16
        values = self._read_numbers(device).to(dtype)
        if self.zeros is None:
            return values.sub_(USUAL_ZERO).contiguous()
        zeros = self._read_zeros(device)[:, self._group_of_inputs(device)]
        return (values - zeros.to(dtype)).contiguous()

    def _read_numbers(self, device: torch.device) -> Tensor:
        """Numbers [N, K] from 0 to 2 ** bits - 1 in uint8, as stored."""
        packed = self.values.to(device, self.values.dtype)
        if self.label in GROUP_OF:
            return unpack_nibbles(packed)
        if self.label == "int4":
            return unpack_nibbles(packed)[:, : self.shape[1]]
        if self.label == "gptq":
            return unpack_bits(packed.T.contiguous(), self.bits)
        return unpack_awq(packed).T

    def _read_zeros(self, device: torch.device) -> Tensor:
        """Zero points [N, G] in int16, of unsigned numbers."""
        assert self.zeros is not None
        packed = self.zeros.to(device, torch.int32)
        if self.label == "gptq":
            return read_zeros(packed, self.bits, self.zero_offset).T
        if self.label == "awq":
            return unpack_awq(packed).T.to(torch.int16)
        # Packed along the outputs.
        zeros = unpack_nibbles(packed.T.contiguous()).T[: self.shape[0]]
        return zeros.to(torch.int16)


def read_e8m0(stored: StoredTensor, device: torch.device) -> Tensor:
    """Powers of two whose exponents are stored in bytes."""
    exponents = stored.to(device, torch.int32) - E8M0_BIAS
    return torch.ldexp(torch.ones(exponents.shape, device=device), exponents)
