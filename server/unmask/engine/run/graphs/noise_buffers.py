"""Sizes for which steps over canvases are captured, and the tensors that a captured step reads."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask.config import EngineConfig
from unmask.engine.run.graphs.forward_buffers import ForwardBuffers, HostStep, dummy_slot
from unmask.engine.run.graphs.sizes import GraphSize, tile_configs, tiles_for
from unmask.engine.run.noise import Canvases, CanvasStep, UnknownTokens, canvas_arrays
from unmask.engine.run.pending import Outputs
from unmask.engine.run.staging import Array, Staging, on_host, packed_size, unpack
from unmask.engine.schedule.batch import StepBatch
from unmask.engine.schedule.pages import page_size_of
from unmask.engine.schedule.passes import IntArray
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import KVCache, LayerShape
from unmask.models.registry import LoadedModel
from unmask.types import CanvasSchedule
from unmask_kernels.attention.ops import AttentionPlan
from unmask_kernels.attention.static_tiles import TileSize
from unmask_kernels.attention.tiles import TileConfig

# Canvases of a step, and how many canvases' worth of other rows a graph has beside them: rows of
# prompts, and those that write the final keys of the canvas before.
CANVASES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64)
OTHERS = (0, 1, 2, 4)
READERS = 2  # sequences of a step that have no canvas in it
MAX_SCRATCH_BYTES = 2**30  # of attention's parts before they are merged


@dataclass(frozen=True, slots=True)
class NoiseSize:
    """Size of the steps of a graph: canvases, and rows of all kinds."""

    num_canvases: int
    step: GraphSize

    @property
    def num_rows(self) -> int:
        """Rows of the forward pass."""
        return self.step.num_rows


def canvas_sizes(config: EngineConfig, loaded: LoadedModel) -> list[NoiseSize]:
    """Every size, smallest first."""
    length = loaded.info.block_length
    assert length is not None, "a canvas has a length"
    unit = loaded.model.row_unit
    sizes = []
    for count in CANVASES:
        if count > config.max_num_seqs or count * length > config.max_batch_tokens:
            break
        for others in OTHERS:
            num_rows = -(-(count + others) * length // unit) * unit
            if others <= max(1, count // 2) and num_rows < config.max_batch_tokens + length:
                step = _step_size(config, loaded, num_rows, count + READERS, length)
                if step is not None:
                    sizes.append(NoiseSize(count, step))
    return sorted(sizes, key=lambda size: (size.num_rows, size.num_canvases))


def _step_size(
    config: EngineConfig, loaded: LoadedModel, num_rows: int, num_sequences: int, length: int
) -> GraphSize | None:
    """Tiles for contexts of any length or, where their parts take too much memory, shorter ones."""
    kinds, page_size = tile_configs(loaded), page_size_of(config, loaded.device.type)
    longest = loaded.info.max_model_len + length
    chunk = min(kind.chunk for kind in kinds.values())
    for num_chunks in range(-(-longest // chunk), 0, -1):
        horizon = min(num_chunks * chunk, longest)
        counts = {shape: _num_chunks(shape, kinds[shape], horizon, length) for shape in kinds}
        tiles, scratch = tiles_for(loaded, num_rows, num_sequences, counts, page_size)
        if scratch <= MAX_SCRATCH_BYTES:
            pages = num_sequences * -(-horizon // page_size)
            tiles = {
                shape: replace(own, pages=max(own.pages, pages)) for shape, own in tiles.items()
            }
            return GraphSize(num_rows, num_sequences, horizon, tiles)
    return None


def _num_chunks(shape: LayerShape, kind: TileConfig, horizon: int, length: int) -> int:
    """Chunks of keys that a tile may read, one of a window that begins before a canvas included."""
    num_chunks = -(-horizon // kind.chunk)
    if shape.window is None:
        return num_chunks
    reach = shape.window + kind.rows // shape.group_size + length
    return min(num_chunks, -(-reach // kind.chunk) + 1)


def largest_tiles(sizes: list[NoiseSize]) -> dict[LayerShape, TileSize]:
    """Tiles of which every size has a part."""
    joined = dict(sizes[0].step.tiles)
    for size in sizes:
        joined = {shape: own.joined(size.step.tiles[shape]) for shape, own in joined.items()}
    return joined


@dataclass(frozen=True, slots=True)
class NoiseBuffers:
    """Tensors of one size of steps, filled in two copies and never moved."""

    size: NoiseSize
    rows: ForwardBuffers
    step: CanvasStep
    memory: Tensor  # bytes of `step`
    outputs: Tensor  # bytes of tokens, confidence, selected and accepted

    @classmethod
    def empty(cls, size: NoiseSize, rows: ForwardBuffers, arrays: list[Array]) -> Self:
        """A room for steps whose rows are in `rows` and that have such arrays."""
        device = rows.step.token_ids.device
        memory = torch.zeros(packed_size(arrays), dtype=torch.uint8, device=device)
        step = CanvasStep.of(unpack(arrays, memory))
        count = packed_size(_results(len(step.canvas_rows)))
        return cls(size, rows, step, memory, torch.zeros(count, dtype=torch.uint8, device=device))

    def holds(self, batch: StepBatch) -> bool:
        """Whether there are as many canvases and rows as a batch has."""
        count = len(batch.decoding.steps)
        return count <= self.size.num_canvases and batch.num_tokens <= self.size.num_rows

    def fill(
        self, batch: StepBatch, step: HostStep, canvases: Canvases, schedule: CanvasSchedule,
        staging: Staging,
    ) -> None:  # fmt: skip
        """Bring a batch that fits, and its `step`."""
        self.rows.fill(step, dummy_slot(canvases.cells), staging)
        arrays = padded_arrays(batch, canvases, schedule, self.size)
        staging.fill(self.memory, arrays)

    def results(self, memory: Tensor, count: int | None = None) -> Outputs:
        """The first `count` rows' results in `memory`, which is laid out as `outputs`."""
        tensors = unpack(_results(len(self.step.canvas_rows)), memory)
        tokens, confidence, selected, accepted = (own[:count] for own in tensors)
        return Outputs(tokens, confidence, selected, accepted)

    def keep(self, outputs: Outputs) -> None:
        """Copy what a step came to to where the host reads it."""
        own = self.results(self.outputs)
        assert own.accepted is not None
        assert outputs.accepted is not None
        own.tokens.copy_(outputs.tokens)
        own.confidence.copy_(outputs.confidence)
        own.selected.copy_(outputs.selected)
        own.accepted.copy_(outputs.accepted)


def padded_arrays(
    batch: StepBatch, canvases: Canvases, schedule: CanvasSchedule, size: NoiseSize
) -> list[Array]:
    """Decoding arrays of a batch, padded to a size."""
    return canvas_arrays(
        batch, canvases, schedule, num_canvases=size.num_canvases, num_rows=size.num_rows
    )


def canvas_step(
    batch: StepBatch, canvases: Canvases, plans: tuple[AttentionPlan, ...], cache: KVCache
) -> HostStep:
    """A batch with plans on the host; the tokens of its canvases are on the device."""
    unknown = UnknownTokens.of(batch, canvases)
    cells = np.full(batch.num_tokens, dummy_slot(canvases.cells))
    cells[unknown.rows] = unknown.cells
    is_known = np.ones(batch.num_tokens, np.bool_)
    is_known[unknown.rows] = False
    rows = [batch.token_ids, batch.positions, batch.slots, cells, is_known]
    token_ids, positions, slots, own_cells, known = on_host(rows)
    return HostStep(ForwardInputs(token_ids, positions, slots, plans, cache), own_cells, known)


def _results(
    count: int,
) -> tuple[IntArray, npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    flags = np.empty(count, np.bool_)
    return np.empty(count, np.int64), np.empty(count, np.float32), flags, flags
