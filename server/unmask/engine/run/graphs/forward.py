"""CUDA graphs of the forward pass, for steps of a few sizes.

A step is padded to the next size. No row depends on the padding: every kernel works on a row, or
on a tile and its own keys, alone. Matrix products may be the exception, as cuBLAS picks its
algorithm by the number of rows; with graphs that number is one of few.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.device import DeviceModel
from unmask.engine.run.graphs.check import closed_rows, on_device, random_step
from unmask.engine.run.graphs.forward_buffers import ForwardBuffers
from unmask.engine.run.graphs.recorder import (
    CLOSE,
    CapturedGraph,
    Recorder,
    warn_of_dependence,
)
from unmask.engine.run.graphs.sizes import graph_sizes, largest, tile_configs
from unmask.engine.run.inputs import RowInputs, dummy_slot
from unmask.engine.run.staging import Staging
from unmask.models.family import Model
from unmask.models.inputs import ForwardInputs
from unmask.models.weights import Progress
from unmask_kernels.attention.ops import AttentionPlan

logger = logging.getLogger(__name__)


class ForwardGraphs:
    """The forward pass of a model, replayed for every step that fits a graph."""

    def __init__(
        self,
        captured: Sequence[CapturedGraph[ForwardBuffers]],
        hidden: Tensor,
        open_tokens: Tensor,
        staging: Staging,
    ) -> None:
        self._captured = captured  # smallest first
        self.hidden = hidden  # [rows of the largest, C], overwritten by every replay
        self._dummy_slot = dummy_slot(open_tokens)
        self._staging = staging

    @property
    def row_counts(self) -> list[int]:
        """Numbers of rows with a graph, smallest first."""
        return sorted({captured.buffers.num_rows for captured in self._captured})

    def replay(self, rows: RowInputs, plans: Sequence[AttentionPlan]) -> bool:
        """Leave the hidden states of a step in `hidden`; False if it fits no graph.

        Rows and plans are on the host.
        """
        for captured in self._captured:
            if captured.buffers.fits(len(rows.token_ids), plans):
                captured.buffers.fill(rows, plans, self._dummy_slot, self._staging)
                captured.graph.replay()
                return True
        return False


@torch.inference_mode()
def capture_forward(
    device: DeviceModel, open_tokens: Tensor, progress: Progress | None, recorder: Recorder
) -> ForwardGraphs | None:
    """Capture every size; None, and a warning, where that fails or a replay gives something else.

    The last page of the cache and the last row of `open_tokens` [rows + 1, L] are for padding. No
    sequence may have pages yet. `progress` gets "graphs", how many there are and all.
    """
    try:
        return _capture(device, open_tokens, progress, recorder)
    except Exception as error:
        logger.warning(
            "CUDA graphs of the forward pass are disabled: %s: %s", type(error).__name__, error
        )
        return None
    finally:
        open_tokens.zero_()


def _capture(
    device: DeviceModel, open_tokens: Tensor, progress: Progress | None, recorder: Recorder
) -> ForwardGraphs:
    loaded, cache, staging = device.loaded, device.cache, device.staging
    record = recorder(loaded.device)
    sizes = graph_sizes(device.limits, loaded)
    kinds, tiles = tile_configs(loaded), largest(sizes)
    plans = {shape: (kinds[shape], tiles[shape]) for shape in kinds}
    mixed_with = loaded.info.mask_token_id if loaded.info.can_mix else None
    num_rows = sizes[-1].num_rows
    whole = ForwardBuffers.empty(loaded.model.layers, plans, num_rows, cache, mixed_with)
    random = np.random.default_rng(0)
    first = random_step(loaded, cache, sizes[0], random)
    hidden = loaded.model.forward(on_device(first, staging))
    hidden = hidden.new_zeros(sizes[-1].num_rows, hidden.shape[1])
    captured: list[CapturedGraph[ForwardBuffers]] = []
    dependent: list[int] = []
    for size in reversed(sizes):  # the largest takes the memory that the others share
        buffers = whole.view(size.num_rows, size.tiles)
        step = random_step(loaded, cache, size, random)
        slot = dummy_slot(open_tokens)
        buffers.fill(closed_rows(step, slot), step.plans, slot, staging)
        run = _forward_over(loaded.model, buffers, hidden[: size.num_rows], open_tokens)
        one = CapturedGraph(buffers, record(run))
        check = _ForwardCheck(device, one, hidden, open_tokens)
        if not check.passes(random_step(loaded, cache, size, random), random):
            dependent.append(size.num_rows)
        captured.append(one)
        if progress is not None:
            progress("graphs", len(captured), len(sizes))
    warn_of_dependence(logger, dependent)
    counts = sorted({size.num_rows for size in sizes})
    logger.info(
        "CUDA graphs: %d of the forward pass, %d to %d rows", len(sizes), counts[0], counts[-1]
    )
    return ForwardGraphs(captured[::-1], hidden, open_tokens, staging)


def _forward_over(
    model: Model, buffers: ForwardBuffers, hidden: Tensor, open_tokens: Tensor
) -> Callable[[], None]:
    def run() -> None:
        buffers.rows.sync_open_tokens(open_tokens)
        hidden.copy_(model.forward(buffers.inputs))

    return run


@dataclass(frozen=True, slots=True)
class _ForwardCheck:
    """Compares replays of a graph with eager kernels before anything depends on it."""

    device: DeviceModel
    captured: CapturedGraph[ForwardBuffers]
    hidden: Tensor
    open_tokens: Tensor

    def passes(self, step: ForwardInputs, random: np.random.Generator) -> bool:
        """Raise if a replay differs in a bit from the same kernels launched one by one.

        Returns True if it also has every bit of the step before it was padded. Last bits may differ
        where a library takes another algorithm for another number of rows. Half of the step's
        tokens are among the open tokens, as far as there are slots, and kept from the host.
        """
        count, buffers = len(step.token_ids), self.captured.buffers
        model, slot = self.device.loaded.model, dummy_slot(self.open_tokens)
        token_slots = torch.full((count,), slot)
        token_slots[:slot] = torch.from_numpy(random.permutation(slot)[:count])
        is_known = torch.from_numpy(random.random(count) < 0.5)
        is_known[slot:] = True
        plain = on_device(step, self.device.staging)
        self.open_tokens.view(-1)[token_slots.to(self.open_tokens.device)] = plain.token_ids
        rows = replace(
            closed_rows(step, slot),
            token_ids=step.token_ids.where(is_known, 0),
            token_slots=token_slots,
            is_known=is_known,
        )
        buffers.fill(rows, step.plans, slot, self.device.staging)
        self.hidden.fill_(torch.nan)
        self.captured.graph.replay()
        replayed = self.hidden[:count].clone()
        if not torch.equal(replayed, model.forward(buffers.inputs)[:count]):
            raise RuntimeError(f"a replay of {buffers.num_rows} rows is not what was captured")
        expected = model.forward(plain).float()
        error = (replayed.float() - expected).abs().max()
        if not error <= CLOSE * torch.finfo(replayed.dtype).eps * expected.abs().max():
            raise RuntimeError(f"{count} rows padded to {buffers.num_rows} are off by {error:.3g}")
        return bool(torch.equal(replayed.float(), expected))
