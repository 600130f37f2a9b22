"""Captured steps over canvases of noise: forward, scoring, renoising and self-conditioning.

A step is padded to the next size, with rows that attend to nothing and canvases of nobody, which
changes nothing of the others. Few requests ask for what is not captured: top-k, top-p, and lists of
the likeliest tokens. A step without a canvas, which reads prompts alone, is not captured either:
its rows are many, so that the device takes longer for it than the host.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from unmask.config import EngineConfig
from unmask.engine.run.graphs.forward import CLOSE, Graph, recorder, warn_of_dependence
from unmask.engine.run.graphs.forward_buffers import ForwardBuffers, on_device
from unmask.engine.run.graphs.noise_buffers import (
    NoiseBuffers,
    canvas_sizes,
    canvas_step,
    largest_tiles,
    padded_arrays,
)
from unmask.engine.run.graphs.noise_check import random_canvases
from unmask.engine.run.graphs.sizes import tile_configs
from unmask.engine.run.noise import (
    Canvases,
    CanvasStep,
    UnknownTokens,
    begin,
    canvas_arrays,
    denoise_canvases,
)
from unmask.engine.run.pending import Outputs, PendingStep
from unmask.engine.run.staging import Staging, on_host
from unmask.engine.schedule.batch import StepBatch
from unmask.models.canvas_decoder import CanvasDecoder
from unmask.models.inputs import plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel
from unmask.models.weights import Progress
from unmask.types import CanvasSchedule
from unmask_kernels.attention.ops import AttentionPlan

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Captured:
    """A step over a room."""

    room: NoiseBuffers
    graph: Graph


@dataclass(frozen=True, slots=True)
class NoiseGraphs:
    """Steps over canvases that are replayed."""

    captured: Sequence[Captured]  # smallest first
    canvases: Canvases
    cache: KVCache
    schedule: CanvasSchedule
    staging: Staging
    vocab_size: int

    def launch(self, batch: StepBatch, plans: tuple[AttentionPlan, ...]) -> PendingStep | None:
        """The results of a batch with `plans` on the host; None if no graph does for it."""
        step = canvas_step(batch, self.canvases, plans, self.cache)
        for one in self.captured:
            room = one.room
            if room.holds(batch) and room.rows.fits(step.given):
                room.fill(batch, step, self.canvases, self.schedule, self.staging)
                one.graph.replay()
                count = len(batch.scored_rows)
                return PendingStep.send_packed(room.outputs, partial(_first_rows, room, count))
        return None

    def takes(self, batch: StepBatch) -> bool:
        """Whether a batch has canvases, and no request asks for what is not captured."""
        decoding = batch.decoding
        is_cut = (decoding.top_k < self.vocab_size) | (decoding.top_p < 1.0)
        return len(batch.scored_rows) > 0 and decoding.num_logprobs == 0 and not is_cut.any()


def _first_rows(room: NoiseBuffers, count: int, memory: Tensor) -> Outputs:
    return room.results(memory, count)


@torch.inference_mode()
def capture_noise(
    config: EngineConfig,
    loaded: LoadedModel,
    cache: KVCache,
    canvases: Canvases,
    staging: Staging,
    progress: Progress | None = None,
) -> NoiseGraphs | None:
    """Capture every size; None, and a warning, where that fails or a replay gives something else.

    The last page of `cache` is for rows to spare. No sequence may have pages or a canvas yet.
    `progress` gets "graphs", how many there are and all.
    """
    assert loaded.info.canvas is not None, "the family says how canvases are denoised"
    graphs = NoiseGraphs([], canvases, cache, loaded.info.canvas, staging, loaded.info.vocab_size)
    try:
        captured = _capture(config, loaded, graphs, progress)
    except Exception as error:
        logger.warning("steps run without graphs: %s: %s", type(error).__name__, error)
        return None
    finally:
        for tensor in (canvases.cells, canvases.draft, canvases.unchanged, canvases.soft):
            tensor.zero_()
    return NoiseGraphs(
        captured, canvases, cache, loaded.info.canvas, staging, loaded.info.vocab_size
    )


def _capture(
    config: EngineConfig, loaded: LoadedModel, graphs: NoiseGraphs, progress: Progress | None
) -> list[Captured]:
    record = recorder(loaded.device)
    sizes, cache = canvas_sizes(config, loaded), graphs.cache
    if not sizes:
        raise RuntimeError("attention's parts take too much memory for any size")
    kinds, tiles = tile_configs(loaded), largest_tiles(sizes)
    whole = ForwardBuffers.empty(
        loaded.model.layers, {s: (kinds[s], tiles[s]) for s in kinds}, sizes[-1].num_rows, cache
    )
    random = np.random.default_rng(0)
    captured: list[Captured] = []
    dependent: list[int] = []
    for size in reversed(sizes):  # the largest takes the memory that the others share
        trial = _Trial(loaded, graphs)
        rows = whole.part(size.num_rows, size.step.tiles)
        batch = random_canvases(loaded, cache, size, config.max_num_seqs, random)
        arrays = padded_arrays(batch, graphs.canvases, graphs.schedule, size)
        room = NoiseBuffers.empty(size, rows, arrays)
        trial.fill(room, batch)
        one = Captured(room, record(trial.step(room)))
        other = random_canvases(loaded, cache, size, config.max_num_seqs, random)
        if not trial.check(one, other):
            dependent.append(size.num_rows)
        captured.append(one)
        if progress is not None:
            progress("graphs", len(captured), len(sizes))
    warn_of_dependence(dependent)
    return captured[::-1]


def step_of(
    model: CanvasDecoder, room: NoiseBuffers, canvases: Canvases, vocab_size: int
) -> Callable[[], None]:
    """The step of a room, whatever is put in: it asks the device for no number."""

    def run() -> None:
        begin(canvases, room.step, vocab_size)
        room.rows.renew(canvases.cells)
        room.keep(denoise_canvases(model, canvases, room.step, room.rows.step, vocab_size))

    return run


@dataclass(frozen=True, slots=True)
class _Trial:
    """Everything that a trial of a graph needs before anything depends on it."""

    loaded: LoadedModel
    graphs: NoiseGraphs

    @property
    def model(self) -> CanvasDecoder:
        assert isinstance(self.loaded.model, CanvasDecoder)
        return self.loaded.model

    def step(self, room: NoiseBuffers) -> Callable[[], None]:
        """The captured step."""
        return step_of(self.model, room, self.graphs.canvases, self.graphs.vocab_size)

    def fill(self, room: NoiseBuffers, batch: StepBatch) -> None:
        """Bring a batch to a room."""
        own = self.graphs
        step = canvas_step(batch, own.canvases, self.plans(batch), own.cache)
        room.fill(batch, step, own.canvases, own.schedule, own.staging)

    def plans(self, batch: StepBatch) -> tuple[AttentionPlan, ...]:
        """Attention plans, on the host."""
        return plan_layers(
            self.model.layers,
            batch.query_starts,
            batch.horizons,
            batch.pages,
            batch.page_starts,
            self.graphs.cache.keys[0].shape[1],
            device=self.loaded.device,
            dtype=self.loaded.dtype,
            anchors=batch.anchors,
            to_device=on_host,
        )

    def check(self, captured: Captured, batch: StepBatch) -> bool:
        """Raise if a replay differs in a bit from the same kernels launched one by one.

        Returns whether it is the same in every bit as the step before it was padded. Last bits may
        differ from that where a library takes another algorithm for another number of rows.
        """
        room, canvases = captured.room, self.graphs.canvases
        canvases.cells.random_(0, self.graphs.vocab_size)
        canvases.draft.random_(0, self.graphs.vocab_size)
        canvases.soft.normal_()
        before = [tensor.clone() for tensor in self._state()]
        count = len(batch.scored_rows)
        self.fill(room, batch)
        room.outputs.fill_(255)
        captured.graph.replay()
        replayed = self._found(room.results(room.outputs.clone(), count), batch)
        self._restore(before)
        self.fill(room, batch)  # a replay renews the tokens of its room
        self.step(room)()
        if not _equal(replayed, self._found(room.results(room.outputs, count), batch)):
            raise RuntimeError(f"a replay of {room.size.num_rows} rows is not what was captured")
        self._restore(before)
        plain = self._found(self._plain(batch), batch)
        error = (replayed[1] - plain[1]).abs().mean()
        if not error <= CLOSE * torch.finfo(self.loaded.dtype).eps * plain[1].max():
            rows = f"{batch.num_tokens} rows padded to {room.size.num_rows}"
            raise RuntimeError(f"{rows} are off by {error:.3g}")
        return _equal(replayed, plain)

    def _plain(self, batch: StepBatch) -> Outputs:
        """The step of a batch that is not padded."""
        own = self.graphs
        host = canvas_step(batch, own.canvases, self.plans(batch), own.cache).given
        given = on_device(host, own.staging)
        arrays = canvas_arrays(batch, own.canvases, own.schedule)
        unknown = UnknownTokens.of(batch, own.canvases)
        [rows, cells, *tensors] = own.staging.put([unknown.rows, unknown.cells, *arrays])
        step = CanvasStep.of(tensors)
        begin(own.canvases, step, own.vocab_size)
        given.token_ids.index_copy_(0, rows, own.canvases.cells.view(-1)[cells])
        return denoise_canvases(self.model, own.canvases, step, given, own.vocab_size)

    def _found(self, outputs: Outputs, batch: StepBatch) -> list[Tensor]:
        """The outputs of a step, and the canvases that it left."""
        assert outputs.accepted is not None
        canvases = self.graphs.canvases
        rows = [span.sequence.table_row for span in batch.spans]
        results = (outputs.tokens, outputs.confidence, outputs.selected, outputs.accepted)
        kept = (canvases.tokens, canvases.draft, canvases.unchanged, canvases.soft)
        return [tensor.clone() for tensor in (*results, *(own[rows] for own in kept))]

    def _state(self) -> tuple[Tensor, ...]:
        canvases = self.graphs.canvases
        return canvases.cells, canvases.draft, canvases.unchanged, canvases.soft

    def _restore(self, before: list[Tensor]) -> None:
        for tensor, own in zip(self._state(), before, strict=True):
            tensor.copy_(own)


def _equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
