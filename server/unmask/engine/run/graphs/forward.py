"""Captured forwards: one launch for all kernels of a step, for steps of a few fixed sizes.

A step is filled up with rows to the next size. That changes nothing of the rows that count: every
kernel works on a row, or on a tile and its own keys, alone. Matrix products on a GPU may be the
exception, as cuBLAS picks its algorithm by the number of rows, whoever fills it up; with graphs
that number is one of few.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unmask.config import EngineConfig
from unmask.engine.run.graphs.check import random_step
from unmask.engine.run.graphs.forward_buffers import ForwardBuffers, HostStep, dummy_slot, on_device
from unmask.engine.run.graphs.sizes import graph_sizes, largest, tile_configs
from unmask.engine.run.staging import Staging
from unmask.models.family import Model
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import KVCache
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

    room: ForwardBuffers
    graph: Graph


class ForwardGraphs:
    """The forward pass of a model, replayed wherever a step fits."""

    def __init__(
        self,
        captured: Sequence[Captured],
        hidden: Tensor,
        canvas: Tensor,
        staging: Staging,
    ) -> None:
        self._captured = captured  # smallest first
        self.hidden = hidden  # [rows of the largest, C], overwritten by every replay
        self._spare_cell = dummy_slot(canvas)
        self._staging = staging

    @property
    def row_counts(self) -> list[int]:
        """For how many rows there are graphs, smallest first."""
        return sorted({captured.room.num_rows for captured in self._captured})

    def replay(self, step: HostStep) -> bool:
        """Leave the hidden states of a step in `hidden`; false if it fits no graph."""
        for captured in self._captured:
            if captured.room.fits(step.given):
                captured.room.fill(step, self._spare_cell, self._staging)
                captured.graph.replay()
                return True
        return False


def wants_graphs(config: EngineConfig, loaded: LoadedModel) -> bool:
    """Whether steps are captured."""
    return loaded.device.type == "cuda" if config.graphs is None else config.graphs


@torch.inference_mode()
def capture_forward(
    config: EngineConfig,
    loaded: LoadedModel,
    cache: KVCache,
    canvas: Tensor,
    staging: Staging,
    progress: Progress | None = None,
) -> ForwardGraphs | None:
    """Capture every size; None, and a warning, where that fails or a replay gives something else.

    The last page of `cache` and the last row of `canvas` [sequences + 1, L] are for rows to spare.
    No sequence may have pages yet. `progress` gets "graphs", how many there are and all.
    """
    try:
        return _capture(config, loaded, cache, canvas, staging, progress)
    except Exception as error:
        logger.warning("steps run without graphs: %s: %s", type(error).__name__, error)
        return None
    finally:
        canvas.zero_()


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
        _give_back_memory(device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            run()
        return graph

    return record


def _give_back_memory(device: torch.device) -> None:
    """Free what torch holds unused if there is less besides: a capture cannot do so itself."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if unused > torch.cuda.mem_get_info(device)[0]:
        torch.cuda.empty_cache()


def _capture(
    config: EngineConfig,
    loaded: LoadedModel,
    cache: KVCache,
    canvas: Tensor,
    staging: Staging,
    progress: Progress | None,
) -> ForwardGraphs:
    model, sizes = loaded.model, graph_sizes(config, loaded)
    record = recorder(loaded.device)
    kinds, tiles = tile_configs(loaded), largest(sizes)
    whole = ForwardBuffers.empty(
        model.layers, {s: (kinds[s], tiles[s]) for s in kinds}, sizes[-1].num_rows, cache
    )
    random = np.random.default_rng(0)
    first = model.forward(on_device(random_step(loaded, cache, sizes[0], random), staging))
    hidden = first.new_zeros(sizes[-1].num_rows, first.shape[1])
    captured: list[Captured] = []
    dependent: list[int] = []
    for size in reversed(sizes):  # the largest takes the memory that the others share
        room = whole.part(size.num_rows, size.tiles)
        step = random_step(loaded, cache, size, random)
        room.fill(closed(step, canvas), dummy_slot(canvas), staging)
        one = Captured(room, record(_runner(model, room, hidden[: size.num_rows], canvas)))
        trial = _Trial(model, one, hidden, canvas, staging)
        if not trial.check(random_step(loaded, cache, size, random), random):
            dependent.append(size.num_rows)
        captured.append(one)
        if progress is not None:
            progress("graphs", len(captured), len(sizes))
    warn_of_dependence(dependent)
    return ForwardGraphs(captured[::-1], hidden, canvas, staging)


def warn_of_dependence(num_rows: Sequence[int]) -> None:
    """Log the sizes, in rows, of steps whose rows differ in their last bits by their company."""
    if num_rows:
        logger.warning(
            "the last bits of an answer may depend on what else is decoded: the device multiplies "
            "rows in another way in steps of %s rows",
            ", ".join(map(str, sorted(set(num_rows)))),
        )


def closed(step: ForwardInputs, canvas: Tensor) -> HostStep:
    """A step of whose rows none is of an open block."""
    cells = torch.full_like(step.token_ids, dummy_slot(canvas))
    return HostStep(step, cells, torch.ones_like(cells, dtype=torch.bool))


def _runner(
    model: Model, room: ForwardBuffers, hidden: Tensor, canvas: Tensor
) -> Callable[[], None]:
    def run() -> None:
        room.renew(canvas)
        hidden.copy_(model.forward(room.step))

    return run


@dataclass(frozen=True, slots=True)
class _Trial:
    """What is needed to try a graph before anything depends on it."""

    model: Model
    captured: Captured
    hidden: Tensor
    canvas: Tensor
    staging: Staging

    def check(self, step: ForwardInputs, random: np.random.Generator) -> bool:
        """Raise if a replay differs in a bit from the same kernels launched one by one.

        Returns whether it is the same in every bit as the step before it was filled up.

        Half of its tokens are put on the canvas, and kept from the host. Last bits may differ from
        that step where a library takes another algorithm for another number of rows.
        """
        count, room = len(step.token_ids), self.captured.room
        cells = torch.from_numpy(random.permutation(dummy_slot(self.canvas))[:count])
        is_known = torch.from_numpy(random.random(count) < 0.5)
        plain = on_device(step, self.staging)
        self.canvas.view(-1)[cells.to(self.canvas.device)] = plain.token_ids
        ids = step.token_ids.where(is_known, 0)
        hidden_step = HostStep(replace(step, token_ids=ids), cells, is_known)
        room.fill(hidden_step, dummy_slot(self.canvas), self.staging)
        self.hidden.fill_(torch.nan)
        self.captured.graph.replay()
        replayed = self.hidden[:count].clone()
        if not torch.equal(replayed, self.model.forward(room.step)[:count]):
            raise RuntimeError(f"a replay of {room.num_rows} rows is not what was captured")
        expected = self.model.forward(plain).float()
        error = (replayed.float() - expected).abs().max()
        if not error <= CLOSE * torch.finfo(replayed.dtype).eps * expected.abs().max():
            raise RuntimeError(f"{count} rows filled up to {room.num_rows} are off by {error:.3g}")
        return bool(torch.equal(replayed.float(), expected))
