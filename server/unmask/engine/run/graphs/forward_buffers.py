"""The tensors that a captured forward reads: filled anew for every step, never moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.staging import Array, Staging, on_host, packed_size, unpack
from unmask.engine.schedule.batch import StepBatch
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import KVCache, LayerShape
from unmask_kernels.attention.cpu import ReachPlan
from unmask_kernels.attention.ops import AttentionPlan
from unmask_kernels.attention.segments import pad_plan
from unmask_kernels.attention.static_tiles import (
    TileSize,
    fill,
    fits,
    make_static_plan,
    plan_tensors,
    static_sizes,
    static_view,
    with_tensors,
)
from unmask_kernels.attention.tiles import TileConfig, TilePlan

Kinds = Mapping[LayerShape, tuple[TileConfig, TileSize]]


@dataclass(frozen=True, slots=True)
class HostStep:
    """A step whose tensors, but for the cache, are on the host still.

    A row of an open block has a cell of the device's canvas, the others share one of nobody's.
    Where its token is not known here, it is the one in the cell.
    """

    given: ForwardInputs
    cells: Tensor  # [T] int64
    is_known: Tensor  # [T] bool


def dummy_slot(canvas: Tensor) -> int:
    """The cell of a canvas [sequences + 1, L] that rows of no open block share."""
    return canvas.numel() - 1


def host_step(
    batch: StepBatch, canvas: Tensor, plans: tuple[AttentionPlan, ...], cache: KVCache
) -> HostStep:
    """A batch with plans on the host."""
    cells = np.full(batch.num_tokens, dummy_slot(canvas))
    cells[batch.open_rows] = batch.open_cells
    is_known = np.ones(batch.num_tokens, np.bool_)
    is_known[batch.open_rows] = batch.open_is_known
    rows = [batch.token_ids, batch.positions, batch.slots, cells, is_known]
    token_ids, positions, slots, own_cells, known = on_host(rows)
    return HostStep(ForwardInputs(token_ids, positions, slots, plans, cache), own_cells, known)


def on_device(step: ForwardInputs, staging: Staging) -> ForwardInputs:
    """A step of tensors on the host with tensors on the device, brought in one copy."""
    if staging.device.type == "cpu":
        return step
    tensors = [step.token_ids, step.positions, step.slots]
    plans = {id(plan): plan for plan in step.plans if isinstance(plan, TilePlan)}
    for plan in plans.values():
        tensors += plan_tensors(plan)
    put = iter(staging.put([tensor.numpy() for tensor in tensors]))
    token_ids, positions, slots = (next(put) for _ in range(3))
    there: dict[int, AttentionPlan] = {
        name: with_tensors(plan, [next(put) for _ in plan_tensors(plan)])
        for name, plan in plans.items()
    }
    own = tuple(there.get(id(plan), plan) for plan in step.plans)
    return ForwardInputs(token_ids, positions, slots, own, step.cache)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a room has of its rows."""

    token_ids: Tensor  # [R] int64
    positions: Tensor  # [R] int64
    slots: Tensor  # [R] int64
    cells: Tensor  # [R] int64
    is_known: Tensor  # [R] bool

    def part(self, num_rows: int) -> "_Rows":
        return _Rows(
            self.token_ids[:num_rows],
            self.positions[:num_rows],
            self.slots[:num_rows],
            self.cells[:num_rows],
            self.is_known[:num_rows],
        )


@dataclass(frozen=True, slots=True)
class _Side:
    """A room on one side of the bus: bytes, and what is where among them."""

    memory: Tensor
    rows: _Rows
    tiles: dict[LayerShape, TilePlan]

    @classmethod
    def over(cls, memory: Tensor, arrays: Sequence[Array], kinds: Kinds) -> Self:
        """`arrays` are of a room's shapes: those of its rows, then of each plan."""
        tensors = iter(unpack(arrays, memory))
        rows = _Rows(*(next(tensors) for _ in range(5)))
        tiles = {
            shape: make_static_plan(
                config,
                size,
                [next(tensors) for _ in static_sizes(size)],
                group_size=shape.group_size,
            )
            for shape, (config, size) in kinds.items()
        }
        return cls(memory, rows, tiles)

    def part(self, num_rows: int, sizes: Mapping[LayerShape, TileSize]) -> "_Side":
        tiles = {shape: static_view(plan, sizes[shape]) for shape, plan in self.tiles.items()}
        return _Side(self.memory, self.rows.part(num_rows), tiles)


class ForwardBuffers:
    """Room for steps of at most `num_rows` rows, and of no more tiles than there are.

    A step is laid out on the host as the device will have it, and goes over in one copy. Rows to
    spare compute what nobody reads, of token and position zero. They attend to nothing, and their
    keys go to the last page of the cache, which no sequence has. Plans in segments have no fixed
    form: they are put in as they are, for a forward that is called again instead of being replayed.
    """

    def __init__(
        self, layers: Sequence[LayerShape], cache: KVCache, host: _Side, device: _Side
    ) -> None:
        self._layers = layers
        self._first_of = {shape: layers.index(shape) for shape in device.tiles}
        self._host = host
        self._device = device
        num_pages, page_size = cache.keys[0].shape[:2]
        row = np.arange(len(device.rows.slots))
        self._spare_slots = (num_pages - 1) * page_size + row % page_size
        self.step = ForwardInputs(
            device.rows.token_ids,
            device.rows.positions,
            device.rows.slots,
            tuple(device.tiles[shape] for shape in layers),
            cache,
        )

    @classmethod
    def empty(
        cls, layers: Sequence[LayerShape], kinds: Kinds, num_rows: int, cache: KVCache
    ) -> Self:
        """A room in memory of its own; on a CPU both sides are the same."""
        device = cache.keys[0].device
        arrays: list[Array] = [np.empty(num_rows, np.int64) for _ in range(4)]
        arrays.append(np.empty(num_rows, np.bool_))
        for _, size in kinds.values():
            arrays += [np.empty(count, np.int32) for count in static_sizes(size)]
        memory = torch.zeros(packed_size(arrays), dtype=torch.uint8, device=device)
        own = _Side.over(memory, arrays, kinds)
        if device.type == "cpu":
            return cls(layers, cache, own, own)
        mirror = torch.zeros(len(memory), dtype=torch.uint8)
        return cls(layers, cache, _Side.over(mirror, arrays, kinds), own)

    def part(self, num_rows: int, sizes: Mapping[LayerShape, TileSize]) -> "ForwardBuffers":
        """A smaller room in the same memory."""
        host, device = (side.part(num_rows, sizes) for side in (self._host, self._device))
        return ForwardBuffers(self._layers, self.step.cache, host, device)

    @property
    def num_rows(self) -> int:
        """Rows, those to spare included."""
        return len(self.step.token_ids)

    def fits(self, step: ForwardInputs) -> bool:
        """Whether there is room for a step, which then has no rows of a canvas of noise."""
        if len(step.token_ids) > self.num_rows or step.canvas_rows is not None:
            return False
        plans = self._plans(step).items()
        return all(fits(p, self._device.tiles[s]) for s, p in plans if isinstance(p, TilePlan))

    def fill(self, step: HostStep, dummy_slot: int, staging: Staging) -> None:
        """Bring a step that fits; the cells of rows to spare are `dummy_slot`."""
        given, rows, count = step.given, self._host.rows, len(step.given.token_ids)
        assert count <= self.num_rows, "a step goes where there is room for it"
        pairs = (
            (rows.token_ids, given.token_ids, 0),
            (rows.positions, given.positions, 0),
            (rows.slots, given.slots, self._spare_slots[count:]),
            (rows.cells, step.cells, dummy_slot),
            (rows.is_known, step.is_known, True),
        )
        for to, own, spare in pairs:
            values = to.numpy()
            values[:count] = own.numpy()
            values[count:] = spare
        plans: dict[LayerShape, AttentionPlan] = {}
        for shape, plan in self._plans(given).items():
            if isinstance(plan, TilePlan):
                fill(self._host.tiles[shape], plan)
            elif isinstance(plan, ReachPlan):
                plans[shape] = plan  # which leaves rows to spare alone
            else:
                plans[shape] = pad_plan(plan, count, self.num_rows - count)
        if plans:
            self.step = replace(self.step, plans=tuple(plans[shape] for shape in self._layers))
        staging.copy(self._host.memory, self._device.memory)

    def renew(self, canvas: Tensor) -> None:
        """Read from `canvas` what the host does not know of open blocks, and write what it does."""
        rows, cells = self._device.rows, canvas.view(-1)
        tokens = torch.where(rows.is_known, rows.token_ids, cells[rows.cells])
        cells[rows.cells] = tokens
        rows.token_ids.copy_(tokens)

    def _plans(self, step: ForwardInputs) -> dict[LayerShape, AttentionPlan]:
        return {shape: step.plans[first] for shape, first in self._first_of.items()}
