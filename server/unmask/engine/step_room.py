"""The tensors that a captured forward reads: filled anew for every step, never moved."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from unmask.models.layers import KVCache, LayerShape, StepInput
from unmask_kernels.attention import AttentionPlan
from unmask_kernels.segments import with_spare_rows
from unmask_kernels.tile_room import Copy, TileSize, copies_into, fits, make_room, narrowed
from unmask_kernels.tiles import TileConfig, TilePlan


class StepRoom:
    """Room for steps of at most `num_rows` rows, and of no more tiles than there are.

    Rows to spare compute what nobody reads, from whatever token and position was there before.
    They attend to nothing, and their keys go to the last page of the cache, which no sequence has.
    Plans in segments have no fixed form: they are put in as they are, for a forward that is called
    again instead of being replayed.
    """

    def __init__(
        self,
        layers: Sequence[LayerShape],
        step: StepInput,
        tiles: Mapping[LayerShape, TilePlan],
        scratch: Tensor,
    ) -> None:
        self._layers = layers
        self._first_of = {shape: layers.index(shape) for shape in tiles}
        self._tiles = tiles
        self._scratch = scratch  # [num_rows], slots of rows to spare
        self.step = replace(step, plans=tuple(tiles[shape] for shape in layers))

    @classmethod
    def empty(
        cls,
        layers: Sequence[LayerShape],
        kinds: Mapping[LayerShape, tuple[TileConfig, TileSize]],
        num_rows: int,
        cache: KVCache,
    ) -> Self:
        """A room in memory of its own."""
        device = cache.keys[0].device
        tiles = {
            shape: make_room(config, size, windowed=shape.window is not None, device=device)
            for shape, (config, size) in kinds.items()
        }
        num_pages, page_size = cache.keys[0].shape[:2]
        row = torch.arange(num_rows, device=device)
        scratch = (num_pages - 1) * page_size + row % page_size
        step = StepInput(torch.zeros_like(row), torch.zeros_like(row), scratch.clone(), (), cache)
        return cls(layers, step, tiles, scratch)

    def part(self, num_rows: int, sizes: Mapping[LayerShape, TileSize]) -> "StepRoom":
        """A smaller room in the same memory."""
        step = replace(
            self.step,
            token_ids=self.step.token_ids[:num_rows],
            positions=self.step.positions[:num_rows],
            slots=self.step.slots[:num_rows],
        )
        tiles = {shape: narrowed(plan, sizes[shape]) for shape, plan in self._tiles.items()}
        return StepRoom(self._layers, step, tiles, self._scratch[:num_rows])

    @property
    def num_rows(self) -> int:
        """Rows, those to spare included."""
        return len(self.step.token_ids)

    def fits(self, step: StepInput) -> bool:
        """Whether there is room for a step, which then has no rows of a canvas of noise."""
        if len(step.token_ids) > self.num_rows or step.canvas_rows is not None:
            return False
        plans = self._plans(step).items()
        return all(fits(p, self._tiles[s]) for s, p in plans if isinstance(p, TilePlan))

    def fill(self, step: StepInput) -> None:
        """Copy a step that fits, the tensors of a type in one call."""
        assert self.fits(step), "a step goes where there is room for it"
        own, count = self.step, len(step.token_ids)
        rows = [
            (own.token_ids[:count], step.token_ids),
            (own.positions[:count], step.positions),
            (own.slots[:count], step.slots),
        ]
        if count < self.num_rows:
            rows.append((own.slots[count:], self._scratch[count:]))
        _copy(rows)
        tiles: list[Copy] = []
        plans: dict[LayerShape, AttentionPlan] = {}
        for shape, plan in self._plans(step).items():
            if isinstance(plan, TilePlan):
                tiles += copies_into(self._tiles[shape], plan)
            else:
                plans[shape] = with_spare_rows(plan, count, self.num_rows - count)
        _copy(tiles)
        if plans:
            self.step = replace(own, plans=tuple(plans[shape] for shape in self._layers))

    def _plans(self, step: StepInput) -> dict[LayerShape, AttentionPlan]:
        return {shape: step.plans[first] for shape, first in self._first_of.items()}


def _copy(copies: list[Copy]) -> None:
    """Copies between tensors of one type; on a GPU that is one launch, not one a copy."""
    if copies:
        torch._foreach_copy_([to for to, _ in copies], [own for _, own in copies])
