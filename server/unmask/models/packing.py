"""Finds the parts of weights of few bits in a checkpoint, and checks that they fit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from unmask.errors import InvalidCheckpoint
from unmask.models.bit_stream import NIBBLE_BITS, PER_WORD, WORD_BITS
from unmask.models.gptq import ZeroPoints
from unmask.models.packed import GROUP_OF, Format, PackedTensor
from unmask.models.shards import FLOATS, StoredTensor

Stored = Mapping[str, StoredTensor]
VALUES = {"qweight", "weight_packed", "weight"}


@dataclass(frozen=True, slots=True)
class PackedConfig:
    """Facts of a `quantization_config` that tensors do not tell."""

    method: str
    group_sizes: frozenset[int] = frozenset()  # that are allowed; any if there are none
    bits: frozenset[int] = frozenset((NIBBLE_BITS,))
    is_symmetric: bool = True
    zero_points: ZeroPoints = field(default_factory=ZeroPoints)
    has_order: bool = False  # groups need not be runs of inputs, so a tensor must tell them


def find_packed(name: str, tensors: Stored, config: PackedConfig) -> PackedTensor | None:
    """The weight of few bits whose numbers `name` has; None for another tensor.

    Raises `InvalidCheckpoint` if parts are missing or do not fit.
    """
    module, _, last = name.rpartition(".")
    if last not in VALUES:
        return None
    parts = _Parts(module, tensors, tensors[name])
    if last == "qweight":
        return _by_columns(parts, config)
    is_bytes = parts.values.dtype is torch.uint8
    if is_bytes and (last == "weight_packed" or parts.has("weight_scale_2")):
        return _float4(parts)
    if last == "weight_packed" and parts.values.dtype is torch.int32:
        return _int4(parts, config)
    return None


@dataclass(frozen=True, slots=True)
class _Parts:
    """Tensors of a module."""

    module: str
    tensors: Stored
    values: StoredTensor

    def has(self, last: str) -> bool:
        return f"{self.module}.{last}" in self.tensors

    def get(self, last: str, dtypes: tuple[torch.dtype, ...]) -> StoredTensor:
        """A part that must be there, in one of these types."""
        tensor = self.tensors.get(f"{self.module}.{last}")
        if tensor is None:
            raise InvalidCheckpoint(f"{self.module} is of few bits, but has no {last}")
        if tensor.dtype not in dtypes:
            raise InvalidCheckpoint(f"{self.module}.{last} is of type {tensor.dtype}")
        return tensor

    def check(self, last: str, tensor: StoredTensor, *shapes: tuple[int, ...]) -> None:
        if tensor.shape not in shapes:
            raise InvalidCheckpoint(f"{self.module}.{last} is {tensor.shape}, expected {shapes[0]}")


INTEGERS = (torch.int32,)
FACTORS = ("weight_global_scale", "weight_scale_2")  # of all scales: a divisor, or a factor


def _float4(parts: _Parts) -> PackedTensor:
    """NVFP4 of compressed-tensors and of ModelOpt, or MXFP4."""
    scales = parts.get("weight_scale", (torch.float8_e4m3fn, torch.uint8))
    label: Format = "mxfp4" if scales.dtype is torch.uint8 else "nvfp4"
    shape = _matrix(parts, 1, 2)
    parts.check("weight_scale", scales, (shape[0], _num_groups(parts, shape, GROUP_OF[label])))
    if label == "mxfp4":
        if extra := next((last for last in FACTORS if parts.has(last)), None):
            raise InvalidCheckpoint(f"{parts.module} is of MXFP4, which has no {extra}")
        return PackedTensor(label, parts.values, scales, shape)
    divides = not parts.has(FACTORS[1])
    last = FACTORS[0] if divides else FACTORS[1]
    factor = parts.get(last, (torch.float32,))
    parts.check(last, factor, (1,), (), (1, 1))
    return PackedTensor(label, parts.values, scales, shape, factor=factor, divides=divides)


def _int4(parts: _Parts, config: PackedConfig) -> PackedTensor | None:
    """Integers of compressed-tensors; None if they have 8 bits."""
    sizes = parts.get("weight_shape", (torch.int64, torch.int32))
    shape = tuple(sizes.to(torch.device("cpu"), torch.int64).tolist())
    if len(shape) != 2:
        raise InvalidCheckpoint(f"{parts.module}.weight_shape is {shape}, expected two numbers")
    if parts.values.shape == (shape[0], -(-shape[1] // 4)) and shape[1] > 4:
        return None
    parts.check("weight_packed", parts.values, (shape[0], -(-shape[1] // PER_WORD)))
    scales = parts.get("weight_scale", FLOATS)
    num_groups = _num_scales(parts, scales, shape, config)
    parts.check("weight_scale", scales, (shape[0], num_groups))
    zeros = None
    if parts.has("weight_zero_point"):
        zeros = parts.get("weight_zero_point", INTEGERS)
        parts.check("weight_zero_point", zeros, (-(-shape[0] // PER_WORD), num_groups))
    elif not config.is_symmetric:
        raise InvalidCheckpoint(f"{parts.module} is asymmetric, but has no weight_zero_point")
    groups = _order(parts, "weight_g_idx", shape[1], num_groups)
    return PackedTensor("int4", parts.values, scales, shape, zeros, groups=groups)


def _by_columns(parts: _Parts, config: PackedConfig) -> PackedTensor:
    """AWQ, with words along the outputs, or GPTQ, with words along the inputs."""
    if config.method not in ("awq", "gptq"):
        raise InvalidCheckpoint(
            f"{parts.module} has a qweight, as of awq and gptq, but quant_method is {config.method}"
        )
    is_awq, values = config.method == "awq", parts.values
    if values.dtype is not torch.int32:
        raise InvalidCheckpoint(f"{parts.module}.qweight is of type {values.dtype}")
    scales, zeros = parts.get("scales", FLOATS), parts.get("qzeros", INTEGERS)
    if is_awq:
        bits, (num_inputs, num_outputs) = NIBBLE_BITS, _matrix(parts, 1, PER_WORD)
    else:
        num_words, num_outputs = _matrix(parts, 1, 1)
        bits = _bits(zeros, num_outputs, config)
        num_inputs = num_words * WORD_BITS // bits
        if num_words * WORD_BITS % bits:
            raise InvalidCheckpoint(f"{parts.module}.qweight has no whole words of {bits} bits")
    shape = num_outputs, num_inputs
    num_groups = _num_groups_of(parts, shape, scales, config.group_sizes)
    parts.check("scales", scales, (num_groups, num_outputs))
    if num_outputs * bits % WORD_BITS:
        step = WORD_BITS // math.gcd(WORD_BITS, bits)
        raise InvalidCheckpoint(f"{parts.module} has {num_outputs} outputs, no multiple of {step}")
    parts.check("qzeros", zeros, (num_groups, num_outputs * bits // WORD_BITS))
    if is_awq:
        return PackedTensor("awq", values, scales, shape, zeros)
    is_in_middle = config.zero_points.check(parts.module, zeros, bits)
    if config.has_order and num_groups > 1 and not parts.has("g_idx"):
        raise InvalidCheckpoint(f"{parts.module} has no g_idx, which desc_act needs")
    return PackedTensor(
        "gptq",
        values,
        scales,
        shape,
        zeros,
        config.zero_points.offset,
        _order(parts, "g_idx", num_inputs, num_groups),
        bits=bits,
        fits_int8=bits <= NIBBLE_BITS or is_in_middle,
    )


def _bits(zeros: StoredTensor, num_outputs: int, config: PackedConfig) -> int:
    """Bits of a number, of those that the configuration has, by the words of zero points."""
    num_bits = zeros.shape[-1] * WORD_BITS if zeros.shape else 0
    return next((bits for bits in config.bits if num_outputs * bits == num_bits), min(config.bits))


def _num_groups_of(
    parts: _Parts, shape: tuple[int, int], scales: StoredTensor, sizes: frozenset[int]
) -> int:
    """Groups of inputs, of several sizes of the one whose scales there are."""
    num_inputs = shape[1]
    for size in sizes:
        group = max(num_inputs, 1) if size == -1 else size
        if scales.shape[:1] == (num_inputs // group,) and num_inputs % group == 0:
            return num_inputs // group
    size = min(sizes)
    return 1 if size == -1 else _num_groups(parts, shape, size)


def _matrix(parts: _Parts, rows: int, columns: int) -> tuple[int, int]:
    """Size of a packed matrix, given the numbers that an element has along both dimensions."""
    if len(parts.values.shape) != 2:
        raise InvalidCheckpoint(f"{parts.module} is packed as {parts.values.shape}, not a matrix")
    return parts.values.shape[0] * rows, parts.values.shape[1] * columns


def _num_groups(parts: _Parts, shape: tuple[int, int], size: int) -> int:
    if shape[1] % size:
        raise InvalidCheckpoint(f"{parts.module} has {shape[1]} inputs, no multiple of {size}")
    return shape[1] // size


def _num_scales(
    parts: _Parts, scales: StoredTensor, shape: tuple[int, int], config: PackedConfig
) -> int:
    """Groups of inputs, of a size that the configuration has."""
    num_groups = scales.shape[1] if len(scales.shape) == 2 else 1
    size = shape[1] // num_groups if num_groups and shape[1] % num_groups == 0 else None
    allowed = config.group_sizes | ({shape[1]} if -1 in config.group_sizes else set())
    if size is None or (config.group_sizes and size not in allowed):
        raise InvalidCheckpoint(
            f"{parts.module} has scales {scales.shape} for a weight {shape}, which are no groups "
            f"of {' or '.join(str(size) for size in sorted(config.group_sizes))}"
        )
    return num_groups


def _order(parts: _Parts, last: str, num_inputs: int, num_groups: int) -> StoredTensor | None:
    """Group of each input (act-order); None if groups are runs of inputs."""
    if not parts.has(last):
        return None
    tensor = parts.get(last, (torch.int32, torch.int64))
    parts.check(last, tensor, (num_inputs,))
    groups = tensor.to(torch.device("cpu"), torch.int64)
    in_order = torch.arange(num_inputs) // (num_inputs // num_groups)
    if torch.equal(groups, in_order) or bool((groups == -1).all()):
        return None
    if not bool(((groups >= 0) & (groups < num_groups)).all()):
        raise InvalidCheckpoint(f"{parts.module}.{last} names groups beyond {num_groups}")
    return tensor
