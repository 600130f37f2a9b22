"""Plans of a fixed size, whose tensors never move: what a captured graph reads for any step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from torch import Tensor

from unmask_kernels.attention.tiles import ITEM_FIELDS, TILE_FIELDS, TileConfig, TilePlan


@dataclass(frozen=True, slots=True)
class TileSize:
    """How much a plan has, or has room for."""

    rows: int
    pages: int
    items: int
    tiles: int  # that are merged
    slots: int

    @classmethod
    def of(cls, plan: TilePlan) -> Self:
        """What a plan has."""
        return cls(
            len(plan.horizons),
            len(plan.pages),
            len(plan.items) // ITEM_FIELDS,
            len(plan.tiles) // TILE_FIELDS,
            plan.num_slots,
        )

    def holds(self, other: "TileSize") -> bool:
        """Whether there is room for as much as `other`."""
        own = (self.rows, self.pages, self.items, self.tiles, self.slots)
        its = (other.rows, other.pages, other.items, other.tiles, other.slots)
        return all(room >= needed for room, needed in zip(own, its, strict=True))

    def joined(self, other: "TileSize") -> "TileSize":
        """Room for either."""
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
    """A plan of `size` over `tensors` of `static_sizes`, int32; zeros say that nothing is done."""
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
    """The same plan with its tensors elsewhere."""
    return TilePlan(plan.config, plan.tile_queries, plan.num_slots, *tensors)


def static_view(room: TilePlan, size: TileSize) -> TilePlan:
    """The first part of a room, in the same memory."""
    tensors = [
        tensor[:count] for tensor, count in zip(plan_tensors(room), static_sizes(size), strict=True)
    ]
    return replace(with_tensors(room, tensors), num_slots=size.slots)


def fits(plan: TilePlan, room: TilePlan) -> bool:
    """Whether `room` can do what a plan says, and has items for its padding rows."""
    if (plan.config, plan.tile_queries) != (room.config, room.tile_queries):
        return False
    size, limit = TileSize.of(plan), TileSize.of(room)
    padding = -(-(limit.rows - size.rows) // plan.tile_queries)
    return limit.holds(replace(size, items=size.items + max(padding, 0)))


def fill(room: TilePlan, plan: TilePlan) -> None:
    """Put a plan that fits into a room, both on the host.

    Padding rows get items without keys, which write zeros. Beyond its rows, pages, items and tiles
    the room is left as it was: `counts` say how many there are.
    """
    assert fits(plan, room), "a plan goes where there is room for it"
    for to, own in zip(plan_tensors(room), plan_tensors(plan), strict=True):
        to.numpy()[: len(own)] = own.numpy()
    first = np.arange(len(plan.horizons), len(room.horizons), plan.tile_queries)
    padding = np.zeros((len(first), ITEM_FIELDS), np.int32)
    padding[:, 0] = first
    padding[:, 1] = np.minimum(len(room.horizons) - first, plan.tile_queries)
    padding[:, -1] = -1
    room.items.numpy()[len(plan.items) :][: padding.size] = padding.reshape(-1)
    room.counts.numpy()[0] += len(padding)
