"""Static buffers that a captured forward pass reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.inputs import RowInputs
from unmask.engine.run.staging import Array, Staging, StaticBuffers
from unmask.models.inputs import ForwardInputs, Mixture
from unmask.models.kv_cache import KVCache, LayerShape
from unmask_kernels.attention.cpu import ReachPlan
from unmask_kernels.attention.ops import AttentionPlan
from unmask_kernels.attention.segments import pad_plan
from unmask_kernels.attention.static_tiles import (
    TileSize,
    fill,
    fits,
    make_static_plan,
    static_sizes,
    static_view,
)
from unmask_kernels.attention.tiles import TileConfig, TilePlan

# Fields of rows that are no int64.
DTYPES: Mapping[str, type[np.generic]] = {
    **dict.fromkeys(("is_known", "adapted"), np.bool_),
    "shares": np.float32,
}
Kinds = Mapping[LayerShape, tuple[TileConfig, TileSize]]


@dataclass(frozen=True, slots=True)
class _Side:
    """Rows and attention plans in the memory of the host or of the device."""

    rows: RowInputs
    tiles: dict[LayerShape, TilePlan]

    def view(self, num_rows: int, sizes: Mapping[LayerShape, TileSize]) -> "_Side":
        tiles = {shape: static_view(plan, sizes[shape]) for shape, plan in self.tiles.items()}
        return _Side(self.rows.view(num_rows), tiles)


class ForwardBuffers:
    """Memory for steps of at most `num_rows` rows, and of limited attention plans.

    Rows and plans are written on the host and sent in one copy. Padding rows have token and
    position zero, attend to nothing, and write their keys to the last page of the cache, which no
    sequence has. Plans in segments, which a CPU has, are of no fixed size: they are put in as they
    are, for a forward pass that is called again instead of being replayed.
    """

    def __init__(
        self,
        layers: Sequence[LayerShape],
        cache: KVCache,
        buffers: StaticBuffers,
        host: _Side,
        device: _Side,
        mixed_with: int | None,
    ) -> None:
        self._layers = layers
        self._first_layer = {shape: layers.index(shape) for shape in device.tiles}
        self._buffers = buffers
        self._host = host
        self._host_rows = [tensor.numpy() for tensor in host.rows.tensors()]
        self._device = device
        num_pages, page_size = cache.keys[0].shape[:2]
        row = np.arange(len(device.rows.slots))
        self._padding_slots = (num_pages - 1) * page_size + row % page_size
        self.inputs = ForwardInputs(
            device.rows.token_ids,
            device.rows.positions,
            device.rows.slots,
            tuple(device.tiles[shape] for shape in layers),
            cache,
            adapted=device.rows.adapted,
            mixture=_mixture(device.rows, mixed_with),
        )

    @classmethod
    def empty(
        cls,
        layers: Sequence[LayerShape],
        kinds: Kinds,
        num_rows: int,
        cache: KVCache,
        mixed_with: int | None = None,
    ) -> "ForwardBuffers":
        """Buffers in memory of their own; `mixed_with` is the mask token where rows are mixed."""
        arrays: dict[str, Array] = {
            field.name: np.empty(num_rows, DTYPES.get(field.name, np.int64))
            for field in fields(RowInputs)
            if field.name != "shares" or mixed_with is not None
        }
        num_row_arrays = len(arrays)
        for i, (_, size) in enumerate(kinds.values()):
            arrays |= {
                f"plan {i} {j}": np.empty(count, np.int32)
                for j, count in enumerate(static_sizes(size))
            }
        buffers = StaticBuffers(arrays, cache.keys[0].device)
        host, device = (
            _side(kinds, list(tensors.values()), num_row_arrays)
            for tensors in (buffers.mirrored, buffers.tensors)
        )
        return cls(layers, cache, buffers, host, device, mixed_with)

    def view(self, num_rows: int, sizes: Mapping[LayerShape, TileSize]) -> "ForwardBuffers":
        """Smaller buffers in the same memory."""
        host, device = (side.view(num_rows, sizes) for side in (self._host, self._device))
        mixture = self.inputs.mixture
        mixed_with = None if mixture is None else mixture.mask_token_id
        memory = self.inputs.cache, self._buffers
        return ForwardBuffers(self._layers, *memory, host, device, mixed_with)

    @property
    def rows(self) -> RowInputs:
        """Rows on the device."""
        return self._device.rows

    @property
    def num_rows(self) -> int:
        """Rows, padding included."""
        return len(self.inputs.token_ids)

    def fits(self, num_rows: int, plans: Sequence[AttentionPlan]) -> bool:
        """True if a step of `num_rows` rows and a plan a layer can be padded to this size."""
        if num_rows > self.num_rows:
            return False
        pairs = ((plans[first], shape) for shape, first in self._first_layer.items())
        return all(
            fits(plan, self._device.tiles[shape])
            for plan, shape in pairs
            if isinstance(plan, TilePlan)
        )

    def fill(
        self, rows: RowInputs, plans: Sequence[AttentionPlan], dummy_slot: int, staging: Staging
    ) -> None:
        """Bring a step that fits from the host; padding rows have the `dummy_slot`."""
        count = len(rows.token_ids)
        assert count <= self.num_rows, "a step goes where it fits"
        if rows.shares is None and self._host.rows.shares is not None:
            rows = replace(rows, shares=torch.ones(count))
        paddings = 0, 0, self._padding_slots[count:], dummy_slot, True, False, 1.0
        tensors, arrays = rows.tensors(), self._host_rows
        for array, values, padding in zip(arrays, tensors, paddings[: len(arrays)], strict=True):
            array[:count] = values.numpy()
            array[count:] = padding
        eager: dict[LayerShape, AttentionPlan] = {}
        for shape, first in self._first_layer.items():
            plan = plans[first]
            if isinstance(plan, TilePlan):
                fill(self._host.tiles[shape], plan)
            elif isinstance(plan, ReachPlan):
                eager[shape] = plan  # which leaves padding rows alone
            else:
                eager[shape] = pad_plan(plan, count, self.num_rows - count)
        if eager:
            self.inputs = replace(self.inputs, plans=tuple(eager[shape] for shape in self._layers))
        self._buffers.send(staging)


def _mixture(rows: RowInputs, mask_token_id: int | None) -> Mixture | None:
    if mask_token_id is None or rows.shares is None:
        return None
    return Mixture(rows.shares, mask_token_id)


def _side(kinds: Kinds, tensors: list[Tensor], num_row_arrays: int) -> _Side:
    """The first tensors are those of rows."""
    rows, rest = RowInputs(*tensors[:num_row_arrays]), iter(tensors[num_row_arrays:])
    tiles = {
        shape: make_static_plan(
            config, size, [next(rest) for _ in static_sizes(size)], group_size=shape.group_size
        )
        for shape, (config, size) in kinds.items()
    }
    return _Side(rows, tiles)
