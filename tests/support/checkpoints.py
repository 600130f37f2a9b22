"""Checkpoints on disk: golden ones with a tokenizer, and random ones."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.support.tiny import GOLDEN, MASK_ID, VOCAB_SIZE, save_tokenizer
from unmask.config import DecodingConfig, DeviceName, ModelConfig
from unmask.models.registry import LoadedModel, load_model


def load_golden(
    name: str, folder: Path, dtype: str = "float32", device: DeviceName = "auto"
) -> LoadedModel:
    """Golden checkpoint of a family with a byte tokenizer."""
    for file in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / name / file, folder / file)
    return load(folder, dtype, device)


def load_random(
    raw: dict[str, Any],
    shapes: dict[str, tuple[int, ...]],
    folder: Path,
    dtype: str = "float32",
    device: DeviceName = "auto",
) -> tuple[LoadedModel, dict[str, torch.Tensor]]:
    """Checkpoint of random weights of these shapes, and its weights."""
    weights = draw_weights(shapes)
    raw = {"vocab_size": VOCAB_SIZE, "rms_norm_eps": 1e-6, **raw}
    (folder / "config.json").write_text(json.dumps(raw))
    save_file(weights, folder / "model.safetensors")
    return load(folder, dtype, device), weights


def draw_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Random matrices of about unit gain, and vectors around one."""
    generator = torch.Generator().manual_seed(len(shapes))
    return {
        name: torch.randn(shape, generator=generator) / shape[-1] ** 0.5
        if len(shape) > 1
        else 1 + 0.3 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def load(folder: Path, dtype: str = "float32", device: DeviceName = "auto") -> LoadedModel:
    """Checkpoint in a folder, to which a byte tokenizer is added."""
    save_tokenizer(folder)
    config = ModelConfig(path=str(folder), device=device, dtype=dtype, mask_token_id=MASK_ID)
    return load_model(config, DecodingConfig())
