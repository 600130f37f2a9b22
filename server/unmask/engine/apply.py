"""What a step's result does to one sequence: tokens committed, text made final, blocks closed."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from unmask.engine.output import TextAssembler
from unmask.engine.sequence import IntArray, Sequence
from unmask.engine.speculation import came_true
from unmask.engine.step import Span, StepBatch, StepResult
from unmask.engine.table import NEVER, SequenceTable
from unmask.tokenizer import Tokenizer
from unmask.types import (
    Delta,
    Event,
    Finish,
    FinishReason,
    RefinedToken,
    Refinement,
    TokenLogprob,
    Usage,
)

MASK_GLYPH = "░"


@dataclass(slots=True)
class Session:
    """A sequence with what its stream needs: text so far, log-probabilities, refinement clock."""

    sequence: Sequence
    text: TextAssembler
    tokenizer: Tokenizer
    logprobs: dict[int, TokenLogprob] = field(default_factory=dict)
    last_refinement_s: float = -math.inf

    @property
    def is_plain(self) -> bool:
        """Whether nothing but tokens is remembered of a step."""
        decoding = self.sequence.decoding
        return (
            self.sequence.request.refinements is None
            and decoding.editing_limit is None
            and decoding.num_logprobs is None
            and not self.sequence.keeps_block_keys
            and not self.sequence.is_drafted
        )

    def age_s(self) -> float:
        """Seconds since the request arrived."""
        return time.monotonic() - self.sequence.arrival_s

    def usage(self) -> Usage:
        """What the request has cost so far."""
        s = self.sequence
        return Usage(
            s.request.num_given,
            s.num_cached,
            s.num_generated,
            s.num_steps,
            s.num_forwards,
            s.num_rows,
            s.decoding.block_len,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """The events of one sequence in a step, and what to count."""

    session: Session
    events: list[Event]
    num_final: int
    block_steps: int | None = None
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """A step over many sequences: the outcomes of those that have something to tell."""

    outcomes: list[Outcome]
    num_steps: int
    num_committed: int


def apply_guess(
    sessions: Mapping[str, Session],
    table: SequenceTable,
    batch: StepBatch,
    result: StepResult,
    index: int,
) -> Applied | None:
    """Apply a guessed state, the denoised span `index`, where its sequence has come to it."""
    guess = batch.denoised[index]
    origin = guess.sequence.guessed_of
    session = sessions.get(guess.sequence.request.request_id)
    if session is None or session.sequence is not origin or not came_true(guess):
        return None
    assert origin.canvas_row is not None, "a sequence that runs has a row"
    denoised, rows = list(batch.denoised), batch.canvas_rows.copy()
    denoised[index], rows[index] = Span.of(origin, guess.reach), origin.canvas_row
    origin.in_flight += 1
    own = replace(batch, denoised=tuple(denoised), canvas_rows=rows)
    return apply_step(sessions, table, own, result, only=index)


def apply_step(
    sessions: Mapping[str, Session],
    table: SequenceTable,
    batch: StepBatch,
    result: StepResult,
    only: int | None = None,
) -> Applied:
    """Commit the positions that policies chose, and make final what can no longer change.

    Of all denoised spans, or of `only` one. Guessed states are left alone.
    """
    live: list[tuple[int, Session]] = []
    for i, span in enumerate(batch.denoised):
        if only is not None and i != only:
            continue
        session = sessions.get(span.sequence.request.request_id)
        if session is None or session.sequence is not span.sequence:
            continue  # its request was over before this was known
        if span.block_start == span.sequence.block_start:  # else the block was full by then
            live.append((i, session))
    spans = np.array([i for i, _ in live], np.int64)
    num_committed = _commit(live, spans, table, batch, result)
    num_final = np.array([session.sequence.num_final for _, session in live], np.int64)
    cells = table.cells(batch.canvas_rows[spans]) + num_final
    has_moved = (~table.masked.reshape(-1)[cells]).tolist()
    outcomes: list[Outcome] = []
    for (_, session), is_final in zip(live, has_moved, strict=True):
        sequence = session.sequence
        sequence.in_flight -= 1
        sequence.num_steps += 1
        sequence.block_step += 1
        if is_final or sequence.request.refinements is not None:
            outcomes.append(_finalize(session))
    return Applied(outcomes, len(live), num_committed)


def _commit(
    live: list[tuple[int, Session]],
    spans: IntArray,
    table: SequenceTable,
    batch: StepBatch,
    result: StepResult,
) -> int:
    """Put chosen tokens on the canvases of `live` sequences; returns how many there are."""
    rows = result.selected.nonzero()[0]
    owner = batch.scored_spans[rows]
    cells = table.cells(batch.canvas_rows)[owner] + batch.scored_positions[rows]
    tokens, masked = table.tokens.reshape(-1), table.masked.reshape(-1)
    takes = masked[cells]  # where steps overlap, the last one may have resolved it
    if batch.decoding.editing is not None:
        takes |= (batch.decoding.editing != NEVER)[owner]
    if len(spans) < len(batch.denoised):
        takes &= np.isin(owner, spans)
    rows, owner, cells = rows[takes], owner[takes], cells[takes]
    tokens[cells] = result.tokens[rows]
    starts = np.searchsorted(owner, np.arange(len(batch.denoised) + 1))
    for i, session in live:
        if session.is_plain:
            continue
        sequence, own = session.sequence, rows[starts[i] : starts[i + 1]]
        sequence.note_masked()
        if sequence.request.refinements is not None or sequence.is_drafted:
            _note_draft(sequence, batch, result, slice(*batch.scored_starts[i : i + 2]))
        if sequence.decoding.editing_limit is not None:
            sequence.note_edits(len(own))
        if sequence.decoding.num_logprobs is not None:
            _note_logprobs(session, result, own, batch.scored_positions[own])
    masked[cells] = False
    return len(rows)


def _note_draft(sequence: Sequence, batch: StepBatch, result: StepResult, rows: slice) -> None:
    """Remember what is told of positions that are not final."""
    positions = batch.scored_positions[rows]
    may_change = sequence.masked[positions] | (sequence.decoding.editing_limit is not None)
    open_positions = positions[may_change]
    sequence.guess[open_positions] = result.tokens[rows][may_change]
    sequence.confidence[open_positions] = result.confidence[rows][may_change]
    if result.accepted is not None:
        sequence.accepted[open_positions] = result.accepted[rows][may_change]


def _note_logprobs(
    session: Session, result: StepResult, rows: IntArray, positions: IntArray
) -> None:
    count = session.sequence.decoding.num_logprobs or 0
    for row, position in zip(rows.tolist(), positions.tolist(), strict=True):
        top: tuple[tuple[int, float], ...] = ()
        if count and result.top_ids is not None and result.top_logprobs is not None:
            ids, values = result.top_ids[row, :count], result.top_logprobs[row, :count]
            top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
        confidence = max(float(result.confidence[row]), 1e-38)
        token_id = int(result.tokens[row])
        session.logprobs[position] = TokenLogprob(token_id, math.log(confidence), top)


def _finalize(session: Session) -> Outcome:
    """Move the final prefix forward over resolved positions, up to a stop if there is one."""
    sequence = session.sequence
    params = sequence.decoding
    start = sequence.num_final
    end = start if params.editing_limit is not None and not sequence.is_settled else _end(sequence)
    fresh: list[int] = sequence.canvas[start:end].tolist()
    reason: FinishReason | None = None
    stop_reason: str | int | None = None
    if not params.stop_ids.isdisjoint(fresh):
        at = next(i for i, token_id in enumerate(fresh) if token_id in params.stop_ids)
        own_ids = sequence.request.sampling.stop_token_ids
        stop_reason = fresh[at] if fresh[at] in own_ids else None
        fresh, reason = fresh[: at + 1], FinishReason.STOP
    if reason is None and end == sequence.last_end:
        reason = FinishReason.LENGTH
    text = ""
    if fresh or reason is not None:
        shown = fresh[:-1] if reason is FinishReason.STOP else fresh
        piece = session.text.push(shown, last=reason is not None)
        text = piece.text
        if piece.stop is not None:
            fresh, reason, stop_reason = fresh[: piece.num_tokens], FinishReason.STOP, piece.stop
    sequence.num_final = start + len(fresh)
    finish = None if reason is None else Finish(reason, session.usage(), stop_reason)
    block_steps = None
    if finish is not None or sequence.num_final == sequence.block_end:
        block_steps = sequence.block_step
    events: list[Event] = []
    if fresh or text or finish is not None:
        logprobs: tuple[TokenLogprob, ...] = ()
        if params.num_logprobs is not None:
            logprobs = tuple(session.logprobs.pop(start + i) for i in range(len(fresh)))
        request_id = sequence.request.request_id
        events.append(Delta(request_id, tuple(fresh), text, logprobs, finish))
    if finish is None and (refinement := _refinement(session)) is not None:
        events.append(refinement)
    if finish is None and sequence.num_final == sequence.block_end:
        sequence.open_next_block()
    return Outcome(session, events, len(fresh), block_steps, finish)


def _end(sequence: Sequence) -> int:
    """Where the first position that is still masked is, or the end of what may be final."""
    start, limit = sequence.num_final, min(sequence.block_end, sequence.last_end)
    if sequence.masked[start]:
        return start
    masked = sequence.masked[start:limit]
    first = int(masked.argmax())
    return start + first if masked[first] else limit


def _refinement(session: Session) -> Refinement | None:
    """The draft of the open block, if this step and this moment are due one."""
    sequence = session.sequence
    options = sequence.request.refinements
    if options is None or sequence.block_step % options.every:
        return None
    now_s = time.monotonic()
    if options.max_fps is not None and now_s - session.last_refinement_s < 1 / options.max_fps:
        return None
    session.last_refinement_s = now_s
    start = max(sequence.block_start, sequence.num_prompt)
    end = min(sequence.block_end, sequence.last_end)
    masked = sequence.masked[start:end]
    ids = np.where(masked, sequence.guess[start:end], sequence.canvas[start:end]).tolist()
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
        text=_draft(session.tokenizer, ids, hidden),
        tokens=tokens,
    )


def _draft(tokenizer: Tokenizer, ids: list[int], masked: list[bool]) -> str:
    """Text of the resolved positions, with a glyph for each that is still masked."""
    parts: list[str] = []
    run: list[int] = []
    for token_id, is_masked in zip(ids, masked, strict=True):
        if is_masked:
            parts += [tokenizer.decode(run), MASK_GLYPH]
            run = []
        else:
            run.append(token_id)
    return "".join([*parts, tokenizer.decode(run)])
