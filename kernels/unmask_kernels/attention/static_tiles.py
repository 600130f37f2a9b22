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
            plan.horizons.numel(),
            plan.pages.numel(),
            plan.items.numel() // ITEM_FIELDS,
            plan.tiles.numel() // TILE_FIELDS,
            plan.num_slots,
        )

    def holds(self, other: "TileSize") -> bool:
        """True if no size of `other` is larger."""
        return (
            self.rows >= other.rows
            and self.pages >= other.pages
            and self.items >= other.items
            and self.tiles >= other.tiles
            and self.slots >= other.slots
        )

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
    """The tensors of a plan without a rest, in the order of `static_sizes`."""
    assert plan.rest is None, "a plan that is copied is of one run"
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
    is_alike = plan.tile_queries == static.tile_queries and plan.config == static.config
    if plan.rest is not None or not is_alike:
        return False
    size, limit = TileSize.from_plan(plan), TileSize.from_plan(static)
    padding = max(0, -(-(limit.rows - size.rows) // plan.tile_queries))
    return limit.items >= size.items + padding and limit.holds(size)


def fill(static: TilePlan, plan: TilePlan) -> None:
    """Copy a plan into a static one that it fits, both on the host.

    Padding rows get items without keys, which write zeros. Entries beyond the plan's rows, pages,
    items and tiles are left unchanged: `counts` say how many are used.
    """
    for to, tensor in zip(plan_tensors(static), plan_tensors(plan), strict=True):
        values = tensor.numpy()
        to.numpy()[: len(values)] = values
    size, num_rows = TileSize.from_plan(plan), static.horizons.numel()
    first = np.arange(size.rows, num_rows, plan.tile_queries)
    end = size.items + len(first)
    assert len(first) == 0 or end <= TileSize.from_plan(static).items, "the plan fits"
    padding = static.items.numpy().reshape(-1, ITEM_FIELDS)[size.items : end]
    padding[:] = 0
    padding[:, 0] = first
    padding[:, 1] = np.minimum(num_rows - first, plan.tile_queries)
    padding[:, -1] = -1
    static.counts.numpy()[0] = end
