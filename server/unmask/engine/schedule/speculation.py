"""Lossless speculation: likely next states of a block are run in the same step as the block.

The last result has a token and a confidence for each position that is still masked, and so predicts
the next result, and the one after it (FreeDave, Wu and Zhang, 2025). A speculative state is a
sequence with scratch pages from the open block on. It is accepted only if the block reaches that
state, token for token. Its result is then what the next step would have computed.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from unmask.engine.schedule.limits import MAX_STATES
from unmask.engine.schedule.pages import PagePool
from unmask.engine.schedule.passes import next_pass, open_part
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.span import Span
from unmask.engine.schedule.table import SequenceTable


def can_speculate(sequence: Sequence) -> bool:
    """True if a step of the request depends on its block's tokens and nothing else."""
    decoding = sequence.decoding
    return not (
        sequence.is_full
        or sequence.is_canvas
        or sequence.has_seed
        or sequence.shift
        or sequence.has_window
        or decoding.is_structured
        or decoding.counts_tokens
        or decoding.keeps_trace
        or sequence.keeps_block_keys
        or decoding.editing_threshold is not None
        or decoding.open_blocks > 1
    )


def likely_next(sequence: Sequence) -> Sequence | None:
    """The likely state after the next step; None if nothing predicts it, or the answer ends."""
    params, scored = sequence.decoding, open_part(sequence)
    masked = sequence.masked[scored.start : scored.stop].nonzero()[0] + scored.start
    if sequence.block_step == 0 or not len(masked):
        return None
    quota = params.quotas[min(sequence.block_step, params.steps - 1)]
    chosen = masked[:quota]
    if params.policy != "sequential":
        chosen = masked[np.argsort(-sequence.confidence[masked], kind="stable")[:quota]]
    state = _forked(sequence)
    state.tokens[chosen] = sequence.guess[chosen]
    state.masked[chosen] = False
    state.block_step += 1
    if (state.tokens[chosen] == sequence.mask_token_id).any() or _ends(state):
        return None
    if state.num_final == state.block_end:
        state.open_next_block()
    return state


def _forked(sequence: Sequence) -> Sequence:
    """A state of the same request that goes on by itself, without pages yet."""
    state = copy.copy(sequence)
    state.speculates_for = sequence.speculates_for or sequence
    state.tokens, state.masked = sequence.tokens.copy(), sequence.masked.copy()
    state.pages, state.page_hashes = [], []
    state.table_row, state.in_flight = None, 0
    state.last_pass, state.thinking = None, copy.copy(sequence.thinking)
    return state


def _ends(sequence: Sequence) -> bool:
    """Move the final prefix forward, and tell whether the answer ends in it."""
    start, last = sequence.num_final, min(sequence.block_end, sequence.last_end)
    masked = sequence.masked[start:last].nonzero()[0]
    sequence.num_final = start + int(masked[0]) if len(masked) else last
    fresh: list[int] = sequence.tokens[start : sequence.num_final].tolist()
    is_last = sequence.num_final == sequence.last_end
    return is_last or not sequence.decoding.stop_ids.isdisjoint(fresh)


@contextmanager
def speculated(
    spans: list[Span], table: SequenceTable, pool: PagePool, num_rows: int
) -> Iterator[list[Span]]:
    """Spans of speculative states that fit `num_rows`, the likelier ones first.

    They read the pages of their sequence before the open block. The other pages are scratch: they
    and rows of the table are free at the end, as later steps write to them after this one.
    """
    states: list[Sequence] = []
    try:
        yield _spans_of_states(spans, table, pool, num_rows, states) if num_rows > 0 else []
    finally:
        for state in states:
            pool.release(state.pages[state.num_shared :])
            table.leave(state)


def _spans_of_states(
    spans: list[Span], table: SequenceTable, pool: PagePool, num_rows: int, held: list[Sequence]
) -> list[Span]:
    """Spans of states; those that have pages are added to `held`."""
    size = pool.page_size
    likely_spans: list[Span] = []
    frontier = [s.sequence for s in spans if s.query.scored and can_speculate(s.sequence)]
    while frontier:
        states = [state for sequence in frontier if (state := likely_next(sequence)) is not None]
        frontier = []
        for state in states:
            origin = state.speculates_for
            assert origin is not None, "a state is of a sequence"
            first = origin.block_start // size
            needed = state.block_end - first * size
            if len(likely_spans) == MAX_STATES or needed > num_rows:
                return likely_spans
            own = pool.allocate(-(-needed // size))
            if own is None:
                return likely_spans
            state.num_computed, state.pages = first * size, origin.pages[:first] + own
            state.num_shared = first
            held.append(state)
            table.enter(state)
            query = next_pass(state, needed)
            assert query is not None, "its rows fit"
            likely_spans.append(Span.from_pass(state, query))
            num_rows -= needed
            if state.block_start == origin.block_start:
                frontier.append(state)
    return likely_spans


def is_reached(span: Span) -> bool:
    """True if the sequence of a speculative state has reached it."""
    state, origin = span.sequence, span.sequence.speculates_for
    assert origin is not None, "a state is of a sequence"
    if (state.block_start, state.block_step) != (origin.block_start, origin.block_step):
        return False
    seen = slice(span.query.start, state.block_end)
    return np.array_equal(state.tokens[seen], origin.tokens[seen]) and np.array_equal(
        state.masked[seen], origin.masked[seen]
    )
