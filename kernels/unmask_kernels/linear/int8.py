"""Products of rows and weights in 8 bits on a CPU (W8A8); see `native/int8.c`."""

from ctypes import CDLL
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import has_native
from unmask_kernels.layers.ops import Activation
from unmask_kernels.linear.cpu import ACTIVATIONS
from unmask_kernels.native import int8 as native
from unmask_kernels.native.library import address
from unmask_kernels.native.memory import reserve
from unmask_kernels.native.threads import get_num_threads
from unmask_kernels.quantization.types import QuantizedWeight

QUAD = 4  # inputs multiplied at a time


@dataclass(frozen=True, slots=True)
class Int8Weight:
    """A weight [N, K] in panels; implements `PackedWeight` for rows in one dtype.

    Rows are quantized as they come, each by its largest number, as W8A8 on a GPU does; sums are
    exact, and so batch-invariant.
    """

    panels: Tensor  # [N * K] int8, both padded
    scales: Tensor  # [N] float32, padded
    corrections: Tensor  # [N] int32, padded
    bias: Tensor | None  # [N] float32, padded
    num_outputs: int
    num_inputs: int
    dtype: torch.dtype

    def product(self, x: Tensor) -> Tensor:
        """Implements `PackedWeight.product`."""
        return self._run(x, x.new_empty((x.shape[0], self.num_outputs)))

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Implements `PackedWeight.add`."""
        return self._run(x, residual.contiguous(), adds=True)

    def activate(self, x: Tensor, activation: Activation) -> Tensor:
        """Implements `PackedWeight.activate`."""
        out = x.new_empty((x.shape[0], self.num_outputs))
        return self._run(x, out, activation=ACTIVATIONS[activation])

    def gate(self, x: Tensor, up: "Int8Weight", activation: Activation) -> Tensor:
        """Implements `PackedWeight.gate`."""
        shape = self.num_outputs, self.num_inputs
        if (up.num_outputs, up.num_inputs) != shape:
            raise ValueError(f"a weight {shape} does not gate {up.num_outputs, up.num_inputs}")
        out = x.new_empty((x.shape[0], self.num_outputs))
        return self._run(x, out, up=up, activation=ACTIVATIONS[activation])

    def _run(
        self,
        x: Tensor,
        out: Tensor,
        *,
        up: "Int8Weight | None" = None,
        adds: bool = False,
        activation: int = native.NO_ACTIVATION,
    ) -> Tensor:
        num_rows = x.shape[0]
        if x.shape[1:] != (self.num_inputs,) or x.dtype is not self.dtype:
            shapes = f"{tuple(x.shape)} of {x.dtype}, not {self.num_inputs} of {self.dtype}"
            raise ValueError(f"rows {shapes}")
        if out.shape != (num_rows, self.num_outputs) or out.dtype is not self.dtype:
            raise ValueError(f"{num_rows} rows of {self.num_outputs} do not fit {tuple(out.shape)}")
        functions, threads = _functions(self.dtype), get_num_threads()
        x = x if x.stride(1) == 1 else x.contiguous()
        padded = _padded(self.num_inputs, QUAD)
        rows = torch.empty((num_rows, padded), dtype=torch.uint8)
        scales = torch.empty(num_rows)
        functions.quantize_rows(
            *(x.data_ptr(), x.stride(0), rows.data_ptr(), scales.data_ptr(), num_rows),
            *(self.num_inputs, padded, threads),
        )
        functions.product_int8(
            *(rows.data_ptr(), scales.data_ptr(), self._fields(), up and up._fields()),
            *(out.data_ptr(), num_rows, padded, self.num_outputs, adds, activation, threads),
        )
        return out

    def _fields(self) -> native.Weight:
        return native.Weight(
            self.panels.data_ptr(),
            self.scales.data_ptr(),
            address(self.bias),
            self.corrections.data_ptr(),
        )


def serves(weight: QuantizedWeight, dtype: torch.dtype | None) -> bool:
    """True if the CPU multiplies a weight [N, K] of int8 with rows of a dtype in int8."""
    values = weight.values
    return (
        values.dtype is torch.int8
        and weight.scales.ndim == 1
        and dtype is torch.bfloat16  # rows in float32 are for exactness
        and has_native(values.device, dtype)
        and native.int8_library(dtype) is not None
        and values.shape[1] <= native.MOST_INPUTS
    )


def pack(weight: QuantizedWeight, bias: Tensor | None, dtype: torch.dtype) -> Int8Weight:
    """Pack a weight [N, K], and a bias [N], for rows of a dtype."""
    functions = _functions(dtype)
    num_outputs, num_inputs = weight.values.shape
    all_outputs = _padded(num_outputs, functions.int8_panel_width())
    padded, missing = _padded(num_inputs, QUAD), all_outputs - num_outputs
    panels = reserve((all_outputs * padded,), torch.int8)
    corrections = torch.empty(all_outputs, dtype=torch.int32)
    values = weight.values.contiguous()
    functions.pack_int8(
        *(values.data_ptr(), values.stride(0), panels.data_ptr(), corrections.data_ptr()),
        *(num_outputs, num_inputs, padded),
    )
    scales = F.pad(weight.scales, (0, missing))
    wide_bias = None if bias is None else F.pad(bias.float(), (0, missing))
    return Int8Weight(panels, scales, corrections, wide_bias, num_outputs, num_inputs, dtype)


def _functions(dtype: torch.dtype) -> CDLL:
    functions = native.int8_library(dtype)
    assert functions is not None, "packed weights need C kernels"
    return functions


def _padded(count: int, unit: int) -> int:
    return -(-count // unit) * unit
