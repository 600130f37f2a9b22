"""The positions that a sequence computes next: of its prompt, its open block, or a draft."""

from unmask.engine.schedule.pipelined_blocks import PipelinedBlocks
from unmask.engine.schedule.query_range import BoolArray, QueryRange
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.units import end_of_unit, last_end


def next_pass(sequence: Sequence, budget: int) -> QueryRange | None:
    """The next pass within `budget` query tokens; None if none fits.

    Positions without keys and the open block go together if they fit; otherwise as many whole
    blocks as fit, because a block's queries need all of its keys.
    """
    if sequence.is_full:
        query = _full_pass(sequence)
        return query if sequence.num_branches * query.num_rows <= budget else None
    if sequence.opens_next:
        query = _next_block_pass(sequence)
        return query if query.num_rows <= budget else None
    query = _seeded_pass(sequence) if sequence.has_seed else _block_pass(sequence)
    if query.num_rows <= budget:
        return query
    start = sequence.num_computed
    end = min(last_end(sequence, start + budget), sequence.block_start)
    return QueryRange(start, end, end) if end > start else None


def least_rows(sequence: Sequence) -> int:
    """Fewest query tokens for which the sequence has a next pass.

    With full attention, a pass that computes keys anew may be much longer than the others.
    """
    if sequence.is_full:
        return sequence.num_branches * _full_pass(sequence).num_rows
    if sequence.opens_next:
        return _next_block_pass(sequence).num_rows
    start = sequence.num_computed
    if start < sequence.block_start:
        return min(end_of_unit(sequence, start + 1), sequence.block_start) - start
    return (_seeded_pass if sequence.has_seed else _block_pass)(sequence).num_rows


def _seeded_pass(sequence: Sequence) -> QueryRange:
    """A pass over a block whose first token has a pass of its own."""
    if sequence.lacks_seed:
        return _seed_pass(sequence)
    if sequence.decoding.drafts and _is_drafted(sequence):
        return _verification(sequence)
    return _block_pass(sequence)


def _is_drafted(sequence: Sequence) -> bool:
    """True if the open block is a whole draft, or will be by the results that are out."""
    if not sequence.decoding.drafts_by_policy:
        return sequence.next_step == sequence.verification
    opened = sequence.masked[sequence.block_start : sequence.block_end]
    return sequence.block_step > 0 and not opened.any()


def _seed_pass(sequence: Sequence) -> QueryRange:
    """Positions without keys, the last of which has the logits of the block's first token."""
    end = sequence.block_start
    start = min(sequence.num_computed, end - 1)
    return QueryRange(start, end, end, range(end, end + 1), is_causal=sequence.has_causal_prefix)


def _verification(sequence: Sequence) -> QueryRange:
    """The drafted block, whose rows have the logits of every position after its first."""
    end = sequence.block_end
    scored = range(sequence.block_start + 1, min(end + 1, sequence.last_end))
    return QueryRange(sequence.num_computed, end, end, scored, is_causal=True)


def _next_block_pass(sequence: Sequence) -> QueryRange:
    """The open block, whose tokens are final by then, and the first step of the next one."""
    start = sequence.block_end
    if sequence.has_seed:
        scored = range(start, start + 1)
        return QueryRange(sequence.num_computed, start, start, scored, is_causal=True)
    end = min(start + sequence.decoding.block_len, sequence.fill_end)
    return QueryRange(sequence.num_computed, end, end, range(start, end))


def open_part(sequence: Sequence) -> range:
    """Positions of the open block that a step scores: all, or those of its first masked part."""
    start, end = sequence.block_start, sequence.block_end
    part_len = sequence.decoding.sub_block_length
    if part_len is None:
        return range(start + sequence.has_seed, end)
    first = start + int(sequence.masked[start:end].argmax()) // part_len * part_len
    return range(first, min(first + part_len, end))


def _block_pass(sequence: Sequence) -> QueryRange:
    start, end = sequence.block_start, sequence.block_end
    last = None if sequence.has_block_keys else sequence.last_pass
    if last is not None and last.start == sequence.num_computed and last.end == end:
        return last
    scored = open_part(sequence)
    if sequence.has_block_keys:
        active = _active_positions(sequence)
        return QueryRange(start, end, end, scored, active, int(active.sum()))
    first = sequence.num_computed
    if sequence.has_prompt_block and sequence.shift:
        first = min(first, start - 1)  # the row with the logits of the block's first position
    query = QueryRange(first, end, end, scored)
    stays = sequence.decoding.sub_block_length is None and not sequence.decoding.drafts
    sequence.last_pass = query if stays else None
    return query


def _active_positions(sequence: Sequence) -> BoolArray:
    """Positions of the open block that are masked, or were before the last step.

    The last step's result may be unknown yet; the set is the same. Where logits are shifted,
    the positions before them are read as well.
    """
    masked = sequence.masked[sequence.block_start : sequence.block_end]
    active = masked.copy() if sequence.in_flight else sequence.was_masked.copy()
    if sequence.shift:
        active[:-1] |= active[1:]
    return active


def _full_pass(sequence: Sequence) -> QueryRange:
    """Every position, or where keys were kept only those after them (Fast-dLLM).

    The first position of a block has its logits in the row before it where they are shifted,
    so it is filled by the pass that has that row.
    """
    everything, start, end = len(sequence.tokens), sequence.block_start, sequence.block_end
    if isinstance(sequence.blocks, PipelinedBlocks):
        keys = sequence.blocks.keys
        first = 0 if keys is None else keys.start
        return QueryRange(first, everything, everything, range(start, end))
    if sequence.decoding.cache == "none":
        return QueryRange(0, everything, everything, range(start, end))
    second = start + 1 if sequence.shift else start
    if sequence.num_computed == 0:
        return QueryRange(
            0, everything, everything, range(start, second if sequence.shift else end)
        )
    last = end if sequence.decoding.cache == "dual" else everything
    return QueryRange(start, last, everything, range(second, end))
