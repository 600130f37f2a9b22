"""Rows of a step, laid out span after span: by C where there is a compiler, else by NumPy."""

from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from unmask.engine.schedule.query_range import BoolArray, IntArray, Ranges
from unmask.engine.schedule.span import Bounds
from unmask.engine.schedule.table import SequenceTable
from unmask.types import MAX_BLOCK_LENGTH, AttentionPattern
from unmask_kernels.native import layout as native
from unmask_kernels.native.layout import ATTENTION, Rows, Step, layout_library, pointer

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Layout:
    """T rows, P pages and M scored positions of S spans, of which B are denoised.

    Token ids are those of the table; `build_batch` masks the prompt in branches without it.
    """

    is_known: BoolArray  # [T] False where the token is on the device only
    token_ids: IntArray  # [T]
    positions: IntArray  # [T]
    slots: IntArray  # [T] of the KV cache
    horizons: IntArray  # [T]
    token_slots: IntArray  # [T] of the open tokens; the dummy slot for rows of no open block
    query_starts: IntArray  # [S + 1]
    page_starts: IntArray  # [S + 1]
    scored_starts: IntArray  # [B + 1]
    pages: IntArray  # [P]
    scored_positions: IntArray  # [M]
    scored_spans: IntArray  # [M] indices into B
    scored_tokens: IntArray  # [M]
    scored_slots: IntArray  # [M] of the open tokens
    hidden_rows: IntArray  # [M] indices into T: rows whose logits are about the scored positions


@dataclass(frozen=True, slots=True)
class SpanFlags:
    """Facts of S spans beside their bounds."""

    num_unknown: IntArray  # [S] tokens of the open block that only the device has
    edits_from: (
        IntArray  # [S] first position that is scored though it has a token; `NEVER` for none
    )


def lay_out(
    bounds: IntArray,
    flags: SpanFlags,
    table: SequenceTable,
    page_size: int,
    attention: AttentionPattern,
    *,
    shift: bool = False,
    uses_c: bool = True,
) -> Layout:
    """The rows of spans with `bounds` [S, 11], the numbers of `Bounds`.

    With `shift`, or if rows are causal, the logits of a position are in the row before it. In a
    causal window, positions with a token come before masked ones.
    """
    library = layout_library() if uses_c else None
    if library is None:
        numbers = Bounds.from_numbers(bounds)
        return _lay_out_by_numpy(numbers, flags, table, page_size, attention, shift=shift)
    num_rows, num_scored = (bounds[:, (1, 4)] - bounds[:, (0, 3)]).sum(0).tolist()
    num_pages = int((-(-bounds[:, 2] // page_size)).sum())
    num_spans = len(bounds)
    # One piece of memory: it and its address are asked for once.
    counts = (*(num_rows,) * 5, *(num_spans + 1,) * 3, num_pages, *(num_scored,) * 5)
    ends = list(accumulate(counts))
    memory, is_known = np.empty(ends[-1], np.int64), np.empty(num_rows, np.bool_)
    parts = [memory[end - count : end] for count, end in zip(counts, ends, strict=True)]
    start = pointer(memory)
    block_len = np.ascontiguousarray(table.parameters["block_len"][bounds[:, 7]])
    step = Step(
        *map(pointer, (bounds, block_len, flags.edits_from, flags.num_unknown)),
        *table.addresses,
        num_spans,
        table.tokens.shape[1],
        table.pages.shape[1],
        page_size,
        MAX_BLOCK_LENGTH,
        table.dummy_slot,
        ATTENTION[attention],
        shift,
    )
    addresses = [start + 8 * (end - count) for count, end in zip(counts, ends, strict=True)]
    count = native.lay_out(library, step, Rows(pointer(is_known), *addresses))
    num_denoised = np.count_nonzero((bounds[:, 4] > bounds[:, 3]) & (bounds[:, 9] == 0))
    token_ids, positions, slots, horizons, token_slots, *rest = parts
    query_starts, page_starts, scored_starts, pages, *scored = rest
    return Layout(
        is_known,
        token_ids,
        positions,
        slots,
        horizons,
        token_slots,
        query_starts,
        page_starts,
        scored_starts[: num_denoised + 1],
        pages,
        *(part[:count] for part in scored),
    )


def _lay_out_by_numpy(
    bounds: Bounds,
    flags: SpanFlags,
    table: SequenceTable,
    page_size: int,
    attention: AttentionPattern,
    *,
    shift: bool,
) -> Layout:
    rows = Ranges.from_lengths(bounds.start, bounds.end - bounds.start)
    first_rows = rows.starts[:-1] - bounds.start  # row of a position, less the position
    pages = _pages(bounds, table, page_size)
    which = ((bounds.scored_end > bounds.scored_start) & (bounds.without_prompt == 0)).nonzero()[0]
    scored = _scored(bounds, which, flags, table)
    token_slots, is_known = _open_rows(bounds, rows, first_rows, flags, table, attention)
    offsets = table.flat(bounds.row).take(rows.owner) + rows.numbers
    span = which.take(scored.owner)
    scored_offsets = table.flat(bounds.row).take(span) + scored.numbers
    reads_before = (bounds.causal_end == bounds.end).take(span) | shift
    layout = Layout(
        is_known,
        table.tokens.reshape(-1).take(offsets),
        rows.numbers,
        _slots(rows, pages, page_size),
        _horizons(attention, bounds, rows, table),
        token_slots,
        rows.starts,
        pages.starts,
        scored.starts,
        pages.numbers,
        scored.numbers,
        scored.owner,
        table.tokens.reshape(-1).take(scored_offsets),
        _open_slots(scored.numbers, span, bounds, table, attention),
        scored.numbers + first_rows.take(span) - reads_before,
    )
    if attention != "causal_window":
        return layout
    order = np.lexsort((table.masked.reshape(-1).take(offsets), rows.owner))
    return _reordered(layout, order)


def _reordered(layout: Layout, order: IntArray) -> Layout:
    """The layout with other positions in its rows; a row's slot and horizon stay."""
    return replace(
        layout,
        is_known=layout.is_known[order],
        token_ids=layout.token_ids[order],
        positions=layout.positions[order],
        token_slots=layout.token_slots[order],
        hidden_rows=order.argsort()[layout.hidden_rows],
    )


def _open_rows(
    bounds: Bounds,
    rows: Ranges,
    first_rows: IntArray,
    flags: SpanFlags,
    table: SequenceTable,
    attention: AttentionPattern,
) -> tuple[IntArray, BoolArray]:
    """Slots [T] in the device's open tokens, and whether the host knows the tokens [T]."""
    token_slots = np.full(len(rows.numbers), table.dummy_slot)
    is_known = np.ones(len(rows.numbers), np.bool_)
    blocks = Ranges.from_lengths(bounds.open_start, bounds.open_end - bounds.open_start)
    open_rows = blocks.numbers + first_rows.take(blocks.owner)
    token_slots[open_rows] = _open_slots(blocks.numbers, blocks.owner, bounds, table, attention)
    # The next block, which begins as masks, is known.
    known_from = bounds.open_start + flags.num_unknown
    known_from = np.where(bounds.opens_next > 0, bounds.scored_start, known_from)
    is_known[open_rows] = blocks.numbers >= known_from.take(blocks.owner)
    return token_slots, is_known


def _open_slots(
    positions: IntArray,
    span: IntArray,
    bounds: Bounds,
    table: SequenceTable,
    attention: AttentionPattern,
) -> IntArray:
    """Slots in the device's open tokens of positions [N] of the spans [N].

    Where blocks leave keys, a block and the next ones have different slots, if there are as many.
    """
    if attention not in ("full", "canvas"):
        block_len = table.parameters["block_len"][bounds.row]
        cycle = MAX_BLOCK_LENGTH // block_len * block_len
        offsets = positions % cycle.take(span)
    else:
        offsets = positions - bounds.open_start.take(span)
    slots: IntArray = offsets + (bounds.row * MAX_BLOCK_LENGTH).take(span)
    return slots


def _pages(bounds: Bounds, table: SequenceTable, page_size: int) -> Ranges:
    """Pages up to each span's horizon; a branch without the prompt has the second half of them."""
    count = -(-bounds.horizon // page_size)
    first = bounds.row * table.pages.shape[1] + count * bounds.without_prompt
    offsets = Ranges.from_lengths(first, count)
    return replace(offsets, numbers=table.pages.reshape(-1).take(offsets.numbers))


def _slots(rows: Ranges, pages: Ranges, page_size: int) -> IntArray:
    """Slots of the KV cache that rows write to."""
    index, offset = np.divmod(rows.numbers, page_size)
    page = pages.numbers.take(index + pages.starts.take(rows.owner))
    slots: IntArray = page * page_size + offset
    return slots


def _scored(bounds: Bounds, which: IntArray, flags: SpanFlags, table: SequenceTable) -> Ranges:
    """Positions that may change: masked ones, and answers that may be edited."""
    first = bounds.scored_start[which]
    scored = Ranges.from_lengths(first, bounds.scored_end[which] - first)
    offsets = table.flat(bounds.row[which]).take(scored.owner) + scored.numbers
    may_change = table.masked.reshape(-1).take(offsets)
    may_change |= scored.numbers >= flags.edits_from[which].take(scored.owner)
    chosen = may_change.nonzero()[0]
    starts = np.searchsorted(chosen, scored.starts)
    return Ranges(scored.owner.take(chosen), scored.numbers.take(chosen), starts)


def _horizons(
    attention: AttentionPattern, bounds: Bounds, rows: Ranges, table: SequenceTable
) -> IntArray:
    """End of the keys that each query sees: of its block, of everything, or its own position.

    A prompt that sees all of itself is one block, behind which the others begin.
    """
    limits = bounds.horizon.take(rows.owner)
    if attention == "full":
        return limits
    if attention == "causal_window":
        return rows.numbers + 1
    if attention in ("canvas", "causal_prefix", "causal"):
        is_causal = rows.numbers < bounds.causal_end.take(rows.owner)
        return np.where(is_causal, rows.numbers + 1, limits)
    lengths = table.parameters["block_len"][bounds.row].take(rows.owner)
    if attention == "block_causal":
        ends: IntArray = (rows.numbers // lengths + 1) * lengths
        return np.minimum(ends, limits)
    origins = bounds.causal_end.take(rows.owner)
    ends = np.maximum(origins, origins + ((rows.numbers - origins) // lengths + 1) * lengths)
    return np.minimum(ends, limits)


def final_ends(
    table: SequenceTable, rows: IntArray, starts: IntArray, limits: IntArray, *, uses_c: bool = True
) -> IntArray:
    """Ends [N] of the runs without a mask that begin at `starts`, at most `limits`."""
    library = layout_library() if uses_c else None
    if library is not None:
        ends, rows = starts.copy(), np.ascontiguousarray(rows)
        library.final_ends(
            table.addresses[1],
            table.masked.shape[1],
            pointer(rows),
            len(rows),
            pointer(ends),
            pointer(limits),
        )
        return ends
    offsets, ends = table.flat(rows), limits.copy()
    opened = Ranges.from_lengths(starts + offsets, limits - starts)
    masked = table.masked.reshape(-1).take(opened.numbers).nonzero()[0][::-1]
    owner = opened.owner[masked]
    ends[owner] = opened.numbers[masked] - offsets[owner]  # the first one is written last
    return ends
