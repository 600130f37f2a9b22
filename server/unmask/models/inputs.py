"""Inputs of a forward pass: tensors of a step, and the attention plan of each layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask.image_fits import Size
from unmask.models.kv_cache import KVCache, LayerShape
from unmask_kernels.attention.ops import AttentionPlan, make_plan
from unmask_kernels.attention.tiles import ToDevice

NO_CANVAS = 2**31 - 1  # larger than any number of rows
Vision = Callable[[Tensor, Size], Tensor]
"""Vectors [N, C] of an image's rows, of its pixels [H, W, 3] uint8 and of its size before."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Rows whose embeddings are mixed with the mask token's (DMax)."""

    shares: Tensor  # [T] float32, of each token's own embedding
    mask_token_id: int


@dataclass(frozen=True, slots=True)
class CanvasRows:
    """Rows of S canvases of noise, all of one length, in families that denoise such.

    Rows are sorted, and padded with T. `soft` is the previous step's expected embedding, zeros in
    the first step.
    """

    rows: Tensor  # [R] int64, indices into T
    soft: Tensor  # [R, C], as `unmask_kernels.noise.ops.CanvasScores.soft`
    sigmas: Tensor  # [S] float32, noise levels; zeros of a model that knows none
    is_fresh: Tensor  # [S] bool, True in a canvas's first step


@dataclass(frozen=True, slots=True)
class ForwardInputs:
    """Tensors that a model's forward pass reads in one step."""

    token_ids: Tensor  # [T] int64
    positions: Tensor  # [T] int64, by which rows are rotated
    slots: Tensor  # [T] int64
    plans: tuple[AttentionPlan, ...]  # one a layer
    cache: KVCache
    canvas: CanvasRows | None = None  # None: no row is of a canvas of noise
    earlier: Tensor | None = None  # [T, K] int64, slots of the K positions before each row
    adapted: Tensor | None = None  # [T] bool, rows that a draft's adapter is for; None: no row
    mixture: Mixture | None = None  # None: every row is a token's embedding
    wanted: Tensor | None = None  # [W] int64, rows whose hidden states are returned; None: all
    image_rows: Tensor | None = None  # [I] int64, indices into T; None: no row is of an image
    image_vectors: Tensor | None = None  # [I, C], in place of these rows' embeddings
    coordinates: Tensor | None = None  # [T, 3] int64, by which sections rotate; None: `positions`

    def with_images(self, embeddings: Tensor) -> Tensor:
        """Embeddings [T, C], which are overwritten in rows of images."""
        if self.image_rows is not None and self.image_vectors is not None:
            embeddings.index_copy_(0, self.image_rows, self.image_vectors)
        return embeddings


def index_of_canvas_rows(step: ForwardInputs) -> Tensor | None:
    """Index [T] of each row among the canvas rows, `NO_CANVAS` for others; None without any.

    The shape does not depend on the rows' kinds, so the step can be captured in a CUDA graph.
    """
    if step.canvas is None:
        return None
    rows = step.canvas.rows
    entries = torch.arange(len(rows), device=rows.device)
    index = entries.new_full((len(step.token_ids) + 1,), NO_CANVAS)
    return index.index_copy_(0, rows, entries)[:-1]


def plan_layers(
    layers: Sequence[LayerShape],
    query_starts: npt.NDArray[np.int64],
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: npt.NDArray[np.int64],
    page_size: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
    anchors: npt.NDArray[np.int64] | None = None,
    first_keys: npt.NDArray[np.int64] | None = None,
    to_device: ToDevice | None = None,
) -> tuple[AttentionPlan, ...]:
    """Attention plan of each layer, shared by layers of one shape; arguments as of `make_plan`.

    Windows are counted from the `anchors` [T]: the position of a query, the first position of a
    canvas. They begin at `first_keys` [T] at the latest.
    """
    plans: dict[LayerShape, AttentionPlan] = {}
    for shape in layers:
        if shape not in plans:
            plans[shape] = make_plan(
                query_starts,
                _horizons(shape.ahead, anchors, horizons),
                pages,
                page_starts,
                page_size,
                group_size=shape.group_size,
                num_kv_heads=shape.num_kv_heads,
                head_dim=shape.head_dim,
                device=device,
                dtype=dtype,
                starts=_starts(shape.window, anchors, first_keys),
                to_device=to_device,
            )
    return tuple(plans[shape] for shape in layers)


def _horizons(
    ahead: int | None,
    anchors: npt.NDArray[np.int64] | None,
    horizons: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    if ahead is None:
        return horizons
    assert anchors is not None, "layers with a window need anchors"
    return np.minimum(anchors + 1 + ahead, horizons)


def _starts(
    window: int | None,
    anchors: npt.NDArray[np.int64] | None,
    first_keys: npt.NDArray[np.int64] | None,
) -> npt.NDArray[np.int64] | None:
    if window is None:
        return None
    assert anchors is not None, "layers with a window need anchors"
    starts = np.maximum(anchors + 1 - window, 0)
    return starts if first_keys is None else np.minimum(starts, first_keys)
