"""DiffusionGemma's network: one set of weights that encodes tokens and denoises canvases.

An encoder row is a token of a prompt or of a finished canvas, with causal attention. A canvas row
is conditioned on the previous step's expected embedding (self-conditioning) and attends to the
whole canvas. In a layer they differ only by a scalar and by the attention mask, so rows of both
kinds share one forward pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.models.cached_attention import attend, store_heads
from unmask.models.decoder import GatedMlp
from unmask.models.gemma_config import Span
from unmask.models.inputs import NO_CANVAS, ForwardInputs, Vision, index_of_canvas_rows
from unmask.models.kv_cache import LayerShape
from unmask_kernels.layers.ops import rms_norm
from unmask_kernels.layers.sandwich import add_attention, add_feed_forward
from unmask_kernels.linear.ops import GatedLinear, Linear
from unmask_kernels.linear.padding import pad_rows, row_unit
from unmask_kernels.moe.ops import Experts
from unmask_kernels.moe.routing import route_softmax, router_logits
from unmask_kernels.noise.vocabulary import Vocabulary
from unmask_kernels.quantization.types import QuantizedRows

PER_OUTPUT_NDIM = 2  # scales [E, N], one an output; scales of input groups have a third dimension


@dataclass(frozen=True, slots=True)
class Mixture:
    """Mixture of experts: a softmax router and its `top_k` experts a row."""

    router: Linear  # [E, C]
    scales: Tensor  # [E], factors of the top-k weights
    experts: Experts
    top_k: int

    @property
    def takes_quantized_rows(self) -> bool:
        """True if rows may be e4m3 with one scale each."""
        stacked = self.experts.stacked
        if stacked is None or stacked.gate_up_scales is None:
            return False
        if stacked.gate_up_scales.ndim > PER_OUTPUT_NDIM:
            return False
        return self.experts.takes_quantized_rows

    def __call__(self, x: Tensor | QuantizedRows, routed: Tensor) -> Tensor:
        """Expert outputs [M, C] of rows `x` [M, C]; the router reads the rows `routed` [M, C]."""
        logits = router_logits(routed, self.router)
        ids, topk_weights = route_softmax(logits, self.top_k, renormalise=True, scales=self.scales)
        return self.experts(x, ids, topk_weights)


@dataclass(frozen=True, slots=True)
class FeedForward:
    """Dense MLP and mixture of experts in parallel, each with a norm before and after it."""

    norms: Tensor  # [3, C], before the MLP, the experts and their router
    dense: GatedMlp
    mixture: Mixture
    post_norms: Tensor  # [3, C], after the MLP, the experts and both

    @property
    def quantized(self) -> tuple[bool, bool, bool]:
        """Flags of `norms`: True if the rows under that norm are taken in e4m3, one scale each."""
        return _takes_row_scales(self.dense.gated), self.mixture.takes_quantized_rows, False

    def __call__(self, normed: Sequence[Tensor | QuantizedRows]) -> tuple[Tensor, Tensor]:
        """Dense and expert outputs [M, C] of the rows [M, C] under each of `norms`."""
        dense, mixture, routed = normed
        assert isinstance(routed, Tensor)
        return self.dense(dense), self.mixture(mixture, routed)


@dataclass(frozen=True, slots=True)
class CanvasLayer:
    """Weights of one layer in kernel layouts."""

    span: Span
    input_norm: Tensor
    heads: Linear  # queries, keys and, but for full layers, values
    head_norms: Tensor  # [H + 2 Hkv, D], ones for values
    out: Linear
    post_norm: Tensor
    feed_forward: FeedForward
    scalars: Tensor  # [2], output factors of encoder rows and of canvas rows


@dataclass(frozen=True, slots=True)
class SelfConditioning:
    """Self-conditioning: the previous step's expected embedding, added through an MLP."""

    pre_norm: Tensor
    mlp: GatedMlp
    post_norm: Tensor  # ones

    def __call__(self, embedded: Tensor, soft: Tensor, eps: float) -> Tensor:
        """Conditioned embeddings [R, C] of canvas tokens `embedded` [R, C], given `soft` [R, C]."""
        signal = self.mlp.add(rms_norm(pad_rows(soft), self.pre_norm, eps), pad_rows(embedded))
        return rms_norm(signal, self.post_norm, eps)[: len(soft)]


@dataclass(frozen=True, slots=True)
class RopeTable:
    """Cosines and sines [num_positions, 1, D / 2] of sliding or of full layers."""

    cos: Tensor
    sin: Tensor


class CanvasDecoder:
    """DiffusionGemma's weights and forward pass, without the final norm and the LM head.

    `vocabulary` scores canvases slice by slice. Without `vision`, prompts have no images.
    """

    follows_posterior, num_earlier = False, 0
    state_sizes: Sequence[int] = ()

    def __init__(
        self,
        *,
        embedding: Tensor,
        embedding_scale: float,
        lm_head: Linear,
        vocabulary: Vocabulary,
        shapes: Sequence[LayerShape],
        layers: Sequence[CanvasLayer],
        ropes: dict[Span, RopeTable],
        self_conditioning: SelfConditioning,
        norm: Tensor,
        eps: float,
        vision: Vision | None = None,
    ) -> None:
        self.embedding = embedding
        self.lm_head = lm_head
        self.vocabulary = vocabulary
        self.vision = vision
        self.row_unit = row_unit(embedding.device)
        self._scale = embedding_scale
        self._shapes = tuple(shapes)
        self._layers = tuple(layers)
        self._scalars = torch.stack([layer.scalars for layer in layers])
        self._ropes = ropes
        self._self_conditioning = self_conditioning
        self._norm = norm
        self._eps = eps

    @property
    def layers(self) -> Sequence[LayerShape]:
        """Key and value shape of each layer."""
        return self._shapes

    def forward(self, step: ForwardInputs) -> Tensor:
        """Hidden states [W, C] of the step's wanted rows; writes keys and values to the cache.

        Canvas rows write to the slots of their positions; encoder rows overwrite them once the
        canvas is finished.
        """
        eps, num_rows = self._eps, len(step.token_ids)
        canvas_of = index_of_canvas_rows(step)
        x = pad_rows(self._embed(step, canvas_of))
        factors = self._factors(canvas_of, len(x))
        cos_sin = {
            span: (table.cos[step.positions], table.sin[step.positions])
            for span, table in self._ropes.items()
        }
        normed: Tensor | QuantizedRows = rms_norm(x, self._layers[0].input_norm, eps)
        for i, layer in enumerate(self._layers):
            projected = layer.heads(normed)[:num_rows]
            heads = projected.view(num_rows, -1, self._shapes[i].head_dim)
            norms, rotation = layer.head_norms, cos_sin[layer.span]
            key_is_value = heads.shape[1] < len(norms)
            query = store_heads(step, i, heads, norms, eps, rotation, key_is_value=key_is_value)
            mixed = attend(step, i, query, 1.0)
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
        """Logits [M, V] float32 of normed rows [M, C], softcapped if the configuration says so."""
        return self.vocabulary.logits(hidden)

    def _embed(self, step: ForwardInputs, canvas_of: Tensor | None) -> Tensor:
        x = step.with_images(F.embedding(step.token_ids, self.embedding) * self._scale)
        if canvas_of is None or step.canvas is None:
            return x
        canvas = x.index_select(0, step.canvas.rows.clamp(max=len(x) - 1))
        canvas = self._self_conditioning(canvas, step.canvas.soft, self._eps)
        is_canvas = canvas_of < len(canvas)
        canvas = canvas.index_select(0, canvas_of.clamp(max=len(canvas) - 1))
        return torch.where(is_canvas[:, None], canvas, x)

    def _factors(self, canvas_of: Tensor | None, num_rows: int) -> Tensor:
        """Output factors of the rows in each layer, [layers, num_rows or 1, 1]."""
        encoder, canvas = self._scalars[:, :1, None], self._scalars[:, 1:, None]
        if canvas_of is None:
            return encoder
        is_canvas = F.pad(canvas_of, (0, num_rows - len(canvas_of)), value=NO_CANVAS) < NO_CANVAS
        return torch.where(is_canvas[:, None], canvas, encoder)


def _takes_row_scales(product: Linear | GatedLinear) -> bool:
    """True if a product takes rows in e4m3 with one scale each."""
    return product.takes_quantized_rows and not product.takes_groups
