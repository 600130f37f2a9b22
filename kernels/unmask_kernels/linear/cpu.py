"""Packed weights and experts of the C kernels in `products.c`, in float32 or bfloat16."""

from ctypes import CDLL
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_native
from unmask_kernels.layers.ops import Activation
from unmask_kernels.native.library import address, kernels
from unmask_kernels.native.memory import reserve
from unmask_kernels.native.threads import get_num_threads

ACTIVATIONS: dict[Activation, int] = {"silu": 0, "gelu_tanh": 1}  # as products.c numbers them


@dataclass(frozen=True, slots=True)
class NativeWeight:
    """A weight [N, K] in panels; see `unmask_kernels.linear.packed.PackedWeight`."""

    panels: Tensor  # [N, padded to whole panels, * K]
    bias: Tensor | None  # [N] float32, padded as well
    num_outputs: int
    num_inputs: int

    def product(self, x: Tensor) -> Tensor:
        """Rows [M, N]."""
        return self._run(x, x.new_empty((x.shape[0], self.num_outputs)), adds=False)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, N] added to `residual`, which may be overwritten."""
        return self._run(x, residual.contiguous(), adds=True)

    def activate(self, x: Tensor, activation: Activation) -> Tensor:
        """Activated rows [M, N]."""
        return self._gate(x, None, activation)

    def gate(self, x: Tensor, up: "NativeWeight", activation: Activation) -> Tensor:
        """Activation of rows [M, N], times the rows of `up`, a weight of this shape."""
        shape = self.num_outputs, self.num_inputs
        if (up.num_outputs, up.num_inputs) != shape or up.panels.dtype is not self.panels.dtype:
            raise ValueError(f"a weight {shape} does not gate {up.num_outputs, up.num_inputs}")
        return self._gate(x, up, activation)

    def _gate(self, x: Tensor, up: "NativeWeight | None", activation: Activation) -> Tensor:
        native, rows = self._prepared(x)
        num_rows = x.shape[0]  # faster than len(x)
        out = x.new_empty((num_rows, self.num_outputs))
        native.gated_product(
            rows.data_ptr(),
            self.panels.data_ptr(),
            address(self.bias),
            None if up is None else up.panels.data_ptr(),
            None if up is None else address(up.bias),
            out.data_ptr(),
            num_rows,
            self.num_inputs,
            self.num_outputs,
            ACTIVATIONS[activation],
            get_num_threads(),
        )
        return out

    def _run(self, x: Tensor, out: Tensor, *, adds: bool) -> Tensor:
        native, rows = self._prepared(x)
        num_rows = x.shape[0]
        if out.shape != (num_rows, self.num_outputs) or out.dtype is not self.panels.dtype:
            raise ValueError(f"{num_rows} rows of {self.num_outputs} do not fit {tuple(out.shape)}")
        native.product(
            rows.data_ptr(),
            self.panels.data_ptr(),
            address(self.bias),
            out.data_ptr(),
            num_rows,
            self.num_inputs,
            self.num_outputs,
            adds,
            get_num_threads(),
        )
        return out

    def _prepared(self, x: Tensor) -> tuple[CDLL, Tensor]:
        """C library, and rows [M, K] in its layout."""
        dtype = self.panels.dtype
        if x.shape[1:] != (self.num_inputs,) or x.dtype is not dtype:
            raise ValueError(
                f"rows {tuple(x.shape)} of {x.dtype}, not {self.num_inputs} of {dtype}"
            )
        native = kernels(dtype)
        is_wider = native.row_entry_size() > dtype.itemsize
        return native, (x.float() if is_wider else x).contiguous()


def pack(weight: Tensor, bias: Tensor | None) -> NativeWeight:
    """Pack a weight [N, K] of any strides, and a bias [N]."""
    num_outputs, num_inputs = weight.shape
    padded = _padded(num_outputs, weight.dtype)
    panels = reserve((padded * num_inputs,), weight.dtype)
    _pack(weight, panels)
    if bias is not None:
        bias = F.pad(bias.float(), (0, padded - num_outputs))
    return NativeWeight(panels, bias, num_outputs, num_inputs)


def serves(weight: Tensor) -> bool:
    """True if C kernels multiply a weight [..., K]: they take a few inputs at a time.

    Two in bfloat16, and 32 on a CPU with AMX.
    """
    return uses_native(weight) and weight.shape[-1] % kernels(weight.dtype).input_unit() == 0


def _padded(num_outputs: int, dtype: torch.dtype) -> int:
    width: int = kernels(dtype).panel_width()
    return -(-num_outputs // width) * width


def _pack(weight: Tensor, panels: Tensor) -> None:
    kernels(weight.dtype).pack(
        weight.data_ptr(),
        *weight.stride(),
        panels.data_ptr(),
        *weight.shape,
        get_num_threads(),
    )


class NativeExperts:
    """Packed gated products of one size, filled expert by expert."""

    def __init__(
        self,
        num_experts: int,
        num_columns: int,
        num_inner: int,
        activation: Activation,
        dtype: torch.dtype,
    ) -> None:
        self._native = kernels(dtype)
        self._shape = num_experts, num_columns, num_inner
        self._activation = activation
        size = self._native.expert_size(num_columns, num_inner)
        self._panels = reserve((num_experts, size), dtype)

    @property
    def dtype(self) -> torch.dtype:
        return self._panels.dtype

    @property
    def num_bytes(self) -> int:
        return self._panels.nbytes

    def fill(self, expert: int, gate: Tensor, up: Tensor, down: Tensor) -> None:
        """Pack an expert's gate and up [I, C], and its down [C, I]."""
        panels = self._panels[expert]
        for weight in (gate, up, down):
            size = _padded(len(weight), weight.dtype) * weight.shape[1]
            _pack(weight, panels[:size])
            panels = panels[size:]

    def __call__(self, x: Tensor, ids: Tensor, topk_weights: Tensor) -> Tensor:
        """Rows [T, C] through the experts `ids` [T, K], summed by `topk_weights` [T, K] float32."""
        num_experts, num_columns, num_inner = self._shape
        dtype = self._panels.dtype
        if x.shape[1:] != (num_columns,) or x.dtype is not dtype:
            raise ValueError(f"rows {tuple(x.shape)} of {x.dtype} for {num_columns} of {dtype}")
        if ids.shape != topk_weights.shape or len(ids) != len(x):
            raise ValueError(f"{tuple(ids.shape)} experts, {tuple(topk_weights.shape)} weights")
        x, ids, topk_weights = x.contiguous(), ids.contiguous(), topk_weights.contiguous()
        num_places, threads = ids.numel(), get_num_threads()
        out = torch.empty_like(x)
        order = ids.new_empty(num_experts + 2 + num_places)
        parts = x.new_empty(num_places, num_columns)
        workspace_bytes = self._native.expert_workspace(num_columns, num_inner)
        workspace = torch.empty(threads, workspace_bytes, dtype=torch.uint8)
        self._native.experts(
            x.data_ptr(),
            ids.data_ptr(),
            topk_weights.data_ptr(),
            self._panels.data_ptr(),
            out.data_ptr(),
            *ids.shape,
            *self._shape,
            ACTIVATIONS[self._activation],
            order.data_ptr(),
            order[num_experts + 2 :].data_ptr(),
            parts.data_ptr(),
            workspace.data_ptr(),
            threads,
        )
        return out
