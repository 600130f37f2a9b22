"""AutoRound's `quantization_config`, in the words of the format that its tensors have."""

from collections.abc import Iterator, Mapping
from typing import Any

from unmask.errors import InvalidCheckpoint

METHODS = ("auto-round", "auto_round", "intel/auto-round")
VERSION = "autoround_version"  # field by which weights of another name are AutoRound's
FAMILY = "auto_round"  # the first part of the name of a packing, beside which its format stands
DEFAULT_PACKING = "auto_round:auto_gptq"
AWQ = frozenset(("auto_awq", "awq"))
GPTQ = frozenset(("auto_gptq", "gptq"))  # zero points less one
# GPTQ with zero points as they are; older releases name the kernel beside.
PLAIN = frozenset((FAMILY, "gptqmodel", "exllamav2", "triton", "tritonv2"))
FLOATS = frozenset(("llm_compressor",))  # tensors of compressed-tensors
FP8 = frozenset(("fp8", "fp8_static"))
OF_LAYERS = ("bits", "group_size", "sym")
WHOLE_BITS = 16  # of layers that are not quantized
# Fields that would change the numbers, unless they are empty.
CHANGING = ("rotation_config", "spinquant_config", "super_bits", "super_group_size")

Fields = Mapping[str, Any]


def is_mlx(config: Fields) -> bool:
    """True if the tensors are MLX's, whose own field beside tells bits and groups of layers."""
    return config.get("quant_method") in METHODS and "mlx" in _packing(config).split(":")


def format_of(config: Fields) -> dict[str, Any]:
    """`quantization_config` of GPTQ, AWQ, compressed-tensors or fp8 for the same tensors.

    Raises `InvalidCheckpoint` for packings and options that are not supported.
    """
    packing = "fp8" if config["quant_method"] == "fp8" else _packing(config)
    parts = set(packing.split(":"))
    for name in CHANGING:
        if config.get(name):
            raise InvalidCheckpoint(f"auto-round with {name} is not supported")
    if parts - {FAMILY} <= FLOATS and parts & FLOATS:
        return _floats(config)
    is_gptq = parts <= PLAIN or (bool(parts & GPTQ) and parts <= PLAIN - {"gptqmodel"} | GPTQ)
    _check_layers(config, ("data_type",) if is_gptq else ("bits", "group_size", "data_type"))
    if parts - {FAMILY} <= FP8 and parts & FP8:
        fields = {"quant_method": "fp8", "fmt": config.get("fmt")}
        size = config.get("group_size")
        return fields | ({"weight_block_size": size} if isinstance(size, list) else {})
    if (bits := config.get("act_bits")) is not None and bits < WHOLE_BITS:
        raise InvalidCheckpoint(
            f"auto-round packed as {packing} with activations of {bits} bits is not supported"
        )
    whole = {name: config.get(name) for name in OF_LAYERS}
    if parts - {FAMILY} and parts - {FAMILY} <= AWQ:
        return {"quant_method": "awq", "version": "gemm"} | whole
    if is_gptq:
        layout = "gptq" if parts & GPTQ else "gptq_v2"
        fields = {"quant_method": "gptq", "checkpoint_format": layout} | whole
        return fields | {"dynamic": dict(_rules(config))}
    raise InvalidCheckpoint(
        f"auto-round packed as {packing} is not supported, only as auto_round, "
        "auto_round:auto_gptq, auto_round:gptqmodel, auto_round:auto_awq, "
        "auto_round:llm_compressor and auto_round:fp8"
    )


def _packing(config: Fields) -> str:
    """Name of the packing; older releases have it in `backend`."""
    for name in ("packing_format", "backend"):
        value = config.get(name)
        if value is not None and value != "auto":
            return str(value).lower()
    return DEFAULT_PACKING


def _floats(config: Fields) -> dict[str, Any]:
    """Floats of 4 or 8 bits, whose tensors are those of compressed-tensors.

    Tensors tell a layer's bits and type, so layers may differ from the rest.
    """
    groups = {}
    for layer, rule in (("all", {}), *_layers(config)):
        kind, bits, size = (
            config.get(name) if rule.get(name) is None else rule[name]
            for name in ("data_type", "bits", "group_size")
        )
        if layer != "all" and isinstance(bits, int) and bits >= WHOLE_BITS:
            continue
        if not str(kind).startswith(("mx_fp", "nv_fp")):
            raise InvalidCheckpoint(
                f"auto-round with data_type {kind} is not supported, only mx_fp and nv_fp"
            )
        weights = {"num_bits": bits, "type": "float", "group_size": size}
        groups[layer] = {"weights": weights}
    return {"quant_method": "compressed-tensors", "config_groups": groups}


def _check_layers(config: Fields, fields: tuple[str, ...]) -> None:
    """Raise `InvalidCheckpoint` for layers that have another value of a field than the rest."""
    for layer, rule in _layers(config):
        bits = rule.get("bits", config.get("bits"))
        if isinstance(bits, int) and bits >= WHOLE_BITS:
            continue
        for name in fields:
            if rule.get(name) is not None and rule[name] != config.get(name, "int"):
                raise InvalidCheckpoint(
                    f"auto-round: extra_config gives {layer} another {name} ({rule[name]}) than "
                    f"the other layers ({config.get(name)}), which is not supported"
                )


def _rules(config: Fields) -> Iterator[tuple[str, Fields]]:
    """Layers of other bits, groups or symmetry than the rest, in the words of GPTQ's `dynamic`."""
    for layer, rule in _layers(config):
        said = {name: rule[name] for name in OF_LAYERS if rule.get(name) is not None}
        bits = said.get("bits")
        is_whole = isinstance(bits, int) and bits >= WHOLE_BITS
        yield f"-:{layer}" if is_whole else layer, said


def _layers(config: Fields) -> Iterator[tuple[str, Fields]]:
    extra = config.get("extra_config") or {}
    if not isinstance(extra, Mapping):
        raise InvalidCheckpoint(f"auto-round: extra_config must be an object, got {extra!r:.60}")
    for layer, rule in extra.items():
        if not isinstance(rule, Mapping):
            raise InvalidCheckpoint(f"auto-round: {layer} must be an object, got {rule!r:.60}")
        yield layer, rule
