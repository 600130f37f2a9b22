"""What a step's result does to one sequence: tokens committed, text made final, blocks closed."""

import math
import time
from dataclasses import dataclass, field

import numpy as np

from unmask.engine.output import TextAssembler
from unmask.engine.sequence import Sequence
from unmask.engine.step import StepBatch, StepResult
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

    events: list[Event]
    num_committed: int
    num_final: int
    block_steps: int | None = None
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The scored rows that policies chose in a step, in order, with their positions and tokens."""

    rows: list[int]
    positions: list[int]
    tokens: list[int]
    starts: list[int]  # one more than denoised spans: where the rows of each begin

    @classmethod
    def of(cls, batch: StepBatch, result: StepResult) -> "Chosen":
        """Taken apart at once, which for each span would take longer than all that follows."""
        rows = result.selected.nonzero()[0]
        starts: list[int] = np.searchsorted(rows, batch.scored_starts).tolist()
        positions, tokens = batch.scored_positions[rows], result.tokens[rows]
        return cls(rows.tolist(), positions.tolist(), tokens.tolist(), starts)


def apply_span(
    session: Session, batch: StepBatch, result: StepResult, chosen: Chosen, index: int
) -> Outcome:
    """Commit the positions that the policy chose for the denoised span `index` of a step."""
    sequence = session.sequence
    sequence.in_flight -= 1
    if sequence.request.refinements is not None:
        _note_draft(sequence, batch, result, slice(*batch.scored_starts[index : index + 2]))
    edits = sequence.decoding.editing_limit is not None
    canvas, masked = sequence.canvas, sequence.masked
    rows: list[int] = []
    positions: list[int] = []
    for i in range(*chosen.starts[index : index + 2]):
        position = chosen.positions[i]
        # Where steps overlap, the batch was made before the last result was known.
        if masked[position] or edits:
            rows.append(chosen.rows[i])
            positions.append(position)
            canvas[position] = chosen.tokens[i]
    if edits:
        sequence.note_edits(len(positions))
    masked[positions] = False
    sequence.num_steps += 1
    sequence.block_step += 1
    if sequence.decoding.num_logprobs is not None:
        _note_logprobs(session, result, rows, positions)
    return _finalize(session, len(positions))


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
    session: Session, result: StepResult, rows: list[int], positions: list[int]
) -> None:
    count = session.sequence.decoding.num_logprobs or 0
    for row, position in zip(rows, positions, strict=True):
        top: tuple[tuple[int, float], ...] = ()
        if count and result.top_ids is not None and result.top_logprobs is not None:
            ids, values = result.top_ids[row, :count], result.top_logprobs[row, :count]
            top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
        confidence = max(float(result.confidence[row]), 1e-38)
        token_id = int(result.tokens[row])
        session.logprobs[position] = TokenLogprob(token_id, math.log(confidence), top)


def _finalize(session: Session, num_committed: int) -> Outcome:
    """Move the final prefix forward over resolved positions, up to a stop if there is one."""
    sequence = session.sequence
    params = sequence.decoding
    start = sequence.num_final
    end = start if params.editing_limit is not None and not sequence.is_settled else _end(sequence)
    fresh: list[int] = sequence.canvas[start:end].tolist()
    reason: FinishReason | None = None
    stop_reason: str | int | None = None
    for i, token_id in enumerate(fresh):
        if token_id in params.stop_ids:
            fresh, reason = fresh[: i + 1], FinishReason.STOP
            stop_reason = (
                None if token_id not in sequence.request.sampling.stop_token_ids else token_id
            )
            break
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
    return Outcome(events, num_committed, len(fresh), block_steps, finish)


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
