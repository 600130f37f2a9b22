"""`quantization_config` of a checkpoint, checked and read into a few facts.

Tensors tell how each layer is stored. A field that would change what they mean, and is not
followed, is refused by name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.models.bit_stream import NIBBLE_BITS
from unmask.models.config_fields import ConfigFields, check_fields
from unmask.models.gptq import BITS, OFFSETS, ZeroPoints, read_maker
from unmask.models.packing import PackedConfig

Fields = Mapping[str, Any]
NAME = "quantization_config"
METHODS = ("compressed-tensors", "fp8", "fbgemm_fp8", "awq", "gptq", "modelopt")
OTHER_METHODS = ("auto-round", "bitsandbytes", "metal", "mlx")  # read elsewhere
MODELOPT = (
    *("FP8", "FP8_PER_CHANNEL_PER_TOKEN", "NVFP4", "W4A16_NVFP4"),
    "MIXED_PRECISION",
)
DEFAULT_BLOCK = (128, 128)
WAY_OUT = (
    "; serve the weights that are not quantized: --quantization int8, fp8 or int4 quantizes them "
    f"as they are read. If these are such, say --hf-overrides '{{\"{NAME}\": null}}'"
)
FORMATS = (
    *("dense", "int-quantized", "float-quantized", "naive-quantized", "pack-quantized"),
    *("mixed-precision", "nvfp4-pack-quantized", "mxfp4-pack-quantized", "mxfp8-quantized"),
)
OFFLINE = ("weight_input", "weight_output")  # places of transforms that stored weights have
_ACTIVATIONS = frozenset(("input_activations", "output_activations", "targets"))
_WEIGHTS = ConfigFields(
    read=frozenset(("block_structure", "group_size", "num_bits", "symmetric", "type")),
    harmless=frozenset(
        (
            *("actorder", "dynamic", "observer", "observer_kwargs", "scale_dtype", "strategy"),
            "zp_dtype",
        )
    ),
)
COMPRESSED_TENSORS = ConfigFields(
    read=frozenset(
        (
            *("config_groups", "quant_method", "sparsity_config", "transform_config"),
            "weight_block_size",
        )
    ),
    harmless=frozenset(
        (
            *("compressed-tensors_version", "dequantize", "global_compression_ratio", "ignore"),
            *("kv_cache_scheme", "provider", "quantization_status", "run_compressed", "version"),
        )
    ),
    accepted={"format": FORMATS},
)
_GROUP = ConfigFields(
    harmless=_ACTIVATIONS, accepted={"format": FORMATS}, nested={"weights": _WEIGHTS}
)
FP8 = ConfigFields(
    read=frozenset(("quant_method", "weight_block_size")),
    harmless=frozenset(
        (
            *("activation_scale_ub", "activation_scheme", "dequantize", "ignored_layers"),
            *("is_checkpoint_fp8_serialized", "kv_cache_scheme", "modules_to_convert"),
            *("modules_to_not_convert", "scale_fmt"),
        )
    ),
    accepted={"expert_dtype": ("fp8",), "fmt": ("e4m3", "float8_e4m3fn")},
)
# Of AWQ and GPTQ, whose tools write many fields of their own work beside these.
BY_COLUMNS = ConfigFields(
    accepted={
        "adapter": (),
        "is_marlin_format": (False,),
        "pack_dtype": ("int32", "torch.int32"),
        "rotation": (),
    }
)
OTHER_PACKING = "llm-awq"  # backend of AWQ with a layout of its own


@dataclass(frozen=True, slots=True)
class QuantizationFacts:
    """Facts of a `quantization_config` that tensors do not tell."""

    block: tuple[int, int]  # rows and columns of 8 bits that share a scale, where they are blocks
    packed: PackedConfig


def read_quantization(config: Fields) -> QuantizationFacts:
    """Facts of a configuration; raises `InvalidCheckpoint` for what is not supported."""
    method = config.get("quant_method")
    if method not in METHODS:
        known = ", ".join((*METHODS, *OTHER_METHODS))
        raise InvalidCheckpoint(
            f"quantization by {method} is not supported; known are {known}{WAY_OUT}"
        )
    if method in ("awq", "gptq"):
        return QuantizationFacts(DEFAULT_BLOCK, _packed_by_columns(config, str(method)))
    if method == "modelopt":
        _check_modelopt(config)
    else:
        is_fp8 = method != "compressed-tensors"
        _check(config, FP8 if is_fp8 else COMPRESSED_TENSORS, NAME)
    _check_extras(config)
    return _facts_of_groups(config, str(method))


def _check(config: Fields, known: ConfigFields, where: str) -> None:
    """Raise `InvalidCheckpoint` for unknown fields, unless they are empty, zero or false."""
    said = {
        name: value
        for name, value in config.items()
        if value or (value is False and name in known.accepted)
    }
    check_fields(said, known, where)


def _check_extras(config: Fields) -> None:
    """Raise `InvalidCheckpoint` for sparse weights and for transforms of activations."""
    sparsity = config.get("sparsity_config") or {}
    kind = sparsity.get("format", "dense") if isinstance(sparsity, Mapping) else sparsity
    if kind != "dense":
        raise InvalidCheckpoint(f"sparse weights are not supported: {kind}")
    transforms = _objects(config.get("transform_config") or {}, "transform_config")
    for name, scheme in _objects(transforms.get("config_groups") or {}, "transform_config").items():
        applied = _objects(scheme, f"transform {name}").get("apply") or ()
        places = {_objects(part, f"transform {name}").get("location") for part in applied}
        if online := sorted(map(str, places.difference(OFFLINE))):
            raise InvalidCheckpoint(
                f"transform {name} at {', '.join(online)} is not supported: only those that "
                "stored weights have, at weight_input and weight_output"
            )


def _check_modelopt(config: Fields) -> None:
    """Raise `InvalidCheckpoint` for algorithms other than `MODELOPT`; none is a cache's alone."""
    layers = _objects(config.get("quantized_layers") or {}, "quantized_layers")
    algorithms = [config.get("quant_algo")]
    algorithms += [_objects(layer, name).get("quant_algo") for name, layer in layers.items()]
    for algorithm in algorithms:
        if algorithm is not None and str(algorithm).upper() not in MODELOPT:
            known = ", ".join(MODELOPT)
            raise InvalidCheckpoint(f"modelopt's {algorithm} is not supported, only {known}")


def _packed_by_columns(config: Fields, method: str) -> PackedConfig:
    """Facts of AWQ and GPTQ; raises `InvalidCheckpoint` for other bits and layouts."""
    said = {name: config[name] for name in BY_COLUMNS.accepted if name in config}
    _check(said, BY_COLUMNS, NAME)
    allowed = BITS if method == "gptq" else (NIBBLE_BITS,)
    every_bits, sizes, are_symmetric = set(), set(), set()
    for where, rule in _rules(config):
        bits, size, symmetric = (rule.get(name) for name in ("bits", "group_size", "sym"))
        if isinstance(bits, bool) or not isinstance(bits, int) or bits not in allowed:
            known = ", ".join(map(str, allowed))
            raise InvalidCheckpoint(
                f"{method} with {bits!r:.40} bits{where} is not supported, only with {known}"
            )
        if isinstance(size, bool) or not isinstance(size, int) or size == 0 or size < -1:
            raise InvalidCheckpoint(
                f"{method}: group_size{where} must be -1 or above 0, got {size!r:.40}"
            )
        every_bits.add(bits)
        sizes.add(size)
        are_symmetric.add(symmetric is True)
    if method == "awq" and len(sizes) > 1:
        raise InvalidCheckpoint("awq: dynamic gives layers other groups, which is not supported")
    names = ("format", "checkpoint_format", *(("version",) if method == "awq" else ()))
    layouts = {str(config[name]).lower() for name in names if config.get(name) is not None}
    if len(layouts) > 1:
        raise InvalidCheckpoint(f"{method}: {' and '.join(names)} disagree: {sorted(layouts)}")
    layout = next(iter(layouts), "gemm" if method == "awq" else "gptq")
    if method == "awq":
        layout = OTHER_PACKING if config.get("backend") == OTHER_PACKING else layout
        if layout != "gemm":
            raise InvalidCheckpoint(f"awq of version {layout} is not supported, only gemm")
        return PackedConfig(method, frozenset(sizes))
    if layout not in OFFSETS:
        formats = " and ".join(OFFSETS)
        raise InvalidCheckpoint(f"gptq in the format {layout} is not supported, only {formats}")
    return PackedConfig(
        method,
        frozenset(sizes),
        frozenset(every_bits),
        zero_points=ZeroPoints(OFFSETS[layout], are_symmetric == {True}, read_maker(config)),
        has_order=bool(config.get("desc_act")),
    )


def _rules(config: Fields) -> Iterator[tuple[str, Fields]]:
    """Bits, groups and symmetry of all layers, then of those that `dynamic` names, and where."""
    usual = {
        "bits": config.get("bits", config.get("w_bit")),
        "group_size": config.get("group_size", config.get("q_group_size")),
        "sym": config.get("sym"),
    }
    yield "", usual
    for pattern, rule in _objects(config.get("dynamic") or {}, "dynamic").items():
        if not pattern.startswith("-:"):  # of layers that are not quantized
            yield f" of {pattern}", usual | dict(_objects(rule, f"dynamic {pattern}"))


def _facts_of_groups(config: Fields, method: str) -> QuantizationFacts:
    """Facts of the weights of `config_groups`, and of blocks of fp8."""
    sizes_of_4_bits: set[int] = set()
    are_symmetric: set[bool] = set()
    blocks = {_pair(config.get("weight_block_size"))}
    for name, weights in _weights_of_groups(config, method):
        bits, symmetric = weights.get("num_bits", 8), weights.get("symmetric", True)
        is_int4 = bits == 4 and weights.get("type") == "int"
        if bits not in (4, 8) or not (symmetric or is_int4):
            raise InvalidCheckpoint(
                f"{name} has weights of {bits!r} bits, symmetric: {symmetric}; only 8 bits, "
                "symmetric, and 4 bits are supported"
            )
        size = weights.get("group_size")
        if is_int4:
            sizes_of_4_bits.add(size if size and size > 0 else -1)
            are_symmetric.add(bool(symmetric))
        elif bits == 8:
            blocks.add(_pair(weights.get("block_structure")))
            blocks.add((1, size) if size and size > 0 else None)
    sizes = [block for block in blocks if block is not None]
    if len(sizes) > 1:
        raise InvalidCheckpoint(f"blocks of several sizes are not supported: {sizes}")
    packed = PackedConfig(method)
    if method == "compressed-tensors":
        packed = PackedConfig(
            method, frozenset(sizes_of_4_bits), is_symmetric=are_symmetric != {False}
        )
    return QuantizationFacts(sizes[0] if sizes else DEFAULT_BLOCK, packed)


def _weights_of_groups(config: Fields, method: str) -> Iterator[tuple[str, Fields]]:
    """Names of `config_groups`, with the fields of their weights."""
    for name, group in _objects(config.get("config_groups") or {}, "config_groups").items():
        fields = _objects(group, f"config_groups.{name}")
        if method == "compressed-tensors":
            _check(fields, _GROUP, f"{NAME}, {name},")
        yield name, _objects(fields.get("weights") or {}, f"config_groups.{name}.weights")


def _objects(value: Any, name: str) -> Fields:
    """A JSON object; raises `InvalidCheckpoint` for any other value."""
    if not isinstance(value, Mapping):
        raise InvalidCheckpoint(f"{NAME}: {name} must be an object, got {value!r:.60}")
    return value


def _pair(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    rows, columns = value.split("x") if isinstance(value, str) else value
    return int(rows), int(columns)
