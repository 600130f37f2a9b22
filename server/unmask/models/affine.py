"""Weights of whole numbers with a scale and a bias for each group of inputs, as MLX packs them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.models.bit_stream import NIBBLE_BITS, WORD_BITS, unpack_bits
from unmask.models.shards import StoredTensor
from unmask_kernels.quantization.four_bits import FourBitWeight, pack_four_bits

CHUNK_ROWS = 512
SMALLEST_SCALE = 1e-20  # in place of zero, so that a bias can be divided by it


@dataclass(frozen=True, slots=True)
class AffineTensor:
    """Weight [N, K] on disk: numbers times the scales of their groups, plus their biases.

    Read a stack of matrices, such as all experts of a layer, with `select`.
    """

    values: StoredTensor  # [..., N, K * bits / 32] int32: rows of bits, lowest first
    scales: StoredTensor  # [..., N, G]
    biases: StoredTensor  # [..., N, G]
    bits: int

    @property
    def format(self) -> str:
        """Name of the format, for people."""
        return f"mlx of {self.bits} bits"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight."""
        return *self.values.shape[:-1], self.values.shape[-1] * WORD_BITS // self.bits

    @property
    def num_groups(self) -> int:
        """Groups of inputs."""
        return self.scales.shape[-1]

    @property
    def num_bytes(self) -> int:
        """Bytes on disk."""
        return sum(part.num_bytes for part in (self.values, self.scales, self.biases))

    def select(self, index: int) -> "AffineTensor":
        """Matrix [N, K] at `index` of a stack [E, N, K]."""
        values, scales, biases = (
            part.select(index) for part in (self.values, self.scales, self.biases)
        )
        return AffineTensor(values, scales, biases, self.bits)

    def to(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Dequantized weight, rounded once."""
        out = torch.empty(self.shape, dtype=dtype, device=device)
        values = self.values.to(device, torch.int32)
        scales, biases = (
            part.to(device, torch.float32).unsqueeze(2) for part in (self.scales, self.biases)
        )
        for first in range(0, len(out), CHUNK_ROWS):
            few = slice(first, first + CHUNK_ROWS)
            numbers = unpack_bits(values[few], self.bits).float()
            groups = numbers.view(len(numbers), scales.shape[1], -1)
            out[few] = torch.addcmul(biases[few], groups, scales[few]).flatten(1)
        return out

    def in_four_bits(self, device: torch.device) -> FourBitWeight:
        """The same numbers and scales, with zero points that are no whole numbers for biases."""
        assert self.bits <= NIBBLE_BITS
        scales, biases = (part.to(device, torch.float32) for part in (self.scales, self.biases))
        scales = torch.where(scales == 0, SMALLEST_SCALE, scales)
        numbers = unpack_bits(self.values.to(device, torch.int32), self.bits)
        return pack_four_bits(numbers, scales, -biases / scales)
