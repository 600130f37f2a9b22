"""Weights and experts as the C kernels of `products.c` multiply them, in float32 or bfloat16."""

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

    panels: Tensor  # [N, filled up to whole panels, * K]
    bias: Tensor | None  # [N] float32, filled up as well
    num_outputs: int
    num_inputs: int

    def product(self, x: Tensor) -> Tensor:
        """Rows [M, N]."""
        return self._run(x, x.new_empty((x.shape[0], self.num_outputs)), adds=False)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, N] added to `residual`, which may be overwritten."""
        return self._run(x, residual.contiguous(), adds=True)

    def gate(self, x: Tensor, up: "NativeWeight", activation: Activation) -> Tensor:
        """Rows [M, N] through an activation, times those of another weight of this shape."""
        shape = self.num_outputs, self.num_inputs
        if (up.num_outputs, up.num_inputs) != shape or up.panels.dtype is not self.panels.dtype:
            raise ValueError(f"a weight {shape} does not gate {up.num_outputs, up.num_inputs}")
        native, rows = self._prepared(x)
        num_rows = x.shape[0]  # which is asked faster than its length
        out = x.new_empty((num_rows, self.num_outputs))
        native.gated_product(
            rows.data_ptr(),
            self.panels.data_ptr(),
            address(self.bias),
            up.panels.data_ptr(),
            address(up.bias),
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
        """The kernels, and rows [M, K] as they take them."""
        dtype = self.panels.dtype
        if x.shape[1:] != (self.num_inputs,) or x.dtype is not dtype:
            raise ValueError(
                f"rows {tuple(x.shape)} of {x.dtype}, not {self.num_inputs} of {dtype}"
            )
        native = kernels(dtype)
        return native, x.contiguous() if native.row_entry_size() == dtype.itemsize else x.float()


def pack(weight: Tensor, bias: Tensor | None) -> NativeWeight:
    """A weight [N, K] of any strides, and a bias [N], ready to be multiplied."""
    num_outputs, num_inputs = weight.shape
    filled = _filled(num_outputs, weight.dtype)
    panels = reserve((filled * num_inputs,), weight.dtype)
    _pack(weight, panels)
    if bias is not None:
        bias = F.pad(bias.float(), (0, filled - num_outputs))
    return NativeWeight(panels, bias, num_outputs, num_inputs)


def serves(weight: Tensor) -> bool:
    """Whether a weight [..., K] is multiplied by C kernels, which take inputs by some at a time.

    Those are two in bfloat16, and 32 on a CPU with AMX.
    """
    return uses_native(weight) and weight.shape[-1] % kernels(weight.dtype).input_unit() == 0


def _filled(num_outputs: int, dtype: torch.dtype) -> int:
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
    """Gated products of one size, filled one by one."""

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
        """The type that weights are held in."""
        return self._panels.dtype

    @property
    def num_bytes(self) -> int:
        """Memory of all experts."""
        return self._panels.nbytes

    def fill(self, expert: int, gate: Tensor, up: Tensor, down: Tensor) -> None:
        """Take an expert's gate and other factor [I, C], and its way back [C, I]."""
        place = self._panels[expert]
        for weight in (gate, up, down):
            size = _filled(len(weight), weight.dtype) * weight.shape[1]
            _pack(weight, place[:size])
            place = place[size:]

    def __call__(self, x: Tensor, ids: Tensor, shares: Tensor) -> Tensor:
        """Rows [T, C] through the experts `ids` [T, K], summed by `shares` [T, K] float32."""
        num_experts, num_columns, num_inner = self._shape
        dtype = self._panels.dtype
        if x.shape[1:] != (num_columns,) or x.dtype is not dtype:
            raise ValueError(f"rows {tuple(x.shape)} of {x.dtype} for {num_columns} of {dtype}")
        if ids.shape != shares.shape or len(ids) != len(x):
            raise ValueError(f"{tuple(ids.shape)} experts with {tuple(shares.shape)} shares")
        x, ids, shares = x.contiguous(), ids.contiguous(), shares.contiguous()
        num_places, threads = ids.numel(), get_num_threads()
        out = torch.empty_like(x)
        numbers = ids.new_empty(num_experts + 2 + num_places)
        parts = x.new_empty(num_places, num_columns)
        room_size = self._native.expert_workspace(num_columns, num_inner)
        room = torch.empty(threads, room_size, dtype=torch.uint8)
        self._native.experts(
            x.data_ptr(),
            ids.data_ptr(),
            shares.data_ptr(),
            self._panels.data_ptr(),
            out.data_ptr(),
            *ids.shape,
            *self._shape,
            ACTIVATIONS[self._activation],
            numbers.data_ptr(),
            numbers[num_experts + 2 :].data_ptr(),
            parts.data_ptr(),
            room.data_ptr(),
            threads,
        )
        return out
