"""LFM2's network for blocks of uniform noise: short convolutions and a few attention layers.

Rows of an open block are told their noise level, which scales, shifts and gates every layer, and
the previous step's expected embedding (self-conditioning). All other rows are tokens without noise,
which see what is before them. Convolutions look back in any case.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.models.decoder import DecoderConfig
from unmask.models.inputs import NO_CANVAS, ForwardInputs, Vision, index_of_canvas_rows
from unmask.models.kv_cache import LayerShape
from unmask.models.lfm2_layers import ConvolutionMixer, Lfm2Layer, layer_shapes, mix_by_attention
from unmask_kernels.convolution.ops import short_convolution
from unmask_kernels.layers.modulation import enter_layer, leave_layer, next_layer
from unmask_kernels.layers.ops import rms_norm
from unmask_kernels.layers.types import Modulation
from unmask_kernels.linear.ops import Linear
from unmask_kernels.linear.padding import pad_rows, row_unit
from unmask_kernels.noise.vocabulary import Vocabulary

MAX_PERIOD = 10_000


@dataclass(frozen=True, slots=True)
class NoiseLevels:
    """Scale, shift and gate of each layer as a function of the noise level."""

    first: Linear
    second: Linear
    projection: Linear  # [3 C, K]
    of_layers: Tensor  # [layers, 3 C], added to those of the level
    num_frequencies: int  # cosines and sines of a level

    def __call__(self, sigmas: Tensor) -> Tensor:
        """Tables [layers, S + 1, 3 C] of levels [S] float32; the last is that of no noise."""
        levels = F.pad(sigmas, (0, 1))
        half = self.num_frequencies // 2
        exponents = torch.arange(half, dtype=torch.float32, device=levels.device) / half
        angles = levels[:, None] * torch.exp(-math.log(MAX_PERIOD) * exponents)
        waves = torch.cat((angles.cos(), angles.sin()), -1).to(self.of_layers.dtype)
        embedded = self.second.activate(self.first.activate(pad_rows(waves), "silu"), "silu")
        return self.projection(embedded)[: len(levels)] + self.of_layers[:, None]


@dataclass(frozen=True, slots=True)
class SelfConditioning:
    """The previous step's expected embedding, added through an MLP."""

    norm: Tensor
    first: Linear
    second: Linear

    def __call__(self, embedded: Tensor, soft: Tensor, eps: float) -> Tensor:
        """Conditioned embeddings [R, C] of tokens `embedded` [R, C], given `soft` [R, C]."""
        inner = self.first.activate(rms_norm(pad_rows(soft), self.norm, eps), "silu")
        return embedded + self.second(inner)[: len(soft)]


class Lfm2Decoder:
    """Weights and forward pass, without the final norm and the LM head."""

    follows_posterior = True

    def __init__(
        self,
        config: DecoderConfig,
        *,
        embedding: Tensor,
        vocabulary: Vocabulary,
        layers: Sequence[Lfm2Layer],
        cos: Tensor,
        sin: Tensor,
        levels: NoiseLevels,
        self_conditioning: SelfConditioning | None,
        norm: Tensor,
        num_taps: int,
    ) -> None:
        """`cos` and `sin` are [positions, 1, D / 2]; convolutions have `num_taps` weights."""
        self.embedding = embedding
        self.vocabulary = vocabulary
        self.lm_head = Linear(embedding)
        self.vision: Vision | None = None
        self.row_unit = row_unit(embedding.device)
        self.num_earlier = num_taps - 1
        self._config = config
        self._layers = tuple(layers)
        self._cos, self._sin = cos, sin
        self._levels = levels
        self._self_conditioning = self_conditioning
        self._norm = norm
        kinds = [isinstance(layer.mixer, ConvolutionMixer) for layer in layers]
        self.state_sizes: Sequence[int] = (config.hidden_size,) * sum(kinds)

    @property
    def layers(self) -> Sequence[LayerShape]:
        """Key and value shape of each attention layer."""
        return layer_shapes(self._config, self._layers)

    def forward(self, step: ForwardInputs) -> Tensor:
        """Hidden states [W, C] of the step's wanted rows.

        Keys, values and inputs of convolutions are written to the cache. Rows of an open block
        write theirs to the slots of their positions, which its final tokens overwrite.
        """
        eps, num_rows = self._config.rms_norm_eps, len(step.token_ids)
        canvas_of = index_of_canvas_rows(step)
        x = pad_rows(self._embed(step, canvas_of))
        modulation = self._modulation(step, canvas_of, len(x))
        cos_sin = self._cos[step.positions], self._sin[step.positions]
        entered = enter_layer(x, modulation, 0, self._layers[0].norm, eps)
        num_convolutions = num_attentions = 0
        for i, layer in enumerate(self._layers):
            if isinstance(layer.mixer, ConvolutionMixer):
                mixed = self._convolve(layer.mixer, entered.normed, step, num_convolutions)
                num_convolutions += 1
            else:
                given = entered.normed, step, cos_sin, num_attentions
                mixed = mix_by_attention(layer.mixer, self._config, *given)
                num_attentions += 1
            inner = layer.mixer.out.add(pad_rows(mixed), entered.inner.clone())
            out = layer.mlp.add(rms_norm(inner, layer.mlp_norm, eps), inner)
            if i + 1 < len(self._layers):
                following = self._layers[i + 1].norm
                entered = next_layer(entered, out, modulation, i + 1, following, eps)
        x = leave_layer(entered, out, modulation, len(self._layers) - 1)
        return x[:num_rows] if step.wanted is None else x[step.wanted]

    def final_norm(self, hidden: Tensor) -> Tensor:
        """The final norm, applied only to the rows [M, C] that need logits."""
        return rms_norm(hidden, self._norm, self._config.rms_norm_eps)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [M, V] float32 of normed rows [M, C]."""
        return self.vocabulary.logits(hidden)

    def _convolve(
        self, mixer: ConvolutionMixer, normed: Tensor, step: ForwardInputs, index: int
    ) -> Tensor:
        assert step.earlier is not None, "convolutions read earlier positions"
        projected = mixer.inner(normed)[: len(step.token_ids)]
        states = step.cache.states[index]
        read = states, step.slots, step.earlier, step.positions
        return short_convolution(projected, mixer.weight, mixer.bias, *read)

    def _embed(self, step: ForwardInputs, canvas_of: Tensor | None) -> Tensor:
        x = F.embedding(step.token_ids, self.embedding)
        conditioning = self._self_conditioning
        if canvas_of is None or step.canvas is None or conditioning is None:
            return x
        canvas = step.canvas
        length = len(canvas.rows) // len(canvas.sigmas)
        open_rows = x.index_select(0, canvas.rows.clamp(max=len(x) - 1))
        conditioned = conditioning(open_rows, canvas.soft, self._config.rms_norm_eps)
        is_fresh = canvas.is_fresh.repeat_interleave(length, output_size=len(canvas.rows))
        conditioned = torch.where(is_fresh[:, None], open_rows, conditioned)
        placed = conditioned.index_select(0, canvas_of.clamp(max=len(conditioned) - 1))
        return torch.where((canvas_of < NO_CANVAS)[:, None], placed, x)

    def _modulation(
        self, step: ForwardInputs, canvas_of: Tensor | None, num_rows: int
    ) -> Modulation:
        """Modulation of `num_rows`, padding included; rows of no canvas have no noise."""
        if canvas_of is None or step.canvas is None:
            none = torch.zeros(0, device=step.token_ids.device)
            return Modulation(self._levels(none), step.token_ids.new_zeros(num_rows))
        num_canvases = len(step.canvas.sigmas)
        length = len(step.canvas.rows) // num_canvases
        groups = (canvas_of // length).clamp(max=num_canvases)
        padded = F.pad(groups, (0, num_rows - len(groups)), value=num_canvases)
        return Modulation(self._levels(step.canvas.sigmas), padded)
