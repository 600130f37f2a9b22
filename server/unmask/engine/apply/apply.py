"""Applies a step's result: commits tokens, makes text final, closes blocks."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from unmask.engine.apply.commit import commit
from unmask.engine.apply.final_text import final_prefixes, finalize
from unmask.engine.apply.session import Applied, Session
from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.span import Span
from unmask.engine.schedule.speculation import is_reached
from unmask.engine.schedule.table import SequenceTable


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
    applied.num_committed = commit(sessions, which, table, batch, result)
    applied.num_block_positions = int(batch.decoding.columns["block_len"].take(which).sum())
    for sequence, fresh in final_prefixes(sequences, batch.table_rows.take(which), table):
        finalize(sessions[sequence.request.request_id], fresh, applied)
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
