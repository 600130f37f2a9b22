"""8-bit checkpoints in compressed-tensors' and in other formats."""

import json
import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

LARGEST = {torch.int8: 127.0, torch.float8_e4m3fn: 448.0}


def scales_of(weight: Tensor, block: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Float32 scale of each block, unlike any quantizer's."""
    rows, columns = (math.ceil(n / b) for n, b in zip(weight.shape, block, strict=True))
    scales = torch.empty(rows, columns)
    for i in range(rows):
        for j in range(columns):
            part = weight[i * block[0] : (i + 1) * block[0], j * block[1] : (j + 1) * block[1]]
            scales[i, j] = part.abs().max() / LARGEST[dtype] * 1.07
    return scales


def spread(scales: Tensor, block: tuple[int, int], shape: torch.Size) -> Tensor:
    """Scale of each weight."""
    wide = scales.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
    return wide[: shape[0], : shape[1]]


def pack(values: Tensor) -> Tensor:
    """Four int8 values an int32, little-endian, each offset by 128."""
    columns = math.ceil(values.shape[1] / 4)
    padded = torch.zeros(values.shape[0], 4 * columns, dtype=torch.int64)
    padded[:, : values.shape[1]] = values.long() + 128
    words = sum(padded[:, i::4] << (8 * i) for i in range(4))
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def compress(
    source: Path,
    target: Path,
    config: dict,
    dtype: torch.dtype,
    block: tuple[int, int],
    *,
    scale_name: str = "weight_scale",
    flat: bool = False,
    packed: bool = False,
) -> dict[str, Tensor]:
    """Copy a checkpoint with 8-bit layers; returns their dequantized weights."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    stored: dict[str, Tensor] = {}
    meant: dict[str, Tensor] = {}
    for name, weight in load_file(source / "model.safetensors").items():
        stored[name] = meant[name] = weight
        if not name.endswith("_proj.weight"):
            continue
        size = tuple(min(b, n) for b, n in zip(block, weight.shape, strict=True))
        scales = scales_of(weight.float(), size, dtype)
        wide = spread(scales, size, weight.shape)
        values = (weight.float() / wide).clamp(-LARGEST[dtype], LARGEST[dtype])
        values = (values.round() if dtype is torch.int8 else values).to(dtype)
        meant[name] = values.float() * wide
        module = name.removesuffix(".weight")
        stored[f"{module}.{scale_name}"] = scales.flatten() if flat else scales
        if packed:
            del stored[name]
            stored[f"{module}.weight_packed"] = pack(values)
            stored[f"{module}.weight_shape"] = torch.tensor(weight.shape)
        else:
            stored[name] = values
    save_file(stored, target / "model.safetensors")
    raw = json.loads((source / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(raw | {"quantization_config": config}))
    return meant
