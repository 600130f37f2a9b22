"""A step's rows and its result: plain arrays, no torch."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from unmask.engine.schedule.passes import IntArray, QueryRange
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.table import NEVER, BoolArray, FloatArray, SequenceTable
from unmask.types import MAX_BLOCK_LENGTH
from unmask_kernels.scoring.request_constraint import Constraint


@dataclass(frozen=True, slots=True)
class Span:
    """A sequence's part in a step; `block_start` is where its open block began then.

    With guidance there is a second one, `without_prompt`, on pages of its own. `bounds` are all of
    its numbers as int64: start, end and horizon of its query, start and end of what is scored and
    of the rows that have cells on the device, the row of the table, and whether it is
    `without_prompt`. Cells have the open block and, where it begins, the next one.
    """

    sequence: Sequence
    query: QueryRange
    block_start: int
    without_prompt: bool
    bounds: bytes

    @classmethod
    def of(cls, sequence: Sequence, query: QueryRange, *, without_prompt: bool = False) -> Self:
        """The part of a sequence that has a row of the table."""
        start, row = sequence.block_start, sequence.table_row
        assert row is not None, "a sequence has a row from its admission on"
        end = min(sequence.block_end, query.end) if query.scored else start
        opened = start
        if query.scored and query.scored.start == sequence.block_end:
            start, end = query.scored.start, query.end  # the block after the open one
            opened = start if sequence.is_canvas else opened  # whose tokens are to come
        scored = query.scored
        bounds = (
            query.start,
            query.end,
            query.horizon,
            scored.start,
            scored.stop,
            opened,
            end,
            row,
        )
        numbers = np.array((*bounds, without_prompt), np.int64)
        return cls(sequence, query, start, without_prompt, numbers.tobytes())


@dataclass(frozen=True, slots=True)
class DecodingArrays:
    """Decoding parameters of the spans that have masked rows, one entry a span."""

    policies: npt.NDArray[np.int32]  # their codes
    quota: IntArray
    limit: FloatArray
    temperature: FloatArray
    top_p: FloatArray
    top_k: IntArray
    seeds: IntArray
    steps: IntArray
    num_steps: IntArray
    num_logprobs: int
    guidance: FloatArray
    editing: FloatArray | None  # confidence that replaces a token; above 1 where none is replaced
    longest: int  # block
    constraints: list[Constraint | None] | None  # None where nobody has one
    eos_last: BoolArray


@dataclass(frozen=True, slots=True)
class StepBatch:
    """T query tokens of S spans, one span after another, and M positions that are scored."""

    spans: tuple[Span, ...]
    denoised: tuple[Span, ...]  # those that have an entry in the decoding arrays
    table_rows: IntArray  # of the denoised spans in the table
    token_ids: IntArray  # [T]
    positions: IntArray  # [T]
    slots: IntArray  # [T]
    horizons: IntArray  # [T]
    anchors: IntArray | None  # [T] where windows are counted from, for canvases of noise
    query_starts: list[int]  # S + 1
    pages: IntArray  # [P]
    page_starts: list[int]  # S + 1
    scored_positions: IntArray  # [M]
    scored_rows: IntArray  # [M] where T has them
    hidden_rows: IntArray  # [M] where T has the rows whose logits are about them
    scored_spans: IntArray  # [M] indices into the decoding arrays
    scored_starts: IntArray  # where each one's of M begin, and the last one's end
    open_rows: IntArray  # [R] indices into T of open blocks, masked or not
    open_cells: IntArray  # [R] where the device's canvas [sequences, MAX_BLOCK_LENGTH] has them
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


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The numbers of S spans, an array [S] each; see `Span.bounds`."""

    start: IntArray
    end: IntArray
    horizon: IntArray
    scored_start: IntArray
    scored_end: IntArray
    block_start: IntArray
    block_end: IntArray
    row: IntArray
    without_prompt: IntArray

    @classmethod
    def of(cls, spans: list[Span]) -> Self:
        numbers = np.frombuffer(b"".join([span.bounds for span in spans]), np.int64)
        return cls(*numbers.reshape(len(spans), -1).T.copy())


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of numbers laid end to end."""

    owner: IntArray  # of each number, the range it is of
    numbers: IntArray
    starts: IntArray  # where each range begins, and the last one's end

    @classmethod
    def of(cls, first: IntArray, length: IntArray) -> Self:
        """Ranges of `length` numbers from `first` on."""
        starts = np.zeros(len(length) + 1, np.int64)
        length.cumsum(out=starts[1:])
        owner = np.repeat(np.arange(len(length)), length)
        return cls(owner, np.arange(len(owner)) + (first - starts[:-1]).take(owner), starts)


def build_batch(
    spans: list[Span], table: SequenceTable, page_size: int, *, shift: bool = False
) -> StepBatch:
    """Lay spans out as flat arrays; every span's pages must already cover its horizon.

    With `shift`, the logits of a position are about the one after it.
    """
    bounds = _Bounds.of(spans)
    lengths = bounds.end - bounds.start
    rows = Ranges.of(bounds.start, lengths)
    first_rows = rows.starts[:-1] - bounds.start  # row of a position, less the position
    pages = _pages(bounds, table, page_size)
    which = ((bounds.scored_end > bounds.scored_start) & (bounds.without_prompt == 0)).nonzero()[0]
    denoised = [spans[i] for i in which.tolist()]
    table_rows = bounds.row[which]
    decoding = _decoding_arrays([span.sequence for span in denoised], table_rows, table)
    scored = _scored(denoised, bounds, which, decoding, table)
    scored_rows = scored.numbers + first_rows[which][scored.owner]
    hidden_rows = scored_rows - 1 if shift else scored_rows
    opened = (bounds.block_end > bounds.block_start).nonzero()[0]
    block_start = bounds.block_start[opened]
    blocks = Ranges.of(block_start, bounds.block_end[opened] - block_start)
    known_from = np.array([_known_from(spans[i]) for i in opened.tolist()], np.int64)
    first_open = (blocks.starts[:-1] - block_start)[np.searchsorted(opened, which)]
    # The canvas without the prompt comes right after the other and is as long.
    is_guided = np.append(bounds.without_prompt[1:], 0)[which] > 0
    guided = is_guided[scored.owner].nonzero()[0]
    return StepBatch(
        spans=tuple(spans),
        denoised=tuple(denoised),
        table_rows=table_rows,
        token_ids=_token_ids(spans, bounds, rows, table),
        positions=rows.numbers,
        slots=_slots(rows, pages, page_size),
        horizons=_horizons(spans[0].sequence, bounds, rows, table),
        anchors=_anchors(spans[0].sequence, bounds, rows),
        query_starts=rows.starts.tolist(),
        pages=pages.numbers,
        page_starts=pages.starts.tolist(),
        scored_positions=scored.numbers,
        scored_rows=scored_rows,
        hidden_rows=hidden_rows,
        scored_spans=scored.owner,
        scored_starts=scored.starts,
        open_rows=blocks.numbers + first_rows[opened][blocks.owner],
        open_cells=_cells(spans[0].sequence, blocks, block_start, bounds.row[opened], table),
        open_is_known=blocks.numbers >= known_from[blocks.owner],
        scored_open=scored.numbers + first_open[scored.owner],
        guided=guided,
        guiding_rows=hidden_rows[guided] + lengths[which][scored.owner[guided]],
        decoding=decoding,
    )


def _known_from(span: Span) -> int:
    """The first position with a cell whose token the host knows."""
    if span.block_start > span.sequence.block_start:
        return span.block_start  # of the next block, which begins as masks
    return span.sequence.block_end if span.sequence.in_flight else span.sequence.block_start


def _cells(
    sequence: Sequence, blocks: Ranges, starts: IntArray, rows: IntArray, table: SequenceTable
) -> IntArray:
    """Cells of the device's canvas [sequences, MAX_BLOCK_LENGTH] for positions of open blocks.

    Where attention is block-causal a block and the next one have different cells, if there are as
    many: blocks begin at multiples of their length. All sequences are of one model.
    """
    if sequence.is_full or sequence.is_canvas:
        return blocks.numbers + (rows * MAX_BLOCK_LENGTH - starts)[blocks.owner]
    block_len = table.parameters.block_len[rows]
    cycle = np.where(2 * block_len <= MAX_BLOCK_LENGTH, 2 * block_len, block_len)
    cells: IntArray = blocks.numbers % cycle[blocks.owner]
    return cells + (rows * MAX_BLOCK_LENGTH)[blocks.owner]


def _token_ids(spans: list[Span], bounds: _Bounds, rows: Ranges, table: SequenceTable) -> IntArray:
    """Tokens of the canvases, the prompt masked where there shall be none."""
    token_ids = table.tokens.reshape(-1).take(rows.numbers + table.cells(bounds.row)[rows.owner])
    for i in bounds.without_prompt.nonzero()[0].tolist():
        own = spans[i].sequence.tokens_without_prompt(spans[i].query)
        token_ids[rows.starts[i] : rows.starts[i + 1]] = own
    return token_ids


def _pages(bounds: _Bounds, table: SequenceTable, page_size: int) -> Ranges:
    """Pages up to each span's horizon; a canvas without the prompt has the second half of them."""
    count = -(-bounds.horizon // page_size)
    first = bounds.row * table.pages.shape[1] + count * bounds.without_prompt
    cells = Ranges.of(first, count)
    return replace(cells, numbers=table.pages.reshape(-1).take(cells.numbers))


def _slots(rows: Ranges, pages: Ranges, page_size: int) -> IntArray:
    """Slots of the KV cache that rows write to."""
    index = rows.numbers // page_size
    page = pages.numbers.take(index + pages.starts.take(rows.owner))
    slots: IntArray = (page - index) * page_size + rows.numbers
    return slots


def _scored(
    denoised: list[Span],
    bounds: _Bounds,
    which: IntArray,
    decoding: DecodingArrays,
    table: SequenceTable,
) -> Ranges:
    """Positions whose distributions are asked for: those that may change."""
    first = bounds.scored_start[which]
    asked = Ranges.of(first, bounds.scored_end[which] - first)
    cells = asked.numbers + table.cells(bounds.row[which])[asked.owner]
    may_change = table.masked.reshape(-1).take(cells)
    if decoding.editing is not None:
        num_prompt = np.array([span.sequence.num_prompt for span in denoised])
        is_answer = asked.numbers >= num_prompt[asked.owner]
        may_change |= (decoding.editing != NEVER)[asked.owner] & is_answer
    chosen = may_change.nonzero()[0]
    starts = np.searchsorted(chosen, asked.starts)
    return Ranges(asked.owner.take(chosen), asked.numbers.take(chosen), starts)


def _horizons(sequence: Sequence, bounds: _Bounds, rows: Ranges, table: SequenceTable) -> IntArray:
    """The end of the keys that each query sees: of its block, of everything, or its own.

    All sequences are of one model, so one tells which.
    """
    limits = bounds.horizon.take(rows.owner)
    if sequence.is_full:
        return limits
    if sequence.is_canvas:
        opened = bounds.block_start.take(rows.owner)
        return np.where(rows.numbers < opened, rows.numbers + 1, limits)
    block_lens = table.parameters.block_len[bounds.row].take(rows.owner)
    ends: IntArray = (rows.numbers // block_lens + 1) * block_lens
    return np.minimum(ends, limits)


def _anchors(sequence: Sequence, bounds: _Bounds, rows: Ranges) -> IntArray | None:
    """A committed token's own position, and for all tokens of a canvas its first."""
    if not sequence.is_canvas:
        return None
    return np.minimum(rows.numbers, bounds.block_start.take(rows.owner))


def _decoding_arrays(
    sequences: list[Sequence], rows: IntArray, table: SequenceTable
) -> DecodingArrays:
    own = table.parameters
    steps = np.array([sequence.next_step for sequence in sequences], np.int64)
    num_steps, editing = own.num_steps[rows], own.editing[rows]
    constraints = [sequence.decoding.constraint for sequence in sequences]
    return DecodingArrays(
        policies=own.policies[rows],
        quota=table.quotas[rows, np.minimum(steps, num_steps - 1)],
        limit=own.limit[rows],
        temperature=own.temperature[rows],
        top_p=own.top_p[rows],
        top_k=own.top_k[rows],
        seeds=own.seeds[rows],
        steps=steps,
        num_steps=num_steps,
        num_logprobs=int(own.num_logprobs[rows].max(initial=0)),
        guidance=own.guidance[rows],
        editing=editing if (editing != NEVER).any() else None,
        longest=int(own.block_len[rows].max(initial=0)),
        constraints=constraints if constraints.count(None) < len(constraints) else None,
        eos_last=own.eos_last[rows],
    )
