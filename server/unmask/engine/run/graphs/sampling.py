"""CUDA graphs of sampling: scores and policies of a step in one launch.

A step is padded to the next size, and no bit of its own rows changes. Rare requests run eagerly:
CFG, constraints, `eos_last`, truncated draws, log-probabilities of other tokens, blocks of more
than 64.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.device import DeviceModel
from unmask.engine.run.graphs.check import random_sampling
from unmask.engine.run.graphs.forward import ForwardGraphs
from unmask.engine.run.graphs.recorder import CapturedGraph, Recorder
from unmask.engine.run.graphs.sampling_buffers import SamplingBuffers, SamplingSize
from unmask.engine.run.inputs import SamplingInputs, SamplingOptions, dummy_slot
from unmask.engine.run.pending import PendingStep
from unmask.engine.run.sampling import sample
from unmask.engine.run.staging import Staging
from unmask.engine.schedule.batch import StepBatch
from unmask.models.family import Model
from unmask.models.weights import Progress
from unmask_kernels.dispatch import uses_triton

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SamplingGraphs:
    """Sampling that is replayed after a replayed forward pass."""

    captured: Sequence[CapturedGraph[SamplingBuffers]]  # smallest first
    open_tokens: Tensor  # [rows of the table + 1, MAX_BLOCK_LENGTH] int64
    staging: Staging
    vocab_size: int

    def launch(self, batch: StepBatch, started_s: float) -> PendingStep | None:
        """Sample a batch whose forward pass was replayed; None if it fits no graph."""
        sampled_batch = batch.sampled
        if not SamplingOptions.are_default(sampled_batch, self.vocab_size):
            return None
        for captured in self.captured:
            buffers = captured.buffers
            if buffers.size.holds(sampled_batch):
                arrays = SamplingInputs.arrays(sampled_batch, all_draw=buffers.size.draws)
                buffers.fill(arrays, dummy_slot(self.open_tokens), self.staging)
                captured.graph.replay()
                sampled = buffers.outputs.first(len(batch.hidden_rows))
                return PendingStep.send(batch, started_s, sampled)
        return None


def sampling_sizes(
    max_num_seqs: int, row_counts: Sequence[int], *, penalizes: bool = False
) -> list[SamplingSize]:
    """Every size, smallest first; those that draw nothing before those that may."""
    return [
        SamplingSize(count, min(count, max_num_seqs), draws, penalizes)
        for count in row_counts
        for draws in (False, True)
    ]


@torch.inference_mode()
def capture_sampling(
    device: DeviceModel,
    mask_token_id: int,
    forward: ForwardGraphs,
    open_tokens: Tensor,
    progress: Progress | None,
    recorder: Recorder,
) -> SamplingGraphs | None:
    """Capture every size; None, and a warning, where that fails or a replay gives something else.

    No sequence may have open tokens yet. `progress` gets "sampling graphs", how many there are and
    all.
    """
    loaded = device.loaded
    if uses_triton(loaded.device) and not loaded.model.lm_head.is_plain:
        return None  # such a head's logits are all in memory at once
    try:
        captured = _capture(device, mask_token_id, forward, open_tokens, progress, recorder)
    except Exception as error:
        logger.warning("CUDA graphs of sampling are disabled: %s: %s", type(error).__name__, error)
        return None
    finally:
        open_tokens.zero_()
    return SamplingGraphs(captured, open_tokens, device.staging, loaded.info.vocab_size)


def _capture(
    device: DeviceModel,
    mask_token_id: int,
    forward: ForwardGraphs,
    open_tokens: Tensor,
    progress: Progress | None,
    recorder: Recorder,
) -> list[CapturedGraph[SamplingBuffers]]:
    loaded, slot = device.loaded, dummy_slot(open_tokens)
    record = recorder(loaded.device)
    random = np.random.default_rng(0)
    sizes = sampling_sizes(
        device.limits.max_num_seqs,
        forward.row_counts,
        penalizes=loaded.info.attention == "causal_window",
    )
    captured: list[CapturedGraph[SamplingBuffers]] = []
    for size in reversed(sizes):  # the largest takes the memory that the others share
        buffers = SamplingBuffers(size, loaded.device)
        buffers.fill(random_sampling(size, slot, random), slot, device.staging)
        run = _sampling_over(loaded.model, buffers, forward.hidden, open_tokens, mask_token_id)
        one = CapturedGraph(buffers, record(run))
        buffers.fill(random_sampling(size, slot, random), slot, device.staging)
        forward.hidden.normal_()
        open_tokens.random_(0, loaded.info.vocab_size)
        open_tokens.view(-1)[buffers.inputs.token_slots[::2]] = mask_token_id
        _check(one, run, open_tokens)
        captured.append(one)
        if progress is not None:
            progress("sampling graphs", len(captured), len(sizes))
    return captured[::-1]


def _sampling_over(
    model: Model,
    buffers: SamplingBuffers,
    hidden: Tensor,
    open_tokens: Tensor,
    mask_token_id: int,
) -> Callable[[], None]:
    inputs, tokens = buffers.inputs, open_tokens.view(-1)
    results = buffers.outputs.tensors()

    def run() -> None:
        current = inputs.current(tokens, mask_token_id)
        scores, selected = sample(
            model,
            hidden[inputs.hidden_rows],
            current,
            inputs,
            buffers.options,
            mask_token_id=mask_token_id,
            is_known=False,
        )
        tokens[inputs.token_slots] = torch.where(selected, scores.token, current)
        results.tokens.copy_(scores.token)
        results.confidence.copy_(scores.confidence)
        results.selected.copy_(selected)

    return run


def _check(
    captured: CapturedGraph[SamplingBuffers], run: Callable[[], None], open_tokens: Tensor
) -> None:
    """Raise if a replay differs in a bit from the same kernels launched one by one."""
    buffers, slot = captured.buffers, dummy_slot(open_tokens)
    before = open_tokens.clone()
    run()
    expected, expected_tokens = buffers.outputs.on_host(torch.clone), open_tokens.clone()
    open_tokens.copy_(before)
    buffers.outputs.memory.fill_(255)
    captured.graph.replay()
    open_tokens.view(-1)[slot] = expected_tokens.view(-1)[slot]
    replayed, eager = buffers.outputs.tensors(), expected.tensors()
    is_same = (
        torch.equal(replayed.tokens, eager.tokens)
        and torch.equal(replayed.confidence, eager.confidence)
        and torch.equal(replayed.selected, eager.selected)
    )
    if not is_same or not torch.equal(open_tokens, expected_tokens):
        raise RuntimeError(f"a replay of {buffers.size.num_rows} rows is not what was captured")
