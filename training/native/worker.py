"""One thread's passes: buffers for all layers, forward, backward, gradients."""

import ctypes
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data import ROW_LENGTHS, Batch
from training.model import Model
from training.native.library import Attention, Rope
from training.native.weights import Layer, Weights

BLOCK = 32  # positions; segments are padded to whole ones


@dataclass(frozen=True, slots=True)
class Kept:
    """Results of a layer's forward pass that its backward pass takes, T rows each."""

    x: Tensor  # [T, C]
    scales: Tensor  # [T] of its norm
    normed: Tensor  # [T, C]
    qkv: Tensor  # [T, (heads + 2 kv_heads) head_dim]
    qk: Tensor  # [T, (heads + kv_heads) head_dim]
    head_scales: Tensor  # [T, heads + kv_heads]
    mixed: Tensor  # [T, heads * head_dim]
    lse: Tensor  # [heads, T], logs of sums of exponentials
    middle: Tensor  # [T, C] after attention
    middle_scales: Tensor  # [T]
    middle_normed: Tensor  # [T, C]
    gate_up: Tensor  # [T, 2 * intermediate]
    activated: Tensor  # [T, intermediate]


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch with T positions as the passes take it."""

    ids: Tensor  # [T] int16
    positions: Tensor  # [T] int16
    asked: Tensor  # [A] int64
    is_padding: Tensor  # [T] bool
    attention: Attention
    owned: tuple[Tensor, ...]  # memory that `attention` points to


class Worker:
    """Forward and backward passes of batches with `num_tokens` positions, in one thread."""

    def __init__(self, passes: ctypes.CDLL, model: Model, num_tokens: int) -> None:
        shape = model.shape
        self.passes, self.shape, self.num_tokens = passes, shape, num_tokens
        self.gradients = Weights(shape, torch.float32)
        self.cosines, self.sines = model.get_buffer("cos"), model.get_buffer("sin")
        queries, heads = shape.heads * shape.head_dim, shape.heads + shape.kv_heads
        width = (heads + shape.kv_heads) * shape.head_dim

        # Padding keeps what was there, which must be finite.
        def rows(columns: int) -> Tensor:
            return torch.zeros(num_tokens, columns, dtype=torch.bfloat16)

        def scales(columns: int) -> Tensor:
            return torch.zeros(num_tokens, columns)

        def kept() -> Kept:
            return Kept(
                x=rows(shape.hidden),
                scales=scales(1),
                normed=rows(shape.hidden),
                qkv=rows(width),
                qk=rows(heads * shape.head_dim),
                head_scales=scales(heads),
                mixed=rows(queries),
                lse=scales(shape.heads),
                middle=rows(shape.hidden),
                middle_scales=scales(1),
                middle_normed=rows(shape.hidden),
                gate_up=rows(2 * shape.intermediate),
                activated=rows(shape.intermediate),
            )

        self.kept = [kept() for _ in range(shape.layers)]
        self.last, self.last_scales, self.hidden = rows(shape.hidden), scales(1), rows(shape.hidden)
        self.logits, self.probs = rows(shape.vocab), torch.empty(shape.vocab)
        self.grads = kept()
        self.workspace = torch.empty(
            passes.attention_workspace(-(-ROW_LENGTHS[-1] // BLOCK) * BLOCK), dtype=torch.uint8
        )

    def loss(self, batch: Batch, weights: Weights, weight: float, *, learns: bool) -> float:
        """Weighted cross-entropies over `weight`; adds their gradients if it learns."""
        packed = self._pack(batch)
        hidden = self._forward(packed, weights)
        count = len(packed.asked)
        asked = hidden[packed.asked]
        logits = torch.mm(asked, weights.embedding.T, out=self.logits[:count])
        targets = batch.targets.flatten()[packed.asked].clamp(min=0).int()
        value: float = self.passes.cross_entropy(
            logits, targets, batch.weights / weight, self.probs, count, self.shape.vocab
        )
        if learns:
            self._add_weight_grad(logits, asked, self.gradients.embedding)
            grad = torch.zeros_like(hidden)
            grad.index_add_(0, packed.asked, logits @ weights.embedding)
            self._backward(packed, weights, grad)
        return value

    def _forward(self, packed: Packed, weights: Weights) -> Tensor:
        """Normalised hidden states [T, C]."""
        passes, shape, rows = self.passes, self.shape, self.num_tokens
        nexts = [*(kept.x for kept in self.kept[1:]), self.last]
        passes.embed(packed.ids, weights.embedding, self.kept[0].x, rows, shape.hidden)
        for layer, kept, after in zip(weights.layers, self.kept, nexts, strict=True):
            self._norm(kept.x, layer.input_norm, kept.normed, kept.scales)
            torch.mm(kept.normed, layer.projections.T, out=kept.qkv)
            rope = self._rope(packed, layer)
            passes.qk_norm_rope(kept.qkv, rope, kept.qk, kept.head_scales, rows)
            passes.attention(
                packed.attention,
                kept.qk,
                self._values(kept),
                kept.mixed,
                kept.lse,
                self.workspace,
            )
            torch.addmm(kept.x, kept.mixed, layer.out.T, out=kept.middle)
            self._norm(kept.middle, layer.mlp_norm, kept.middle_normed, kept.middle_scales)
            torch.mm(kept.middle_normed, layer.gate_up.T, out=kept.gate_up)
            passes.swiglu(kept.gate_up, kept.activated, rows, shape.intermediate)
            torch.addmm(kept.middle, kept.activated, layer.down.T, out=after)
        self._norm(self.last, weights.norm, self.hidden, self.last_scales)
        return self.hidden

    def _backward(self, packed: Packed, weights: Weights, grad: Tensor) -> None:
        """Add the gradients of all weights from those of the hidden states."""
        passes, shape, to, rows = self.passes, self.shape, self.grads, self.num_tokens
        scales, sums_of_norm = self.last_scales, self.gradients.norm
        self._norm_backward(grad, self.last, weights.norm, scales, None, to.x, sums_of_norm)
        to.qkv[packed.is_padding] = 0  # which no segment writes
        pairs = zip(weights.layers, self.gradients.layers, self.kept, strict=True)
        for layer, sums, kept in reversed(list(pairs)):
            torch.mm(to.x, layer.down, out=to.activated)
            self._add_weight_grad(to.x, kept.activated, sums.down)
            passes.swiglu_backward(to.activated, kept.gate_up, to.gate_up, rows, shape.intermediate)
            torch.mm(to.gate_up, layer.gate_up, out=to.middle_normed)
            self._add_weight_grad(to.gate_up, kept.middle_normed, sums.gate_up)
            norm, scales = layer.mlp_norm, kept.middle_scales
            self._norm_backward(
                to.middle_normed, kept.middle, norm, scales, to.x, to.middle, sums.mlp_norm
            )
            torch.mm(to.middle, layer.out, out=to.mixed)
            self._add_weight_grad(to.middle, kept.mixed, sums.out)
            passes.attention_backward(
                packed.attention,
                kept.qk,
                self._values(kept),
                kept.mixed,
                kept.lse,
                to.mixed,
                to.qkv,
                self.workspace,
            )
            passes.qk_norm_rope_backward(
                to.qkv,
                kept.qkv,
                self._rope(packed, layer),
                kept.head_scales,
                sums.query_norm,
                sums.key_norm,
                rows,
            )
            torch.mm(to.qkv, layer.projections, out=to.normed)
            self._add_weight_grad(to.qkv, kept.normed, sums.projections)
            norm, scales = layer.input_norm, kept.scales
            self._norm_backward(to.normed, kept.x, norm, scales, to.middle, to.x, sums.input_norm)
        passes.embed_backward(packed.ids, to.x, self.gradients.embedding, rows, shape.hidden)

    def _norm(self, x: Tensor, weight: Tensor, out: Tensor, scales: Tensor) -> None:
        shape = self.shape
        self.passes.norm(x, weight, out, scales, self.num_tokens, shape.hidden, shape.eps)

    def _norm_backward(self, *arguments: Tensor | None) -> None:
        """Arguments are those of rows.c up to the sizes, `residual` is None where there is none."""
        self.passes.norm_backward(*arguments, self.num_tokens, self.shape.hidden)

    def _add_weight_grad(self, grad: Tensor, x: Tensor, sums: Tensor) -> None:
        """Add the transposed `grad` [T, N] times `x` [T, K] to `sums` [N, K]."""
        if not self.passes.weight_grad(grad, sums.shape[0], x, sums.shape[1], sums, len(x)):
            raise MemoryError("no memory for a matrix's gradient")

    def _values(self, kept: Kept) -> Tensor:
        return kept.qkv[:, (self.shape.heads + self.shape.kv_heads) * self.shape.head_dim :]

    def _rope(self, packed: Packed, layer: Layer) -> Rope:
        shape = self.shape
        return Rope(
            shape.heads,
            shape.heads + shape.kv_heads,
            (shape.heads + 2 * shape.kv_heads) * shape.head_dim,
            layer.query_norm.data_ptr(),
            layer.key_norm.data_ptr(),
            self.cosines.data_ptr(),
            self.sines.data_ptr(),
            packed.positions.data_ptr(),
            shape.eps,
        )

    def _pack(self, batch: Batch) -> Packed:
        """Segments are runs of one number within a row; padding has none."""
        assert batch.ids.numel() == self.num_tokens
        assert batch.ids.shape[1] <= ROW_LENGTHS[-1], "the workspace is for shorter segments"
        number = batch.segments.flatten().numpy()
        begins = np.ones(self.num_tokens, np.bool_)
        begins[1:] = number[1:] != number[:-1]
        begins[:: batch.ids.shape[1]] = True
        starts = np.flatnonzero(begins)
        lengths = np.diff(starts, append=self.num_tokens)
        is_text = number[starts] > 0
        blocks = -(-lengths[is_text] // BLOCK)
        num_blocks = int((blocks**2).sum())
        owned = (
            torch.from_numpy(starts[is_text].astype(np.int32)),
            torch.from_numpy(lengths[is_text].astype(np.int32)),
            *(torch.zeros(num_blocks * BLOCK * BLOCK // 16, dtype=torch.uint16) for _ in range(2)),
            *(torch.zeros(num_blocks, dtype=torch.uint8) for _ in range(2)),
        )
        starts_at, lengths_at, *marks_at = (tensor.data_ptr() for tensor in owned)
        attention = Attention(
            starts_at,
            lengths_at,
            int(is_text.sum()),
            *marks_at,
            self.shape.heads,
            self.shape.kv_heads,
            self.num_tokens,
        )
        self.passes.build_masks(attention, batch.blocks, batch.limits, batch.groups)
        return Packed(
            ids=batch.ids.flatten(),
            positions=batch.positions.flatten(),
            asked=batch.asked,
            is_padding=batch.segments.flatten() == 0,
            attention=attention,
            owned=owned,
        )
