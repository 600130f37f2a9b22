"""Weights that MLX has quantized, or transformers for its `metal`: scales and biases beside.

MLX stacks the experts of a layer: parts of all have one more dimension before the others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch

from unmask.errors import InvalidCheckpoint
from unmask.models.affine import AffineTensor
from unmask.models.bit_stream import WORD_BITS
from unmask.models.compressed import CompressedTensor
from unmask.models.packed import PackedTensor
from unmask.models.shards import FLOATS, StoredTensor

FIELD = "quantization"
METHOD, METAL = "mlx", "metal"
BIASES = {METHOD: "biases", METAL: "qbiases"}  # names of a part, by `quant_method`
# Fields that are no layers, of which only the first three are read.
OWN = ("bits", "group_size", "mode", "dequantize", "modules_to_not_convert", "quant_method")
Mode = Literal["affine", "mxfp4", "mxfp8", "nvfp4"]
BITS: Mapping[Mode, tuple[int, ...]] = {
    "affine": (1, 2, 3, 4, 5, 6, 8),
    "mxfp4": (4,),
    "mxfp8": (8,),
    "nvfp4": (4,),
}
MX_GROUP, NVFP4_GROUP = 32, 16
FACTOR = "global_scale"  # largest number of a matrix of NVFP4
NVFP4_LARGEST = 448.0 * 6.0  # product of a scale and a number
WRAPPER = "language_model."  # of all names of mlx-vlm's text models, which `shards` leaves out
# Inputs of a group and bits, where a layer's own format does not say.
USUAL: Mapping[Mode, tuple[int, int]] = {
    "affine": (64, 4),
    "mxfp4": (MX_GROUP, 4),
    "mxfp8": (MX_GROUP, 8),
    "nvfp4": (NVFP4_GROUP, 4),
}

Fields = Mapping[str, Any]
Read = StoredTensor | AffineTensor | CompressedTensor | PackedTensor


@dataclass(frozen=True, slots=True)
class MlxFormat:
    """Numbers of a layer: their mode and bits, and the inputs that share a scale."""

    mode: Mode
    bits: int
    group: int


def join_mlx(tensors: Mapping[str, StoredTensor], config: Fields) -> dict[str, Read]:
    """Tensors by name, with each quantized weight and its parts joined under the weight's name.

    Raises `InvalidCheckpoint` if parts do not fit, or if the format is not supported.
    """
    biases = BIASES[config["quant_method"]]
    usual = _format(config, FIELD)
    layers = {name.removeprefix(WRAPPER): form for name, form in _layers(config)}
    joined: dict[str, Read] = {}
    for name, tensor in tensors.items():
        module, _, last = name.rpartition(".")
        if f"{module}.scales" not in tensors or f"{module}.weight" not in tensors:
            joined[name] = tensor
        elif last == "weight":
            joined[name] = _weight(module, biases, tensors, layers.get(module, usual))
        elif last == FACTOR and layers.get(module, usual).mode == "nvfp4":
            continue
        elif last not in ("scales", biases):
            joined[name] = tensor
    return joined


def _layers(config: Fields) -> Iterator[tuple[str, MlxFormat]]:
    """Layers with a format of their own; `false` is of one that is not quantized."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield name, _format(value, f"{FIELD}.{name}")
        elif not (name in OWN or value is None or isinstance(value, bool)):
            raise InvalidCheckpoint(f"config.json: {FIELD}.{name} {value!r:.40} is not supported")


def _format(fields: Fields, where: str) -> MlxFormat:
    """Format of an object, with MLX's defaults for fields that it lacks.

    A layer's own has nothing of the other layers': without a mode it is affine.
    """
    said = {name: value for name, value in fields.items() if value is not None}
    mode = said.get("mode", "affine")
    if mode not in get_args(Mode):
        known = ", ".join(get_args(Mode))
        raise InvalidCheckpoint(f"config.json: {where}.mode {mode!r} is not one of {known}")
    usual_group, usual_bits = USUAL[mode]
    group, bits = said.get("group_size", usual_group), said.get("bits", usual_bits)
    if isinstance(bits, bool) or bits not in BITS[mode]:
        raise InvalidCheckpoint(
            f"config.json: {where}.bits of {mode} must be one of {BITS[mode]}, got {bits!r:.40}"
        )
    if isinstance(group, bool) or not isinstance(group, int) or group < 1:
        raise InvalidCheckpoint(
            f"config.json: {where}.group_size must be a whole number from 1, got {group!r:.40}"
        )
    return MlxFormat(mode, bits, group)


def _weight(module: str, last: str, tensors: Mapping[str, StoredTensor], form: MlxFormat) -> Read:
    """The weight of a module, of parts that fit; `last` is the name of its biases."""
    values, scales = tensors[f"{module}.weight"], tensors[f"{module}.scales"]
    biases = tensors.get(f"{module}.{last}")
    if values.dtype is not torch.int32:
        raise InvalidCheckpoint(f"{module}.weight has scales, but is not packed in words")
    if len(values.shape) not in (2, 3):
        raise InvalidCheckpoint(f"{module}.weight is {values.shape}, no matrix and no stack")
    rows, num_words = values.shape[:-1], values.shape[-1]
    if num_words * WORD_BITS % form.bits:
        raise InvalidCheckpoint(
            f"{module}.weight is {values.shape}, no numbers of {form.bits} bits"
        )
    num_inputs = num_words * WORD_BITS // form.bits
    shape, expected = (*rows, num_inputs), (*rows, num_inputs // form.group)
    if num_inputs % form.group or scales.shape != expected:
        raise InvalidCheckpoint(
            f"{module}.weight is {shape} in {form.bits} bits, but its scales are {scales.shape}, "
            f"which are no groups of {form.group}"
        )
    if form.mode == "affine":
        if biases is None or biases.shape != expected:
            given = "none" if biases is None else f"{biases.shape}"
            raise InvalidCheckpoint(f"{module}.{last} are {given}, expected {expected}")
        if not {scales.dtype, biases.dtype} <= set(FLOATS):
            raise InvalidCheckpoint(f"{module}.scales are of type {scales.dtype}")
        return AffineTensor(values, scales, biases, form.bits)
    return _floats(module, values, scales, shape, form, tensors.get(f"{module}.{FACTOR}"))


def _floats(
    module: str,
    values: StoredTensor,
    scales: StoredTensor,
    shape: tuple[int, ...],
    form: MlxFormat,
    factor: StoredTensor | None,
) -> CompressedTensor | PackedTensor:
    """Floats of 4 or 8 bits, whose scales are bytes; NVFP4 may have a factor of them."""
    group = NVFP4_GROUP if form.mode == "nvfp4" else MX_GROUP
    if scales.dtype is not torch.uint8 or form.group != group:
        raise InvalidCheckpoint(
            f"{module}: {form.mode} has scales in bytes for groups of {group}, got "
            f"{scales.dtype} for groups of {form.group}"
        )
    if form.mode == "mxfp8":
        bytes_ = replace(values, shape=shape, dtype=torch.float8_e4m3fn)
        return CompressedTensor(bytes_, scales, shape, "fp8", (1, group))
    if form.mode == "nvfp4":
        if factor is not None and (factor.dtype, factor.shape) != (torch.float32, shape[:-2]):
            raise InvalidCheckpoint(
                f"{module}.{FACTOR} is {factor.shape} of type {factor.dtype}, expected {shape[:-2]}"
            )
        scales = replace(scales, dtype=torch.float8_e4m3fn)
        share = 1 / NVFP4_LARGEST
        return PackedTensor("nvfp4", values, scales, shape, factor=factor, share=share)
    return PackedTensor("mxfp4", values, scales, shape)
