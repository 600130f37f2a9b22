"""Checkpoints as MLX quantizes them, by its definition."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Q = "model.layers.0.self_attn.q_proj"


def packed(weight: Tensor, bits: int, group: int) -> tuple[dict[str, Tensor], Tensor]:
    """A weight [N, K] as MLX stores it, with the numbers that it means."""
    groups = weight.view(len(weight), -1, group)
    low, high = groups.amin(2), groups.amax(2)
    scales = ((high - low) / (2**bits - 1)).clamp(min=1e-7).bfloat16()
    biases = low.bfloat16()
    wide, start = scales.float()[:, :, None], biases.float()[:, :, None]
    numbers = ((groups - start) / wide).round().clamp(0, 2**bits - 1)
    words = []
    for row in numbers.flatten(1).long().tolist():
        stream = sum(number << bits * i for i, number in enumerate(row))
        words.append([stream >> 32 * i & 0xFFFFFFFF for i in range(len(row) * bits // 32)])
    parts = {"weight": torch.tensor(words).to(torch.uint32), "scales": scales, "biases": biases}
    return parts, (numbers * wide + start).flatten(1)


def pack_with_mlx(source: Path, target: Path, **fields: Any) -> dict[str, Tensor]:
    """Copy a checkpoint with every matrix in 4 bits, one in 6; returns the weights that are meant.

    `fields` are of `config.json`; MLX writes its own field by both names.
    """
    shutil.copytree(source, target, dirs_exist_ok=True)
    own = {"group_size": 64, "bits": 4, "mode": "affine", Q: {"group_size": 32, "bits": 6}}
    stored: dict[str, Tensor] = {}
    meant: dict[str, Tensor] = {}
    for name, weight in load_file(source / "model.safetensors").items():
        module = name.removesuffix(".weight")
        if weight.ndim < 2:
            stored[name] = meant[name] = weight
            continue
        bits, group = (6, 32) if module == Q else (4, 64)
        parts, meant[name] = packed(weight.float(), bits, group)
        stored |= {f"{module}.{last}": part for last, part in parts.items()}
    raw = json.loads((source / "config.json").read_text())
    raw |= {"quantization": own, "quantization_config": own} | fields
    (target / "config.json").write_text(json.dumps(raw))
    save_file({name: t.contiguous() for name, t in stored.items()}, target / "model.safetensors")
    return meant
