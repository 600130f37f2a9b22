"""Checkpoints of stored formats: loaded, and what a model has of them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.support.forward import block_causal, logits_of
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model


def load(folder: Path, **options: Any) -> LoadedModel:
    """The model of a folder, by default in float32."""
    config = ModelConfig(path=str(folder), **{"dtype": "float32", **options})
    return load_model(config, DecodingConfig())


def logits(loaded: LoadedModel) -> Tensor:
    """Logits [40, V] of tokens of a model with blocks of 4."""
    return logits_of(loaded, torch.arange(40) * 11 % 500, block_causal(40, 4))


def held(loaded: LoadedModel) -> set[torch.dtype]:
    """Types of the weights of a layer's products; float32 of packed ones, which have none."""
    layer = loaded.model._layers[0]
    products = layer.qkv, layer.out, layer.mlp.gated.gate, layer.mlp.down
    return {torch.float32 if p.scales is None else p.weight.dtype for p in products}
