"""Tiny random LFM2 encoders, and a reference of transformers' layers with the authors' changes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from transformers import Lfm2Config, Lfm2Model

from tests.support.tiny import EOS_ID, MASK_ID, VOCAB_SIZE, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model

CONV, FULL = "conv", "full_attention"
CONFIG: dict[str, Any] = {
    "architectures": ["Lfm2BidirectionalForMaskedLM"],
    "model_type": "lfm2",
    "vocab_size": VOCAB_SIZE + 24,
    "hidden_size": 48,
    "intermediate_size": 120,
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
    "tie_embedding": True,
    "use_cache": False,
    "eos_token_id": EOS_ID,
    "mask_token_id": MASK_ID,
}


@dataclass
class Reference:
    """The network in transformers' layers, whose convolutions and attention look to both sides."""

    config: dict[str, Any]
    model: Lfm2Model

    @classmethod
    def random(cls, **changes: Any) -> "Reference":
        config = CONFIG | changes
        inner = Lfm2Config(**{n: v for n, v in config.items() if n != "model_type"})
        inner._attn_implementation = "eager"
        model, random = Lfm2Model(inner).eval(), torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                noise = torch.randn(weight.shape, generator=random)
                if "norm" in name:
                    weight.copy_(1.0 + 0.2 * noise)
                elif "embed_tokens" in name or name.endswith("bias"):
                    weight.copy_(0.5 * noise)
                else:
                    weight.copy_(noise * weight.shape[-1] ** -0.5)
        return cls(config, model)

    def write(self, folder: Path, root: str = "lfm2.") -> Path:
        """The checkpoint with a byte tokenizer; names begin with `root`."""
        tensors = {root + n: t.contiguous() for n, t in self.model.state_dict().items()}
        save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(self.config))
        byte_tokenizer().save_pretrained(folder)
        return folder

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """Logits [T, V] of a sequence [T]; of the tokenizer's tokens alone."""
        x, rows = self.model.embed_tokens(tokens), torch.arange(len(tokens))
        cos_sin = self.model.rotary_emb(x[None], rows[None])
        mask = torch.zeros(1, 1, len(tokens), len(tokens))
        for layer in self.model.layers:
            normed = layer.operator_norm(x)
            if layer.is_attention_layer:
                given = {"position_embeddings": cos_sin, "attention_mask": mask}
                mixed = layer.self_attn(hidden_states=normed[None], **given)[0][0]
            else:
                mixed = self._convolved(layer.conv, normed)
            x = x + mixed
            x = x + layer.feed_forward(layer.ffn_norm(x))
        return self.model.embedding_norm(x) @ self.model.embed_tokens.weight[:VOCAB_SIZE].T

    @staticmethod
    def _convolved(module: Any, normed: Tensor) -> Tensor:
        before, gate, x = module.in_proj(normed).T.chunk(3)
        weight = module.conv.weight
        padding, groups = weight.shape[-1] // 2, len(weight)
        inputs = (before * x)[None]
        out = F.conv1d(inputs, weight, module.conv.bias, padding=padding, groups=groups)[0]
        return module.out_proj((gate * out).T)

    def fill(self, prompt: tuple[int, ...], num_tokens: int) -> list[int]:
        """Answer by the loop of the authors' model card: the most confident token of each pass."""
        tokens = torch.tensor([*prompt, *[MASK_ID] * num_tokens])
        for _ in range(num_tokens):
            masked = (tokens == MASK_ID).nonzero().flatten()
            logits = self.logits(tokens)[masked]
            logits[:, MASK_ID] = -torch.inf
            confidence, best = logits.softmax(-1).max(-1)
            chosen = confidence.argmax()
            tokens[masked[chosen]] = best[chosen]
        return tokens[len(prompt) :].tolist()


def load_encoder(folder: Path, **config: Any) -> LoadedModel:
    """The checkpoint in a folder, in float32 on a CPU by default."""
    options = {"dtype": "float32", "device": "cpu"} | config
    return load_model(ModelConfig(str(folder), **options), DecodingConfig())
