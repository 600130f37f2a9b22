"""Captured forwards: one launch for all kernels of a step, for steps of a few fixed sizes.

A step is filled up with rows to the next size. That changes nothing of the rows that count: every
kernel works on a row, or on a tile and its own keys, alone. Matrix products on a GPU may be the
exception, as cuBLAS picks its algorithm by the number of rows, whoever fills it up; with graphs
that number is one of few.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unmask.config import EngineConfig
from unmask.engine.graph_sizes import graph_sizes, largest, tile_configs
from unmask.engine.step_room import StepRoom
from unmask.engine.trial import random_step
from unmask.models.canvas_decoder import CanvasDecoder
from unmask.models.family import Model
from unmask.models.layers import KVCache, StepInput
from unmask.models.registry import LoadedModel
from unmask.models.weights import Progress
from unmask_kernels.dispatch import uses_triton

logger = logging.getLogger(__name__)


class Graph(Protocol):
    """What was recorded."""

    def replay(self) -> None:
        """Do it again."""
        ...


CLOSE = 16.0  # roundings of the largest number

Recorder = Callable[[Callable[[], None]], Graph]


@dataclass(frozen=True, slots=True)
class Captured:
    """A forward pass over a room."""

    room: StepRoom
    graph: Graph


class Graphs:
    """The forward pass of a model, replayed wherever a step fits."""

    def __init__(self, model: Model, captured: Sequence[Captured], hidden: Tensor) -> None:
        self._model = model
        self._captured = captured  # smallest first
        self.hidden = hidden  # [rows of the largest, C], overwritten by every replay

    @property
    def row_counts(self) -> list[int]:
        """For how many rows there are graphs, smallest first."""
        return sorted({captured.room.num_rows for captured in self._captured})

    def replay(self, step: StepInput) -> bool:
        """Leave the hidden states of a step in `hidden`; false if it fits no graph."""
        for captured in self._captured:
            if captured.room.fits(step):
                captured.room.fill(step)
                captured.graph.replay()
                return True
        return False

    def forward(self, step: StepInput) -> Tensor:
        """Hidden states [T, C] of a step, which the next one overwrites."""
        if self.replay(step):
            return self.hidden[: len(step.token_ids)]
        return self._model.forward(step)


def wants_graphs(config: EngineConfig, loaded: LoadedModel) -> bool:
    """Whether forwards are captured: canvases of noise, which are not static, never are."""
    if isinstance(loaded.model, CanvasDecoder):
        return False
    return loaded.device.type == "cuda" if config.graphs is None else config.graphs


@torch.inference_mode()
def capture_graphs(
    config: EngineConfig, loaded: LoadedModel, cache: KVCache, progress: Progress | None = None
) -> Graphs | None:
    """Capture every size; None, and a warning, where that fails or a replay gives something else.

    The last page of `cache` is for rows to spare. No sequence may have pages yet. `progress` gets
    "graphs", how many there are and all.
    """
    try:
        return _capture(config, loaded, cache, progress)
    except Exception as error:
        logger.warning("steps run without graphs: %s: %s", type(error).__name__, error)
        return None


def recorder(device: torch.device) -> Recorder:
    """Records what CUDA is asked to do, in memory that all recordings share."""
    if device.type != "cuda" or not uses_triton(device):
        raise RuntimeError(f"graphs need CUDA and Triton, the device is {device}")
    pool = torch.cuda.graph_pool_handle()

    def record(run: Callable[[], None]) -> Graph:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # kernels are compiled, libraries take their memory
            run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            run()
        return graph

    return record


def _capture(
    config: EngineConfig, loaded: LoadedModel, cache: KVCache, progress: Progress | None
) -> Graphs:
    model, sizes = loaded.model, graph_sizes(config, loaded)
    record = recorder(loaded.device)
    kinds, tiles = tile_configs(loaded), largest(sizes)
    whole = StepRoom.empty(
        model.layers, {s: (kinds[s], tiles[s]) for s in kinds}, sizes[-1].num_rows, cache
    )
    random = np.random.default_rng(0)
    first = model.forward(random_step(loaded, cache, sizes[0], random))
    hidden = first.new_zeros(sizes[-1].num_rows, first.shape[1])
    captured: list[Captured] = []
    for size in reversed(sizes):  # the largest takes the memory that the others share
        room = whole.part(size.num_rows, size.tiles)
        room.fill(random_step(loaded, cache, size, random))
        one = Captured(room, record(_runner(model, room, hidden[: size.num_rows])))
        _check(model, one, random_step(loaded, cache, size, random), hidden)
        captured.append(one)
        if progress is not None:
            progress("graphs", len(captured), len(sizes))
    return Graphs(model, captured[::-1], hidden)


def _runner(model: Model, room: StepRoom, hidden: Tensor) -> Callable[[], None]:
    def run() -> None:
        hidden.copy_(model.forward(room.step))

    return run


def _check(model: Model, captured: Captured, trial: StepInput, hidden: Tensor) -> None:
    """Raise if a replay differs in a bit from the same kernels launched one by one.

    It may differ from the step as it was before it was filled up, in last bits, where a library
    takes another algorithm for another number of rows.
    """
    count, room = len(trial.token_ids), captured.room
    room.fill(trial)
    hidden.fill_(torch.nan)
    captured.graph.replay()
    replayed = hidden[:count].clone()
    if not torch.equal(replayed, model.forward(room.step)[:count]):
        raise RuntimeError(f"a replay of {room.num_rows} rows is not what was captured")
    plain = model.forward(trial).float()
    error = (replayed.float() - plain).abs().max()
    if not error <= CLOSE * torch.finfo(replayed.dtype).eps * plain.abs().max():
        raise RuntimeError(f"{count} rows filled up to {room.num_rows} are off by {error:.3g}")
