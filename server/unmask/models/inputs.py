"""Inputs of a forward pass: tensors of a step, and the attention plan of each layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask.models.kv_cache import KVCache, LayerShape
from unmask_kernels.attention.ops import AttentionPlan, make_plan
from unmask_kernels.attention.tiles import ToDevice


@dataclass(frozen=True, slots=True)
class ForwardInputs:
    """The tensors of one step that a model's forward reads.

    Rows of a canvas, in families that encode committed tokens in another way than they denoise, are
    listed in rising order, each with what the last step expected there, zeros in the first. Entries
    of T pad the list: they are no row of the step.
    """

    token_ids: Tensor  # [T] int64
    positions: Tensor  # [T] int64
    slots: Tensor  # [T] int64
    plans: tuple[AttentionPlan, ...]  # one a layer
    cache: KVCache
    canvas_rows: Tensor | None = None  # [R] int64, indices into T
    soft: Tensor | None = None  # [R, C], as `unmask_kernels.noise.ops.CanvasScores.soft`
    wanted: Tensor | None = None  # [W] int64, rows whose hidden states are read; None: all of them


def plan_layers(
    layers: Sequence[LayerShape],
    query_starts: Sequence[int],
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: Sequence[int],
    page_size: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
    anchors: npt.NDArray[np.int64] | None = None,
    to_device: ToDevice | None = None,
) -> tuple[AttentionPlan, ...]:
    """Attention plans of every layer, shared by those of one shape; arguments as of `make_plan`.

    Windows are counted back from the `anchors` [T]: a causal query's is its own position, and all
    queries of a canvas have its first.
    """
    plans: dict[LayerShape, AttentionPlan] = {}
    for shape in layers:
        if shape not in plans:
            plans[shape] = make_plan(
                query_starts,
                horizons,
                pages,
                page_starts,
                page_size,
                group_size=shape.group_size,
                num_kv_heads=shape.num_kv_heads,
                head_dim=shape.head_dim,
                device=device,
                dtype=dtype,
                starts=_starts(shape.window, anchors),
                to_device=to_device,
            )
    return tuple(plans[shape] for shape in layers)


def _starts(
    window: int | None, anchors: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.int64] | None:
    if window is None:
        return None
    assert anchors is not None, "layers with a window need anchors"
    return np.maximum(anchors + 1 - window, 0)
