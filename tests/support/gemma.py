"""Tiny random DiffusionGemma checkpoints, and transformers' forward passes over them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.models.diffusion_gemma import (
    DiffusionGemmaConfig,
    DiffusionGemmaForBlockDiffusion,
)

SLIDING, FULL = "sliding_attention", "full_attention"
TEXT: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "layer_types": [SLIDING, FULL],
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "global_head_dim": 32,
    "num_global_key_value_heads": 1,
    "sliding_window": 24,
    "num_experts": 4,
    "top_k_experts": 2,
    "moe_intermediate_size": 24,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
}
VISION: dict[str, Any] = {
    "model_type": "gemma4_vision",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "position_embedding_size": 16,
}


def make_reference(
    canvas_length: int = 16, *, peak: float = 1.0, seed: int = 0, **text: Any
) -> DiffusionGemmaForBlockDiffusion:
    """Model with random weights, norms and scalars; `peak` sharpens its distributions."""
    config = DiffusionGemmaConfig(
        text_config=TEXT | text, vision_config=VISION, canvas_length=canvas_length
    )
    model = DiffusionGemmaForBlockDiffusion(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "q_norm" in name or "k_norm" in name:
                # Scores are not divided by the root of the head size. Were they as wide as that,
                # attention would magnify float noise until nothing could be compared.
                weight.copy_(0.4 + 0.1 * noise)
            elif "norm" in name or name.endswith("scale"):
                weight.copy_(1.0 + 0.2 * noise)
            elif "embed_tokens" in name:
                weight.copy_(0.1 * peak * noise)
            else:
                weight.copy_(noise * weight.shape[-1] ** -0.5)
        for name, scalar in model.named_buffers():
            if name.endswith("layer_scalar"):
                scalar.copy_(1.0 + 0.2 * torch.randn(1, generator=generator))
    return model


def save(model: DiffusionGemmaForBlockDiffusion, folder: Path) -> Path:
    """Save the model in the published layout."""
    model.save_pretrained(folder)
    return folder


class ReferenceSequence:
    """Sequence that transformers encodes and denoises, with its cache."""

    def __init__(self, model: DiffusionGemmaForBlockDiffusion) -> None:
        self._model = model
        self._cache = DynamicCache(config=model.config.get_text_config(decoder=True))

    @torch.no_grad()
    def encode(self, token_ids: Tensor) -> None:
        """Encode the next tokens [n]."""
        self._model.model.encoder(input_ids=token_ids[None], past_key_values=self._cache)

    @torch.no_grad()
    def logits(self, canvas: Tensor, last: Tensor | None = None) -> Tensor:
        """Logits [L, V] of a canvas [L], conditioned on logits [L, V] at their temperature."""
        return self._model(
            decoder_input_ids=canvas[None],
            past_key_values=self._cache,
            self_conditioning_logits=None if last is None else last[None],
        ).logits[0]
