"""Weights that are stored in 8 bits with scales: by compressed-tensors, or as fp8 in blocks.

What a checkpoint says of activations is not needed: they stay in the model's dtype, or are
quantized with scales of their own as they come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.shards import StoredTensor
from unmask_kernels.quantization.types import DTYPES, GROUP_INPUTS, Quantization, QuantizedWeight

EIGHT_BITS: dict[torch.dtype, Quantization] = {dtype: kind for kind, dtype in DTYPES.items()}
SCALES = ("weight_scale", "weight_scale_inv")  # both are multiplied with
# Of activations and of caches, or said already by the shapes of others.
IGNORED = (
    *("input_scale", "input_zero_point", "output_scale", "output_zero_point"),
    *("input_global_scale", "activation_scale", "k_scale", "v_scale", "q_scale", "weight_shape"),
)
STACK_SCALES = ("_scale", "_scale_inv")  # after the name of a tensor of several matrices
STACKED_NDIM = 3
DEFAULT_BLOCK = (128, 128)
METHODS = ("compressed-tensors", "fp8")


@dataclass(frozen=True, slots=True)
class CompressedTensor:
    """A weight in 8 bits, in whose file a scale is for all, for a row, or for a block of it.

    A stack of matrices, such as of all experts, is read by its parts.
    """

    values: StoredTensor  # [..., N, K] of 8 bits, or [N, K / 4] int32 with four values each
    scales: StoredTensor
    shape: tuple[int, ...]
    kind: Quantization
    block: tuple[int, int]  # of rows and columns that share a scale

    @property
    def num_bytes(self) -> int:
        """Its size in the files."""
        return self.values.num_bytes + self.scales.num_bytes

    @property
    def per_output(self) -> bool:
        """Whether every output has one scale, so that it can be used as it is."""
        return self.block[1] >= self.shape[-1]

    @property
    def in_groups(self) -> bool:
        """Whether runs of an output's inputs have scales as W8A8 products can use them."""
        return self.kind == "fp8" and not self.per_output and self.block[1] == GROUP_INPUTS

    def part(self, index: int) -> "CompressedTensor":
        """One matrix of several."""
        values, scales = self.values.part(index), self.scales.part(index)
        return CompressedTensor(values, scales, self.shape[1:], self.kind, self.block)

    def to(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """The weight [N, K] that is meant, rounded once."""
        rows, columns = self.shape
        scales = self._read_scales(device)
        out = torch.empty(self.shape, dtype=dtype, device=device)
        values = self._read_values(device)
        # In slices of blocks, so that little of it is in float32 at a time.
        step = max(1, 4096 // self.block[0])
        for first in range(0, len(scales), step):
            few = scales[first : first + step].repeat_interleave(self.block[0], 0)
            begin = first * self.block[0]
            part = slice(begin, min(begin + len(few), rows))
            wide = few.repeat_interleave(self.block[1], 1) if scales.shape[1] > 1 else few
            out[part] = values[part].float() * wide[: part.stop - begin, :columns]
        return out

    def held(self, device: torch.device) -> QuantizedWeight:
        """The very values and scales of the file, one for each output or for its groups."""
        assert self.per_output or self.in_groups
        scales = self._read_scales(device)
        scales = scales if self.in_groups else scales[:, 0]
        scales = scales.repeat_interleave(self.block[0], 0)[: self.shape[0]]
        return QuantizedWeight(self._read_values(device), scales.contiguous())

    def _read_scales(self, device: torch.device) -> Tensor:
        scales = self.scales.to(device, torch.float32)
        return scales.view(-1, 1) if scales.ndim < 2 else scales

    def _read_values(self, device: torch.device) -> Tensor:
        values = self.values.to(device, self.values.dtype)
        if values.dtype is not torch.int32:
            return values
        # Four to an integer, the first in the lowest byte, each with 128 added to it.
        unsigned = values.view(torch.uint8)[:, : self.shape[1]]
        return (unsigned ^ 0x80).view(torch.int8).contiguous()


def join_scales(
    tensors: Mapping[str, StoredTensor], config: Mapping[str, Any] | None
) -> dict[str, StoredTensor | CompressedTensor]:
    """Weights of 8 bits with their scales under the weight's name, everything else as it is.

    `config` is `quantization_config` of a `config.json`, where there is one. Raises
    `InvalidCheckpoint` for what is not supported.
    """
    if config is None:
        return dict(tensors)
    block = _read_config(config)
    found: dict[str, StoredTensor | CompressedTensor] = {}
    scaled: set[str] = set()
    for name, tensor in tensors.items():
        module, _, last = name.rpartition(".")
        if last in ("weight", "weight_packed") and _is_compressed(tensor):
            found[f"{module}.weight"] = _compressed(module, tensor, tensors, block)
        elif tensor.dtype in EIGHT_BITS and len(tensor.shape) == STACKED_NDIM:
            found[name] = _compressed(name, tensor, tensors, block)
        elif last in ("weight_zero_point", "weight_g_idx"):
            raise InvalidCheckpoint(f"{name}: only symmetric weights without a new order are read")
        elif last in SCALES:
            scaled.add(module if module in tensors else f"{module}.weight")
        elif stack := _stack_of(name, tensors):
            scaled.add(stack)
        elif last not in IGNORED:
            found[name] = tensor
    if wrong := [n for n in sorted(scaled) if not isinstance(found.get(n), CompressedTensor)]:
        raise InvalidCheckpoint(
            f"{wrong[0]} has scales, but is not stored as int8 or float8_e4m3fn"
        )
    return found


def _stack_of(name: str, tensors: Mapping[str, StoredTensor]) -> str | None:
    """The tensor of several matrices whose scales have this name, as transformers saves experts."""
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
        raise InvalidCheckpoint(f"{module}.weight has 8 bits, but no {' nor '.join(SCALES)}")
    if not scales.dtype.is_floating_point:
        raise InvalidCheckpoint(f"the scales of {module}.weight are {scales.dtype}")
    shape = values.shape
    if values.dtype is torch.int32:
        stored = tensors.get(f"{module}.weight_shape")
        if stored is None:
            raise InvalidCheckpoint(f"{module} has a weight_packed, but no weight_shape")
        shape = tuple(stored.to(torch.device("cpu"), torch.int64).tolist())
        if len(shape) != 2 or values.shape != (shape[0], -(-shape[1] // 4)):
            raise InvalidCheckpoint(
                f"{module}.weight_packed is {values.shape}, which is not {shape} in 8 bits"
            )
    kind = EIGHT_BITS.get(values.dtype, "int8")
    return CompressedTensor(
        values, scales, shape, kind, _block_of(module, scales.shape, shape, block)
    )


def _block_of(
    module: str, scales: tuple[int, ...], shape: tuple[int, ...], block: tuple[int, int]
) -> tuple[int, int]:
    """Rows and columns that share a scale; raises `InvalidCheckpoint` if none would fit."""
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


def _read_config(config: Mapping[str, Any]) -> tuple[int, int]:
    """The size of a block, where there are any."""
    method = config.get("quant_method")
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise InvalidCheckpoint(f"quantization by {method} is not supported; known are {known}")
    sparsity = (config.get("sparsity_config") or {}).get("format", "dense")
    if sparsity != "dense":
        raise InvalidCheckpoint(f"sparse weights are not supported: {sparsity}")
    blocks = {_pair(config.get("weight_block_size"))}
    for name, group in (config.get("config_groups") or {}).items():
        weights = group.get("weights") or {}
        if weights.get("num_bits", 8) != 8 or not weights.get("symmetric", True):
            raise InvalidCheckpoint(
                f"{name} has weights of {weights.get('num_bits')} bits, "
                f"symmetric: {weights.get('symmetric')}; only 8 bits, symmetric, are supported"
            )
        size = weights.get("group_size")
        blocks.add(_pair(weights.get("block_structure")))
        blocks.add((1, size) if size and size > 0 else None)
    given = [block for block in blocks if block is not None]
    if len(given) > 1:
        raise InvalidCheckpoint(f"blocks of several sizes are not supported: {given}")
    return given[0] if given else DEFAULT_BLOCK


def _pair(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    rows, columns = value.split("x") if isinstance(value, str) else value
    return int(rows), int(columns)
