"""Static attention plans: tensors of a fixed size and place, which a CUDA graph reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from torch import Tensor

from unmask_kernels.attention.tiles import ITEM_FIELDS, TILE_FIELDS, TileConfig, TilePlan


@dataclass(frozen=True, slots=True)
class TileSize:
    """Sizes of a plan, or the capacity of a static one."""

    rows: int
    pages: int
    items: int
    tiles: int  # that are merged
    slots: int

    @classmethod
    def from_plan(cls, plan: TilePlan) -> Self:
        return cls(
            len(plan.horizons),
            len(plan.pages),
            len(plan.items) // ITEM_FIELDS,
            len(plan.tiles) // TILE_FIELDS,
            plan.num_slots,
        )

    def holds(self, other: "TileSize") -> bool:
        """True if no size of `other` is larger."""
        capacities = (self.rows, self.pages, self.items, self.tiles, self.slots)
        sizes = (other.rows, other.pages, other.items, other.tiles, other.slots)
        return all(capacity >= size for capacity, size in zip(capacities, sizes, strict=True))

    def joined(self, other: "TileSize") -> "TileSize":
        """The larger of each size."""
        return TileSize(
            max(self.rows, other.rows),
            max(self.pages, other.pages),
            max(self.items, other.items),
            max(self.tiles, other.tiles),
            max(self.slots, other.slots),
        )


def static_sizes(size: TileSize) -> tuple[int, ...]:
    """Entries of each tensor of a plan of `size`, in the order of its fields."""
    items, tiles = ITEM_FIELDS * size.items, TILE_FIELDS * size.tiles
    return size.rows, size.rows, size.pages, items, 2, tiles, size.slots


def make_static_plan(
    config: TileConfig, size: TileSize, tensors: Sequence[Tensor], *, group_size: int
) -> TilePlan:
    """Plan of `size` over int32 `tensors` of `static_sizes`; zeros are a plan of nothing."""
    return TilePlan(config, max(1, config.rows // group_size), size.slots, *tensors)


def plan_tensors(plan: TilePlan) -> tuple[Tensor, ...]:
    """The tensors of a plan, in the order of `static_sizes`."""
    return (
        plan.starts,
        plan.horizons,
        plan.pages,
        plan.items,
        plan.counts,
        plan.tiles,
        plan.closes,
    )


def with_tensors(plan: TilePlan, tensors: Sequence[Tensor]) -> TilePlan:
    """The plan over other tensors."""
    return TilePlan(plan.config, plan.tile_queries, plan.num_slots, *tensors)


def static_view(static: TilePlan, size: TileSize) -> TilePlan:
    """Static plan of a smaller `size` over the same memory."""
    tensors = [
        tensor[:count]
        for tensor, count in zip(plan_tensors(static), static_sizes(size), strict=True)
    ]
    return replace(with_tensors(static, tensors), num_slots=size.slots)


def fits(plan: TilePlan, static: TilePlan) -> bool:
    """True if `static` has room for a plan, and items for its padding rows."""
    if (plan.config, plan.tile_queries) != (static.config, static.tile_queries):
        return False
    size, limit = TileSize.from_plan(plan), TileSize.from_plan(static)
    padding = -(-(limit.rows - size.rows) // plan.tile_queries)
    return limit.holds(replace(size, items=size.items + max(padding, 0)))


def fill(static: TilePlan, plan: TilePlan) -> None:
    """Copy a plan into a static one that it fits, both on the host.

    Padding rows get items without keys, which write zeros. Entries beyond the plan's rows, pages,
    items and tiles are left unchanged: `counts` say how many are used.
    """
    assert fits(plan, static), "the plan is larger than the static plan"
    for to, values in zip(plan_tensors(static), plan_tensors(plan), strict=True):
        to.numpy()[: len(values)] = values.numpy()
    first = np.arange(len(plan.horizons), len(static.horizons), plan.tile_queries)
    padding = np.zeros((len(first), ITEM_FIELDS), np.int32)
    padding[:, 0] = first
    padding[:, 1] = np.minimum(len(static.horizons) - first, plan.tile_queries)
    padding[:, -1] = -1
    static.items.numpy()[len(plan.items) :][: padding.size] = padding.reshape(-1)
    static.counts.numpy()[0] += len(padding)
