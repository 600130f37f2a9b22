"""Tiny random LFM2 checkpoints for blocks of noise, and a reference of transformers' layers.

The conditioning around the layers is that of Liquid AI's code, over whole sequences and without a
cache.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from transformers import Lfm2Config, Lfm2Model

from tests.support.tiny import VOCAB_SIZE, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model

BLOCK_LENGTH = 8
CONV, FULL = "conv", "full_attention"
CONFIG: dict[str, Any] = {
    "architectures": ["Lfm2ForBlockDiffusion"],
    "model_type": "lfm2_diffusion",
    "vocab_size": VOCAB_SIZE + 24,
    "real_vocab_size": VOCAB_SIZE,
    "hidden_size": 48,
    "block_ff_dim": 120,
    "block_auto_adjust_ff_dim": True,
    "block_ffn_dim_multiplier": 1.0,
    "block_multiple_of": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "layer_types": [CONV, FULL, CONV, FULL],
    "conv_L_cache": 3,
    "conv_bias": False,
    "norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "max_position_embeddings": 512,
    "sigma_cond_dim": 32,
    "sigma_freq_embedding_size": 16,
    "selfcond_ffn_bias": True,
    "self_conditioning": True,
    "adaln_conditioning": True,
    "diffusion_block_size": BLOCK_LENGTH,
    "tie_embedding": True,
    "eos_token_id": 510,
}
OWN = "sigma_cond_dim", "sigma_freq_embedding_size", "selfcond_ffn_bias", "diffusion_block_size"


def conditioning_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Tensors beside those of transformers' class."""
    hidden, width = config["hidden_size"], config["sigma_cond_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "sigma_embed.mlp.0.weight": (width, config["sigma_freq_embedding_size"]),
        "sigma_embed.mlp.0.bias": (width,),
        "sigma_embed.mlp.2.weight": (width, width),
        "sigma_embed.mlp.2.bias": (width,),
        "adaln_proj.1.weight": (3 * hidden, width),
        "adaln_proj.1.bias": (3 * hidden,),
        "adaln_block_emb": (config["num_hidden_layers"], 3 * hidden),
    }
    if config.get("self_conditioning", True):
        shapes |= {
            "selfcond_norm.weight": (hidden,),
            "selfcond_ffn.0.weight": (hidden, hidden),
            "selfcond_ffn.2.weight": (hidden, hidden),
        }
        if config.get("selfcond_ffn_bias", True):
            shapes["selfcond_ffn.0.bias"] = (hidden,)
    return shapes


@dataclass
class Reference:
    """The network in transformers' layers."""

    config: dict[str, Any]
    model: Lfm2Model
    own: dict[str, Tensor]

    @classmethod
    def random(cls, *, peak: float = 1.0, **changes: Any) -> "Reference":
        """Random weights; `peak` sharpens the distributions."""
        config = CONFIG | changes
        known = {name: value for name, value in config.items() if name not in OWN}
        inner = Lfm2Config(**{n: v for n, v in known.items() if n not in ("model_type",)})
        inner._attn_implementation = "eager"
        model, random = Lfm2Model(inner).eval(), torch.Generator().manual_seed(0)
        own = {name: torch.empty(shape) for name, shape in conditioning_shapes(config).items()}
        with torch.no_grad():
            for name, weight in [*model.named_parameters(), *own.items()]:
                noise = torch.randn(weight.shape, generator=random)
                if "norm" in name:
                    weight.copy_(1.0 + 0.2 * noise)
                elif "embed_tokens" in name:
                    weight.copy_(0.3 * peak * noise)
                elif name.endswith("bias") or "block_emb" in name:
                    weight.copy_(0.2 * noise)
                elif "selfcond" in name:
                    # Were these as large, rounding errors would grow tenfold in two steps.
                    weight.copy_(0.2 * noise * weight.shape[-1] ** -0.5)
                else:
                    weight.copy_(noise * weight.shape[-1] ** -0.5)
        return cls(config, model, own)

    def write(self, folder: Path) -> Path:
        """The checkpoint, in the published layout, with a byte tokenizer."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"model.{name}": value for name, value in self.own.items()}
        save_file(
            {name: t.contiguous() for name, t in tensors.items()}, folder / "model.safetensors"
        )
        (folder / "config.json").write_text(json.dumps(self.config))
        byte_tokenizer().save_pretrained(folder)
        return folder

    @property
    def embedding(self) -> Tensor:
        """Embeddings [V, C] of real tokens."""
        return self.model.embed_tokens.weight[: self.config["real_vocab_size"]]

    def levels(self, sigmas: Tensor) -> Tensor:
        """Scale, shift and gate [T, 3 C] of noise levels [T]."""
        half = self.config["sigma_freq_embedding_size"] // 2
        waves = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
        angles = sigmas[:, None] * waves
        x = torch.cat((angles.cos(), angles.sin()), -1)
        x = F.silu(self._biased(x, "sigma_embed.mlp.0"))
        return self._biased(F.silu(self._biased(x, "sigma_embed.mlp.2")), "adaln_proj.1")

    def _biased(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.own[f"{name}.weight"], self.own.get(f"{name}.bias"))

    @torch.no_grad()
    def logits(
        self, tokens: Tensor, start: int, sigma: float, soft: Tensor | None = None
    ) -> Tensor:
        """Logits [L, V] of the block that begins at `start` in `tokens` [T], in one pass."""
        count, eps = len(tokens), self.config["norm_eps"]
        x = self.model.embed_tokens(tokens)
        if soft is not None and self.config["self_conditioning"]:
            normed = F.rms_norm(soft, soft.shape[-1:], self.own["selfcond_norm.weight"], eps)
            inner = F.silu(self._biased(normed, "selfcond_ffn.0"))
            x = torch.cat((x[:start], x[start:] + self._biased(inner, "selfcond_ffn.2")))
        sigmas = torch.zeros(count)
        sigmas[start:] = sigma
        base = self.levels(sigmas)
        rows = torch.arange(count)
        seen = (rows[None] <= rows[:, None]) | (rows[:, None] >= start)
        mask = torch.zeros(1, 1, count, count).masked_fill(~seen, torch.finfo(torch.float32).min)
        cos_sin = self.model.rotary_emb(x[None], rows[None])
        for i, layer in enumerate(self.model.layers):
            scale, shift, gate = (base + self.own["adaln_block_emb"][i]).chunk(3, -1)
            inner = x * (1 + scale) + shift
            of_layer = mask if layer.is_attention_layer else None
            out = layer(inner[None], position_embeddings=cos_sin, attention_mask=of_layer)[0]
            x = x + (1 + gate) * (out - inner)
        return self.model.embedding_norm(x[start:]) @ self.embedding.T


def load_lfm2(folder: Path, **config: Any) -> LoadedModel:
    """The checkpoint in a folder, in float32 on a CPU by default."""
    options = {"dtype": "float32", "device": "cpu"} | config
    return load_model(ModelConfig(str(folder), **options), DecodingConfig())
