"""W4A16 products on a GPU: right, the same bits for every number of rows, beside bfloat16."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.device.fp8_inputs import MAX_COPIES, MIN_ROTATED_BYTES, seconds
from benchmarks.device.timing import Ceilings
from unmask_kernels.linear.four_bits import pack
from unmask_kernels.quantization.four_bits import (
    FourBitWeight,
    dequantize_four_bits,
    pack_four_bits,
)

ROWS = (32, 64, 128, 256, 1024, 4096)


@dataclass(frozen=True)
class Shape:
    """A layer's weight, in groups of so many inputs, with zero points or without."""

    name: str
    outputs: int
    inputs: int
    group: int = 128
    zeros: bool = False

    @property
    def num_bytes(self) -> float:
        """Bytes of the weight: half a number's, and those of scales and zero points."""
        return self.outputs * self.inputs * (0.5 + (5 if self.zeros else 4) / self.group)


SHAPES = (
    Shape("qkv", 6144, 4096),
    Shape("gate+up", 24_576, 4096),
    Shape("down", 4096, 12_288),
    Shape("gate+up, zero points", 24_576, 4096, zeros=True),
)
TINY = Shape("tiny", 48, 256, zeros=True)


def build(shape: Shape, copies: int, device: torch.device) -> list[FourBitWeight]:
    """Random weights, which differ by a roll of their numbers."""
    numbers = torch.randint(0, 16, (shape.outputs, shape.inputs), device=device)
    scales = torch.rand(shape.outputs, shape.inputs // shape.group, device=device)
    scales /= 4 * shape.inputs**0.5
    zeros = torch.randint(6, 11, scales.shape, device=device) if shape.zeros else None
    return [pack_four_bits(numbers.roll(i), scales, zeros) for i in range(copies)]


def compare(
    shape: Shape, counts: Sequence[int], ceilings: Ceilings, device: torch.device
) -> list[dict[str, Any]]:
    """Time, floor, error and bits of a weight at some numbers of rows, beside bfloat16."""
    real = device.type == "cuda"
    copies = min(MAX_COPIES, int(MIN_ROTATED_BYTES // shape.num_bytes) + 1) if real else 1
    products = [pack(weight, None) for weight in build(shape, copies, device)]
    x = torch.randn(max(counts), shape.inputs, device=device).bfloat16()
    wide = [dequantize_four_bits(product.weight, torch.bfloat16) for product in products[:4]]
    exact = x.double() @ wide[0].double().T
    whole = products[0].product(x)
    found = []
    for num_rows in counts:
        rows, out = x[:num_rows], products[0].product(x[:num_rows])
        moved = shape.num_bytes + 2 * num_rows * (shape.inputs + shape.outputs)
        least_s = ceilings.floor_s(moved, 2 * num_rows * shape.outputs * shape.inputs)
        ours_s = seconds([partial(product.product, rows) for product in products])
        wide_s = seconds([partial(F.linear, rows, weight) for weight in wide])
        found.append(
            {
                "shape": asdict(shape),
                "rows": num_rows,
                "us": 1e6 * ours_s,
                "floor_us": 1e6 * least_s,
                "share_of_floor": least_s / ours_s,
                "bf16_us": 1e6 * wide_s,
                "times_bf16": wide_s / ours_s,
                "relative_error": float((out - exact[:num_rows]).norm() / exact[:num_rows].norm()),
                "same_bits": torch.equal(out, whole[:num_rows]),
            }
        )
    return found
