"""Transformer decoder shared by most families; they differ in names, norms, biases and MLPs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.models.cached_attention import attend, store_heads
from unmask.models.inputs import ForwardInputs, Vision
from unmask.models.kv_cache import LayerShape
from unmask.models.lora import LowRank
from unmask.models.rope import QueryScale, Rope, rope_tables
from unmask.models.weights import Weights
from unmask_kernels.layers.ops import Activation, mixed_embedding, rms_norm
from unmask_kernels.linear.ops import GatedLinear, Linear, make_linear, rms_norm_for
from unmask_kernels.linear.padding import pad_rows, row_unit
from unmask_kernels.moe.routing import number_blocks
from unmask_kernels.quantization.types import QuantizedRows

BIAS_INPUTS = 64  # a multiple of what kernels take at a time


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes of a decoder, its norm epsilon and its RoPE."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rms_norm_eps: float
    rope: Rope
    tied: bool | None = None  # None: tied if the checkpoint has no LM head tensor
    query_scale: QueryScale | None = None

    @property
    def num_qkv(self) -> tuple[int, int, int]:
        """Output sizes of the query, key and value projections."""
        num_kv = self.num_kv_heads * self.head_dim
        return self.num_heads * self.head_dim, num_kv, num_kv


class Mlp(Protocol):
    """Feed-forward part of a layer: a dense MLP or a mixture of experts."""

    @property
    def is_invariant(self) -> bool:
        """True if all products are batch-invariant for any number of rows; see `Linear`."""
        ...

    def add(self, x: Tensor, residual: Tensor, routing_blocks: Tensor | None = None) -> Tensor:
        """Sum [M, C] of the output for normed rows `x` [M, C] and of `residual`.

        `routing_blocks` [M] are for mixtures that route by block; see `number_blocks`.
        """
        ...


@dataclass(frozen=True, slots=True)
class GatedMlp:
    """Gated MLP (Shazeer, 2020): gate and up projections as one product, then down."""

    gated: GatedLinear
    down: Linear

    @property
    def is_invariant(self) -> bool:
        """True if all products are batch-invariant for any number of rows; see `Linear`."""
        return self.gated.is_invariant and self.down.is_invariant

    def add(
        self, x: Tensor | QuantizedRows, residual: Tensor, routing_blocks: Tensor | None = None
    ) -> Tensor:
        """Sum [M, C] of the output and of `residual`, which may be overwritten.

        Nothing is routed, so `routing_blocks` have no effect.
        """
        return self.down.add(self._inner(x), residual)

    def __call__(self, x: Tensor | QuantizedRows) -> Tensor:
        return self.down(self._inner(x))

    def _inner(self, x: Tensor | QuantizedRows) -> Tensor | QuantizedRows:
        if self.down.takes_quantized_rows:
            return self.gated.quantized(x, grouped=self.down.takes_groups)
        return self.gated(x)


@dataclass(frozen=True, slots=True)
class PlainMlp:
    """MLP without a gate: two products, the first of them activated."""

    up: Linear
    down: Linear
    activation: Activation

    @property
    def is_invariant(self) -> bool:
        """True if all products are batch-invariant for any number of rows; see `Linear`."""
        return self.up.is_invariant and self.down.is_invariant

    def add(self, x: Tensor, residual: Tensor, routing_blocks: Tensor | None = None) -> Tensor:
        """Sum [M, C] of the output and of `residual`, which may be overwritten.

        Nothing is routed, so `routing_blocks` have no effect.
        """
        return self.down.add(self.up.activate(x, self.activation), residual)


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights of one layer in kernel layouts."""

    input_norm: Tensor
    qkv: Linear
    qk_norm: Tensor | None  # [H + Hkv, D], norm weights of query heads, then of key heads
    out: Linear
    post_norm: Tensor
    mlp: Mlp

    @property
    def is_invariant(self) -> bool:
        """True if all products are batch-invariant for any number of rows; see `Linear`."""
        attends = self.qkv.is_invariant and self.out.is_invariant
        return attends and self.mlp.is_invariant


class Decoder:
    """Weights and forward pass, without the final norm and the LM head: few rows need logits."""

    state_sizes: Sequence[int] = ()

    def __init__(
        self,
        config: DecoderConfig,
        weights: Weights,
        num_positions: int,
        *,
        embedding: str,
        norm: str,
        head: str,
        layer: Callable[[Weights, int], Layer],
        head_bias: str | None = None,
        routing_block_length: int | None = None,
    ) -> None:
        """With `routing_block_length`, a step must have whole blocks of that many positions.

        A bias of the head is a column of its weight, for a hidden state that is always one, so that
        every kernel of scoring has it.
        """
        c = config
        self.config = c
        self.routing_block_length = routing_block_length
        is_tied = c.tied or (c.tied is None and not weights.has(head))
        if is_tied:
            weights.drop_copy(head, embedding)
        self.embedding = weights.take(embedding, (c.vocab_size, c.hidden_size))
        self._layers = [layer(weights, i) for i in range(c.num_layers)]
        is_invariant = all(layer.is_invariant for layer in self._layers)
        self.row_unit = row_unit(weights.device, is_invariant=is_invariant)
        self._norm = weights.take(norm, (c.hidden_size,))
        if is_tied:
            head_weight = self.embedding
            weights.note_shared(embedding, "the LM head")
        else:
            head_weight = weights.take(head, (c.vocab_size, c.hidden_size))
        self._has_head_bias = head_bias is not None
        if head_bias is not None:
            head_weight = with_bias(head_weight, weights.take(head_bias, (c.vocab_size,)))
        self.lm_head = make_linear(weights.cut_head(head_weight))
        weights.check_all_taken()
        pairs = c.rope.pairs(c.head_dim)
        self._cos, self._sin = rope_tables(
            pairs, num_positions, weights.dtype, weights.device, scale=c.rope.scale
        )
        self._sections = c.rope.coordinates(weights.device)
        self._query_scales = None  # [num_positions, 1, 1]
        if c.query_scale is not None:
            self._query_scales = c.query_scale.table(num_positions, weights.dtype, weights.device)
        # Of the attention's output projection, one a layer; for adapted rows only.
        self.draft_adapters: Sequence[LowRank] = ()
        self.vision: Vision | None = None  # None: prompts have no images

    @property
    def layers(self) -> Sequence[LayerShape]:
        """Key and value shape of each layer."""
        c = self.config
        shape = LayerShape(c.num_kv_heads, c.head_dim, c.num_heads // c.num_kv_heads)
        return (shape,) * c.num_layers

    def forward(self, step: ForwardInputs) -> Tensor:
        """Hidden states [W, C] of the step's wanted rows; writes keys and values to the cache.

        In the last layer the other rows stop after their keys and values, but for those with
        routing blocks, whose experts depend on all of their rows.
        """
        c = self.config
        eps = c.rms_norm_eps
        cos_sin = self._rotation(step)
        scaled = self._query_scales
        query_scale = None if scaled is None else scaled[step.positions]  # [T, 1, 1]
        adapted = step.adapted if self.draft_adapters else None
        num_rows = len(step.token_ids)
        x = pad_rows(self._embed(step), self.row_unit)
        blocks = self._routing_blocks(step.positions, len(x))
        for i, layer in enumerate(self._layers):
            projected = layer.qkv(rms_norm_for(layer.qkv, x, layer.input_norm, eps))
            heads = projected[:num_rows].view(num_rows, -1, c.head_dim)
            query = store_heads(step, i, heads, layer.qk_norm, eps, cos_sin)
            if query_scale is not None:
                query = query * query_scale
            wanted = step.wanted if layer is self._layers[-1] else None
            if wanted is not None and len(wanted) == 0:
                return x[:0]
            wanted = wanted if blocks is None else None
            mixed = attend(step, i, query, c.head_dim**-0.5)
            if wanted is not None:
                x, mixed = pad_rows(x[wanted], self.row_unit), mixed[wanted]
                num_rows = len(wanted)
                adapted = None if adapted is None else adapted[wanted]
            mixed = mixed.flatten(1)
            x = layer.out.add(pad_rows(mixed, self.row_unit), x)
            if adapted is not None:  # all other rows add zeros, which changes no bit of them
                x[:num_rows] += self.draft_adapters[i](mixed).where(adapted[:, None], 0.0)
            if isinstance(layer.mlp, GatedMlp):
                x = layer.mlp.add(rms_norm_for(layer.mlp.gated, x, layer.post_norm, eps), x)
            else:
                x = layer.mlp.add(rms_norm(x, layer.post_norm, eps), x, blocks)
        return x[:num_rows] if blocks is None or step.wanted is None else x[step.wanted]

    def _rotation(self, step: ForwardInputs) -> tuple[Tensor, Tensor]:
        """Cosines and sines [T, 1, P] of a step's rows."""
        if step.coordinates is None:
            return self._cos[step.positions], self._sin[step.positions]
        assert self._sections is not None, "the model has sections of RoPE"
        places = step.coordinates[:, self._sections]  # [T, P]
        pairs = torch.arange(places.shape[1], device=places.device)
        return self._cos[places, 0, pairs][:, None], self._sin[places, 0, pairs][:, None]

    def _embed(self, step: ForwardInputs) -> Tensor:
        if (mixture := step.mixture) is None:
            return step.with_images(F.embedding(step.token_ids, self.embedding))
        shares, mask = mixture.shares, mixture.mask_token_id
        mixed = mixed_embedding(step.token_ids, self.embedding, shares, mask)
        return step.with_images(mixed)

    def _routing_blocks(self, positions: Tensor, num_rows: int) -> Tensor | None:
        """Routing blocks [num_rows] of rows at `positions` [T]; rows of padding are at zero."""
        if self.routing_block_length is None:
            return None
        padded = F.pad(positions, (0, num_rows - len(positions)))
        return number_blocks(padded, self.routing_block_length)

    def final_norm(self, hidden: Tensor) -> Tensor:
        """The final norm, applied only to the rows [M, C] that need logits.

        With a bias of the head, its inputs follow: a one, and zeros.
        """
        normed = rms_norm(hidden, self._norm, self.config.rms_norm_eps)
        return with_bias_input(normed) if self._has_head_bias else normed


def with_bias(weight: Tensor, bias: Tensor) -> Tensor:
    """LM head weight [V, C + 64] of a weight [V, C] and a bias [V], for `with_bias_input`."""
    return torch.cat((weight, F.pad(bias[:, None], (0, BIAS_INPUTS - 1))), 1)


def with_bias_input(normed: Tensor) -> Tensor:
    """Rows [M, C + 64] of rows [M, C], with ones for the column of the bias."""
    padded = F.pad(normed, (0, BIAS_INPUTS))
    padded[:, normed.shape[1]] = 1.0
    return padded


def take_qkv(
    weights: Weights, config: DecoderConfig, names: tuple[str, str, str], *, bias: bool = False
) -> Linear:
    """Query, key and value projections as one product; `names` are without `.weight`."""
    permutation = rotary_permutation(config)
    return weights.take_linear(
        names, config.num_qkv, config.hidden_size, bias=bias, permutation=permutation
    )


def take_qk_norm(weights: Weights, config: DecoderConfig, query: str, key: str) -> Tensor:
    """Norms [H + Hkv, D] of query and key heads, as `Layer.qk_norm`."""
    norms = [
        weights.take(query, (config.head_dim,)).expand(config.num_heads, -1),
        weights.take(key, (config.head_dim,)).expand(config.num_kv_heads, -1),
    ]
    joined = torch.cat(norms)[:, :, None]
    return to_half_layout(joined, config.rope.rotary_dim)[:, :, 0]


def take_gated_mlp(
    weights: Weights, hidden_size: int, intermediate_size: int, names: tuple[str, str, str]
) -> GatedMlp:
    """Gated MLP; `names` are the weights of gate, up and down."""
    gate, up, down = names
    gated = weights.take_gated(gate, up, intermediate_size, hidden_size)
    down_name = down.removesuffix(".weight")
    return GatedMlp(gated, weights.take_linear([down_name], [hidden_size], intermediate_size))


def rotary_permutation(config: DecoderConfig) -> Tensor | None:
    """Permutation [N] of QKV outputs that puts query and key heads in `to_half_layout`.

    None if whole heads are rotated: the layouts are the same.
    """
    if config.rope.rotary_dim == config.head_dim:
        return None
    rows = torch.arange(sum(config.num_qkv)).view(-1, config.head_dim, 1)
    num_rotated = config.num_heads + config.num_kv_heads
    halved = to_half_layout(rows[:num_rotated], config.rope.rotary_dim)
    return torch.cat((halved, rows[num_rotated:])).flatten()


def to_half_layout(heads: Tensor, rotary_dim: int) -> Tensor:
    """Reorder head dimensions [..., D, C] so that RoPE pairs are D / 2 apart.

    A checkpoint rotates dimension i with i + rotary_dim / 2, the kernels i with i + D / 2. Dot
    products of queries and keys do not depend on the order.
    """
    half, rest = rotary_dim // 2, rotary_dim + (heads.shape[-2] - rotary_dim) // 2
    first, second = heads[..., :half, :], heads[..., half:rotary_dim, :]
    unrotated = heads[..., rotary_dim:rest, :], heads[..., rest:, :]
    return torch.cat((first, unrotated[0], second, unrotated[1]), -2)
