"""Writes a step's chosen tokens to the table, and has sequences note what they keep of a step."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unmask.engine.apply.block_edits import edit_open_block, edited_logprobs, note_draft
from unmask.engine.apply.lengths import carry_out
from unmask.engine.apply.revisions import note_rest
from unmask.engine.apply.session import Session
from unmask.engine.apply.structured import ForcedTokens, settle
from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.table import SequenceTable
from unmask.engine.schedule.verification import note_verified
from unmask.types import TokenLogprob


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rows of a result whose tokens are written, in the order of their spans."""

    rows: IntArray  # [K]
    spans: IntArray  # [K], among the denoised ones
    places: IntArray  # [K], in the table

    def where(self, keeps: BoolArray) -> "Chosen":
        """The rows for which `keeps` [K] is true."""
        return Chosen(self.rows[keeps], self.spans[keeps], self.places[keeps])

    def rows_of(self, span: int) -> IntArray:
        """Rows of one span."""
        return self.rows[slice(*np.searchsorted(self.spans, (span, span + 1)))]


def commit(
    sessions: Mapping[str, Session],
    live: IntArray,
    table: SequenceTable,
    batch: StepBatch,
    result: StepResult,
) -> int:
    """Write chosen tokens of `live` spans to the table; returns how many positions it fills."""
    chosen, forced, num_others = _chosen(live, table, batch, result), None, 0
    if batch.classes is not None:
        keeps, forced = settle(batch.classes, batch, result, live, chosen.rows, chosen.spans)
        chosen = chosen.where(keeps)
        num_others = len(forced.tokens)
    tokens, masked = table.tokens.reshape(-1), table.masked.reshape(-1)
    tokens[chosen.places] = result.tokens[chosen.rows]
    resizing: list[tuple[Session, IntArray]] = []
    for i in live[~table.is_plain[batch.table_rows[live]]].tolist():
        session = sessions[batch.denoised[i].sequence.request.request_id]
        num_others += _note_step(session, i, chosen.rows_of(i), batch, result, forced)
        if session.sequence.lengths is not None:
            resizing.append((session, batch.scored_positions[chosen.rows_of(i)]))
    masked[chosen.places] = False
    if batch.decoding.edits is not None and len(chosen.rows):
        is_lost = tokens[chosen.places] == batch.denoised[0].sequence.mask_token_id
        masked[chosen.places] = is_lost
        num_others -= int(np.count_nonzero(is_lost))
    for session, filled in resizing:
        num_others -= carry_out(session.sequence, filled, session.logprobs, table)
    if forced is not None:
        places = table.flat(batch.table_rows)[forced.spans] + forced.positions
        tokens[places], masked[places] = forced.tokens, False
    return len(chosen.rows) + num_others


def _chosen(live: IntArray, table: SequenceTable, batch: StepBatch, result: StepResult) -> Chosen:
    """Rows that policies chose, but for those that their spans may not take."""
    rows = result.selected.nonzero()[0]
    spans = batch.scored_spans[rows]
    places = table.flat(batch.table_rows)[spans] + batch.scored_positions[rows]
    takes = table.masked.reshape(-1)[places]  # where steps overlap, the last one may have filled it
    if batch.by_block is not None:  # a position behind the end has its token
        mask_token_id = batch.denoised[0].sequence.mask_token_id
        takes &= table.tokens.reshape(-1)[places] == mask_token_id
    if batch.decoding.edits is not None:
        takes |= batch.decoding.edits[spans]
    if batch.decoding.by_rules is not None:  # tokens move too
        takes &= ~batch.decoding.by_rules[spans]
    if batch.decoding.drafts is not None:  # a draft tells which tokens are right
        verifying = [i for i in live.tolist() if batch.denoised[i].verifies]
        takes &= ~np.isin(spans, verifying)
    if len(live) < len(batch.denoised):
        is_live = np.zeros(len(batch.denoised), np.bool_)
        is_live[live] = True
        takes &= is_live[spans]
    return Chosen(rows, spans, places).where(takes)


def _note_step(
    session: Session,
    index: int,
    taken: IntArray,
    batch: StepBatch,
    result: StepResult,
    forced: ForcedTokens | None,
) -> int:
    """Note the step of the span `index`, which took so many rows, in a sequence that is not plain.

    Returns how many positions it filled besides them.
    """
    sequence, span, num_others = session.sequence, batch.denoised[index], 0
    scored = slice(*batch.scored_starts[index : index + 2])
    if sequence.keeps_block_keys:
        opened = slice(sequence.block_start, sequence.block_end)
        sequence.was_masked = sequence.masked[opened].copy()
    if batch.decoding.by_rules is not None and batch.decoding.by_rules[index]:
        return _edit(session, result, scored)
    if span.verifies:
        taken = np.arange(scored.start, scored.stop)
        taken = taken[: note_verified(sequence, result.tokens[taken])]
        num_others = len(taken)
    elif sequence.decoding.drafts:  # only a seed counts before it is verified
        is_drafted = batch.scored_positions[taken] > sequence.block_start
        num_others = -int(is_drafted.sum())
    if (budget := sequence.thinking) is not None and budget.replaces_next and len(taken):
        sequence.end_thinking(budget)
    if sequence.request.refinements is not None or sequence.keeps_scores:
        note_draft(sequence, batch, result, scored)
    if forced is not None:
        forced.fill(index, sequence)
    if sequence.decoding.stops_at_end:
        _stop_at_end(sequence, batch.scored_positions[taken], result.tokens[taken])
    if sequence.decoding.editing_threshold is not None:
        note_rest(sequence, batch, result, scored, len(taken))
    if sequence.decoding.logprobs is not None:
        _note_logprobs(session, result, taken, batch.scored_positions[taken])
    return num_others


def _stop_at_end(sequence: Sequence, positions: IntArray, tokens: IntArray) -> None:
    """Leave masks behind an end of the answer that is among fresh tokens, if one is.

    They are seen as before, and nothing fills them (LLaDA-V's `generate_with_embeds`).
    """
    ends = positions[np.isin(tokens, list(sequence.decoding.stop_ids))]
    if len(ends):
        sequence.masked[ends.min() + 1 : sequence.fill_end] = False


def _edit(session: Session, result: StepResult, rows: slice) -> int:
    """Edit a block that has rules of its own; returns how many positions it filled or replaced."""
    sequence = session.sequence
    rules = sequence.decoding.edit_rules
    assert rules is not None, "the request edits"
    block = edit_open_block(sequence, rules, session.edited, result, rows)
    session.edited = None if block.is_final else block
    if sequence.decoding.logprobs is not None:
        session.logprobs = edited_logprobs(sequence, rules, block, session.logprobs, result, rows)
    assert block.edits is not None, "a step led to the block"
    return block.edits.num_written


def _note_logprobs(
    session: Session, result: StepResult, rows: IntArray, positions: IntArray
) -> None:
    count = session.sequence.decoding.num_top
    is_given = session.sequence.decoding.is_given
    for row, position in zip(rows.tolist(), positions.tolist(), strict=True):
        top: tuple[tuple[int, float], ...] = ()
        if count and result.top_ids is not None and result.top_logprobs is not None:
            ids, values = result.top_ids[row, :count], result.top_logprobs[row, :count]
            top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
        token_id, rank = int(result.tokens[row]), None
        if is_given:
            assert result.given_logprobs is not None, "the token is given"
            assert result.given_ranks is not None, "and has a rank"
            logprob, rank = float(result.given_logprobs[row]), int(result.given_ranks[row])
        else:
            logprob = math.log(max(float(result.confidence[row]), 1e-38))
        session.logprobs[position] = TokenLogprob(token_id, logprob, top, rank)
