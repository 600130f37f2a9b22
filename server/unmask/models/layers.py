"""What every architecture shares: the shape of a layer's cache, a step's tensors, rotary tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask_kernels.attention.ops import AttentionPlan, make_plan
from unmask_kernels.attention.tiles import Put


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Key heads of a layer, their size, and how many query heads share each of them.

    With a `window`, a query sees that many keys up to its anchor, and all those from there on.
    """

    num_kv_heads: int
    head_dim: int
    group_size: int
    window: int | None = None

    @property
    def slot_numbers(self) -> int:
        """Numbers that the keys and values of one token are."""
        return 2 * self.num_kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class KVCache:
    """Keys and values of each layer, [pages, page_size, kv_heads, head_dim].

    Those of 8 bits are multiplied by `scales` as they are read, one for each head of a layer. They
    are ones: nothing was calibrated, and e4m3 reaches to 448, as floats of 16 bits hold keys.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    scales: tuple[Tensor | None, ...]

    @classmethod
    def empty(
        cls,
        layers: Sequence[LayerShape],
        num_pages: int,
        page_size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> "KVCache":
        """A cache of zeros, whose memory is touched page by page as it is first used."""

        def pages() -> tuple[Tensor, ...]:
            shapes = [(num_pages, page_size, s.num_kv_heads, s.head_dim) for s in layers]
            return tuple(torch.zeros(shape, dtype=dtype, device=device) for shape in shapes)

        scales: list[Tensor | None] = [None] * len(layers)
        if dtype.itemsize == 1:
            scales = [torch.ones(shape.num_kv_heads, device=device) for shape in layers]
        return cls(pages(), pages(), tuple(scales))


@dataclass(frozen=True, slots=True)
class StepInput:
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
    put: Put | None = None,
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
                put=put,
            )
    return tuple(plans[shape] for shape in layers)


def _starts(
    window: int | None, anchors: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.int64] | None:
    if window is None:
        return None
    assert anchors is not None, "layers with a window need anchors"
    return np.maximum(anchors + 1 - window, 0)


def turning_tables(
    inverse: Tensor,
    num_positions: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines [num_positions, 1, P], times `scale`, of pairs that turn by `inverse` [P].

    Where fewer pairs turn than a head has, they are the first of each half of it, and the angles of
    the rest are zero; see `unmask.models.decoder.halve_rotary`. Those are left as they are.
    """
    angles = torch.arange(num_positions, dtype=torch.float32)[:, None, None] * inverse
    scales = torch.where(inverse == 0, 1.0, scale)
    return (angles.cos() * scales).to(device, dtype), (angles.sin() * scales).to(device, dtype)
