"""Shapes of real checkpoints, and tiny ones of every kind of family, with random weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any, Literal

import torch
from torch import Tensor

from unmask.models.family import Model, Traits
from unmask.models.kv_cache import LayerShape
from unmask.models.registry import find_family
from unmask.models.weights import Weights
from unmask_kernels.layers.ops import Activation
from unmask_kernels.linear.ops import GatedLinear, Linear

Quantized = Literal["none", "fp8", "int4"]
# Bytes of a number; groups of 128 share a scale of 4 bytes.
BYTES: dict[Quantized, float] = {"none": 2, "fp8": 1, "int4": 0.5 + 4 / 128}

SDAR, LLADA = "SDARForCausalLM", "LLaDAModelLM"
LLADA2, GEMMA = "LLaDA2MoeModelLM", "DiffusionGemmaForBlockDiffusion"
NEMOTRON = "NemotronLabsDiffusionModel"
FEW_EXPERTS = 16, 32  # enough for every routing by groups in this file
EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight", "wte.weight")


@dataclass(frozen=True)
class Shape:
    """Architecture with its `config.json` and `generation_config.json`."""

    architecture: str
    raw: dict[str, Any]
    generation: dict[str, Any] = field(default_factory=dict)

    @property
    def traits(self) -> Traits:
        return find_family(self.architecture).traits(self.raw)

    @property
    def text(self) -> dict[str, Any]:
        """Text part of the configuration."""
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
    "weight_tying": False,
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
    "tie_word_embeddings": False,
}
# Of DiffusionGemma-26B-A4B-it: 25.2e9 weights, of which a token reads 3.8e9. Every sixth layer is
# full, with heads of 512 over two key heads, and has no values of its own.
_GEMMA = {
    "vocab_size": 262_144,
    "hidden_size": 2816,
    "intermediate_size": 2112,
    "num_hidden_layers": 30,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "num_global_key_value_heads": 2,
    "head_dim": 256,
    "global_head_dim": 512,
    "sliding_window": 1024,
    "num_experts": 128,
    "top_k_experts": 8,
    "moe_intermediate_size": 704,
    "final_logit_softcapping": 30.0,
}
_NEMOTRON = {
    "vocab_size": 131_072,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 34,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rms_norm_eps": 1e-5,
    "block_size": 32,
    "tie_word_embeddings": False,
    "rope_parameters": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 16.0,
        "llama_4_scaling_beta": 0.1,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 16_384,
        "rope_theta": 1e6,
        "rope_type": "yarn",
    },
}
# So many steps that the draft is never stable: every canvas takes the steps that it is given.
_FIXED_STEPS = {"stability_threshold": 1 << 20}
SHAPES = {
    "SDAR-8B": _sdar(4096, 12_288, 36, 32, tied=False),
    "LLaDA2.0-mini": Shape(LLADA2, _LLADA2),
    "LLaDA-8B": Shape(LLADA, _LLADA),
    "DiffusionGemma-26B-A4B": Shape(GEMMA, {"text_config": _GEMMA}, _FIXED_STEPS),
    "SDAR-4B": _sdar(2560, 9728, 36, 32, tied=True),
    "SDAR-1.7B": _sdar(2048, 6144, 28, 16, tied=True),
    "Nemotron-Labs-Diffusion-8B": Shape(NEMOTRON, _NEMOTRON),
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
    "tiny Nemotron": Shape(NEMOTRON, _NEMOTRON | _SMALL | {"intermediate_size": 128}),
    "tiny DiffusionGemma": Shape(
        GEMMA,
        {
            "text_config": _GEMMA
            | _SMALL
            | _FEW_GEMMA
            | {"intermediate_size": 128}
            | {"num_attention_heads": 2, "num_key_value_heads": 1}
            | {"num_global_key_value_heads": 1, "global_head_dim": 32}
            | {"num_hidden_layers": 2, "sliding_window": 32},
            "canvas_length": 8,
        },
        _FIXED_STEPS,
    ),
}


class RandomWeights(Weights):
    """Random tensors of any requested shape: small numbers, norms near one.

    They have the formats of a 16-bit checkpoint. Counts the elements taken: of experts, of the
    embedding, of layers that may be 8-bit, and of the rest.
    """

    def __init__(
        self, dtype: torch.dtype, device: torch.device, quantization: Quantized = "none"
    ) -> None:
        super().__init__({}, dtype, device, quantization=quantization)
        self.num_expert = self.num_embedding = self.num_linear = self.num_other = 0
        self.gated_width = 0  # outputs of all gated products
        self.norm_width = 0  # of all norms of a row
        self._in_linear = False

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
        tensor = torch.empty(shape, dtype=dtype or self.dtype, device=self.device)
        if ".experts." in name:
            self.num_expert += tensor.numel()
        elif name.endswith(EMBEDDINGS):
            self.num_embedding += tensor.numel()
        elif self._in_linear:
            self.num_linear += tensor.numel()
        else:
            self.num_other += tensor.numel()
            self.norm_width += shape[0] if len(shape) == 1 and "norm" in name else 0
        if tensor.is_meta:
            return tensor
        return tensor.fill_(1) if len(shape) == 1 else tensor.normal_(std=shape[-1] ** -0.5)

    def take_linear(self, *args: Any, **kwargs: Any) -> Linear:
        with self._counted_as_linear():
            return super().take_linear(*args, **kwargs)

    def take_gated(
        self,
        gate: str,
        up: str,
        num_outputs: int,
        num_inputs: int,
        activation: Activation = "silu",
    ) -> GatedLinear:
        self.gated_width += num_outputs
        with self._counted_as_linear():
            return super().take_gated(gate, up, num_outputs, num_inputs, activation)

    @property
    def num_taken(self) -> int:
        """Number of all elements taken."""
        return self.num_expert + self.num_embedding + self.num_linear + self.num_other

    def check_all_taken(self) -> None:
        """No-op: any tensor exists."""

    @contextmanager
    def _counted_as_linear(self) -> Iterator[None]:
        self._in_linear = True
        yield
        self._in_linear = False


@dataclass(frozen=True)
class Sizes:
    """Elements of a shape's weights by their use in a step, and bytes by format."""

    linear: int  # linear weights of every row
    linear_bytes: int
    other: int  # the same, never in 8 bits: routers, norms
    head: int  # only rows that are scored go through it
    head_products: int  # head products of a row: logits, and the mean embedding of canvases
    experts: int  # all of them
    experts_bytes: int
    share_of_experts: float  # share of a row's experts
    stored: int  # bytes
    row_bytes: int  # bytes of a row read and written between products
    mixture_row_bytes: int  # into the experts and out of them
    layers: tuple[LayerShape, ...]

    def kv_stored(self, tokens: int, element_bytes: int) -> int:
        return tokens * element_bytes * sum(layer.slot_numbers for layer in self.layers)


def build(
    shape: Shape, device: torch.device, num_positions: int, quantization: Quantized = "none"
) -> tuple[Model, RandomWeights]:
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    weights = RandomWeights(dtype, device, quantization)
    return find_family(shape.architecture).build(shape.raw, weights, num_positions), weights


def sizes(shape: Shape, quantization: Quantized = "none") -> Sizes:
    """Sizes without allocating the weights.

    Experts are of equal size, so a few stand for all: thousands would take a minute.
    """
    few, more = FEW_EXPERTS
    num_experts = shape.text.get("num_experts", 0)
    if num_experts > more:
        few_sizes, more_sizes = (
            _sizes(_with(shape, num_experts=n), quantization) for n in (few, more)
        )
        times = (num_experts - few) / (more - few)

        def grown(name: str) -> int:
            first: int = getattr(few_sizes, name)
            return first + round((getattr(more_sizes, name) - first) * times)

        return replace(
            more_sizes,
            other=grown("other"),
            experts=grown("experts"),
            experts_bytes=grown("experts_bytes"),
            stored=grown("stored"),
            share_of_experts=more_sizes.share_of_experts * more / num_experts,
        )
    return _sizes(shape, quantization)


def _with(shape: Shape, **fields: int) -> Shape:
    """Shape with changed fields of its text part."""
    raw = dict(shape.raw)
    if "text_config" in raw:
        raw["text_config"] = raw["text_config"] | fields
    else:
        raw |= fields
    return replace(shape, raw=raw)


def _held(shape: Shape, quantization: Quantized) -> tuple[bool, bool]:
    """True for layers, and for experts, that are quantized, from a few layers of them."""
    if quantization != "fp8":
        return quantization == "int4", False
    name = "n_layers" if "n_layers" in shape.text else "num_hidden_layers"
    layers = min(shape.text[name], 1 + shape.text.get("first_k_dense_replace", 0))
    model, weights = build(_with(shape, **{name: layers}), torch.device("meta"), 64, quantization)
    num_small = sum(tensor.numel() for tensor in tensors(model) if tensor.itemsize == 1)
    # Whatever is in 8 bits beside the layers are experts.
    experts = weights.num_expert > 0 and num_small - weights.num_linear >= weights.num_expert
    return num_small >= weights.num_linear, experts


def _sizes(shape: Shape, quantization: Quantized) -> Sizes:
    model, weights = build(shape, torch.device("meta"), 64)
    small_linear, small_experts = _held(shape, quantization)
    text = shape.text
    hidden = text.get("hidden_size") or text["d_model"]
    head = text["vocab_size"] * hidden
    tied = text.get("tie_word_embeddings", shape.architecture == GEMMA)
    linear_bytes = round(weights.num_linear * (BYTES[quantization] if small_linear else 2))
    experts_bytes = weights.num_expert * (1 if small_experts else 2)
    heads = sum((s.group_size + 2) * s.num_kv_heads * s.head_dim for s in model.layers)
    mixtures = len(model.layers) - text.get("first_k_dense_replace", 0)
    return Sizes(
        linear=weights.num_linear,
        linear_bytes=linear_bytes,
        other=weights.num_other - (0 if tied else head),
        head=head,
        head_products=2 if shape.traits.attention == "canvas" else 1,
        experts=weights.num_expert,
        experts_bytes=experts_bytes,
        share_of_experts=(text.get("num_experts_per_tok") or text.get("top_k_experts") or 0)
        / text.get("num_experts", 1),
        stored=linear_bytes + experts_bytes + 2 * (weights.num_other + weights.num_embedding),
        row_bytes=4 * weights.norm_width + 4 * heads + 6 * weights.gated_width,
        mixture_row_bytes=4 * hidden * mixtures if weights.num_expert else 0,
        layers=tuple(model.layers),
    )


def tensors(root: object) -> list[Tensor]:
    """All tensors reachable from an object, once each."""
    result, seen, left = [], set(), [root]
    while left:
        value = left.pop()
        if id(value) in seen or isinstance(value, type):
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            result.append(value)
        elif isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
        elif not isinstance(value, str | bytes | int | float | FunctionType):
            left += [getattr(value, name, None) for name in _fields(value)]
    return result


def _fields(value: object) -> list[str]:
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*slots, *getattr(value, "__dict__", {})]
