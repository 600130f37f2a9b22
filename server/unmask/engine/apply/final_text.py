"""Makes tokens final in their order, with their text, up to the end of an answer."""

import itertools
import time
from typing import NamedTuple

import numpy as np

from unmask.engine.apply.session import Applied, Session
from unmask.engine.apply.text import draft_text
from unmask.engine.schedule.layout import final_ends
from unmask.engine.schedule.query_range import IntArray, Ranges
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.table import SequenceTable
from unmask.types import (
    Delta,
    Finish,
    FinishReason,
    RefinedToken,
    Refinement,
    RefinementOptions,
    TokenLogprob,
)


class Piece(NamedTuple):
    """The next tokens of an answer and their text, with the reason if it ends there."""

    token_ids: list[int]
    text: str
    reason: FinishReason | None
    stop_reason: str | int | None


def final_prefixes(
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


def finalize(session: Session, fresh: list[int], applied: Applied) -> None:
    """Move the final prefix forward over resolved positions, up to a stop if there is one."""
    sequence, start = session.sequence, session.sequence.num_final
    if sequence.decoding.editing_threshold is not None and not sequence.is_settled:
        fresh = []  # any of them may still be replaced
    piece = _up_to_end(session, fresh)
    fresh = piece.token_ids
    sequence.num_final = start + len(fresh)
    if (num_new := session.num_uncounted(len(fresh))) > 0:
        applied.num_final += num_new
        _note_time(session, applied)
    finish = None
    if piece.reason is not None:
        finish = _finish(session, piece.reason, piece.stop_reason)
        applied.finished.append((session, finish))
    if fresh or piece.text or finish is not None:
        logprobs = () if sequence.decoding.logprobs is None else _logprobs(session, fresh, start)
        request_id = sequence.request.request_id
        applied.events.append(Delta(request_id, tuple(fresh), piece.text, logprobs, finish))
    is_over = finish is not None or sequence.num_final >= sequence.closes_at or sequence.is_verified
    if is_over:
        applied.block_steps.append(sequence.block_step)
        closed_len = len(fresh) if sequence.has_window else sequence.decoding.block_len
        applied.num_final_block_positions += closed_len
    if finish is None:
        options = sequence.request.refinements
        if options is not None and (refinement := _refinement(session, options)) is not None:
            applied.events.append(refinement)
        if is_over:
            sequence.open_next_block()


def _up_to_end(session: Session, fresh: list[int]) -> Piece:
    """Fresh tokens up to the end of the answer, if it is among them."""
    sequence, stop_ids, text = session.sequence, session.sequence.decoding.stop_ids, ""
    reason: FinishReason | None = None
    stop_reason: str | int | None = None
    if not stop_ids.isdisjoint(fresh):
        at = next(i for i, token_id in enumerate(fresh) if token_id in stop_ids)
        own_ids = sequence.request.sampling.stop_token_ids
        stop_reason = fresh[at] if fresh[at] in own_ids else None
        fresh, reason = fresh[: at + 1], FinishReason.STOP
    elif sequence.num_final + len(fresh) == sequence.last_end:
        reason = FinishReason.LENGTH
    keeps_stop = stop_reason is not None and sequence.request.sampling.include_stop_str_in_output
    shown = fresh[:-1] if reason is FinishReason.STOP and not keeps_stop else fresh
    if sequence.structure is not None and fresh and reason is not FinishReason.STOP:
        sequence.structure.advance(fresh, sequence.num_final)
        if sequence.structure.can_only_end:
            reason = FinishReason.STOP
    if fresh or reason is not None:
        piece = session.text.push(shown, last=reason is not None)
        text = piece.text
        if piece.stop is not None:
            fresh, reason = fresh[: piece.num_tokens], FinishReason.STOP
            stop_reason = piece.stop if piece.stop in sequence.request.sampling.stop else None
    return Piece(fresh, text, reason, stop_reason)


def _note_time(session: Session, applied: Applied) -> None:
    """Note when tokens of a request became final."""
    if session.last_token_s is None:
        applied.started.append(session)
    elif session.last_token_s < applied.at_s:  # a state ran ahead of this step's result
        applied.gaps_s.append(applied.at_s - session.last_token_s)
    session.last_token_s = applied.at_s


def _finish(session: Session, reason: FinishReason, stop_reason: str | int | None) -> Finish:
    sequence = session.sequence
    if reason is FinishReason.LENGTH and sequence.num_generated < sequence.decoding.max_tokens:
        reason = FinishReason.STOP  # the answer has the length that it chose
    return Finish(reason, session.usage(), stop_reason, session.queue_s)


def _logprobs(session: Session, fresh: list[int], start: int) -> tuple[TokenLogprob, ...]:
    """Log-probabilities of final tokens from a position on; what could be nothing else has 0."""
    budget = session.sequence.thinking
    if budget is not None and budget.is_given:
        session.logprobs[budget.position] = TokenLogprob(budget.end_id, 0.0)
    if session.sequence.structure is not None:
        for i, token_id in enumerate(fresh, start):
            session.logprobs.setdefault(i, TokenLogprob(token_id, 0.0))
    return tuple(session.logprobs.pop(start + i) for i in range(len(fresh)))


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
    if sequence.decoding.stops_at_end:  # nothing behind an end is part of the answer
        is_end = np.isin(sequence.tokens[start:end], list(sequence.decoding.stop_ids)) & ~masked
        end = start + int(is_end.argmax()) + 1 if is_end.any() else end
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
