"""Lossless speculation: states that a block will likely have next ride along as rows of a step.

The last result names a likely token and a confidence for each position that is masked still, and so
the next result, and the one after it (FreeDave, Wu et al., 2025). A guessed state is a sequence of
its own with pages of its own from the open block on. It counts only if the block does come to that
state, token for token, and then what it became is what the next step would have computed.
"""

import numpy as np

from unmask.config import EngineConfig
from unmask.engine.pages import PagePool
from unmask.engine.sequence import Sequence
from unmask.engine.step import Span
from unmask.engine.table import SequenceTable

MAX_GUESSES = 8  # states in a step


def num_canvas_rows(config: EngineConfig) -> int:
    """Rows of the table and of the device's canvas: of sequences, and of guessed states."""
    return config.max_num_seqs + (MAX_GUESSES if config.speculation_rows else 0)


def may_guess(sequence: Sequence) -> bool:
    """Whether a step of this kind of request depends on its block's tokens and nothing else."""
    decoding = sequence.decoding
    return not (
        sequence.is_full
        or sequence.is_canvas
        or sequence.shift
        or sequence.keeps_block_keys
        or decoding.editing_limit is not None
        or decoding.sub_block_len is not None
    )


def guess_next(sequence: Sequence) -> Sequence | None:
    """The state after the next result; None if nothing is known of it, or the answer ends there."""
    params, opened = sequence.decoding, slice(sequence.block_start, sequence.block_end)
    masked = sequence.masked[opened].nonzero()[0] + sequence.block_start
    if sequence.block_step == 0 or not len(masked):
        return None
    quota = params.quotas[min(sequence.block_step, params.steps - 1)]
    chosen = masked[:quota]
    if params.policy != "sequential":
        chosen = masked[np.argsort(-sequence.confidence[masked], kind="stable")[:quota]]
    guess = sequence.forked()
    guess.canvas[chosen] = guess.guess[chosen]
    guess.masked[chosen] = False
    guess.block_step += 1
    if (guess.canvas[chosen] == sequence.mask_token_id).any() or _ends(guess):
        return None
    if guess.num_final == guess.block_end:
        guess.open_next_block()
    return guess


def _ends(sequence: Sequence) -> bool:
    """Move the final prefix forward, and tell whether the answer ends in it."""
    start, last = sequence.num_final, min(sequence.block_end, sequence.last_end)
    masked = sequence.masked[start:last].nonzero()[0]
    sequence.num_final = start + int(masked[0]) if len(masked) else last
    fresh: list[int] = sequence.canvas[start : sequence.num_final].tolist()
    is_last = sequence.num_final == sequence.last_end
    return is_last or not sequence.decoding.stop_ids.isdisjoint(fresh)


def guess_states(
    spans: list[Span], table: SequenceTable, pool: PagePool, num_rows: int
) -> list[Span]:
    """Spans of guessed states that `num_rows` have room for, the likelier ones first.

    Their first pages are those of their sequence. The others are theirs: `discard` gives them back.
    """
    size = pool.page_size
    found: list[Span] = []
    frontier = [s.sequence for s in spans if s.reach.scored and may_guess(s.sequence)]
    while frontier:
        states = [guess for sequence in frontier if (guess := guess_next(sequence)) is not None]
        frontier = []
        for guess in states:
            origin = guess.guessed_of
            assert origin is not None, "a guess is of a sequence"
            first = origin.block_start // size
            needed = guess.block_end - first * size
            if len(found) == MAX_GUESSES or needed > num_rows:
                return found
            own = pool.allocate(-(-needed // size))
            if own is None:
                return found
            guess.num_computed, guess.pages = first * size, origin.pages[:first] + own
            guess.num_shared = first
            table.enter(guess)
            reach = guess.next_pass(needed)
            assert reach is not None, "there is room for it"
            found.append(Span.of(guess, reach))
            num_rows -= needed
            if guess.block_start == origin.block_start:
                frontier.append(guess)
    return found


def discard(guesses: list[Span], table: SequenceTable, pool: PagePool) -> None:
    """Free pages and rows of guessed states; whoever has them next writes after this step reads."""
    for span in guesses:
        pool.release(span.sequence.pages[span.sequence.num_shared :])
        table.leave(span.sequence)


def came_true(guess: Span) -> bool:
    """Whether the sequence that a state was guessed of has come to it."""
    state, origin = guess.sequence, guess.sequence.guessed_of
    assert origin is not None, "a guess is of a sequence"
    if (state.block_start, state.block_step) != (origin.block_start, origin.block_step):
        return False
    seen = slice(guess.reach.start, state.block_end)
    return np.array_equal(state.canvas[seen], origin.canvas[seen]) and np.array_equal(
        state.masked[seen], origin.masked[seen]
    )
