"""SDAR (dense) and the embedded model: a Qwen3-style transformer with block-causal attention."""

from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.layers import StepInput, rotary_tables
from unmask.models.weights import Weights
from unmask_kernels.attention import attention
from unmask_kernels.layers import place_heads, rms_norm
from unmask_kernels.linear import GatedLinear, Linear, fill_rows, make_gated_linear, make_linear


@dataclass(frozen=True, slots=True)
class SdarConfig:
    """The fields of `config.json` that decide shapes and numbers."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    tied: bool

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        """Read a `config.json`; raises `InvalidCheckpoint` for what is missing or unsupported."""
        if raw.get("rope_scaling") not in (None, {}) or raw.get("use_sliding_window"):
            raise InvalidCheckpoint("rope_scaling and sliding windows are not supported for SDAR")
        rope = raw.get("rope_parameters") or {}
        try:
            return cls(
                vocab_size=raw["vocab_size"],
                hidden_size=raw["hidden_size"],
                intermediate_size=raw["intermediate_size"],
                num_layers=raw["num_hidden_layers"],
                num_heads=raw["num_attention_heads"],
                num_kv_heads=raw["num_key_value_heads"],
                head_dim=raw.get("head_dim") or raw["hidden_size"] // raw["num_attention_heads"],
                rms_norm_eps=raw["rms_norm_eps"],
                rope_theta=raw.get("rope_theta") or rope["rope_theta"],
                tied=raw.get("tie_word_embeddings", False),
            )
        except KeyError as error:
            raise InvalidCheckpoint(f"config.json has no {error}") from error


@dataclass(frozen=True, slots=True)
class _Layer:
    input_norm: Tensor
    qkv: Linear
    qk_norm: Tensor  # [H + Hkv, D], the query norm's weight for each query head, then the key's
    out: Linear
    post_norm: Tensor
    gated: GatedLinear
    down: Linear


class Sdar:
    """Weights and forward pass; final hidden states and the LM head are kept apart."""

    def __init__(self, config: SdarConfig, weights: Weights, num_positions: int) -> None:
        c = config
        self.config = c
        self.embedding = weights.take("model.embed_tokens.weight", (c.vocab_size, c.hidden_size))
        self._layers = [self._layer(weights, f"model.layers.{i}.") for i in range(c.num_layers)]
        self._norm = weights.take("model.norm.weight", (c.hidden_size,))
        if c.tied:
            self.lm_head = make_linear(self.embedding)
            weights.drop("lm_head.weight")
        else:
            head = weights.take("lm_head.weight", (c.vocab_size, c.hidden_size))
            self.lm_head = make_linear(head)
        weights.check_all_taken()
        self._cos, self._sin = rotary_tables(
            num_positions, c.head_dim, c.rope_theta, weights.dtype, weights.device
        )

    def _layer(self, weights: Weights, prefix: str) -> _Layer:
        c = self.config
        queries, keys = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim

        def take(name: str, *shape: int) -> Tensor:
            return weights.take(f"{prefix}{name}.weight", shape)

        projections = [
            take("self_attn.q_proj", queries, c.hidden_size),
            take("self_attn.k_proj", keys, c.hidden_size),
            take("self_attn.v_proj", keys, c.hidden_size),
        ]
        norms = [
            take("self_attn.q_norm", c.head_dim).expand(c.num_heads, -1),
            take("self_attn.k_norm", c.head_dim).expand(c.num_kv_heads, -1),
        ]
        return _Layer(
            input_norm=take("input_layernorm", c.hidden_size),
            qkv=make_linear(torch.cat(projections)),
            qk_norm=torch.cat(norms),
            out=make_linear(take("self_attn.o_proj", c.hidden_size, queries)),
            post_norm=take("post_attention_layernorm", c.hidden_size),
            gated=make_gated_linear(
                take("mlp.gate_proj", c.intermediate_size, c.hidden_size),
                take("mlp.up_proj", c.intermediate_size, c.hidden_size),
            ),
            down=make_linear(take("mlp.down_proj", c.hidden_size, c.intermediate_size)),
        )

    @property
    def kv_shape(self) -> tuple[int, int, int]:
        """Layers, KV heads and head size, which decide how large a page is."""
        return self.config.num_layers, self.config.num_kv_heads, self.config.head_dim

    @property
    def group_size(self) -> int:
        """Query heads that share a key head."""
        return self.config.num_heads // self.config.num_kv_heads

    def forward(self, step: StepInput) -> Tensor:
        """Final hidden states [T, C] of a step; its keys and values are written to the cache."""
        c = self.config
        eps = c.rms_norm_eps
        cos, sin = self._cos[step.positions], self._sin[step.positions]
        num_rows = len(step.token_ids)
        x = fill_rows(F.embedding(step.token_ids, self.embedding))
        for i, layer in enumerate(self._layers):
            keys, values = step.cache.keys[i], step.cache.values[i]
            h = rms_norm(x, layer.input_norm, eps)
            heads = layer.qkv(h)[:num_rows].view(num_rows, -1, c.head_dim)
            query = place_heads(heads, layer.qk_norm, eps, cos, sin, keys, values, step.slots)
            mixed = attention(query, keys, values, step.plan, c.head_dim**-0.5)
            x = layer.out.add(fill_rows(mixed.flatten(1)), x)
            h = rms_norm(x, layer.post_norm, eps)
            x = layer.down.add(layer.gated(h), x)
        return x[:num_rows]

    def finish(self, hidden: Tensor) -> Tensor:
        """The final norm, applied only to the rows [M, C] that need logits."""
        return rms_norm(hidden, self._norm, self.config.rms_norm_eps)
