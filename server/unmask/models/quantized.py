"""Tensors of a checkpoint, with those of quantized weights joined, whatever tool has made them."""

from collections.abc import Mapping
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.models import auto_round, bitsandbytes, mlx
from unmask.models.affine import AffineTensor
from unmask.models.bitsandbytes import TableTensor
from unmask.models.compressed import CompressedTensor, join_scales
from unmask.models.packed import PackedTensor
from unmask.models.quantization_config import WAY_OUT
from unmask.models.shards import StoredTensor

Quantized = CompressedTensor | PackedTensor | AffineTensor | TableTensor
# Ends of names that tools give to parts of weights, where no configuration names the tool.
TOOLS: Mapping[str, str] = {
    ".W_q": "HQQ",
    ".qweight": "AWQ, GPTQ or AutoRound",
    ".SCB": "bitsandbytes",
    ".weight.absmax": "bitsandbytes",
    ".weight._data": "quanto",
    "._weight_qdata": "torchao",
    ".weight_qdata": "torchao",
}


def join_quantized(
    tensors: Mapping[str, StoredTensor], config: Mapping[str, Any] | None
) -> dict[str, StoredTensor | Quantized]:
    """Tensors by name, with each quantized weight and its parts joined under the weight's name.

    `config` is the checkpoint's `quantization_config`, with a `quant_method`. Raises
    `InvalidCheckpoint` if the format is not supported.
    """
    if config is None:
        _check_plain(tensors)
        return dict(tensors)
    method = config["quant_method"]
    if method == bitsandbytes.METHOD:
        return dict(bitsandbytes.join_bitsandbytes(tensors))
    if method in mlx.BIASES:
        return dict(mlx.join_mlx(tensors, config))
    if method in auto_round.METHODS or (method == "fp8" and auto_round.VERSION in config):
        config = auto_round.format_of(config)
    return dict(join_scales(tensors, config))


def _check_plain(tensors: Mapping[str, StoredTensor]) -> None:
    """Raise `InvalidCheckpoint` that names the tool whose parts of weights there are."""
    for name in tensors:
        tool = next((tool for end, tool in TOOLS.items() if name.endswith(end)), None)
        if name.endswith(".biases") and f"{name.removesuffix('.biases')}.scales" in tensors:
            tool = "MLX"
        if tool is not None:
            raise InvalidCheckpoint(
                f"{name} is of weights quantized by {tool}, but config.json has no "
                f"quantization_config that says how{WAY_OUT}"
            )
