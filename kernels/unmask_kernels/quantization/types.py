"""Types and constants of 8-bit weights and activations."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Quantization = Literal["int8", "fp8"]
DTYPES: dict[Quantization, torch.dtype] = {"int8": torch.int8, "fp8": torch.float8_e4m3fn}
LARGEST: dict[Quantization, float] = {"int8": 127.0, "fp8": 448.0}
FP8_AS_BF16_BITS = ~0x780F  # mask of a sign-extended e4m3 byte shifted by 4
FP8_AS_BF16_FACTOR = 2.0**120  # between the two exponents' biases, 127 and 7
SMALLEST_TOP = 448.0 * 2.0**-126  # of a row with a normal scale; smaller rows become zero
FIRST_FP8_CAPABILITY = 89
ROW_BYTES_UNIT = 16  # of an e4m3 row that the copy engine takes
GROUP_INPUTS = 128  # of a group with one scale


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """A weight [N, K]: `values` times `scales`."""

    values: Tensor  # [N, K] int8 or float8_e4m3fn
    scales: Tensor  # [N] float32, or [N, K / 128] with one for every 128 inputs

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.values.nbytes + self.scales.nbytes

    def ordered(self, order: Tensor) -> "QuantizedWeight":
        """Outputs in the order of the indices `order` [N]."""
        values = self.values.view(torch.int8)[order].view(self.values.dtype)
        return QuantizedWeight(values, self.scales[order])


@dataclass(frozen=True, slots=True)
class QuantizedRows:
    """Activations [M, K]: `values` times `scales`."""

    values: Tensor  # [M, K] float8_e4m3fn, contiguous
    scales: Tensor  # [M] float32, one a token, or [M, K / 128]
    dtype: torch.dtype = torch.bfloat16  # of the unquantized rows, and of products

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> "QuantizedRows":
        """A run of rows, without a copy."""
        return QuantizedRows(self.values[rows], self.scales[rows], self.dtype)
