"""Rows of a step and their results: plain arrays, no torch."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from unmask.engine.schedule.decoding import Columns
from unmask.engine.schedule.query_range import BoolArray, IntArray, Ranges
from unmask.engine.schedule.span import Bounds, Span
from unmask.engine.schedule.table import FloatArray, SequenceTable
from unmask.types import MAX_BLOCK_LENGTH, AttentionPattern
from unmask_kernels.scoring.request_constraint import Constraint


@dataclass(frozen=True, slots=True)
class DecodingArrays:
    """Decoding parameters of the B spans that are denoised, an entry each."""

    columns: Columns  # [B], of `COLUMNS`
    quota: IntArray  # [B], the fewest positions to fill
    steps: IntArray  # [B], number of the denoising step of the block
    constraints: list[Constraint | None] | None  # None where no request has one

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        """A column [B] by the name of its field in `Decoding`."""
        return np.ascontiguousarray(self.columns[name])

    @property
    def edits(self) -> BoolArray:
        """True where committed tokens may be replaced, [B]."""
        return np.asarray(~np.isnan(self.columns["editing_threshold"]))

    @property
    def draws(self) -> BoolArray:
        """True where tokens are drawn at random, [B]."""
        return np.asarray(self.columns["temperature"] > 0)

    def truncates(self, vocab_size: int) -> BoolArray:
        """True where top-k or top-p leaves tokens out, [B]."""
        return np.asarray((self.columns["top_k"] < vocab_size) | (self.columns["top_p"] < 1.0))

    @property
    def num_top(self) -> int:
        """Alternatives of each token that some request wants logprobs of."""
        return int(self.columns["logprobs"].max(initial=0))

    @property
    def longest_block(self) -> int:
        """Positions of the longest block."""
        return int(self.columns["block_len"].max(initial=0))


@dataclass(frozen=True, slots=True)
class StepBatch:
    """T query tokens of S spans, one span after another, and M scored positions of B spans."""

    spans: tuple[Span, ...]  # S
    num_repeats: int  # of the first spans, which are their sequences' last ones once more
    denoised: tuple[Span, ...]  # B
    table_rows: IntArray  # [B]
    token_ids: IntArray  # [T]
    positions: IntArray  # [T]
    slots: IntArray  # [T] of the KV cache
    horizons: IntArray  # [T]
    anchors: IntArray | None  # [T] where windows are counted from, for canvases of noise
    query_starts: list[int]  # S + 1
    pages: IntArray  # [P]
    page_starts: list[int]  # S + 1
    scored_positions: IntArray  # [M]
    scored_rows: IntArray  # [M] indices into T
    hidden_rows: IntArray  # [M] indices into T: rows whose logits are about the scored positions
    scored_spans: IntArray  # [M] indices into B
    scored_starts: IntArray  # [B + 1] where each one's of M begin, and the last one's end
    open_rows: IntArray  # [R] indices into T of open blocks, masked or not
    open_slots: IntArray  # [R] in the device's open tokens [rows, MAX_BLOCK_LENGTH], laid flat
    open_is_known: BoolArray  # [R] whether `token_ids` has the result of every step
    scored_open: IntArray  # [M] indices into R
    guided: IntArray  # [G] indices into M
    guiding_rows: IntArray  # [G] indices into T: `hidden_rows` of the same without the prompt
    decoding: DecodingArrays

    @property
    def num_tokens(self) -> int:
        """Query tokens in the step."""
        return len(self.token_ids)


@dataclass(frozen=True, slots=True)
class StepResult:
    """For each scored position: its best token, and whether the policy commits it in this step."""

    tokens: IntArray  # [M]
    confidence: FloatArray  # [M]
    selected: BoolArray  # [M]
    accepted: BoolArray | None = None  # [M], of canvases of noise
    top_ids: IntArray | None = None  # [M, K]
    top_logprobs: FloatArray | None = None  # [M, K]


def build_batch(
    spans: list[Span],
    table: SequenceTable,
    page_size: int,
    *,
    attention: AttentionPattern = "block_causal",
    shift: bool = False,
    num_repeats: int = 0,
) -> StepBatch:
    """Lay spans out as flat arrays; every span's pages must already cover its horizon.

    `table.bounds` must have the bounds of every span with a prompt. With `shift`, the logits of a
    position are about the one after it.
    """
    bounds = _bounds(spans, table)
    lengths = bounds.end - bounds.start
    rows = Ranges.from_lengths(bounds.start, lengths)
    first_rows = rows.starts[:-1] - bounds.start  # row of a position, less the position
    pages = _pages(bounds, table, page_size)
    is_denoised = (bounds.scored_end > bounds.scored_start) & (bounds.without_prompt == 0)
    which = is_denoised.nonzero()[0]
    denoised = [spans[i] for i in which.tolist()]
    decoding = _decoding_arrays(denoised, bounds, which, table)
    scored = _scored(denoised, bounds, which, decoding, table)
    scored_rows = scored.numbers + first_rows[which].take(scored.owner)
    hidden_rows = scored_rows - 1 if shift else scored_rows
    opened = (bounds.open_end > bounds.open_start).nonzero()[0]
    open_start = bounds.open_start[opened]
    blocks = Ranges.from_lengths(open_start, bounds.open_end[opened] - open_start)
    first_open = (blocks.starts[:-1] - open_start)[np.searchsorted(opened, which)]
    # The branch without the prompt comes right after the other and is as long.
    is_guided = np.append(bounds.without_prompt[1:], 0)[which] > 0
    guided = is_guided.take(scored.owner).nonzero()[0] if is_guided.any() else which[:0]
    return StepBatch(
        spans=tuple(spans),
        num_repeats=num_repeats,
        denoised=tuple(denoised),
        table_rows=bounds.row[which],
        token_ids=_token_ids(spans, bounds, rows, table),
        positions=rows.numbers,
        slots=_slots(rows, pages, page_size),
        horizons=_horizons(attention, bounds, rows, table),
        anchors=_anchors(bounds, rows) if attention == "canvas" else None,
        query_starts=rows.starts.tolist(),
        pages=pages.numbers,
        page_starts=pages.starts.tolist(),
        scored_positions=scored.numbers,
        scored_rows=scored_rows,
        hidden_rows=hidden_rows,
        scored_spans=scored.owner,
        scored_starts=scored.starts,
        open_rows=blocks.numbers + first_rows[opened].take(blocks.owner),
        open_slots=_open_slots(attention, blocks, open_start, bounds.row[opened], table),
        open_is_known=_is_known(blocks, bounds, opened, spans),
        scored_open=scored.numbers + first_open.take(scored.owner),
        guided=guided,
        guiding_rows=hidden_rows[guided] + lengths[which].take(scored.owner[guided]),
        decoding=decoding,
    )


def _bounds(spans: list[Span], table: SequenceTable) -> Bounds:
    numbers = table.bounds[[span.row for span in spans]]
    for i, span in enumerate(spans):
        if span.without_prompt:
            numbers[i] = span.bounds
    return Bounds.from_numbers(numbers)


def _is_known(blocks: Ranges, bounds: Bounds, opened: IntArray, spans: list[Span]) -> BoolArray:
    """True for positions of open blocks whose tokens the host knows.

    Those of a block that is in flight are on the device; the next one begins as masks.
    """
    opens_next = bounds.opens_next[opened] > 0
    in_flight = np.array([spans[i].sequence.in_flight > 0 for i in opened.tolist()], np.bool_)
    if not opens_next.any():
        return np.asarray((~in_flight).take(blocks.owner))
    never = np.iinfo(np.int64).max
    start = np.where(opens_next, bounds.scored_start[opened], np.where(in_flight, never, 0))
    return np.asarray(blocks.numbers >= start.take(blocks.owner))


def _open_slots(
    attention: AttentionPattern,
    blocks: Ranges,
    starts: IntArray,
    rows: IntArray,
    table: SequenceTable,
) -> IntArray:
    """Slots of open blocks in the device's open tokens [rows, MAX_BLOCK_LENGTH], laid flat.

    Where attention is block-causal a block and the next one have different slots, if there are as
    many: blocks begin at multiples of their length.
    """
    if attention != "block_causal":
        return blocks.numbers + (rows * MAX_BLOCK_LENGTH - starts).take(blocks.owner)
    block_len = table.parameters["block_len"][rows]
    cycle = np.where(2 * block_len <= MAX_BLOCK_LENGTH, 2 * block_len, block_len)
    # A division by an array takes longer than all other operations here.
    if _are_powers_of_two(cycle):
        slots: IntArray = blocks.numbers & (cycle - 1).take(blocks.owner)
    else:
        slots = blocks.numbers % cycle.take(blocks.owner)
    slots += (rows * MAX_BLOCK_LENGTH).take(blocks.owner)
    return slots


def _are_powers_of_two(numbers: IntArray) -> bool:
    return not (numbers & (numbers - 1)).any()


def _token_ids(spans: list[Span], bounds: Bounds, rows: Ranges, table: SequenceTable) -> IntArray:
    """Token ids [T]; a branch without the prompt has masks in its place."""
    offsets = table.flat(bounds.row).take(rows.owner)
    token_ids = table.tokens.reshape(-1).take(np.add(offsets, rows.numbers, out=offsets))
    for i in bounds.without_prompt.nonzero()[0].tolist():
        masked = spans[i].sequence.tokens_without_prompt(spans[i].query)
        token_ids[rows.starts[i] : rows.starts[i + 1]] = masked
    return token_ids


def _pages(bounds: Bounds, table: SequenceTable, page_size: int) -> Ranges:
    """Pages up to each span's horizon; a branch without the prompt has the second half of them."""
    count = -(-bounds.horizon // page_size)
    first = bounds.row * table.pages.shape[1] + count * bounds.without_prompt
    offsets = Ranges.from_lengths(first, count)
    return replace(offsets, numbers=table.pages.reshape(-1).take(offsets.numbers))


def _slots(rows: Ranges, pages: Ranges, page_size: int) -> IntArray:
    """Slots of the KV cache that rows write to."""
    index, offset = np.divmod(rows.numbers, page_size)
    index += pages.starts.take(rows.owner)
    slots: IntArray = pages.numbers.take(index)
    slots *= page_size
    slots += offset
    return slots


def _scored(
    denoised: list[Span],
    bounds: Bounds,
    which: IntArray,
    decoding: DecodingArrays,
    table: SequenceTable,
) -> Ranges:
    """Positions that may change: masked ones, and answers that may be edited."""
    first = bounds.scored_start[which]
    scored = Ranges.from_lengths(first, bounds.scored_end[which] - first)
    offsets = table.flat(bounds.row[which]).take(scored.owner)
    offsets += scored.numbers
    may_change = table.masked.reshape(-1).take(offsets)
    edits = decoding.edits
    if edits.any():
        num_prompt = np.array([span.sequence.num_prompt for span in denoised])
        is_answer = scored.numbers >= num_prompt[scored.owner]
        may_change |= edits[scored.owner] & is_answer
    chosen = may_change.nonzero()[0]
    starts = np.searchsorted(chosen, scored.starts)
    return Ranges(scored.owner.take(chosen), scored.numbers.take(chosen), starts)


def _horizons(
    attention: AttentionPattern, bounds: Bounds, rows: Ranges, table: SequenceTable
) -> IntArray:
    """End of the keys that each query sees: of its block, of everything, or its own position."""
    limits = bounds.horizon.take(rows.owner)
    if attention == "full":
        return limits
    if attention == "canvas":
        return np.where(rows.numbers < bounds.open_start.take(rows.owner), rows.numbers + 1, limits)
    block_len = table.parameters["block_len"][bounds.row]
    if _are_powers_of_two(block_len):
        ends: IntArray = (block_len - 1).take(rows.owner)
        ends |= rows.numbers
        ends += 1
    else:
        lengths = block_len.take(rows.owner)
        ends = (rows.numbers // lengths + 1) * lengths
    return np.minimum(ends, limits, out=ends)


def _anchors(bounds: Bounds, rows: Ranges) -> IntArray:
    """A committed token's own position, and for all tokens of a canvas its first."""
    return np.minimum(rows.numbers, bounds.open_start.take(rows.owner))


def _decoding_arrays(
    denoised: list[Span], bounds: Bounds, which: IntArray, table: SequenceTable
) -> DecodingArrays:
    rows = bounds.row[which]
    columns = table.parameters.take(rows)
    sequences = [span.sequence for span in denoised]
    steps = np.array([s.block_step + s.in_flight for s in sequences], np.int64)
    steps[bounds.opens_next[which] > 0] = 0
    constraints = None
    if columns["has_constraint"].any():
        constraints = [sequence.decoding.constraint for sequence in sequences]
    return DecodingArrays(
        columns,
        table.quotas[rows, np.minimum(steps, columns["num_steps"] - 1)],
        steps,
        constraints,
    )
