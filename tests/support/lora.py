"""LoRA adapters of checkpoints, as PEFT saves them."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

ROOT = "base_model.model."
CONFIG = {
    "base_model_name_or_path": "org/base",
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "lora_alpha": 6,
    "lora_dropout": 0.05,
    "modules_to_save": None,
    "peft_type": "LORA",
    "r": 4,
    "task_type": "CAUSAL_LM",
    "use_dora": False,
    "use_rslora": False,
}
ENCODER, DECODER = "model.encoder.language_model.", "model.decoder."
# Embeddings, heads that may be tied to them, and towers.
NO_TARGETS = ("embed", "wte", "vision", "lm_head", "conv")


def linear_modules(weights: dict[str, Tensor]) -> list[str]:
    """Modules of all matrices but embeddings."""
    return [
        name.removesuffix(".weight")
        for name, tensor in weights.items()
        if name.endswith(".weight")
        and tensor.ndim == 2
        and not any(part in name for part in NO_TARGETS)
    ]


def draw_pairs(
    weights: dict[str, Tensor], modules: list[str], rank: int = 4, seed: int = 0
) -> dict[str, tuple[Tensor, Tensor]]:
    """Matrices A [R, K] and B [N, R] of each module; alike for both halves of DiffusionGemma.

    Their numbers have few bits, so that only sums with weights are rounded.
    """
    generator = torch.Generator().manual_seed(seed)
    pairs = {}
    for module in modules:
        num_outputs, num_inputs = weights[f"{module}.weight"].shape
        a = (torch.randn(rank, num_inputs, generator=generator) / num_inputs**0.5 * 64).round() / 64
        b = (torch.randn(num_outputs, rank, generator=generator) * 6).round() / 64
        pairs[module] = a, b
        if module.startswith(f"{DECODER}layers."):
            pairs[ENCODER + module.removeprefix(DECODER)] = a, b
    return pairs


def write_adapter(
    folder: Path,
    pairs: dict[str, tuple[Tensor, Tensor]],
    saved: dict[str, Tensor] | None = None,
    **fields: Any,
) -> Path:
    """Adapter of these matrices, in their layers alone; `saved` are whole tensors by name."""
    folder.mkdir(exist_ok=True)
    tensors = {f"{ROOT}{name}": tensor for name, tensor in (saved or {}).items()}
    for module, (a, b) in pairs.items():
        tensors[f"{ROOT}{module}.lora_A.weight"] = a.clone()
        tensors[f"{ROOT}{module}.lora_B.weight"] = b.clone()
    targets = sorted({module.rpartition(".")[2] for module in pairs})
    layers = {int(number) for module in pairs for number in re.findall(r"\.(\d+)\.", module)}
    config = CONFIG | {"target_modules": targets, "layers_to_transform": sorted(layers)} | fields
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def merged(
    weights: dict[str, Tensor],
    pairs: dict[str, tuple[Tensor, Tensor]],
    scale: float = 6 / 4,
) -> dict[str, Tensor]:
    """Weights with every addition, from the formula."""
    result = dict(weights)
    for module, (a, b) in pairs.items():
        name = f"{module}.weight"
        if name in weights:
            total = weights[name].double() + scale * (b.double() @ a.double())
            result[name] = total.to(weights[name].dtype)
    return result


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Weights of a checkpoint of one file."""
    return load_file(folder / "model.safetensors")
