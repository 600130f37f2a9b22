"""Experts of a mixture: gated products of rows with the experts that they are routed to.

A row's experts are summed one by one: a reduction of torch may choose its order by the number of
rows.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import capability, uses_triton
from unmask_kernels.layers.ops import Activation, gated
from unmask_kernels.linear import cpu as native
from unmask_kernels.linear import onednn, quantized
from unmask_kernels.linear.cpu import NativeExperts
from unmask_kernels.linear.ops import (
    FEWEST_WIDENED_ROWS,
    GatedLinear,
    Linear,
    make_gated_linear,
    make_linear,
    uses_onednn,
)
from unmask_kernels.linear.padding import pad_rows, pad_to_bucket
from unmask_kernels.moe.types import INNER_GROUP, PER_OUTPUT_NDIM, Stacked
from unmask_kernels.native.memory import reserve
from unmask_kernels.quantization.ops import (
    dequantize,
    dequantize_rows,
    quantize_rows,
    takes_quantized_rows,
)
from unmask_kernels.quantization.types import QuantizedRows, QuantizedWeight

Matrix = Tensor | QuantizedWeight


@dataclass(frozen=True, slots=True)
class Experts:
    """Gated products of all experts, ready for rows that are each routed to some."""

    stacked: Stacked | None  # None once they are packed
    packed: tuple[tuple[GatedLinear, Linear], ...]
    activation: Activation = "silu"
    native: NativeExperts | None = None

    @property
    def takes_quantized_rows(self) -> bool:
        """True if rows are multiplied in e4m3; they may come quantized."""
        return self.stacked is not None and takes_quantized_rows(self.stacked.gate_up.flatten(0, 1))

    @property
    def takes_groups(self) -> bool:
        """True if such rows have a scale for every 128 inputs, as weights in blocks do."""
        return self.stacked is not None and _in_groups(self.stacked.gate_up_scales)

    def __call__(self, x: Tensor | QuantizedRows, ids: Tensor, topk_weights: Tensor) -> Tensor:
        """Rows [T, C] through the experts `ids` [T, K], summed by `topk_weights` [T, K] float32."""
        if self.stacked is not None:
            return self._stacked(x, ids, topk_weights, None)
        assert isinstance(x, Tensor)
        if self.native is not None:
            return self.native(x, ids, topk_weights)
        return _grouped(x, ids, topk_weights, len(self.packed), self._product)

    def add(
        self, x: Tensor | QuantizedRows, ids: Tensor, topk_weights: Tensor, residual: Tensor
    ) -> Tensor:
        """`__call__`, added to `residual` [T, C], which may be overwritten."""
        if self.stacked is None:
            return residual.add_(self(x, ids, topk_weights))
        return self._stacked(x, ids, topk_weights, residual)

    @property
    def num_bytes(self) -> dict[torch.dtype, int]:
        """Memory of all experts, scales included, by dtype of the weights."""
        if self.native is not None:
            return {self.native.dtype: self.native.num_bytes}
        if self.stacked is None:
            return {}  # oneDNN does not say
        stacked = self.stacked
        parts = stacked.gate_up, stacked.down, stacked.gate_up_scales, stacked.down_scales
        return {stacked.gate_up.dtype: sum(part.nbytes for part in parts if part is not None)}

    def _stacked(
        self, x: Tensor | QuantizedRows, ids: Tensor, topk_weights: Tensor, residual: Tensor | None
    ) -> Tensor:
        assert self.stacked is not None
        return experts(
            x,
            self.stacked.gate_up,
            self.stacked.down,
            ids,
            topk_weights,
            gate_up_scales=self.stacked.gate_up_scales,
            down_scales=self.stacked.down_scales,
            activation=self.activation,
            residual=residual,
        )

    def _product(self, expert: int, rows: Tensor) -> Tensor:
        inner, down = self.packed[expert]
        return down(inner(pad_rows(rows)))[: len(rows)]


def make_experts(
    gate_up: Tensor,
    down: Tensor,
    *,
    gate_up_scales: Tensor | None = None,
    down_scales: Tensor | None = None,
    activation: Activation = "silu",
) -> Experts:
    """Prepare weights of `experts`; without scales, packed if a CPU's kernels serve them."""
    if gate_up_scales is not None or down_scales is not None or not _packs(gate_up, down):
        return Experts(Stacked(gate_up, down, gate_up_scales, down_scales), (), activation)
    pairs = zip(gate_up, down, strict=True)
    return gather_experts(((*g.chunk(2), d) for g, d in pairs), len(down), activation)


def halves(weight: Matrix) -> tuple[Matrix, Matrix]:
    """Gate and up [I, C] of a weight [2 I, C]."""
    if isinstance(weight, Tensor):
        gate, up = weight.chunk(2)
        return gate, up
    parts = zip(weight.values.chunk(2), weight.scales.chunk(2), strict=True)
    first, second = (QuantizedWeight(values, scales) for values, scales in parts)
    return first, second


def gather_experts(
    weights: Iterable[tuple[Matrix, Matrix, Matrix]],
    num_experts: int,
    activation: Activation = "silu",
) -> Experts:
    """Prepare experts that come one by one: gate and up [I, C], down [C, I].

    Each is copied and dropped before the next, so no more than one is in memory twice.
    """
    packed = []
    stacked: Stacked | None = None
    native_experts: NativeExperts | None = None
    for expert, (gate, up, down) in enumerate(weights):
        if isinstance(gate, QuantizedWeight):
            assert isinstance(up, QuantizedWeight)
            assert isinstance(down, QuantizedWeight)
            stacked = stacked or _reserve(gate, down, num_experts)
            _fill(stacked, expert, gate, up, down)
            continue
        assert isinstance(up, Tensor)
        assert isinstance(down, Tensor)
        if _uses_native(gate, down):
            if native_experts is None:
                sizes = num_experts, gate.shape[1], len(gate)
                native_experts = NativeExperts(*sizes, activation, gate.dtype)
            native_experts.fill(expert, gate, up, down)
            continue
        if _packs(gate, down):
            packed.append((make_gated_linear(gate, up, activation), make_linear(down)))
            continue
        if stacked is None:
            both = 2 * len(gate)
            stacked = Stacked(
                reserve((num_experts, both, gate.shape[1]), gate.dtype, gate.device),
                reserve((num_experts, *down.shape), down.dtype, down.device),
            )
        torch.cat((gate, up), out=stacked.gate_up[expert])
        stacked.down[expert] = down
    return Experts(stacked, tuple(packed), activation, native_experts)


def _reserve(gate: QuantizedWeight, down: QuantizedWeight, num_experts: int) -> Stacked:
    """Memory for experts of 8 bits."""
    (inner, columns), dtype, device = gate.values.shape, gate.values.dtype, gate.values.device
    return Stacked(
        reserve((num_experts, 2 * inner, columns), dtype, device),
        reserve((num_experts, columns, inner), dtype, device),
        _reserve_scales(gate.scales, num_experts, 2 * inner),
        _reserve_scales(down.scales, num_experts, columns),
    )


def _reserve_scales(like: Tensor, num_experts: int, num_outputs: int) -> Tensor:
    """Memory [E, N], or [E, N, G] with the outputs of a group side by side."""
    groups = like.shape[1:]
    scales = like.new_empty((num_experts, *groups, num_outputs))
    return scales.mT if groups else scales


def _fill(
    stacked: Stacked, expert: int, gate: QuantizedWeight, up: QuantizedWeight, down: QuantizedWeight
) -> None:
    assert stacked.gate_up_scales is not None
    assert stacked.down_scales is not None
    inner = len(gate.values)
    for weight, outputs in ((gate, slice(0, inner)), (up, slice(inner, 2 * inner))):
        stacked.gate_up[expert, outputs] = weight.values
        stacked.gate_up_scales[expert, outputs] = weight.scales
    stacked.down[expert] = down.values
    stacked.down_scales[expert] = down.scales


def experts(
    x: Tensor | QuantizedRows,
    gate_up: Tensor,
    down: Tensor,
    ids: Tensor,
    topk_weights: Tensor,
    *,
    gate_up_scales: Tensor | None = None,
    down_scales: Tensor | None = None,
    activation: Activation = "silu",
    residual: Tensor | None = None,
) -> Tensor:
    """Rows `x` [T, C] through the experts `ids` [T, K], summed by `topk_weights` [T, K] float32.

    An expert is a gated product (Shazeer, 2020): `gate_up` [E, 2 I, C] holds gate before up, then
    comes `down` [E, C, I]. 8-bit weights have scales [E, 2 I] and [E, C] of their outputs, or
    [E, 2 I, C / 128] and [E, C, I / 128] of groups of inputs. On a chip that multiplies e4m3, rows
    are quantized to it: `x` as the weights are, activations between the two products with a scale
    for every 64 of a row. Returns [T, C], added to a `residual`, which may be overwritten.
    """
    num_experts, both, columns = gate_up.shape
    rows_shape = tuple(x.shape if isinstance(x, Tensor) else x.values.shape)
    if columns != rows_shape[1] or down.shape != (num_experts, columns, both // 2):
        shapes = f"{tuple(gate_up.shape)} and {tuple(down.shape)}"
        raise ValueError(f"experts {shapes} do not fit rows {rows_shape}")
    if ids.shape != topk_weights.shape or len(ids) != len(x):
        raise ValueError(f"{tuple(ids.shape)} experts, {tuple(topk_weights.shape)} weights")
    if isinstance(x, Tensor) and takes_quantized_rows(gate_up.flatten(0, 1)):
        x = quantize_rows(x, grouped=_in_groups(gate_up_scales))
    if uses_triton(ids.device):
        from unmask_kernels.moe.gpu import experts as gpu

        return gpu.experts(
            x,
            gate_up,
            down,
            ids,
            topk_weights,
            gate_up_scales,
            down_scales,
            activation,
            capability(ids.device),
            residual,
        )
    is_quantized = isinstance(x, QuantizedRows)

    def product(expert: int, rows: Tensor) -> Tensor:
        full = pad_to_bucket(rows, FEWEST_WIDENED_ROWS)  # MKL sums fewer in another order
        inner = gated(_linear(full, gate_up, gate_up_scales, expert), activation)
        inner = _rounded_in_groups(inner) if is_quantized else inner
        return _linear(inner, down, down_scales, expert)[: len(rows)]

    wide = dequantize_rows(x, torch.float32) if isinstance(x, QuantizedRows) else x
    mixed = _grouped(wide, ids, topk_weights, num_experts, product).to(x.dtype)
    return mixed if residual is None else residual.add_(mixed)


def _packs(gate_up: Tensor, down: Tensor) -> bool:
    """True if weights [..., I, C] and [..., C, I] of a few hundred inputs are repacked.

    Without AVX-512 a call of oneDNN takes at least 0.1 ms, one of MKL half of that.
    """
    if _uses_native(gate_up, down):
        return True
    return uses_onednn(gate_up) and torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def _uses_native(gate_up: Tensor, down: Tensor) -> bool:
    return native.serves(gate_up) and native.serves(down)


def _grouped(
    x: Tensor,
    ids: Tensor,
    topk_weights: Tensor,
    num_experts: int,
    product: Callable[[int, Tensor], Tensor],
) -> Tensor:
    """Each expert's rows together through `product`; a row's experts are summed in order."""
    flat, top = ids.flatten(), ids.shape[1]
    order = flat.argsort(stable=True)
    counts = torch.bincount(flat, minlength=num_experts).tolist()
    rows = torch.split(x.index_select(0, order // top), counts)
    outputs = [product(expert, chunk) for expert, chunk in enumerate(rows) if len(chunk)]
    parts = x.new_empty((len(flat), x.shape[1]))
    if outputs:
        parts.index_copy_(0, order, torch.cat(outputs))
    parts = parts.view(len(x), top, x.shape[1])
    total = parts[:, 0].float() * topk_weights[:, :1]
    for k in range(1, top):
        total += parts[:, k].float() * topk_weights[:, k : k + 1]
    return total.to(x.dtype)


def _rounded_in_groups(inner: Tensor) -> Tensor:
    """Rows [M, I] rounded to e4m3 with a scale for every 64 activations, as on a GPU."""
    padded = F.pad(inner, (0, -inner.shape[1] % INNER_GROUP))
    groups = quantize_rows(padded.view(-1, INNER_GROUP))
    return dequantize_rows(groups, inner.dtype).view(padded.shape)[:, : inner.shape[1]]


def _in_groups(scales: Tensor | None) -> bool:
    """True if groups of inputs have scales, rather than whole outputs."""
    return scales is not None and scales.ndim > PER_OUTPUT_NDIM


def _linear(x: Tensor, weights: Tensor, scales: Tensor | None, expert: int) -> Tensor:
    if scales is None:
        return F.linear(x, weights[expert])
    if _in_groups(scales):
        return F.linear(x, dequantize(QuantizedWeight(weights[expert], scales[expert]), x.dtype))
    return quantized.product(x, weights[expert], scales[expert], onednn.cut(x.shape[1]))
