"""Weights with scales, in the compressed-tensors format and others.

Activation scales of a checkpoint are ignored: activations stay in the model's dtype, or are
quantized dynamically.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.packed import PackedTensor, read_e8m0
from unmask.models.packing import VALUES, find_packed
from unmask.models.quantization_config import read_quantization
from unmask.models.shards import StoredTensor
from unmask_kernels.quantization.types import DTYPES, GROUP_INPUTS, Quantization, QuantizedWeight

EIGHT_BITS: dict[torch.dtype, Quantization] = {dtype: kind for kind, dtype in DTYPES.items()}
SCALES = ("weight_scale", "weight_scale_inv")  # both are factors, despite the second name
# Scales of activations and of KV caches, and shapes that other tensors give too.
IGNORED = (
    *("input_scale", "input_zero_point", "output_scale", "output_zero_point"),
    *("input_global_scale", "activation_scale", "act_scale", "weight_shape"),
    *("k_scale", "kv_scale", "q_scale", "v_scale"),
)
STACK_SCALES = ("_scale", "_scale_inv")  # after the name of a tensor of several matrices
STACKED_NDIM = 3
CPU = torch.device("cpu")
# Parts of weights of 4 bits, beside their values and scales.
PARTS_OF_PACKED = (
    *("qzeros", "scales", "g_idx", "weight_zero_point", "weight_g_idx", "weight_global_scale"),
    *("weight_scale", "weight_scale_2", "weight_shape"),
)


@dataclass(frozen=True, slots=True)
class CompressedTensor:
    """8-bit weight on disk, with a scale a tensor, a row or a block.

    Read a stack of matrices, such as all experts of a layer, with `select`.
    """

    values: StoredTensor  # [..., N, K] of 8 bits, or [N, K / 4] int32 with four values each
    scales: StoredTensor
    shape: tuple[int, ...]
    kind: Quantization
    block: tuple[int, int]  # rows and columns that share a scale
    factor: float = 1.0  # of all scales

    @property
    def format(self) -> str:
        """Name of the format, for people."""
        return self.kind if self.per_output else f"{self.kind} in blocks"

    @property
    def num_bytes(self) -> int:
        """Bytes of values and scales on disk."""
        return self.values.num_bytes + self.scales.num_bytes

    @property
    def per_output(self) -> bool:
        """True if every output has one scale, as the kernels take them."""
        return self.block[1] >= self.shape[-1]

    @property
    def in_groups(self) -> bool:
        """True if the scales are of groups of inputs of the size that W8A8 products take."""
        return self.kind == "fp8" and not self.per_output and self.block[1] == GROUP_INPUTS

    def select(self, index: int) -> "CompressedTensor":
        """Matrix [N, K] at `index` of a stack [E, N, K]."""
        values, scales = self.values.select(index), self.scales.select(index)
        return CompressedTensor(values, scales, self.shape[1:], self.kind, self.block, self.factor)

    def to(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Dequantized weight [N, K], rounded once."""
        rows, columns = self.shape
        scales = self._read_scales(device)
        out = torch.empty(self.shape, dtype=dtype, device=device)
        values = self._read_values(device)
        # Sliced by blocks of rows, to keep few float32 values in memory.
        step = max(1, 4096 // self.block[0])
        for first in range(0, len(scales), step):
            few = scales[first : first + step].repeat_interleave(self.block[0], 0)
            begin = first * self.block[0]
            part = slice(begin, min(begin + len(few), rows))
            wide = few.repeat_interleave(self.block[1], 1) if scales.shape[1] > 1 else few
            out[part] = values[part].float() * wide[: part.stop - begin, :columns]
        return out

    def quantized(self, device: torch.device) -> QuantizedWeight:
        """Values and scales as stored, one scale an output or a group of its inputs."""
        assert self.per_output or self.in_groups
        scales = self._read_scales(device)
        scales = scales if self.in_groups else scales[:, 0]
        scales = scales.repeat_interleave(self.block[0], 0)[: self.shape[0]]
        return QuantizedWeight(self._read_values(device), scales.contiguous())

    def _read_scales(self, device: torch.device) -> Tensor:
        if self.scales.dtype is torch.uint8:
            scales = read_e8m0(self.scales, device)
        else:
            scales = self.scales.to(device, torch.float32)
        scales = scales if self.factor == 1.0 else scales * self.factor
        return scales.view(-1, 1) if scales.ndim < 2 else scales

    def _read_values(self, device: torch.device) -> Tensor:
        values = self.values.to(device, self.values.dtype)
        if values.dtype is not torch.int32:
            return values
        # Four values an integer, little-endian, each offset by 128.
        unsigned = values.view(torch.uint8)[:, : self.shape[1]]
        return (unsigned ^ 0x80).view(torch.int8).contiguous()


def join_scales(
    tensors: Mapping[str, StoredTensor], config: Mapping[str, Any]
) -> dict[str, StoredTensor | CompressedTensor | PackedTensor]:
    """Tensors by name, with each quantized weight and its parts joined under the weight's name.

    `config` is the `quantization_config` of a `config.json`. Raises `InvalidCheckpoint` if the
    format is not supported.
    """
    facts = read_quantization(config)
    joined: dict[str, StoredTensor | CompressedTensor | PackedTensor] = {}
    for name in tensors:
        if (packed := find_packed(name, tensors, facts.packed)) is not None:
            joined[f"{name.rpartition('.')[0]}.weight"] = packed
    scaled: set[str] = set()
    for name, tensor in tensors.items():
        module, _, last = name.rpartition(".")
        if isinstance(joined.get(f"{module}.weight"), PackedTensor):
            if last not in (*VALUES, *PARTS_OF_PACKED, *IGNORED):
                joined[name] = tensor
        elif last in ("weight", "weight_packed") and _is_compressed(tensor):
            joined[f"{module}.weight"] = _compressed(module, tensor, tensors, facts.block)
        elif tensor.dtype in EIGHT_BITS and len(tensor.shape) == STACKED_NDIM:
            joined[name] = _compressed(name, tensor, tensors, facts.block)
        elif last in ("weight_zero_point", "weight_g_idx"):
            if last == "weight_zero_point" and not tensor.to(CPU, torch.float32).any():
                continue  # symmetric
            raise InvalidCheckpoint(
                f"{name}: only symmetric weights without reordering are supported"
            )
        elif last in SCALES:
            scaled.add(module if module in tensors else f"{module}.weight")
        elif stack := _stack_of(name, tensors):
            scaled.add(stack)
        elif last not in IGNORED:
            joined[name] = tensor
    quantized = CompressedTensor | PackedTensor
    if wrong := [n for n in sorted(scaled) if not isinstance(joined.get(n), quantized)]:
        raise InvalidCheckpoint(
            f"{wrong[0]} has scales, but is not stored as int8 or float8_e4m3fn"
        )
    return joined


def _stack_of(name: str, tensors: Mapping[str, StoredTensor]) -> str | None:
    """Name of the stacked weight that has these scales, as transformers saves experts; or None."""
    for suffix in STACK_SCALES:
        stack = tensors.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if stack is not None and len(stack.shape) == STACKED_NDIM:
            return name.removesuffix(suffix)
    return None


def _is_compressed(tensor: StoredTensor) -> bool:
    return tensor.dtype in EIGHT_BITS or tensor.dtype is torch.int32


def _compressed(
    module: str,
    values: StoredTensor,
    tensors: Mapping[str, StoredTensor],
    block: tuple[int, int],
) -> CompressedTensor:
    names = [f"{module}.{last}" for last in SCALES] + [module + last for last in STACK_SCALES]
    scales = next((t for name in names if (t := tensors.get(name))), None)
    if scales is None:
        raise InvalidCheckpoint(f"{module}.weight is 8-bit, but has no {' or '.join(SCALES)}")
    kind = EIGHT_BITS.get(values.dtype, "int8")
    if not scales.dtype.is_floating_point and (kind, scales.dtype) != ("fp8", torch.uint8):
        raise InvalidCheckpoint(f"the scales of {module}.weight are {scales.dtype}")
    shape = values.shape
    if values.dtype is torch.int32:
        weight_shape = tensors.get(f"{module}.weight_shape")
        if weight_shape is None:
            raise InvalidCheckpoint(f"{module} has a weight_packed, but no weight_shape")
        shape = tuple(weight_shape.to(CPU, torch.int64).tolist())
        if len(shape) != 2 or values.shape != (shape[0], -(-shape[1] // 4)):
            raise InvalidCheckpoint(
                f"{module}.weight_packed is {values.shape}, which is not {shape} in 8 bits"
            )
    return CompressedTensor(
        values, scales, shape, kind, _block_of(module, scales.shape, shape, block)
    )


def _block_of(
    module: str, scales: tuple[int, ...], shape: tuple[int, ...], block: tuple[int, int]
) -> tuple[int, int]:
    """Rows and columns that share a scale; raises `InvalidCheckpoint` if none fits."""
    if len(shape) == STACKED_NDIM and scales[:1] == shape[:1]:
        return _block_of(module, scales[1:], shape[1:], block)
    if len(shape) == 2 and len(scales) <= 2:
        rows, columns = (*scales, 1, 1)[:2]
        for height in (1, shape[0], block[0]):
            for width in (shape[1], block[1]):
                if (rows, columns) == (-(-shape[0] // height), -(-shape[1] // width)):
                    return height, width
    raise InvalidCheckpoint(
        f"{module}.weight is {shape}, but its scales are {scales}, with blocks of {block}"
    )
