"""Applies results to open blocks that are drafted, or whose tokens are edited (LLaDA2)."""

from collections.abc import Mapping

import numpy as np

from unmask.decoding.levenshtein import (
    NUM_CANDIDATES,
    Candidates,
    EditedBlock,
    EditRules,
    edit_block,
)
from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.sequence import Sequence
from unmask.types import TokenLogprob


def edit_open_block(
    sequence: Sequence, rules: EditRules, block: EditedBlock | None, result: StepResult, rows: slice
) -> EditedBlock:
    """Edit the open block by `rows` of a result, one for each of its positions but the prompt's.

    `block` is what the last step left, None before the first one. Tells the sequence what is masked
    now, and whether the block is final.
    """
    opened = slice(sequence.block_start, sequence.block_end)
    num_given = max(0, sequence.num_prompt - sequence.block_start)
    if block is None:
        block = EditedBlock.opened(sequence.tokens[opened].copy(), num_given, rules)
    candidates = _candidates(result, rows, num_given, sequence.open_len)
    block = edit_block(block, candidates, rules)
    is_masked = block.token_ids == rules.mask_token_id
    is_masked[:num_given] = False
    sequence.tokens[opened], sequence.masked[opened] = block.token_ids, is_masked
    sequence.is_settled = block.is_final
    if sequence.request.refinements is not None:
        # A position shows its own guess, though commands may just have moved its token.
        sequence.guess[opened] = candidates.without_commands(rules)
        sequence.confidence[opened] = candidates.confidence
    return block


def edited_logprobs(
    sequence: Sequence,
    rules: EditRules,
    block: EditedBlock,
    known: Mapping[int, TokenLogprob],
    result: StepResult,
    rows: slice,
) -> dict[int, TokenLogprob]:
    """Log-probabilities of an open block after a step, by position; `known` are those before it.

    They are those of the step that wrote a token, and move with it. Commands are no alternatives.
    """
    assert block.edits is not None, "a step led to the block"
    start, first_row = sequence.block_start, rows.start - block.num_given
    moved_from, is_fresh = block.edits.moved_from.tolist(), block.edits.is_fresh.tolist()
    entries: dict[int, TokenLogprob] = {}
    for i, token_id in enumerate(block.token_ids.tolist()):
        if i < block.num_given or token_id == rules.mask_token_id:
            continue
        if is_fresh[i]:
            count = sequence.decoding.logprobs or 0
            row = first_row + moved_from[i]
            entries[start + i] = _logprob(result, row, token_id, count, rules)
        else:
            entries[start + i] = known[start + moved_from[i]]
    return entries


def _logprob(
    result: StepResult, row: int, token_id: int, count: int, rules: EditRules
) -> TokenLogprob:
    assert result.top_ids is not None, "a step lists the likeliest tokens of what it edits"
    assert result.top_logprobs is not None, "with their log-probabilities"
    pairs = zip(result.top_ids[row].tolist(), result.top_logprobs[row].tolist(), strict=True)
    top = tuple(pair for pair in pairs if pair[0] not in rules.command_ids)
    return TokenLogprob(token_id, dict(top)[token_id], top[:count])


def _candidates(result: StepResult, rows: slice, num_given: int, length: int) -> Candidates:
    """Candidates of a block of `length`; those of the first `num_given` positions are not read."""
    assert result.top_ids is not None, "a step lists the likeliest tokens of what it edits"
    token_ids = np.zeros((length, NUM_CANDIDATES), np.int64)
    confidence = np.zeros(length, np.float32)
    token_ids[num_given:] = result.top_ids[rows, :NUM_CANDIDATES]
    confidence[num_given:] = result.confidence[rows]
    return Candidates(token_ids, confidence)


def note_edits(sequence: Sequence, num_chosen: int) -> None:
    """Tell from how many positions a step chose whether the open block is final (LLaDA2.1).

    It is once a step that began with nothing masked replaces nothing, or was the last allowed.
    """
    if sequence.decoding.remasks:  # ReMDM: no step but the last fills all for good
        sequence.is_settled = sequence.block_step >= sequence.num_block_steps
        return
    if sequence.masked[sequence.block_start : sequence.block_end].any():
        return
    sequence.post_steps += 1
    is_over = sequence.post_steps >= sequence.decoding.max_post_steps
    sequence.is_settled = is_over or num_chosen == 0


def note_draft(sequence: Sequence, batch: StepBatch, result: StepResult, rows: slice) -> None:
    """Keep the draft of positions that are not final."""
    positions = batch.scored_positions[rows]
    may_change = sequence.masked[positions] | (sequence.decoding.editing_threshold is not None)
    open_positions = positions[may_change]
    sequence.guess[open_positions] = result.tokens[rows][may_change]
    sequence.confidence[open_positions] = result.confidence[rows][may_change]
    if result.accepted is not None:
        sequence.accepted[open_positions] = result.accepted[rows][may_change]
