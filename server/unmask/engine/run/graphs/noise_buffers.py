"""Sizes of steps over canvases of noise that are captured, and their static buffers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unmask.engine.run.canvases import Canvases
from unmask.engine.run.graphs.forward_buffers import ForwardBuffers
from unmask.engine.run.graphs.sizes import GraphSize, tile_configs, tiles_for
from unmask.engine.run.inputs import RowInputs, dummy_slot
from unmask.engine.run.noise_inputs import NoiseInputs, NoiseModel, noise_arrays
from unmask.engine.run.pending import PackedTokens, SampledTokens
from unmask.engine.run.staging import Array, Staging, StaticBuffers
from unmask.engine.schedule.batch import StepBatch
from unmask.engine.schedule.limits import EngineLimits
from unmask.models.kv_cache import LayerShape
from unmask.models.registry import LoadedModel
from unmask_kernels.attention.ops import AttentionPlan
from unmask_kernels.attention.static_tiles import TileSize
from unmask_kernels.attention.tiles import TileConfig

# Canvases of a step, and its other rows in multiples of a canvas: rows of prompts, and those that
# write the final keys of the canvas before.
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


def noise_sizes(limits: EngineLimits, loaded: LoadedModel) -> list[NoiseSize]:
    """Every size, smallest first."""
    length = loaded.info.block_length
    assert length is not None, "a canvas has a length"
    unit = loaded.model.row_unit
    sizes = []
    for count in CANVASES:
        if count > limits.max_num_seqs or count * length > limits.max_batch_tokens:
            break
        for others in OTHERS:
            num_rows = -(-(count + others) * length // unit) * unit
            if others <= max(1, count // 2) and num_rows < limits.max_batch_tokens + length:
                step = _step_size(limits, loaded, num_rows, count + READERS, length)
                if step is not None:
                    sizes.append(NoiseSize(count, step))
    return sorted(sizes, key=lambda size: (size.num_rows, size.num_canvases))


def _step_size(
    limits: EngineLimits, loaded: LoadedModel, num_rows: int, num_sequences: int, length: int
) -> GraphSize | None:
    """Tiles for contexts of any length or, where their parts take too much memory, shorter ones."""
    kinds, page_size = tile_configs(loaded), limits.page_size
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
    """Chunks of keys that a tile may read; a window may begin in a chunk before its canvas."""
    num_chunks = -(-horizon // kind.chunk)
    if shape.window is None:
        return num_chunks
    reach = shape.window + kind.rows // shape.group_size + length
    return min(num_chunks, -(-reach // kind.chunk) + 1)


def largest_tiles(sizes: list[NoiseSize]) -> dict[LayerShape, TileSize]:
    """Tiles that every size is a part of."""
    joined = dict(sizes[0].step.tiles)
    for size in sizes:
        joined = {shape: own.joined(size.step.tiles[shape]) for shape, own in joined.items()}
    return joined


class NoiseBuffers:
    """Inputs and outputs of a step over canvases at fixed addresses, filled in two copies."""

    def __init__(self, size: NoiseSize, forward: ForwardBuffers, arrays: dict[str, Array]) -> None:
        """Buffers for steps whose rows are in `forward`, and for arrays like `arrays`."""
        device = forward.inputs.token_ids.device
        self.size = size
        self.forward = forward
        self._buffers = StaticBuffers(arrays, device)
        self.inputs = NoiseInputs(**self._buffers.tensors)
        num_rows = len(self.inputs.canvas_rows)
        self.outputs = PackedTokens.zeros(num_rows, device, has_accepted=True)

    def holds(self, batch: StepBatch, plans: Sequence[AttentionPlan]) -> bool:
        """True if a batch with plans on the host can be padded to this size."""
        return len(batch.denoised) <= self.size.num_canvases and self.forward.fits(
            batch.num_tokens, plans
        )

    def fill(
        self,
        batch: StepBatch,
        rows: RowInputs,
        plans: Sequence[AttentionPlan],
        canvases: Canvases,
        noise: NoiseModel,
        staging: Staging,
    ) -> None:
        """Bring a batch that fits, with its rows and plans on the host."""
        self.forward.fill(rows, plans, dummy_slot(canvases.open_tokens), staging)
        for name, values in padded_arrays(batch, canvases, noise, self.size).items():
            self._buffers.write(name, values, 0)
        self._buffers.send(staging)

    def keep(self, sampled: SampledTokens) -> None:
        """Copy the tokens of a step to `outputs`."""
        kept = self.outputs.tensors()
        assert kept.accepted is not None
        assert sampled.accepted is not None
        kept.tokens.copy_(sampled.tokens)
        kept.confidence.copy_(sampled.confidence)
        kept.selected.copy_(sampled.selected)
        kept.accepted.copy_(sampled.accepted)


def padded_arrays(
    batch: StepBatch, canvases: Canvases, noise: NoiseModel, size: NoiseSize
) -> dict[str, Array]:
    """Arrays of `NoiseInputs`, padded to a size."""
    return noise_arrays(
        batch, canvases, noise, num_canvases=size.num_canvases, num_rows=size.num_rows
    )
