"""Memory that policies have of a block from step to step, on the device.

A sequence's trace lives as long as the sequence, so preemption does not end it. It begins anew with
each block. Other requests have none.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from unmask.engine.run.staging import Staging
from unmask.engine.schedule.batch import StepBatch
from unmask.engine.schedule.sequence import Sequence
from unmask_kernels.linear.ops import Linear
from unmask_kernels.linear.padding import pad_rows
from unmask_kernels.policies.table import BY_NAME
from unmask_kernels.policies.traces import Commits, Credits, Stability
from unmask_kernels.scoring.constraints import Constraints, constrain
from unmask_kernels.scoring.reference import score_logits
from unmask_kernels.scoring.types import RowStats

State = Stability | Credits | Commits


@dataclass(frozen=True, slots=True)
class Trace:
    """State of a block before and after the last step of it that was run."""

    block_start: int
    step: int
    before: State | None
    after: State

    def state_before(self, block_start: int, step: int) -> State | None:
        """The state from which a step of a block goes on; a step may be run again."""
        if block_start != self.block_start or step == 0:
            return None
        if step == self.step:
            return self.before
        return self.after if step == self.step + 1 else None


Kept = WeakKeyDictionary[Sequence, Trace]


@dataclass(frozen=True, slots=True)
class TracedRows:
    """Rows of one block in a step."""

    sequence: Sequence
    block_start: int
    step: int
    first: int
    offsets: Tensor  # [R] int64, places in the block

    @property
    def rows(self) -> Tensor:
        """Indices [R] into the step's scored rows."""
        device = self.offsets.device
        return torch.arange(self.first, self.first + len(self.offsets), device=device)


@dataclass(frozen=True, slots=True)
class TraceMarks:
    """Facts about M scored rows that depend on earlier steps."""

    is_stable: Tensor  # [M] bool
    shares: Tensor  # [M] float32, of the chance that a committed token is masked again


@dataclass(frozen=True, slots=True)
class StepTraces:
    """Traced rows of a step, and where their traces are kept."""

    blocks: Items[TracedRows]
    kept: Kept

    def update(
        self,
        normed: Tensor,
        scores: RowStats,
        head: Linear,
        constraints: Constraints | None,
        mask_token_id: int,
        is_masked: Tensor | None,
    ) -> TraceMarks:
        """Go on from the last step, by hidden states `normed` [M, C] after the last norm.

        Rows whose tokens have credits are scored again, in place.
        """
        is_stable = torch.zeros(len(normed), dtype=torch.bool, device=normed.device)
        shares = torch.ones(len(normed), dtype=torch.float32, device=normed.device)

        def make_logits(hidden: Tensor) -> Tensor:
            return head(pad_rows(hidden))[: len(hidden)].float()

        def constrained(rows: Tensor) -> Tensor:
            logits = make_logits(normed[rows])
            if constraints is not None:
                constrain(logits, constraints.select(rows))
            return logits

        for block in self.blocks:
            decoding, rows = block.sequence.decoding, block.rows
            trace = self.kept.get(block.sequence)
            before = trace and trace.state_before(block.block_start, block.step)
            after: State
            if decoding.policy == "klass":
                assert before is None or isinstance(before, Stability)
                after, is_stable[rows] = Stability.step(
                    before,
                    normed[rows],
                    block.offsets,
                    decoding.block_len,
                    make_logits,
                    decoding.other_numbers[0],
                )
            elif decoding.remasks:
                assert before is None or isinstance(before, Commits)
                assert is_masked is not None, "tokens that may be masked again are edited"
                # A mask is no token of MDLM's networks, whose probabilities sum to 1 without it.
                logits = constrained(rows)
                logits[:, mask_token_id] = -torch.inf
                confidence = logits.softmax(-1).gather(1, scores.token[rows, None])[:, 0]
                after, shares[rows] = Commits.step(
                    before, confidence, is_masked[rows], block.offsets, decoding.block_len
                )
            else:
                assert before is None or isinstance(before, Credits)
                after, logits = Credits.step(
                    before, constrained(rows), block.offsets, decoding.block_len, mask_token_id
                )
                scores.overwrite(rows, _score(logits, scores, mask_token_id))
            self.kept[block.sequence] = Trace(block.block_start, block.step, before, after)
        return TraceMarks(is_stable, shares)


def _score(logits: Tensor, like: RowStats, mask_token_id: int) -> RowStats:
    """Statistics that `like` has too."""
    stats = score_logits(
        logits,
        mask_token_id,
        None,
        with_entropy=like.entropy is not None,
        with_margin=like.margin is not None,
        num_top=0 if like.top_ids is None else like.top_ids.shape[1],
    )
    return stats if like.ranking is None else replace(stats, ranking=stats.confidence)


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces of all sequences that have one."""

    kept: Kept = field(default_factory=WeakKeyDictionary)

    def of_batch(self, batch: StepBatch, staging: Staging) -> StepTraces | None:
        """The traced rows of a batch; None if there are none."""
        blocks = []
        for i, span in enumerate(batch.denoised):
            if BY_NAME[span.sequence.decoding.policy].keeps_trace:
                first, end = batch.scored_starts[i : i + 2].tolist()
                places = batch.scored_positions[first:end] - span.block_start
                [offsets] = staging.to_device([places])
                step = int(batch.decoding.steps[i])
                blocks.append(TracedRows(span.sequence, span.block_start, step, first, offsets))
        return StepTraces(blocks, self.kept) if blocks else None
