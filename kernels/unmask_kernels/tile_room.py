"""Plans of a fixed size, whose tensors never move: what a captured graph reads for any step."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from unmask_kernels.tiles import TileConfig, TilePlan

Copy = tuple[Tensor, Tensor]  # to, from


@dataclass(frozen=True, slots=True)
class TileSize:
    """How much a plan has, or has room for."""

    rows: int
    pages: int
    items: int
    tiles: int  # of several chunks
    slots: int

    @classmethod
    def of(cls, plan: TilePlan) -> Self:
        """What a plan has."""
        return cls(
            len(plan.horizons),
            len(plan.pages),
            len(plan.item_rows),
            len(plan.tile_rows),
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


def make_room(
    config: TileConfig, size: TileSize, *, windowed: bool, device: torch.device
) -> TilePlan:
    """A plan of `size` in which nothing is to be done."""
    counts = (size.rows, size.rows, size.pages, *(size.items,) * 5, *(size.tiles,) * 4)
    tensors = [torch.zeros(count, dtype=torch.int32, device=device) for count in counts]
    return TilePlan(config, size.slots, windowed, True, *tensors)


def narrowed(room: TilePlan, size: TileSize) -> TilePlan:
    """The first part of a room, in the same memory."""
    return replace(
        room,
        starts=room.starts[: size.rows],
        horizons=room.horizons[: size.rows],
        pages=room.pages[: size.pages],
        item_query=room.item_query[: size.items],
        item_rows=room.item_rows[: size.items],
        item_page=room.item_page[: size.items],
        item_chunk=room.item_chunk[: size.items],
        item_slot=room.item_slot[: size.items],
        tile_query=room.tile_query[: size.tiles],
        tile_rows=room.tile_rows[: size.tiles],
        tile_slot=room.tile_slot[: size.tiles],
        tile_parts=room.tile_parts[: size.tiles],
        num_slots=size.slots,
    )


def fits(plan: TilePlan, room: TilePlan) -> bool:
    """Whether `room` can do what a plan says."""
    kinds = (plan.config, plan.windowed), (room.config, room.windowed)
    return kinds[0] == kinds[1] and TileSize.of(room).holds(TileSize.of(plan))


def copies_into(room: TilePlan, plan: TilePlan) -> list[Copy]:
    """Clear a room, and list the copies that fill it with a plan that fits; for one call of torch.

    What lies behind the rows, pages, items and tiles of the plan is left as it was: without its
    number of rows an item or tile does nothing.
    """
    assert fits(plan, room), "a plan goes where there is room for it"
    room.item_rows.zero_()
    room.tile_rows.zero_()
    pairs = (
        (room.starts, plan.starts),
        (room.horizons, plan.horizons),
        (room.pages, plan.pages),
        (room.item_query, plan.item_query),
        (room.item_rows, plan.item_rows),
        (room.item_page, plan.item_page),
        (room.item_chunk, plan.item_chunk),
        (room.item_slot, plan.item_slot),
        (room.tile_query, plan.tile_query),
        (room.tile_rows, plan.tile_rows),
        (room.tile_slot, plan.tile_slot),
        (room.tile_parts, plan.tile_parts),
    )
    return [(to[: len(own)], own) for to, own in pairs if len(own)]
