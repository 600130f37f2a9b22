"""DiffusionGemma's network: one set of weights that encodes tokens and denoises canvases.

An encoder row is a prompt's or a finished canvas's token, read causally. A canvas row knows what
the last step expected in its place and sees the whole canvas. In a layer they differ by a scalar
and by what they may attend to alone, so rows of both kinds go through one forward pass together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.models.decoder import GatedMlp
from unmask.models.gemma_config import Span
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import LayerShape
from unmask_kernels.attention.ops import attention
from unmask_kernels.layers.ops import qk_norm_rope_store, rms_norm
from unmask_kernels.layers.sandwich import add_attention, add_feed_forward
from unmask_kernels.linear.ops import GatedLinear, Linear
from unmask_kernels.linear.padding import pad_rows, row_unit
from unmask_kernels.moe.ops import Experts
from unmask_kernels.moe.routing import route_softmax, router_logits
from unmask_kernels.noise.vocabulary import Vocabulary
from unmask_kernels.quantization.types import QuantizedRows

NO_CANVAS = 2**31 - 1  # more than there are rows
PER_OUTPUT = 2  # dimensions of scales of experts' outputs; those of groups of inputs have a third


@dataclass(frozen=True, slots=True)
class Mixture:
    """Experts, and the router that sends rows to `top` of them."""

    router: Linear  # [E, C]
    scales: Tensor  # [E], by which an expert's share is multiplied
    experts: Experts
    top: int

    @property
    def takes_quantized_rows(self) -> bool:
        """Whether rows may be given in e4m3, with a scale each."""
        held = self.experts.stacked
        if held is None or held.gate_up_scales is None or held.gate_up_scales.ndim > PER_OUTPUT:
            return False
        return self.experts.takes_quantized_rows

    def __call__(self, x: Tensor | QuantizedRows, routed: Tensor) -> Tensor:
        """What the experts make of rows `x` [M, C], chosen by the rows `routed` [M, C]."""
        logits = router_logits(routed, self.router)
        ids, shares = route_softmax(logits, self.top, renormalise=True, scales=self.scales)
        return self.experts(x, ids, shares)


@dataclass(frozen=True, slots=True)
class FeedForward:
    """A dense MLP and a mixture of experts side by side, each between norms of its own."""

    norms: Tensor  # [3, C], before the MLP, the experts and their router
    dense: GatedMlp
    mixture: Mixture
    post_norms: Tensor  # [3, C], after the MLP, the experts and both

    @property
    def quantized(self) -> tuple[bool, bool, bool]:
        """Under which of `norms` rows are taken in e4m3, with a scale each."""
        return _takes_row_scales(self.dense.gated), self.mixture.takes_quantized_rows, False

    def __call__(self, normed: Sequence[Tensor | QuantizedRows]) -> tuple[Tensor, Tensor]:
        """Rows [M, C] under each of `norms`, in the two parts."""
        dense, mixture, routed = normed
        assert isinstance(routed, Tensor)
        return self.dense(dense), self.mixture(mixture, routed)


@dataclass(frozen=True, slots=True)
class CanvasLayer:
    """One layer's weights, ready to be used."""

    span: Span
    input_norm: Tensor
    heads: Linear  # queries, keys and, but for full layers, values
    head_norms: Tensor  # [H + 2 Hkv, D], ones for values
    out: Linear
    post_norm: Tensor
    feed_forward: FeedForward
    scalars: Tensor  # [2], what encoder rows and canvas rows are multiplied by


@dataclass(frozen=True, slots=True)
class SelfConditioning:
    """What the last step expected, gone through an MLP and added to the token's embedding."""

    pre_norm: Tensor
    mlp: GatedMlp
    post_norm: Tensor  # ones

    def __call__(self, embedded: Tensor, soft: Tensor, eps: float) -> Tensor:
        """Rows [R, C] of canvas tokens `embedded` [R, C] that were expected to be `soft` [R, C]."""
        signal = self.mlp.add(rms_norm(pad_rows(soft), self.pre_norm, eps), pad_rows(embedded))
        return rms_norm(signal, self.post_norm, eps)[: len(soft)]


@dataclass(frozen=True, slots=True)
class RopeTable:
    """Cosines and sines of a kind of layer, [num_positions, 1, D / 2]."""

    cos: Tensor
    sin: Tensor


class CanvasDecoder:
    """Weights and forward pass; final hidden states and the vocabulary are kept apart."""

    def __init__(
        self,
        *,
        embedding: Tensor,
        embedding_scale: float,
        lm_head: Linear,
        vocabulary: Vocabulary,
        shapes: Sequence[LayerShape],
        layers: Sequence[CanvasLayer],
        rotations: dict[Span, RopeTable],
        self_conditioning: SelfConditioning,
        norm: Tensor,
        eps: float,
    ) -> None:
        self.embedding = embedding
        self.lm_head = lm_head
        self.vocabulary = vocabulary
        self.row_unit = row_unit(embedding.device)
        self._scale = embedding_scale
        self._shapes = tuple(shapes)
        self._layers = tuple(layers)
        self._scalars = torch.stack([layer.scalars for layer in layers])
        self._rotations = rotations
        self._self_conditioning = self_conditioning
        self._norm = norm
        self._eps = eps

    @property
    def layers(self) -> Sequence[LayerShape]:
        """The shape of each layer's keys and values."""
        return self._shapes

    def forward(self, step: ForwardInputs) -> Tensor:
        """Hidden states [W, C] of a step's wanted rows; keys and values are written to the cache.

        Canvas rows write to their own slots, which encoder rows of the same positions overwrite
        once the canvas is finished.
        """
        eps, num_rows = self._eps, len(step.token_ids)
        canvas_of = _canvas_of(step)
        x = pad_rows(self._embed(step, canvas_of))
        factors = self._factors(canvas_of, len(x))
        turns = {
            span: (table.cos[step.positions], table.sin[step.positions])
            for span, table in self._rotations.items()
        }
        normed: Tensor | QuantizedRows = rms_norm(x, self._layers[0].input_norm, eps)
        for i, layer in enumerate(self._layers):
            keys, values = step.cache.keys[i], step.cache.values[i]
            scales = step.cache.scales[i]
            projected = layer.heads(normed)[:num_rows]
            heads = projected.view(num_rows, -1, self._shapes[i].head_dim)
            query = qk_norm_rope_store(
                heads,
                layer.head_norms,
                eps,
                *turns[layer.span],
                keys,
                values,
                step.slots,
                key_scales=scales,
                value_scales=scales,
                key_is_value=heads.shape[1] < len(layer.head_norms),
            )
            mixed = attention(
                query,
                keys,
                values,
                step.plans[i],
                1.0,
                key_scales=scales,
                value_scales=scales,
            )
            mixed = layer.out(pad_rows(mixed.flatten(1)))
            forward = layer.feed_forward
            x, inputs = add_attention(
                x, mixed, layer.post_norm, forward.norms, eps, forward.quantized
            )
            following = self._layers[i + 1] if i + 1 < len(self._layers) else None
            x, after = add_feed_forward(
                x,
                *forward(inputs),
                forward.post_norms,
                factors[i],
                None if following is None else following.input_norm,
                eps,
                quantized=following is not None and _takes_row_scales(following.heads),
            )
            normed = x if after is None else after
        return x[:num_rows] if step.wanted is None else x[step.wanted]

    def final_norm(self, hidden: Tensor) -> Tensor:
        """The final norm, applied only to the rows [M, C] that need logits."""
        return rms_norm(hidden, self._norm, self._eps)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [M, V] of finished rows [M, C], float32, bounded as the configuration says."""
        return self.vocabulary.logits(hidden)

    def _embed(self, step: ForwardInputs, canvas_of: Tensor | None) -> Tensor:
        x = F.embedding(step.token_ids, self.embedding) * self._scale
        if canvas_of is None or step.canvas_rows is None:
            return x
        assert step.soft is not None, "canvas rows are always conditioned, on zeros at first"
        own = x.index_select(0, step.canvas_rows.clamp(max=len(x) - 1))
        own = self._self_conditioning(own, step.soft, self._eps)
        is_canvas = canvas_of < len(own)
        own = own.index_select(0, canvas_of.clamp(max=len(own) - 1))
        return torch.where(is_canvas[:, None], own, x)

    def _factors(self, canvas_of: Tensor | None, num_rows: int) -> Tensor:
        """What a row is multiplied by after each layer, [layers, num_rows or 1, 1]."""
        encoder, canvas = self._scalars[:, :1, None], self._scalars[:, 1:, None]
        if canvas_of is None:
            return encoder
        is_canvas = F.pad(canvas_of, (0, num_rows - len(canvas_of)), value=NO_CANVAS) < NO_CANVAS
        return torch.where(is_canvas[:, None], canvas, encoder)


def _takes_row_scales(product: Linear | GatedLinear) -> bool:
    """Whether a product takes rows in e4m3 with a scale each."""
    return product.takes_quantized_rows and not product.takes_groups


def _canvas_of(step: ForwardInputs) -> Tensor | None:
    """The entry of `step.canvas_rows` that each of T rows is, `NO_CANVAS` for encoder rows.

    It has one shape for all steps of a size, whichever rows are a canvas's.
    """
    if step.canvas_rows is None:
        return None
    entries = torch.arange(len(step.canvas_rows), device=step.canvas_rows.device)
    found = entries.new_full((len(step.token_ids) + 1,), NO_CANVAS)
    return found.index_copy_(0, step.canvas_rows, entries)[:-1]
