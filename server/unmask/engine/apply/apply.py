"""Applies a step's result: commits tokens, makes text final, closes blocks."""

import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from unmask.decoding.levenshtein import EditedBlock
from unmask.engine.apply.block_edits import edit_open_block, edited_logprobs, note_draft
from unmask.engine.apply.lengths import carry_out
from unmask.engine.apply.revisions import note_rest
from unmask.engine.apply.structured import settle
from unmask.engine.apply.text import TextAssembler, draft_text
from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.layout import final_ends
from unmask.engine.schedule.query_range import IntArray, Ranges
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.span import Span
from unmask.engine.schedule.speculation import is_reached
from unmask.engine.schedule.table import SequenceTable
from unmask.engine.schedule.verification import note_verified
from unmask.tokenizer import Tokenizer
from unmask.types import (
    Delta,
    Event,
    Finish,
    FinishReason,
    RefinedToken,
    Refinement,
    RefinementOptions,
    TokenLogprob,
    Usage,
)


@dataclass(slots=True)
class Session:
    """A sequence with what its stream needs: text so far, log-probabilities, refinement clock."""

    sequence: Sequence
    text: TextAssembler
    tokenizer: Tokenizer
    edited: EditedBlock | None = None  # the open block after its last step, if commands edit it
    logprobs: dict[int, TokenLogprob] = field(default_factory=dict)
    last_refinement_s: float = -math.inf
    last_token_s: float | None = None  # when tokens were made final last
    queue_s: float | None = None  # from arrival to the first step

    def age_s(self) -> float:
        """Seconds since the request arrived."""
        return time.monotonic() - self.sequence.arrival_s

    def usage(self) -> Usage:
        """Cost of the request so far."""
        s = self.sequence
        return Usage(
            *(s.request.num_given, s.num_cached, s.num_generated),
            *(s.num_steps, s.num_forwards, s.num_rows, s.decoding.block_len),
            s.decoding.mode if s.has_causal_prefix else None,
        )


@dataclass(slots=True)
class Applied:
    """Events of a step, and numbers for the metrics."""

    at_s: float  # when the result was there
    events: list[Event] = field(default_factory=list)
    num_steps: int = 0  # of sequences that were denoised
    num_block_positions: int = 0  # of the blocks that these steps denoised
    num_final_block_positions: int = 0  # of the blocks that are final now
    num_committed: int = 0
    num_final: int = 0
    block_steps: list[int] = field(default_factory=list)  # of each block that is final now
    gaps_s: list[float] = field(default_factory=list)  # since the request's last final tokens
    started: list[Session] = field(default_factory=list)  # that have their first tokens
    finished: list[tuple[Session, Finish]] = field(default_factory=list)


def apply_speculative(
    sessions: Mapping[str, Session],
    table: SequenceTable,
    batch: StepBatch,
    result: StepResult,
    at_s: float,
    index: int,
) -> Applied | None:
    """Apply the result of a speculative state, the denoised span `index`, if it was reached."""
    span = batch.denoised[index]
    origin = span.sequence.speculates_for
    session = sessions.get(span.sequence.request.request_id)
    if session is None or session.sequence is not origin or not is_reached(span):
        return None
    if origin.in_flight:
        return None  # it was launched once more, from the same state, as no scores were kept
    assert origin.table_row is not None, "a sequence that runs has a row"
    denoised, rows = list(batch.denoised), batch.table_rows.copy()
    denoised[index], rows[index] = Span.from_pass(origin, span.query), origin.table_row
    origin.in_flight += 1
    reached = replace(batch, denoised=tuple(denoised), table_rows=rows)
    return apply_step(sessions, table, reached, result, at_s, only=index)


def apply_step(
    sessions: Mapping[str, Session],
    table: SequenceTable,
    batch: StepBatch,
    result: StepResult,
    at_s: float,
    only: int | None = None,
) -> Applied:
    """Commit the positions that policies chose, and make final all that can no longer change.

    Applies to all denoised spans, or to `only` one. Speculative states have no row any more and are
    left alone. `at_s` is when the result was there, on the monotonic clock.
    """
    applied = Applied(at_s)
    live: list[int] = []
    sequences: list[Sequence] = []
    for i, span in enumerate(batch.denoised) if only is None else [(only, batch.denoised[only])]:
        sequence = span.sequence
        # Where steps overlap, a request may be over by now, or a block full.
        if span.block_start == sequence.block_start and sequence.table_row is not None:
            live.append(i)
            sequences.append(sequence)
            sequence.in_flight -= 1
            sequence.num_steps += 1
            sequence.block_step += 1
    which = np.array(live, np.int64)
    applied.num_steps = len(live)
    applied.num_committed = _commit(sessions, which, table, batch, result)
    applied.num_block_positions = int(batch.decoding.columns["block_len"].take(which).sum())
    for sequence, fresh in _final_prefixes(sequences, batch.table_rows.take(which), table):
        _finalize(sessions[sequence.request.request_id], fresh, applied)
    if batch.by_block is not None:
        _open_more(sequences, applied)
    return applied


def _open_more(sequences: list[Sequence], applied: Applied) -> None:
    """Go on to the blocks of the next pass where several may be open, and count those of this."""
    for sequence in sequences:
        if (blocks := sequence.blocks) is not None:
            steps = blocks.steps
            sequence.open_more()
            closed = steps[1 : blocks.num_closing]
            applied.block_steps += [count + 1 for count in closed]
            applied.num_block_positions += blocks.block_len * (len(steps) - 1)
            applied.num_final_block_positions += blocks.block_len * len(closed)


def _commit(
    sessions: Mapping[str, Session],
    live: IntArray,
    table: SequenceTable,
    batch: StepBatch,
    result: StepResult,
) -> int:
    """Write chosen tokens of `live` spans to the table; returns how many there are."""
    rows, num_others = result.selected.nonzero()[0], 0
    resizing: list[tuple[Session, IntArray]] = []
    owner = batch.scored_spans[rows]
    offsets = table.flat(batch.table_rows)[owner] + batch.scored_positions[rows]
    tokens, masked = table.tokens.reshape(-1), table.masked.reshape(-1)
    takes = masked[offsets]  # where steps overlap, the last one may have resolved it
    if batch.by_block is not None:  # a position behind the end has its token
        takes &= tokens[offsets] == batch.denoised[0].sequence.mask_token_id
    if batch.decoding.edits is not None:
        takes |= batch.decoding.edits[owner]
    by_rules = batch.decoding.by_rules
    if by_rules is not None:  # tokens move too
        takes &= ~by_rules[owner]
    if batch.decoding.drafts is not None:  # a draft tells which tokens are right
        verifying = [i for i in live.tolist() if batch.denoised[i].verifies]
        takes &= ~np.isin(owner, verifying)
    if len(live) < len(batch.denoised):
        is_live = np.zeros(len(batch.denoised), np.bool_)
        is_live[live] = True
        takes &= is_live[owner]
    rows, owner, offsets = rows[takes], owner[takes], offsets[takes]
    forced = None
    if batch.classes is not None:
        keeps, forced = settle(batch.classes, batch, result, live, rows, owner)
        rows, owner, offsets = rows[keeps], owner[keeps], offsets[keeps]
        num_others += len(forced.tokens)
    tokens[offsets] = result.tokens[rows]
    for i in live[~table.is_plain[batch.table_rows[live]]].tolist():
        sequence = batch.denoised[i].sequence
        if sequence.keeps_block_keys:
            opened = slice(sequence.block_start, sequence.block_end)
            sequence.was_masked = sequence.masked[opened].copy()
        session = sessions[sequence.request.request_id]
        if by_rules is not None and by_rules[i]:
            num_others += _edit(session, result, slice(*batch.scored_starts[i : i + 2]))
            continue
        taken = rows[slice(*np.searchsorted(owner, (i, i + 1)))]
        if batch.denoised[i].verifies:
            taken = np.arange(*batch.scored_starts[i : i + 2])
            taken = taken[: note_verified(sequence, result.tokens[taken])]
            num_others += len(taken)
        elif sequence.decoding.drafts:  # only a seed counts before it is verified
            is_drafted = batch.scored_positions[taken] > sequence.block_start
            num_others -= int(is_drafted.sum())
        if (budget := sequence.thinking) is not None and budget.replaces_next and len(taken):
            sequence.end_thinking(budget)
        if sequence.request.refinements is not None or sequence.keeps_scores:
            note_draft(sequence, batch, result, slice(*batch.scored_starts[i : i + 2]))
        if forced is not None:
            forced.fill(i, sequence)
        if sequence.decoding.editing_threshold is not None:
            own = slice(*batch.scored_starts[i : i + 2])
            note_rest(sequence, batch, result, own, len(taken))
        if sequence.decoding.logprobs is not None:
            _note_logprobs(session, result, taken, batch.scored_positions[taken])
        if sequence.lengths is not None:
            resizing.append((session, batch.scored_positions[taken]))
    masked[offsets] = False
    if batch.decoding.edits is not None and len(rows):
        is_lost = tokens[offsets] == batch.denoised[0].sequence.mask_token_id
        masked[offsets] = is_lost
        num_others -= int(np.count_nonzero(is_lost))
    for session, filled in resizing:
        num_others -= carry_out(session.sequence, filled, session.logprobs, table)
    if forced is not None:
        offsets = table.flat(batch.table_rows)[forced.spans] + forced.positions
        tokens[offsets], masked[offsets] = forced.tokens, False
    return len(rows) + num_others


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


def _final_prefixes(
    sequences: list[Sequence], rows: IntArray, table: SequenceTable
) -> list[tuple[Sequence, list[int]]]:
    """Sequences with fresh final tokens, which nothing masked is before or among, and the tokens.

    Sequences whose drafts are streamed have an entry in any case, and those that have shrunk to
    their final tokens.
    """
    known = np.array([(sequence.num_final, sequence.final_end) for sequence in sequences], np.int64)
    starts, limits = known.reshape(-1, 2).T.copy()
    ends = final_ends(table, rows, starts, limits)
    is_told = ends > starts
    if not table.is_plain.take(rows).all():
        is_told |= [
            sequence.request.refinements is not None or sequence.num_final == sequence.last_end
            for sequence in sequences
        ]
    which = is_told.nonzero()[0]
    if not len(which):
        return []
    starts, lengths = starts.take(which), (ends - starts).take(which)
    fresh = Ranges.from_lengths(starts + table.flat(rows.take(which)), lengths)
    # One conversion to Python's numbers: one for each sequence would take longer than all the rest.
    tokens: list[int] = table.tokens.reshape(-1).take(fresh.numbers).tolist()
    parts = itertools.pairwise(fresh.starts.tolist())
    return [
        (sequences[i], tokens[first:last])
        for i, (first, last) in zip(which.tolist(), parts, strict=True)
    ]


def _finalize(session: Session, fresh: list[int], applied: Applied) -> None:
    """Move the final prefix forward over resolved positions, up to a stop if there is one."""
    sequence = session.sequence
    params, start = sequence.decoding, sequence.num_final
    if params.editing_threshold is not None and not sequence.is_settled:
        fresh = []  # any of them may still be replaced
    reason: FinishReason | None = None
    stop_reason: str | int | None = None
    if not params.stop_ids.isdisjoint(fresh):
        at = next(i for i, token_id in enumerate(fresh) if token_id in params.stop_ids)
        own_ids = sequence.request.sampling.stop_token_ids
        stop_reason = fresh[at] if fresh[at] in own_ids else None
        fresh, reason = fresh[: at + 1], FinishReason.STOP
    elif start + len(fresh) == sequence.last_end:
        reason = FinishReason.LENGTH
    shown, text = fresh[:-1] if reason is FinishReason.STOP else fresh, ""
    if sequence.structure is not None and fresh and reason is not FinishReason.STOP:
        sequence.structure.advance(fresh, start)
        if sequence.structure.can_only_end:
            reason = FinishReason.STOP
    if fresh or reason is not None:
        piece = session.text.push(shown, last=reason is not None)
        text = piece.text
        if piece.stop is not None:
            fresh, reason, stop_reason = fresh[: piece.num_tokens], FinishReason.STOP, piece.stop
    sequence.num_final = start + len(fresh)
    applied.num_final += len(fresh)
    if fresh:
        if session.last_token_s is None:
            applied.started.append(session)
        elif session.last_token_s < applied.at_s:  # a state ran ahead of this step's result
            applied.gaps_s.append(applied.at_s - session.last_token_s)
        session.last_token_s = applied.at_s
    finish = None
    if reason is not None:
        if reason is FinishReason.LENGTH and sequence.num_generated < params.max_tokens:
            reason = FinishReason.STOP  # the answer has the length that it chose
        finish = Finish(reason, session.usage(), stop_reason, session.queue_s)
        applied.finished.append((session, finish))
    if fresh or text or finish is not None:
        logprobs: tuple[TokenLogprob, ...] = ()
        if params.logprobs is not None:
            if (budget := sequence.thinking) is not None and budget.is_given:
                session.logprobs[budget.position] = TokenLogprob(budget.end_id, 0.0)
            if sequence.structure is not None:
                for i, token_id in enumerate(fresh, start):  # what could be nothing else
                    session.logprobs.setdefault(i, TokenLogprob(token_id, 0.0))
            logprobs = tuple(session.logprobs.pop(start + i) for i in range(len(fresh)))
        request_id = sequence.request.request_id
        applied.events.append(Delta(request_id, tuple(fresh), text, logprobs, finish))
    is_over = finish is not None or sequence.num_final >= sequence.closes_at or sequence.is_verified
    if is_over:
        applied.block_steps.append(sequence.block_step)
        closed_len = len(fresh) if sequence.has_window else params.block_len
        applied.num_final_block_positions += closed_len
    if finish is None:
        options = sequence.request.refinements
        if options is not None and (refinement := _refinement(session, options)) is not None:
            applied.events.append(refinement)
        if is_over:
            sequence.open_next_block()


def _refinement(session: Session, options: RefinementOptions) -> Refinement | None:
    """The draft of the open block, if this step and this moment are due one."""
    sequence = session.sequence
    # A window begins anew after most steps, so all of the answer's count.
    step = sequence.num_steps if sequence.has_window else sequence.block_step
    if step % options.every:
        return None
    now_s = time.monotonic()
    if options.max_fps is not None and now_s - session.last_refinement_s < 1 / options.max_fps:
        return None
    session.last_refinement_s = now_s
    start = max(sequence.block_start, sequence.num_prompt)
    end = min(sequence.block_end, sequence.last_end)
    masked = sequence.masked[start:end]
    ids = np.where(masked, sequence.guess[start:end], sequence.tokens[start:end]).tolist()
    is_open = (masked & ~sequence.accepted[start:end]).tolist()
    # Every position of a canvas of noise has a token, if not its last.
    hidden = [False] * len(ids) if sequence.is_canvas else is_open
    texts = [session.tokenizer.token_text(token_id) for token_id in ids]
    confidence = sequence.confidence[start:end].tolist()
    tokens = None
    if options.tokens:
        tokens = tuple(
            RefinedToken(token_id, text, value, not unsure)
            for token_id, text, value, unsure in zip(ids, texts, confidence, is_open, strict=True)
        )
    return Refinement(
        request_id=sequence.request.request_id,
        block=sequence.block_index,
        step=sequence.block_step,
        max_steps=sequence.decoding.steps,
        span=(start - sequence.num_prompt, end - sequence.num_prompt),
        unresolved=sum(is_open),
        text=draft_text(session.tokenizer, ids, hidden),
        tokens=tokens,
    )
