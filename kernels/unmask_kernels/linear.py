"""Matrix products with a fixed weight, whose every row is the same in any company.

On a CPU the weight is repacked once for oneDNN, which also takes the activation, the product or the
sum that follows into the same pass. Two habits of its kernels would make a row depend on how many
rows there are: a bfloat16 product with more than 256 inputs may be summed in several parts, and a
single row may be treated as a vector. So such weights are cut into parts of 256 inputs that are
always summed in order, and rows are filled up, to at least 4: a product of few rows is as fast as
its weight is read, but each row more delays that. oneDNN takes milliseconds to make code for a
number of rows that it has not met, and keeps it, so rows are filled up to one of few numbers:
`fill_rows`, best called once for all the products that rows go through. Weights of 8 bits, widened
as they are used, are MKL's to multiply, which sums fewer than 16 rows in another order.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.layers import Activation, gated
from unmask_kernels.quantized import QuantizedWeight, join, product

MAX_BF16_INPUTS = 256
MAX_PARTS = 16
FEWEST_ROWS = 4
FEWEST_WIDENED_ROWS = 16
MIN_ROW_UNIT = 8
MAX_ROW_UNITS = 16


@dataclass(frozen=True, slots=True)
class Linear:
    """A weight [N, K], with or without a bias, ready to be multiplied with rows [M, K]."""

    weight: Tensor | None  # [N, K]; None once it is packed, of 8 bits where there are scales
    parts: tuple[Tensor, ...]  # opaque, inputs cut in order
    part_inputs: int
    bias: Tensor | None = None  # [N]
    scales: Tensor | None = None  # [N] float32

    @property
    def is_plain(self) -> bool:
        """Whether it is a weight alone, as it was given."""
        return self.weight is not None and self.scales is None and self.bias is None

    def __call__(self, x: Tensor) -> Tensor:
        """Rows [M, N]."""
        if self.weight is not None and self.scales is not None:
            rows = fill_rows(x, FEWEST_WIDENED_ROWS)
            out = product(rows, self.weight, self.scales, self.part_inputs)[: len(x)]
            return out if self.bias is None else out.add_(self.bias)
        if self.weight is not None:
            return F.linear(x, self.weight, self.bias)
        return self._sum(x, None)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, N] added to `residual` [M, N], which may be overwritten."""
        if self.scales is not None:
            return residual.add_(self(x))
        if self.weight is not None:
            residual.addmm_(x, self.weight.T)
            return residual if self.bias is None else residual.add_(self.bias)
        return self._sum(x, residual)

    def silu(self, x: Tensor) -> Tensor:
        """Rows [M, N] through SiLU."""
        if self.weight is not None or len(self.parts) > 1:
            return F.silu(self(x))
        return _product(fill_rows(x), self.parts[0], self.bias, "swish")[: len(x)]

    def gelu(self, x: Tensor) -> Tensor:
        """Rows [M, N] through GELU by its hyperbolic tangent."""
        if self.weight is not None or len(self.parts) > 1:
            return F.gelu(self(x), approximate="tanh")
        return _product(fill_rows(x), self.parts[0], self.bias, "gelu", "tanh")[: len(x)]

    def multiply(self, x: Tensor, other: Tensor) -> Tensor:
        """Rows [M, N] multiplied by `other` [M, N]."""
        if self.weight is not None or len(self.parts) > 1:
            return self(x) * other
        rows, factor = fill_rows(x), fill_rows(other)
        return _binary(rows, self.parts[0], self.bias, factor, "mul")[: len(x)]

    def _sum(self, x: Tensor, total: Tensor | None) -> Tensor:
        rows = len(x)
        x, total = fill_rows(x), None if total is None else fill_rows(total)
        bias = self.bias
        for part, columns in zip(self.parts, torch.split(x, self.part_inputs, 1), strict=True):
            if total is None:
                total = _product(columns, part, bias, "none")
            else:
                total = _binary(columns, part, bias, total, "add")
            bias = None
        assert total is not None
        return total[:rows]


@dataclass(frozen=True, slots=True)
class GatedLinear:
    """Two weights [N, K] of which one, through SiLU or GELU, gates the other (Shazeer, 2020)."""

    gate: Linear
    up: Linear | None  # None where `gate` holds both, one product for the two
    activation: Activation = "silu"

    def __call__(self, x: Tensor) -> Tensor:
        """Rows [M, N]."""
        if self.up is None:
            return gated(self.gate(x), self.activation)
        opened = self.gate.silu(x) if self.activation == "silu" else self.gate.gelu(x)
        return self.up.multiply(x, opened)


def fill_rows(x: Tensor, fewest: int = FEWEST_ROWS) -> Tensor:
    """Rows [M, K], on a CPU with rows of zeros after them up to a number with code of its own.

    On a CPU that is at least `fewest`, a power of two, but none where there are none.
    """
    if x.device.type != "cpu":
        return x
    missing = -len(x) % _row_unit(len(x), fewest)
    return F.pad(x, (0, 0, 0, missing)) if missing else x


def _row_unit(num_rows: int, fewest: int) -> int:
    if num_rows <= fewest:
        return fewest
    next_power = 1 << (num_rows - 1).bit_length()
    return max(MIN_ROW_UNIT, next_power // MAX_ROW_UNITS)


def _product(
    x: Tensor, part: Tensor, bias: Tensor | None, activation: str, algorithm: str = ""
) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, part, bias, activation, [], algorithm)
    return out


def _binary(x: Tensor, part: Tensor, bias: Tensor | None, other: Tensor, operation: str) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, part, bias, operation)
    return out


def make_linear(weight: Tensor | QuantizedWeight, bias: Tensor | None = None) -> Linear:
    """Prepare a weight [N, K] and a bias [N]; packed where oneDNN serves device and dtype."""
    if isinstance(weight, QuantizedWeight):
        part_inputs = _part_inputs(weight.values.shape[1])
        return Linear(weight.values, (), part_inputs, bias, weight.scales)
    num_inputs = weight.shape[1]
    if not can_pack(weight):
        return Linear(weight, (), num_inputs, bias)
    part_inputs = _part_inputs(num_inputs) if weight.dtype is torch.bfloat16 else num_inputs
    return Linear(None, _pack(weight, part_inputs), part_inputs, bias)


def _pack(weight: Tensor, part_inputs: int) -> tuple[Tensor, ...]:
    """The parts of a weight in oneDNN's order.

    They are copied to one place before: of a copy for each, glibc would keep a hole between parts
    that no aligned allocation of the same size fits into, and loading would hold twice the weights.
    """
    parts: list[Tensor] = []
    place = weight.new_empty(len(weight) * part_inputs)
    for part in torch.split(weight, part_inputs, 1):
        copied = place[: part.numel()].view(part.shape).copy_(part)
        parts.append(torch.ops.mkldnn._reorder_linear_weight(copied, None))
    return tuple(parts)


def make_gated_linear(
    gate: Tensor | QuantizedWeight,
    up: Tensor | QuantizedWeight,
    activation: Activation = "silu",
) -> GatedLinear:
    """Prepare two weights [N, K] of one kind."""
    if isinstance(gate, QuantizedWeight):
        assert isinstance(up, QuantizedWeight)
        return GatedLinear(make_linear(join((gate, up))), None, activation)
    assert isinstance(up, Tensor)
    if not uses_triton(gate.device):  # a joint copy gains nothing, and takes memory
        return GatedLinear(make_linear(gate), make_linear(up), activation)
    return GatedLinear(make_linear(torch.cat((gate, up))), None, activation)


def _part_inputs(num_inputs: int) -> int:
    return max(MAX_BF16_INPUTS, -(-num_inputs // MAX_PARTS))


def can_pack(weight: Tensor) -> bool:
    """Whether oneDNN serves the device and the dtype of a weight."""
    if weight.device.type != "cpu" or uses_triton(weight.device):
        return False
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if weight.dtype is torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype is torch.float32


def can_pack_small(weight: Tensor) -> bool:
    """Whether oneDNN is also the faster one for weights of a few hundred inputs and outputs.

    Without AVX-512 a call of it takes 0.1 ms however little there is to do, MKL's half of that.
    """
    return can_pack(weight) and torch.backends.cpu.get_cpu_capability().startswith("AVX512")
