"""Entries of a step for each open block, where sequences have several of them open."""

from dataclasses import replace

import numpy as np

from unmask.engine.schedule.batch import BestOfAll, StepBatch
from unmask.engine.schedule.pipelined_blocks import PipelinedBlocks
from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask_kernels.policies.table import CODES, POLICIES, RANKING


def with_block_entries(batch: StepBatch) -> StepBatch:
    """The batch, with another that has an entry for each open block; the rows are the same.

    The policy of a block sees the block's own rows, so sampling takes the other one.
    """
    has_several = batch.decoding.columns["open_blocks"] > 1
    if not has_several.any():
        return batch
    counts, quota, steps = np.ones(len(has_several), np.int64), list[int](), list[int]()
    for i, span in enumerate(batch.denoised):
        blocks = span.sequence.blocks
        if blocks is None:
            quota.append(int(batch.decoding.quota[i]))
            steps.append(int(batch.decoding.steps[i]))
        else:
            counts[i] = len(blocks.steps)
            quota += blocks.quotas(span.sequence.decoding.quotas)
            mixes = span.sequence.decoding.mixes  # whose steps share their random numbers
            steps += [0] * len(blocks.steps) if mixes else blocks.steps
    owner = np.arange(len(counts)).repeat(counts)
    entries = _entries(batch, counts)
    decoding = batch.decoding
    flags = {
        name: None if values is None else values.take(owner)
        for name, values in (
            ("drafts", decoding.drafts),
            ("edits", decoding.edits),
            ("by_rules", decoding.by_rules),
        )
    }
    by_block = replace(
        batch,
        scored_spans=entries,
        scored_starts=np.searchsorted(entries, np.arange(len(owner) + 1)),
        has_no_row=batch.has_no_row | _counts_as_masked(batch),
        denoised=tuple(batch.denoised[i] for i in owner.tolist()),
        table_rows=batch.table_rows.take(owner),
        decoding=replace(
            decoding,
            columns=decoding.columns.take(owner),
            quota=np.array(quota, np.int64),
            steps=np.array(steps, np.int64),
            **flags,
        ),
        best_of_all=_best_of_all(batch),
    )
    return replace(batch, by_block=by_block)


def _entries(batch: StepBatch, counts: IntArray) -> IntArray:
    """Entries [M] of scored positions; each sequence has so many, one after another."""
    starts = np.array([span.block_start for span in batch.denoised], np.int64)
    spans, block_len = batch.scored_spans, batch.decoding["block_len"].astype(np.int64)
    places = (batch.scored_positions - starts.take(spans)) // block_len.take(spans)
    places[counts.take(spans) == 1] = 0  # a draft's rows may be of more than a block's length
    entries: IntArray = (counts.cumsum() - counts).take(spans) + places
    return entries


def _counts_as_masked(batch: StepBatch) -> BoolArray:
    """True where scored positions [M] are masked to the policy, though their row has a token."""
    counts = np.zeros(len(batch.scored_positions), np.bool_)
    for i, span in enumerate(batch.denoised):
        if isinstance(blocks := span.sequence.blocks, PipelinedBlocks) and blocks.has_fresh_end:
            own = slice(*batch.scored_starts[i : i + 2])
            counts[own] = blocks.counts_as_masked(batch.scored_positions[own])
    return counts


def _best_of_all(batch: StepBatch) -> BestOfAll | None:
    """The best position of each sequence that fills it, whatever block it is in; None for none."""
    decoding = batch.decoding
    fills_best = np.asarray(decoding.columns["fills_best"])
    if not fills_best.any():
        return None
    ranked_by = [POLICIES[code].ranks_by for code in decoding["policy_code"][fills_best].tolist()]
    codes = np.full(len(fills_best), CODES[RANKING[ranked_by[0]]], np.int32)
    codes[fills_best] = [CODES[RANKING[statistic]] for statistic in ranked_by]
    longest = int(np.diff(batch.scored_starts).max())
    quota = fills_best.astype(np.int64)
    return BestOfAll(batch.scored_spans, batch.scored_starts, codes, quota, longest)
