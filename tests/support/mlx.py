"""Checkpoints as MLX quantizes them, by its definition."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.packing import stream

Q = "model.layers.0.self_attn.q_proj"


def packed(weight: Tensor, bits: int, group: int) -> tuple[dict[str, Tensor], Tensor]:
    """A weight [..., N, K] as MLX stores it, with the numbers that it means."""
    groups = weight.unflatten(-1, (-1, group))
    low, high = groups.amin(-1), groups.amax(-1)
    scales = ((high - low) / (2**bits - 1)).clamp(min=1e-7).bfloat16()
    biases = low.bfloat16()
    wide, start = scales.float()[..., None], biases.float()[..., None]
    numbers = ((groups - start) / wide).round().clamp(0, 2**bits - 1)
    rows = numbers.flatten(-2).flatten(0, -2)
    words = stream(rows, bits).view(torch.uint32).unflatten(0, weight.shape[:-1])
    parts = {"weight": words, "scales": scales, "biases": biases}
    return parts, (numbers * wide + start).flatten(-2)


def pack_with_mlx(source: Path, target: Path, *, bits: int = 4, **fields: Any) -> dict[str, Tensor]:
    """Copy a checkpoint with every matrix in few bits, one in 6; returns the weights it means.

    `fields` are of `config.json`; MLX writes its own field by both names.
    """
    shutil.copytree(source, target, dirs_exist_ok=True)
    own = {"group_size": 64, "bits": bits, "mode": "affine", Q: {"group_size": 32, "bits": 6}}
    stored: dict[str, Tensor] = {}
    meant: dict[str, Tensor] = {}
    for name, weight in load_file(source / "model.safetensors").items():
        module = name.removesuffix(".weight")
        if weight.ndim < 2:
            stored[name] = meant[name] = weight
            continue
        parts, meant[name] = packed(weight.float(), *((6, 32) if module == Q else (bits, 64)))
        stored |= {f"{module}.{last}": part for last, part in parts.items()}
    raw = json.loads((source / "config.json").read_text())
    raw |= {"quantization": own, "quantization_config": own} | fields
    (target / "config.json").write_text(json.dumps(raw))
    save_file({name: t.contiguous() for name, t in stored.items()}, target / "model.safetensors")
    return meant


def stack_with_mlx(source: Path, target: Path, *, wrapper: str = "") -> dict[str, Tensor]:
    """Copy a mixture of experts as mlx-lm, or mlx-vlm, writes it; returns the weights it means.

    The experts of a layer are stacks in 4 bits, or in 8 or not quantized where words are not whole;
    matrices of attention are in 8 bits. `wrapper` is before all names.
    """
    shutil.copytree(source, target, dirs_exist_ok=True)
    meant = load_file(source / "model.safetensors")
    stacks: dict[str, list[str]] = {}
    for name in sorted(meant, key=lambda name: [int(n) for n in re.findall(r"\d+", name)]):
        is_copy = name.startswith("model.encoder.language_model.")  # of DiffusionGemma's decoder
        if is_copy and not name.endswith(".layer_scalar"):
            del meant[name]
            continue
        stack = re.sub(r"\.experts\.\d+\.", ".switch_mlp.", name)
        stack = re.sub(r"(\.experts\.\w+_proj)$", r"\1.weight", stack)
        stacks.setdefault(stack, []).append(name)
    own: dict[str, Any] = {"group_size": 64, "bits": 4, "mode": "affine"}
    stored: dict[str, Tensor] = {}
    for stack, names in stacks.items():
        is_one = names == [stack] or meant[names[0]].ndim == 3
        weight = meant[names[0]] if is_one else torch.stack([meant[name] for name in names])
        module, num_inputs = stack.removesuffix(".weight"), weight.shape[-1]
        bits = 4 if weight.ndim == 3 and num_inputs % 8 == 0 else 8
        is_plain = not re.search(r"switch_mlp|experts|self_attn|attention", module)
        if is_plain or weight.ndim < 2 or num_inputs % 4 or "vision" in module:
            stored[wrapper + stack] = weight
            own |= {wrapper + module: False} if weight.ndim == 3 else {}
            continue
        group = math.gcd(num_inputs, 32)
        own[wrapper + module] = {"bits": bits, "group_size": group}
        parts, whole = packed(weight.float(), bits, group)
        stored |= {f"{wrapper}{module}.{last}": part for last, part in parts.items()}
        meant |= {names[0]: whole} if is_one else dict(zip(names, whole, strict=True))
    raw = json.loads((source / "config.json").read_text())
    raw |= {"quantization": own, "quantization_config": own}
    (target / "config.json").write_text(json.dumps(raw))
    save_file({name: t.contiguous() for name, t in stored.items()}, target / "model.safetensors")
    return {name: tensor.contiguous() for name, tensor in meant.items()}
