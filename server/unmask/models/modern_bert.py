"""ModernBERT (Warner et al., 2024), trained to fill masks of a whole answer (dLLM's MDLM recipe).

A layer sees the whole sequence, or as many keys after a query as before it; layers of either kind
have a RoPE base of their own. Norms are LayerNorm, and the first layer's attention has none.
"""

import functools
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.a2d import BLOCK_LENGTH
from unmask.models.cached_attention import attend, store_heads
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import with_bias, with_bias_input
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.inputs import ForwardInputs, Vision
from unmask.models.kv_cache import LayerShape
from unmask.models.layers import LayerNorm
from unmask.models.rope import plain_rope, rope_tables
from unmask.models.weights import Weights
from unmask_kernels.linear.ops import Linear, make_linear
from unmask_kernels.linear.padding import pad_rows, row_unit

logger = logging.getLogger(__name__)

# Defaults of transformers' class, which configurations may leave out.
WINDOW, NORM_EPS, GLOBAL_EVERY = 128, 1e-5, 3
SLIDING, FULL = "sliding_attention", "full_attention"
# Fields of older configurations with the RoPE base of each kind of layer.
THETAS: Mapping[str, tuple[str, float]] = {
    SLIDING: ("local_rope_theta", 10_000.0),
    FULL: ("global_rope_theta", 160_000.0),
}
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_pytorch_tanh": functools.partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}
# dLLM pads answers, so that padding ends them, and cuts them at its template's closing mark.
END_TOKENS, END_TEXT = ("[PAD]", "<pad>"), "[/Answer]"
GENERATES = re.compile(r"diffu|dllm|mdlm|ldm", re.I)
BIASES = (
    *("attention_bias", "classifier_bias", "decoder_bias", "mlp_bias", "norm_bias"),
    "tie_word_embeddings",
)
_ROPE = ConfigFields(read=frozenset(("rope_theta",)), accepted={"rope_type": ("default",)})
FIELDS = ConfigFields(
    read=frozenset(
        (
            *("global_attn_every_n_layers", "global_rope_theta", "hidden_size", "layer_types"),
            *("intermediate_size", "local_attention", "local_rope_theta", "norm_eps"),
            *("max_position_embeddings", "num_attention_heads", "num_hidden_layers"),
        )
    ),
    # Fields of other heads and of training, and those of BERT that the class never reads.
    harmless=frozenset(
        (
            *("classifier_dropout", "classifier_pooling", "cls_token_id", "layer_norm_eps"),
            *("deterministic_flash_attn", "initializer_cutoff_factor", "mlp_dropout"),
            *("position_embedding_type", "reference_compile", "repad_logits_with_grad"),
            *("seq_length", "sparse_pred_ignore_index", "sparse_prediction"),
        )
    ),
    accepted={
        **dict.fromkeys(("classifier_activation", "hidden_activation"), tuple(ACTIVATIONS)),
        **dict.fromkeys(BIASES, (False, True)),
    },
    nested={"rope_parameters": ConfigFields(nested={SLIDING: _ROPE, FULL: _ROPE})},
)


@dataclass(frozen=True, slots=True)
class BertLayer:
    """Weights of one layer in kernel layouts."""

    span: str
    attention_norm: LayerNorm | None
    qkv: Linear
    out: Linear
    mlp_norm: LayerNorm
    gate_up: Linear  # activated gates, then their factors
    down: Linear


class ModernBert:
    """Weights and forward pass; `final_norm` is all of the head before its last product."""

    state_sizes: Sequence[int] = ()

    def __init__(self, raw: RawConfig, weights: Weights, num_positions: int) -> None:
        heads, hidden = raw["num_attention_heads"], raw["hidden_size"]
        self._head_dim, rest = divmod(hidden, heads)
        if rest or self._head_dim % 2:
            raise InvalidCheckpoint(f"hidden_size {hidden} is not {heads} heads of an even size")
        self.row_unit = row_unit(weights.device)
        self.vision: Vision | None = None
        self._activation = ACTIVATIONS[raw.get("hidden_activation", "gelu")]
        self._head_activation = ACTIVATIONS[raw.get("classifier_activation", "gelu")]
        spans = _spans(raw)
        window = raw.get("local_attention", WINDOW) // 2
        shapes = {
            SLIDING: LayerShape(heads, self._head_dim, 1, window + 1, window),
            FULL: LayerShape(heads, self._head_dim, 1),
        }
        self._shapes = tuple(shapes[span] for span in spans)
        self._ropes = {
            span: rope_tables(
                plain_rope(theta, self._head_dim).inverse,
                num_positions,
                weights.dtype,
                weights.device,
            )
            for span, theta in _thetas(raw).items()
        }
        vocab_size = raw["vocab_size"]
        embedding = "model.embeddings.tok_embeddings.weight"
        is_tied = raw.get("tie_word_embeddings", True)
        if is_tied:
            weights.drop_copy("decoder.weight", embedding)
            weights.note_shared(embedding, "the LM head")
        self._embedding = weights.take(embedding, (vocab_size, hidden))
        head = self._embedding if is_tied else weights.take("decoder.weight", (vocab_size, hidden))
        self._has_head_bias = raw.get("decoder_bias", True)
        if self._has_head_bias:
            head = with_bias(head, weights.take("decoder.bias", (vocab_size,)))
            if is_tied:  # held once, as columns of the head
                self._embedding = head[:, :hidden]
        self._embedding_norm = _take_norm(raw, weights, "model.embeddings.norm")
        self._layers = [_take_layer(raw, weights, i, span) for i, span in enumerate(spans)]
        self._norm = _take_norm(raw, weights, "model.final_norm")
        bias = bool(raw.get("classifier_bias"))
        self._dense = weights.take_linear(["head.dense"], [hidden], hidden, bias=bias)
        self._head_norm = _take_norm(raw, weights, "head.norm")
        self.lm_head = make_linear(weights.cut_head(head))
        weights.check_all_taken()

    @property
    def layers(self) -> Sequence[LayerShape]:
        """Key and value shape of each layer."""
        return self._shapes

    def forward(self, step: ForwardInputs) -> Tensor:
        """Hidden states [W, C] of the step's wanted rows; writes keys and values to the cache."""
        num_rows = len(step.token_ids)
        cos_sin = {
            span: (cos[step.positions], sin[step.positions])
            for span, (cos, sin) in self._ropes.items()
        }
        embedded = F.embedding(step.token_ids, self._embedding)
        x = self._embedding_norm(pad_rows(embedded, self.row_unit))
        for i, layer in enumerate(self._layers):
            normed = x if layer.attention_norm is None else layer.attention_norm(x)
            heads = layer.qkv(normed)[:num_rows].view(num_rows, -1, self._head_dim)
            query = store_heads(step, i, heads, None, 0.0, cos_sin[layer.span])
            mixed = attend(step, i, query, self._head_dim**-0.5)
            x = layer.out.add(pad_rows(mixed.flatten(1), self.row_unit), x)
            gate, up = layer.gate_up(layer.mlp_norm(x)).chunk(2, dim=-1)
            x = layer.down.add(self._activation(gate) * up, x)
        return x[:num_rows] if step.wanted is None else x[step.wanted]

    def final_norm(self, hidden: Tensor) -> Tensor:
        """Inputs of the LM head for the rows [M, C] that need logits."""
        dense = self._dense(pad_rows(self._norm(hidden), self.row_unit))[: len(hidden)]
        normed = self._head_norm(self._head_activation(dense))
        return with_bias_input(normed) if self._has_head_bias else normed


def _take_norm(raw: RawConfig, weights: Weights, name: str) -> LayerNorm:
    shape = (raw["hidden_size"],)
    bias = weights.take(f"{name}.bias", shape) if raw.get("norm_bias") else None
    return LayerNorm(weights.take(f"{name}.weight", shape), bias, raw.get("norm_eps", NORM_EPS))


def _take_layer(raw: RawConfig, weights: Weights, index: int, span: str) -> BertLayer:
    prefix, hidden, inner = f"model.layers.{index}.", raw["hidden_size"], raw["intermediate_size"]

    def linear(name: str, num_outputs: int, num_inputs: int, bias: str) -> Linear:
        has_bias = bool(raw.get(bias))
        return weights.take_linear([prefix + name], [num_outputs], num_inputs, bias=has_bias)

    return BertLayer(
        span,
        attention_norm=_take_norm(raw, weights, f"{prefix}attn_norm") if index else None,
        qkv=linear("attn.Wqkv", 3 * hidden, hidden, "attention_bias"),
        out=linear("attn.Wo", hidden, hidden, "attention_bias"),
        mlp_norm=_take_norm(raw, weights, f"{prefix}mlp_norm"),
        gate_up=linear("mlp.Wi", 2 * inner, hidden, "mlp_bias"),
        down=linear("mlp.Wo", hidden, inner, "mlp_bias"),
    )


def _spans(raw: RawConfig) -> tuple[str, ...]:
    """Kind of each layer's attention, which releases of transformers name in two ways."""
    num_layers, every = raw["num_hidden_layers"], raw.get("global_attn_every_n_layers")
    counted = [SLIDING if i % (every or GLOBAL_EVERY) else FULL for i in range(num_layers)]
    named = raw.get("layer_types", counted)
    if len(named) != num_layers or set(named) - {SLIDING, FULL}:
        raise InvalidCheckpoint(f"layer_types do not fit {num_layers} layers: {named}")
    if every is not None and named != counted:
        raise InvalidCheckpoint(
            f"layer_types {named} are not those of global_attn_every_n_layers {every}"
        )
    return tuple(named)


def _thetas(raw: RawConfig) -> dict[str, float]:
    """RoPE base of each kind of layer."""
    parameters, thetas = raw.get("rope_parameters") or {}, {}
    for span, (name, usual) in THETAS.items():
        within, beside = (parameters.get(span) or {}).get("rope_theta"), raw.get(name)
        if within and beside and within != beside:
            raise InvalidCheckpoint(
                f"rope_theta {within} of {span} is not the {name} {beside} beside it"
            )
        thetas[span] = within or beside or usual
    return thetas


def traits(_raw: RawConfig) -> Traits:
    """Full attention, whatever the windows; the mask token is the tokenizer's."""
    return Traits(
        "full",
        block_length=BLOCK_LENGTH,
        schedule="rounded",
        end_tokens=END_TOKENS,
        end_text=END_TEXT,
    )


def warn_of_training(name: str, *, has_template: bool) -> None:
    """Warn of a checkpoint that nothing tells from one that fills a few masks of a text."""
    if not has_template and GENERATES.search(name) is None:
        logger.warning(
            "%s: neither a chat template nor the name tells that ModernBERT was trained by "
            "diffusion; one that was not fills gaps of a few tokens, and writes no answers",
            name,
        )


FAMILY = Family(
    "modernbert",
    ("ModernBertForMaskedLM",),
    traits,
    ModernBert,
    FIELDS,
    verified="logits to 1e-4, of transformers' ModernBERT, and tokens exactly, of a port of dLLM's "
    "sampler over it, on a tiny random checkpoint",
    model_types=("modernbert",),
    is_masked_lm=True,
)
