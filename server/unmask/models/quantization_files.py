"""Finds the `quantization_config` of a checkpoint in its files."""

from collections.abc import Mapping
from pathlib import Path

from unmask.errors import InvalidCheckpoint
from unmask.json_file import read_json
from unmask.models import auto_round, mlx
from unmask.models.family import RawConfig
from unmask.models.quantization_config import NAME, WAY_OUT

# Files of quantizers, of which each may leave out the method.
OWN_FILES = {"hf_quant_config.json": "modelopt", "quantize_config.json": "gptq"}
AWQ_FILE = "quant_config.json"


def find_quantization(raw: RawConfig, folder: Path) -> RawConfig | None:
    """The `quantization_config` of a `config.json` or of a quantizer's own file beside it.

    Has a `quant_method`. A null in `raw` says that there is none. Raises `InvalidCheckpoint`.
    """
    if NAME in raw and raw[NAME] is None:
        return None
    text = raw.get("text_config")
    if (by_mlx := _by_mlx(raw)) is not None:
        return by_mlx
    named = raw.get(NAME)
    if named is None and isinstance(text, Mapping):
        named = text.get(NAME)
    if named is not None:
        if not isinstance(named, Mapping):
            raise InvalidCheckpoint(f"config.json: {NAME} must be an object, got {named!r:.60}")
        return _named(dict(named))
    for file, method in OWN_FILES.items():
        if content := read_json(folder / file, optional=True):
            return _named({"quant_method": method} | content)
    content = read_json(folder / AWQ_FILE, optional=True)
    return {"quant_method": "awq"} | content if "w_bit" in content else None


def _by_mlx(raw: RawConfig) -> RawConfig | None:
    """MLX's own field, which it may write under the usual name too; None if there is none."""
    own, named = raw.get(mlx.FIELD), raw.get(NAME)
    if own is None:
        return None
    if not isinstance(own, Mapping):
        raise InvalidCheckpoint(f"config.json: {mlx.FIELD} must be an object, got {own!r:.60}")
    method = named.get("quant_method") if isinstance(named, Mapping) else None
    if named and method is not None and not auto_round.is_mlx(named):
        raise InvalidCheckpoint(
            f"config.json: {mlx.FIELD} is of MLX, and {NAME} of {method}; set one to "
            "null with --hf-overrides"
        )
    return dict(own) | {"quant_method": mlx.METHOD}


def _named(config: RawConfig) -> RawConfig:
    """A configuration under its present names: ModelOpt nests its own, GPTQModel has `method`."""
    own = config.get("quantization")
    if isinstance(own, Mapping) and config.get("quant_method") in (None, "modelopt"):
        return {"quant_method": "modelopt", **own}
    method = config.get("quant_method") or config.get("method")
    if method is None and any(name.startswith(("load_in_", "bnb_")) for name in config):
        method = "bitsandbytes"
    if method is None:
        raise InvalidCheckpoint(f"config.json: {NAME} has no quant_method{WAY_OUT}")
    return config | {"quant_method": method}
