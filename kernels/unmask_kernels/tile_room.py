"""Plans of a fixed size, whose tensors never move: what a captured graph reads for any step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from unmask_kernels.tiles import TileConfig, TilePlan


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


def room_sizes(size: TileSize) -> tuple[int, ...]:
    """Entries of each tensor of a plan of `size`, in the order of its fields."""
    return size.rows, size.rows, size.pages, *(size.items,) * 5, *(size.tiles,) * 4


def make_room(
    config: TileConfig, size: TileSize, tensors: Sequence[Tensor], *, windowed: bool
) -> TilePlan:
    """A plan of `size` over `tensors` of `room_sizes`, int32; zeros say that nothing is done."""
    return TilePlan(config, size.slots, windowed, True, *tensors)


def tensors_of(plan: TilePlan) -> tuple[Tensor, ...]:
    """The tensors of a plan, in the order of `room_sizes`."""
    return (
        plan.starts,
        plan.horizons,
        plan.pages,
        plan.item_query,
        plan.item_rows,
        plan.item_page,
        plan.item_chunk,
        plan.item_slot,
        plan.tile_query,
        plan.tile_rows,
        plan.tile_slot,
        plan.tile_parts,
    )


def moved(plan: TilePlan, tensors: Sequence[Tensor]) -> TilePlan:
    """The same plan with its tensors elsewhere."""
    return TilePlan(plan.config, plan.num_slots, plan.windowed, plan.has_spare_rows, *tensors)


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
    """Whether `room` can do what a plan says; a window that reaches past every start is none."""
    if plan.config != room.config or (plan.windowed and not room.windowed):
        return False
    return TileSize.of(room).holds(TileSize.of(plan))


def fill(room: TilePlan, plan: TilePlan) -> None:
    """Put a plan that fits into a room, both on the host.

    What lies behind the rows, pages, items and tiles of the plan is left as it was: without its
    number of rows an item or tile does nothing.
    """
    assert fits(plan, room), "a plan goes where there is room for it"
    room.item_rows.zero_()
    room.tile_rows.zero_()
    for to, own in zip(tensors_of(room), tensors_of(plan), strict=True):
        to[: len(own)] = own
