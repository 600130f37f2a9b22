"""Weights of the model with those together that are multiplied together."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from training.model import Shape


@dataclass(frozen=True, slots=True)
class Layer:
    """Views of one layer's weights."""

    input_norm: Tensor  # [C]
    projections: Tensor  # [heads + 2 kv_heads, head_dim, C] of queries, keys and values, flattened
    query_norm: Tensor  # [head_dim]
    key_norm: Tensor  # [head_dim]
    out: Tensor  # [C, heads * head_dim]
    mlp_norm: Tensor  # [C]
    gate_up: Tensor  # [2 * intermediate, C]
    down: Tensor  # [C, intermediate]


class Weights:
    """All weights in one tensor, or their gradients; `named` has those of a `Model`."""

    def __init__(self, shape: Shape, dtype: torch.dtype) -> None:
        sizes = list(_sizes(shape))
        self.flat = torch.zeros(sum(size.numel() for size in sizes), dtype=dtype)
        parts = iter(self.flat.split([size.numel() for size in sizes]))
        views = iter([next(parts).view(size) for size in sizes])
        self.embedding, self.norm = next(views), next(views)
        self.layers = [Layer(*(next(views) for _ in range(8))) for _ in range(shape.layers)]
        self.named = {
            "model.embed_tokens.weight": self.embedding,
            "model.norm.weight": self.norm,
        }
        kv_size = shape.kv_heads * shape.head_dim
        rows = [shape.heads * shape.head_dim, kv_size, kv_size]
        for i, layer in enumerate(self.layers):
            query, key, value = layer.projections.split(rows)
            gate, up = layer.gate_up.chunk(2)
            named = {
                "input_layernorm": layer.input_norm,
                "self_attn.q_proj": query,
                "self_attn.k_proj": key,
                "self_attn.v_proj": value,
                "self_attn.q_norm": layer.query_norm,
                "self_attn.k_norm": layer.key_norm,
                "self_attn.o_proj": layer.out,
                "post_attention_layernorm": layer.mlp_norm,
                "mlp.gate_proj": gate,
                "mlp.up_proj": up,
                "mlp.down_proj": layer.down,
            }
            self.named |= {f"model.layers.{i}.{name}.weight": v for name, v in named.items()}


def _sizes(s: Shape) -> Iterator[torch.Size]:
    """Shapes of the weights in their order: embedding, last norm, layers."""
    yield torch.Size((s.vocab, s.hidden))
    yield torch.Size((s.hidden,))
    for _ in range(s.layers):
        yield torch.Size((s.hidden,))
        yield torch.Size(((s.heads + 2 * s.kv_heads) * s.head_dim, s.hidden))
        yield torch.Size((s.head_dim,))
        yield torch.Size((s.head_dim,))
        yield torch.Size((s.hidden, s.heads * s.head_dim))
        yield torch.Size((s.hidden,))
        yield torch.Size((2 * s.intermediate, s.hidden))
        yield torch.Size((s.hidden, s.intermediate))
