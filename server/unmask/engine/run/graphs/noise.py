"""CUDA graphs of whole steps over canvases: forward pass, scoring, renoising, self-conditioning.

A step is padded to the next size, with rows that attend to nothing and canvases in the dummy row,
which changes nothing of the others. Top-k, top-p and lists of the likeliest tokens run eagerly. So
do steps without a canvas, which read prompts alone: with many rows the device takes longer than the
host.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.canvases import Canvases
from unmask.engine.run.device import DeviceModel
from unmask.engine.run.graphs.check import on_device
from unmask.engine.run.graphs.forward_buffers import ForwardBuffers
from unmask.engine.run.graphs.noise_buffers import (
    NoiseBuffers,
    largest_tiles,
    noise_sizes,
    padded_arrays,
)
from unmask.engine.run.graphs.noise_check import random_canvases
from unmask.engine.run.graphs.recorder import CLOSE, CapturedGraph, Recorder, warn_of_dependence
from unmask.engine.run.graphs.sizes import tile_configs
from unmask.engine.run.noise import begin, denoise_canvases
from unmask.engine.run.noise_inputs import NoiseModel, noise_inputs, row_inputs
from unmask.engine.run.pending import PendingStep, SampledTokens
from unmask.engine.run.staging import on_host
from unmask.engine.schedule.batch import StepBatch
from unmask.models.family import CanvasModel
from unmask.models.inputs import ForwardInputs
from unmask.models.weights import Progress
from unmask_kernels.scoring.types import truncates

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NoiseGraphs:
    """Steps over canvases that are replayed."""

    captured: Sequence[CapturedGraph[NoiseBuffers]]  # smallest first
    device: DeviceModel
    canvases: Canvases
    noise: NoiseModel

    def launch(self, batch: StepBatch, started_s: float) -> PendingStep | None:
        """Launch a batch; None if it fits no graph."""
        if not self._takes(batch):
            return None
        rows, plans = row_inputs(batch, self.canvases), self.device.plans(batch, on_host)
        for captured in self.captured:
            buffers = captured.buffers
            if buffers.holds(batch, plans):
                staging = self.device.staging
                buffers.fill(batch, rows, plans, self.canvases, self.noise, staging)
                captured.graph.replay()
                sampled = buffers.outputs.first(len(batch.hidden_rows))
                return PendingStep.send(batch, started_s, sampled)
        return None

    def _takes(self, batch: StepBatch) -> bool:
        """True if a batch has canvases, and no request asks for what is not captured."""
        decoding, vocab_size = batch.decoding, self.device.loaded.info.vocab_size
        return (
            len(batch.hidden_rows) > 0
            and batch.images is None
            and not decoding.num_top
            and not decoding.columns["is_structured"].any()
            and not truncates(decoding.columns, vocab_size).any()
        )


@torch.inference_mode()
def capture_noise(
    device: DeviceModel,
    canvases: Canvases,
    noise: NoiseModel,
    progress: Progress | None,
    recorder: Recorder,
) -> NoiseGraphs | None:
    """Capture every size; None, and a warning, where that fails or a replay gives something else.

    The last page of the cache is for padding rows. No sequence may have pages or a canvas yet.
    `progress` gets "graphs", how many there are and all.
    """
    try:
        captured = _capture(device, canvases, noise, progress, recorder)
    except Exception as error:
        logger.warning("CUDA graphs of steps are disabled: %s: %s", type(error).__name__, error)
        return None
    finally:
        for tensor in _state(canvases):
            tensor.zero_()
    return NoiseGraphs(captured, device, canvases, noise)


def _capture(
    device: DeviceModel,
    canvases: Canvases,
    noise: NoiseModel,
    progress: Progress | None,
    recorder: Recorder,
) -> list[CapturedGraph[NoiseBuffers]]:
    loaded, limits, cache = device.loaded, device.limits, device.cache
    record = recorder(loaded.device)
    sizes = noise_sizes(limits, loaded)
    if not sizes:
        raise RuntimeError("attention's partial results take too much memory for any size")
    kinds, tiles = tile_configs(loaded), largest_tiles(sizes)
    plans = {shape: (kinds[shape], tiles[shape]) for shape in kinds}
    whole = ForwardBuffers.empty(loaded.model.layers, plans, sizes[-1].num_rows, cache)
    random = np.random.default_rng(0)
    captured: list[CapturedGraph[NoiseBuffers]] = []
    dependent: list[int] = []
    check = _NoiseCheck(device, canvases, noise)
    for size in reversed(sizes):  # the largest takes the memory that the others share
        forward = whole.view(size.num_rows, size.step.tiles)
        batch = random_canvases(loaded, cache, size, limits.max_num_seqs, random)
        buffers = NoiseBuffers(size, forward, padded_arrays(batch, canvases, noise, size))
        check.fill(buffers, batch)
        one = CapturedGraph(buffers, record(check.step(buffers)))
        other = random_canvases(loaded, cache, size, limits.max_num_seqs, random)
        if not check.passes(one, other):
            dependent.append(size.num_rows)
        captured.append(one)
        if progress is not None:
            progress("graphs", len(captured), len(sizes))
    warn_of_dependence(logger, dependent)
    return captured[::-1]


def noise_step(
    model: CanvasModel, buffers: NoiseBuffers, canvases: Canvases, vocab_size: int
) -> Callable[[], None]:
    """A step over static buffers; it asks the device for no number."""

    def run() -> None:
        begin(canvases, buffers.inputs, vocab_size)
        buffers.forward.rows.sync_open_tokens(canvases.open_tokens)
        inputs = buffers.forward.inputs
        buffers.keep(denoise_canvases(model, canvases, buffers.inputs, inputs, vocab_size))

    return run


@dataclass(frozen=True, slots=True)
class _NoiseCheck:
    """Compares replays of a graph with eager kernels before anything depends on it."""

    device: DeviceModel
    canvases: Canvases
    noise: NoiseModel

    @property
    def model(self) -> CanvasModel:
        """The model, whose canvases these are."""
        assert isinstance(self.device.loaded.model, CanvasModel)
        return self.device.loaded.model

    @property
    def vocab_size(self) -> int:
        """Tokens that a canvas may hold."""
        return self.device.loaded.info.vocab_size

    def step(self, buffers: NoiseBuffers) -> Callable[[], None]:
        """The step that is captured."""
        return noise_step(self.model, buffers, self.canvases, self.vocab_size)

    def fill(self, buffers: NoiseBuffers, batch: StepBatch) -> None:
        """Bring a batch to the buffers."""
        rows, plans = row_inputs(batch, self.canvases), self.device.plans(batch, on_host)
        staging = self.device.staging
        buffers.fill(batch, rows, plans, self.canvases, self.noise, staging)

    def passes(self, captured: CapturedGraph[NoiseBuffers], batch: StepBatch) -> bool:
        """Raise if a replay differs in a bit from the same kernels launched one by one.

        Returns True if it also has every bit of the step before it was padded. Last bits may differ
        where a library takes another algorithm for another number of rows.
        """
        buffers, canvases = captured.buffers, self.canvases
        canvases.open_tokens.random_(0, self.vocab_size)
        canvases.draft.random_(0, self.vocab_size)
        canvases.soft.normal_()
        before = [tensor.clone() for tensor in _state(canvases)]
        count = len(batch.hidden_rows)
        self.fill(buffers, batch)
        buffers.outputs.memory.fill_(255)
        captured.graph.replay()
        outputs = buffers.outputs.first(count)
        replayed = self._outcome(outputs.on_host(torch.clone).tensors(), batch)
        self._restore(before)
        self.fill(buffers, batch)  # a replay overwrites the token ids of its rows
        self.step(buffers)()
        if not _equal(replayed, self._outcome(outputs.tensors(), batch)):
            raise RuntimeError(f"a replay of {buffers.size.num_rows} rows is not what was captured")
        self._restore(before)
        eager = self._outcome(self._eager(batch), batch)
        error = (replayed[1] - eager[1]).abs().mean()
        if not error <= CLOSE * torch.finfo(self.device.loaded.dtype).eps * eager[1].max():
            rows = f"{batch.num_tokens} rows padded to {buffers.size.num_rows}"
            raise RuntimeError(f"{rows} are off by {error:.3g}")
        return _equal(replayed, eager)

    def _eager(self, batch: StepBatch) -> SampledTokens:
        """The step of a batch without padding."""
        device, canvases = self.device, self.canvases
        rows, plans = row_inputs(batch, canvases), device.plans(batch, on_host)
        host = ForwardInputs(rows.token_ids, rows.positions, rows.slots, plans, device.cache)
        inputs = on_device(host, device.staging)
        rows = rows.to_device(device.staging)
        step = noise_inputs(batch, canvases, self.noise, device.staging)
        begin(canvases, step, self.vocab_size)
        rows.sync_open_tokens(canvases.open_tokens)
        inputs = replace(inputs, token_ids=rows.token_ids)
        return denoise_canvases(self.model, canvases, step, inputs, self.vocab_size)

    def _outcome(self, sampled: SampledTokens, batch: StepBatch) -> list[Tensor]:
        """The results of a step, and the canvases that it left."""
        assert sampled.accepted is not None
        canvases = self.canvases
        rows = [span.row for span in batch.spans]
        results = (sampled.tokens, sampled.confidence, sampled.selected, sampled.accepted)
        kept = (canvases.tokens, canvases.draft, canvases.unchanged, canvases.soft)
        return [tensor.clone() for tensor in (*results, *(tensor[rows] for tensor in kept))]

    def _restore(self, before: list[Tensor]) -> None:
        for tensor, values in zip(_state(self.canvases), before, strict=True):
            tensor.copy_(values)


def _state(canvases: Canvases) -> tuple[Tensor, ...]:
    return canvases.open_tokens, canvases.draft, canvases.unchanged, canvases.soft


def _equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
