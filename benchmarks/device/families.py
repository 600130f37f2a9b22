"""Shapes of real checkpoints, and tiny ones of every kind of family, with random weights."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unmask.models.family import Model, Traits
from unmask.models.registry import find_family
from unmask.models.weights import Weights

SDAR, LLADA = "SDARForCausalLM", "LLaDAModelLM"
LLADA2, GEMMA = "LLaDA2MoeModelLM", "DiffusionGemmaForBlockDiffusion"
EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight", "wte.weight")


@dataclass(frozen=True)
class Shape:
    """An architecture, and what its `config.json` and `generation_config.json` say."""

    architecture: str
    raw: dict[str, Any]
    generation: dict[str, Any] = field(default_factory=dict)

    @property
    def traits(self) -> Traits:
        return find_family(self.architecture).traits(self.raw)

    @property
    def text(self) -> dict[str, Any]:
        """The part about text."""
        return dict(self.raw.get("text_config") or self.raw)


def _sdar(hidden: int, inner: int, layers: int, heads: int, *, tied: bool) -> Shape:
    sizes = {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers}
    raw = {"vocab_size": 151_936, "num_key_value_heads": 8, "head_dim": 128, "rope_theta": 1e6}
    heads_and_tie = {"num_attention_heads": heads, "tie_word_embeddings": tied}
    return Shape(SDAR, raw | sizes | heads_and_tie | {"rms_norm_eps": 1e-6})


_LLADA = {
    "vocab_size": 126_464,
    "d_model": 4096,
    "n_layers": 32,
    "n_heads": 32,
    "mlp_hidden_size": 12_288,
    "rms_norm_eps": 1e-5,
    "rope_theta": 5e5,
}
_LLADA2 = {
    "vocab_size": 157_184,
    "hidden_size": 2048,
    "intermediate_size": 5120,
    "num_hidden_layers": 20,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_experts": 256,
    "num_experts_per_tok": 8,
    "num_shared_experts": 1,
    "moe_intermediate_size": 512,
    "first_k_dense_replace": 1,
    "n_group": 8,
    "topk_group": 4,
    "routed_scaling_factor": 2.5,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-6,
    "rope_theta": 6e5,
}
# Not read from the published configuration: all but the experts are the defaults of transformers'
# class, which has none for those. The experts' sizes are assumed, so that all weights add up to
# 26e9 and those of one token to 4e9.
_GEMMA = {
    "vocab_size": 262_144,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 30,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "sliding_window": 512,
    "num_experts": 128,
    "top_k_experts": 8,
    "moe_intermediate_size": 896,
}
# By importance: the time may not do for all.
SHAPES = {
    "SDAR-8B": _sdar(4096, 12_288, 36, 32, tied=False),
    "LLaDA2.0-mini": Shape(LLADA2, _LLADA2),
    "LLaDA-8B": Shape(LLADA, _LLADA),
    "DiffusionGemma-26B-A4B": Shape(GEMMA, {"text_config": _GEMMA}),
    "SDAR-1.7B": _sdar(2048, 6144, 28, 16, tied=True),
}
_HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
_SMALL = {"vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 1} | _HEADS
_FEW = {
    "first_k_dense_replace": 0,
    "num_experts": 8,
    "n_group": 2,
    "topk_group": 1,
    "num_experts_per_tok": 2,
}
_FEW_GEMMA = {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 32}
_INNER = {"intermediate_size": 128, "moe_intermediate_size": 32}
TINY = {
    "tiny SDAR": Shape(SDAR, SHAPES["SDAR-8B"].raw | _SMALL | {"intermediate_size": 128}),
    "tiny LLaDA": Shape(
        LLADA,
        _LLADA
        | {"vocab_size": 512, "d_model": 64, "n_layers": 1, "n_heads": 4, "mlp_hidden_size": 128},
    ),
    "tiny LLaDA2": Shape(LLADA2, _LLADA2 | _SMALL | _FEW | _INNER),
    "tiny DiffusionGemma": Shape(
        GEMMA,
        {
            "text_config": _GEMMA
            | _SMALL
            | _FEW_GEMMA
            | {"intermediate_size": 128}
            | {"num_attention_heads": 2, "num_key_value_heads": 1}
            | {"num_hidden_layers": 2, "global_head_dim": 32, "sliding_window": 32},
            "canvas_length": 8,
        },
        {"max_denoising_steps": 4},
    ),
}


class RandomWeights(Weights):
    """Tensors of any shape that is asked for: small random numbers, norms near one.

    Counts what it gave: elements of experts, of the table of embeddings, and of the rest.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__({}, dtype, device)
        self.num_expert = self.num_embedding = self.num_other = 0

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        tensor = torch.empty(shape, dtype=self.dtype, device=self.device)
        if ".experts." in name:
            self.num_expert += tensor.numel()
        elif name.endswith(EMBEDDINGS):
            self.num_embedding += tensor.numel()
        else:
            self.num_other += tensor.numel()
        return tensor.fill_(1) if len(shape) == 1 else tensor.normal_(std=shape[-1] ** -0.5)

    @property
    def num_taken(self) -> int:
        """All elements that were given."""
        return self.num_expert + self.num_embedding + self.num_other

    def check_all_taken(self) -> None:
        """Whatever was asked for was there."""


@dataclass(frozen=True)
class Sizes:
    """Bytes in bfloat16 that a step of a shape moves."""

    stored: int
    dense: int  # read by every step
    head: int  # of these, what only rows that are scored go through
    experts: int  # all of them
    share_of_experts: float  # that one row is sent to
    layers: tuple[tuple[int, int | None], ...]  # of keys and values a token, and the window

    def weights_read(self, rows: int) -> float:
        """Expected, if every row's experts are drawn alike."""
        return self.dense + self.experts * (1 - (1 - self.share_of_experts) ** rows)

    def flops(self, rows: int, scored: int) -> float:
        """Of products with weights alone: a multiplication and an addition for two bytes."""
        inner = self.dense - self.head + self.experts * self.share_of_experts
        return rows * inner + scored * self.head

    def kv_read(self, context: int) -> int:
        return sum(num * min(context, window or context) for num, window in self.layers)

    def kv_stored(self, tokens: int) -> int:
        return tokens * sum(num for num, _ in self.layers)


def build(shape: Shape, device: torch.device, num_positions: int) -> tuple[Model, RandomWeights]:
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    weights = RandomWeights(dtype, device)
    return find_family(shape.architecture).build(shape.raw, weights, num_positions), weights


def sizes(shape: Shape) -> Sizes:
    """Without a number in memory."""
    model, weights = build(shape, torch.device("meta"), 64)
    tied = shape.text.get("tie_word_embeddings", shape.architecture == GEMMA)
    dense = weights.num_other + weights.num_embedding * tied  # the head reads a tied table whole
    top = shape.text.get("num_experts_per_tok") or shape.text.get("top_k_experts") or 0
    return Sizes(
        stored=2 * (weights.num_other + weights.num_embedding + weights.num_expert),
        dense=2 * dense,
        head=2
        * shape.text["vocab_size"]
        * (shape.text.get("hidden_size") or shape.text["d_model"]),
        experts=2 * weights.num_expert,
        share_of_experts=top / shape.text.get("num_experts", 1),
        layers=tuple((4 * s.num_kv_heads * s.head_dim, s.window) for s in model.layers),
    )
