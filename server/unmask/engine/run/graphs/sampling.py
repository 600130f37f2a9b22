"""Captured decisions: scoring and selection of a step in one launch, as forwards are in another.

Like a forward, a decision is filled up with rows to the next size, and the rows that count are the
same to the bit. What few requests ask for is not captured: guidance, constraints, `eos_last`,
truncated draws, log-probabilities of other tokens, blocks of more than 64.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from unmask.config import EngineConfig
from unmask.engine.run.graphs.check import random_decision
from unmask.engine.run.graphs.forward import ForwardGraphs, Graph, recorder
from unmask.engine.run.graphs.forward_buffers import dummy_slot
from unmask.engine.run.graphs.sampling_buffers import SamplingBuffers, SamplingSize, arrays_of
from unmask.engine.run.pending import Outputs, PendingStep
from unmask.engine.run.sampling import decide
from unmask.engine.run.staging import Staging
from unmask.engine.schedule.batch import StepBatch
from unmask.models.registry import LoadedModel
from unmask.models.weights import Progress
from unmask_kernels.dispatch import uses_triton

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Captured:
    """A decision over a room."""

    room: SamplingBuffers
    graph: Graph


@dataclass(frozen=True, slots=True)
class SamplingGraphs:
    """Decisions that are replayed; `canvas` has one row more than there are sequences."""

    captured: Sequence[Captured]  # smallest first
    canvas: Tensor  # [sequences + 1, MAX_BLOCK_LENGTH] int64
    staging: Staging
    vocab_size: int

    def decide(self, batch: StepBatch) -> PendingStep | None:
        """The results of a batch whose forward was replayed; None if no graph does for it."""
        if not is_plain(batch, self.vocab_size):
            return None
        for one in self.captured:
            room = one.room
            if room.size.holds(batch):
                arrays = arrays_of(batch, draws=room.size.draws)
                room.fill(arrays, dummy_slot(self.canvas), self.staging)
                one.graph.replay()
                count = len(batch.scored_rows)
                return PendingStep.send_packed(room.outputs, partial(_outputs, room, count))
        return None


def _outputs(room: SamplingBuffers, count: int, memory: Tensor) -> Outputs:
    token, confidence, selected = room.results(memory)
    return Outputs(token[:count], confidence[:count], selected[:count])


def is_plain(batch: StepBatch, vocab_size: int) -> bool:
    """Whether no request of a batch asks for what is not captured."""
    decoding = batch.decoding
    if (
        decoding.num_logprobs > 0
        or len(batch.guided) > 0
        or decoding.constraints is not None
        or decoding.eos_last.any()
    ):
        return False
    draws = decoding.temperature > 0
    if not draws.any():
        return True
    is_cut = (decoding.top_k < vocab_size) | (decoding.top_p < 1.0)
    return not (is_cut & draws).any()


def decision_sizes(config: EngineConfig, row_counts: Sequence[int]) -> list[SamplingSize]:
    """Every size, smallest first; those that draw nothing before those that may."""
    return [
        SamplingSize(count, min(count, config.max_num_seqs), draws)
        for count in row_counts
        for draws in (False, True)
    ]


@torch.inference_mode()
def capture_sampling(
    config: EngineConfig,
    loaded: LoadedModel,
    graphs: ForwardGraphs,
    canvas: Tensor,
    staging: Staging,
    progress: Progress | None = None,
) -> SamplingGraphs | None:
    """Capture every size; None, and a warning, where that fails or a replay gives something else.

    No sequence may have a canvas yet. `progress` gets "decisions", how many there are and all.
    """
    if uses_triton(loaded.device) and not loaded.model.lm_head.is_plain:
        return None  # such a head's logits are all in memory at once
    try:
        captured = _capture(config, loaded, graphs, canvas, staging, progress)
    except Exception as error:
        logger.warning("steps decide without graphs: %s: %s", type(error).__name__, error)
        return None
    finally:
        canvas.zero_()
    return SamplingGraphs(captured, canvas, staging, loaded.info.vocab_size)


def _capture(
    config: EngineConfig,
    loaded: LoadedModel,
    graphs: ForwardGraphs,
    canvas: Tensor,
    staging: Staging,
    progress: Progress | None,
) -> list[Captured]:
    record = recorder(loaded.device)
    random = np.random.default_rng(0)
    sizes = decision_sizes(config, graphs.row_counts)
    captured: list[Captured] = []
    for size in reversed(sizes):  # the largest takes the memory that the others share
        room, spare = SamplingBuffers.empty(size, loaded.device), dummy_slot(canvas)
        room.fill(random_decision(size, spare, random), spare, staging)
        one = Captured(room, record(_runner(loaded, room, graphs.hidden, canvas)))
        room.fill(random_decision(size, spare, random), spare, staging)
        _check(loaded, one, graphs.hidden, canvas)
        captured.append(one)
        if progress is not None:
            progress("decisions", len(captured), len(sizes))
    return captured[::-1]


def _runner(
    loaded: LoadedModel, room: SamplingBuffers, hidden: Tensor, canvas: Tensor
) -> Callable[[], None]:
    mask_token_id = loaded.info.mask_token_id
    assert mask_token_id is not None, "masked positions are filled with a mask token"
    given, cells, tokens = room.given(mask_token_id), room.tensors["cells"], canvas.view(-1)
    rows = room.tensors["hidden_rows"]
    token, confidence, selected = room.results(room.outputs)

    def run() -> None:
        current = tokens[cells]
        scores, chosen = decide(loaded.model, hidden[rows], current, given, is_known=False)
        tokens[cells] = torch.where(chosen, scores.token, current)
        token.copy_(scores.token)
        confidence.copy_(scores.confidence)
        selected.copy_(chosen)

    return run


def _check(loaded: LoadedModel, captured: Captured, hidden: Tensor, canvas: Tensor) -> None:
    """Raise if a replay differs in a bit from the same launched one by one."""
    room = captured.room
    hidden.normal_()
    canvas.random_(0, loaded.info.vocab_size)
    cells = room.tensors["cells"]
    canvas.view(-1)[cells[::2]] = loaded.info.mask_token_id or 0
    before = canvas.clone()
    _runner(loaded, room, hidden, canvas)()
    expected, expected_canvas = room.outputs.clone(), canvas.clone()
    canvas.copy_(before)
    room.outputs.fill_(255)
    captured.graph.replay()
    canvas.view(-1)[dummy_slot(canvas)] = expected_canvas.view(-1)[dummy_slot(canvas)]
    same = (
        torch.equal(ours, theirs)
        for ours, theirs in zip(room.results(room.outputs), room.results(expected), strict=True)
    )
    if not all(same) or not torch.equal(canvas, expected_canvas):
        raise RuntimeError(f"a replay of {room.size.num_rows} rows is not what was captured")
