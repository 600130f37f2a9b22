"""What a step's result does to one sequence: tokens committed, text made final, blocks closed."""

import math
import time
from dataclasses import dataclass, field

import numpy as np

from unmask.engine.output import TextAssembler
from unmask.engine.sequence import Sequence
from unmask.engine.step import Span, StepBatch, StepResult
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
        return Usage(s.num_prompt, s.num_cached, s.num_generated, s.num_steps, s.num_forwards)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The events of one sequence in a step, and what to count."""

    events: list[Event]
    num_committed: int
    num_final: int
    block_steps: int | None = None
    finish: Finish | None = None


def apply_span(
    session: Session, span: Span, batch: StepBatch, result: StepResult, rows: slice
) -> Outcome:
    """Commit the positions that the policy chose, and tell what became final."""
    sequence = session.sequence
    sequence.in_flight -= 1
    scored_masked = sequence.masked[batch.scored_positions[rows]]
    # Where steps overlap, the batch was made before the last result was known.
    may_change = scored_masked | (sequence.decoding.editing_limit is not None)
    index = np.flatnonzero(may_change) + rows.start
    positions = batch.scored_positions[index]
    tokens, selected = result.tokens[index], result.selected[index]
    sequence.guess[positions] = tokens
    sequence.confidence[positions] = result.confidence[index]
    if result.accepted is not None:
        sequence.accepted[positions] = result.accepted[index]
    chosen = positions[selected]
    if sequence.decoding.editing_limit is not None:
        sequence.note_edits(chosen)
    sequence.canvas[chosen] = tokens[selected]
    sequence.masked[chosen] = False
    sequence.num_steps += 1
    sequence.block_step += 1
    if sequence.decoding.num_logprobs is not None:
        _note_logprobs(session, result, index[selected], chosen)
    return _finalize(session, len(chosen))


def _note_logprobs(
    session: Session, result: StepResult, rows: np.ndarray, positions: np.ndarray
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


def _finalize(session: Session, num_committed: int) -> Outcome:
    """Move the final prefix forward over resolved positions, up to a stop if there is one."""
    sequence = session.sequence
    params = sequence.decoding
    start = sequence.num_final
    limit = min(sequence.block_end, sequence.last_end)
    open_at = np.flatnonzero(sequence.masked[start:limit])
    end = start + int(open_at[0]) if len(open_at) else limit
    if params.editing_limit is not None and not sequence.is_settled:
        end = start
    fresh = sequence.canvas[start:end].tolist()
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
