"""Rows of a step and their results: plain arrays, no torch."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from unmask.engine.schedule.decoding import Columns
from unmask.engine.schedule.given_rows import GivenRows
from unmask.engine.schedule.image_rows import StepImages
from unmask.engine.schedule.layout import NEVER, Layout, SpanFlags, lay_out
from unmask.engine.schedule.penalties import RowConstraints
from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.engine.schedule.rotary import rotary_coordinates
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.span import Bounds, Span
from unmask.engine.schedule.structure import Part, RowClasses
from unmask.engine.schedule.table import FloatArray, SequenceTable
from unmask.types import AttentionPattern
from unmask_kernels.scoring.request_constraint import Constraint

LAYOUT_FIELDS = tuple(field.name for field in fields(Layout))


@dataclass(frozen=True, slots=True)
class DecodingArrays:
    """Decoding parameters of the B spans that are denoised, an entry each."""

    columns: Columns  # [B], of `COLUMNS`
    quota: IntArray  # [B], the fewest positions to fill
    steps: IntArray  # [B], number of the denoising step of the block, which random numbers have
    drafts: BoolArray | None  # [B], True in self-speculation; None where nothing is drafted
    edits: BoolArray | None  # [B], True where tokens may be replaced; None where none may
    by_rules: BoolArray | None  # [B], True where tokens are deleted and inserted too; None as well

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        """A column [B] by the name of its field in `Decoding`."""
        return np.ascontiguousarray(self.columns[name])

    @property
    def draws(self) -> BoolArray:
        """True where tokens are drawn at random, [B]."""
        return np.asarray(self.columns["temperature"] > 0)

    @property
    def num_top(self) -> int:
        """Likeliest tokens that some request needs of each position."""
        return int(self.columns["num_top"].max(initial=0))

    @property
    def longest_block(self) -> int:
        """Positions of the longest block."""
        return int(self.columns["block_len"].max(initial=0))


@dataclass(frozen=True, slots=True)
class BestOfAll:
    """The M scored positions once more, a group for each of B sequences, whatever their blocks."""

    groups: IntArray  # [M]
    starts: IntArray  # [B + 1]
    codes: npt.NDArray[np.int32]  # [B], of policies that rank
    quota: IntArray  # [B], the fewest positions of a group to fill
    longest: int  # no group has more positions


@dataclass(frozen=True, slots=True)
class StepBatch(Layout):
    """T query tokens of S spans, one span after another, and M scored positions of B spans."""

    spans: tuple[Span, ...]  # S
    num_repeats: int  # of the first spans, which are their sequences' last ones once more
    denoised: tuple[Span, ...]  # B
    table_rows: IntArray  # [B]
    has_no_row: BoolArray  # [M] True where a position is masked that no row tells to be
    adapted: BoolArray  # [T] True in rows of drafts
    shares: FloatArray | None  # [T] of a token's embedding; None where none is mixed
    anchors: IntArray | None  # [T] where windows are counted from, for canvases of noise
    penalties: FloatArray | None  # [M] added to entropies, where tokens are filled in a window
    constraints: RowConstraints | None  # where a request has any
    classes: RowClasses | None  # where a grammar says which tokens may stand
    given: GivenRows | None  # where answers are given
    guided: IntArray  # [G] indices into M
    guiding_rows: IntArray  # [G] indices into T: `hidden_rows` of the same without the prompt
    decoding: DecodingArrays
    by_block: "StepBatch | None" = None  # an entry for each open block, if some have several
    best_of_all: BestOfAll | None = None  # beside the entries of blocks
    images: StepImages | None = None  # None where no row is of an image
    rotary: IntArray | None = None  # [T, 3], see `rotary_coordinates`; None where positions are it

    @property
    def sampled(self) -> "StepBatch":
        """The step as it is sampled: policies fill the open blocks of a sequence one by one."""
        return self if self.by_block is None else self.by_block

    @property
    def mixes(self) -> bool:
        """True if some embedding is mixed with the mask token's."""
        return self.shares is not None

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
    given_logprobs: FloatArray | None = None  # [M], of rows with a given token
    given_ranks: IntArray | None = None  # [M], the same


def build_batch(
    spans: list[Span],
    table: SequenceTable,
    page_size: int,
    *,
    attention: AttentionPattern = "block_causal",
    shift: bool = False,
    num_repeats: int = 0,
    has_images: bool = True,
    uses_c: bool = True,
) -> StepBatch:
    """Lay spans out as flat arrays; every span's pages must already cover its horizon.

    The bounds of the first `num_repeats` spans are those in the table. With `shift`, the logits of
    a position are about the one after it. Unless it `has_images`, no prompt is searched for them.
    `uses_c` is False to have NumPy lay rows out in any case.
    """
    numbers = _bounds(spans, table, num_repeats)
    bounds = Bounds.from_numbers(numbers)
    is_denoised = (bounds.scored_end > bounds.scored_start) & (bounds.without_prompt == 0)
    which = is_denoised.nonzero()[0]
    denoised = [spans[i] for i in which.tolist()]
    decoding = _decoding_arrays(denoised, bounds, which, table)
    flags = _flags(spans, which, decoding)
    layout = lay_out(numbers, flags, table, page_size, attention, shift=shift, uses_c=uses_c)
    images = rotary = None
    if has_images:
        images = StepImages.of_spans(spans, layout.query_starts)
        rotary = rotary_coordinates(spans, layout.positions, layout.query_starts)
    if images is not None:
        layout = replace(layout, horizons=images.horizons(layout.horizons))
    _mask_prompts(spans, bounds, layout)
    if shift and attention == "full" and len(which):
        # Without the row before a pass, its first position has its own logits (d3LLM).
        first_rows = layout.query_starts[which].take(layout.scored_spans)
        layout = replace(layout, hidden_rows=np.maximum(layout.hidden_rows, first_rows))
    guided = guiding_rows = which[:0]
    if bounds.without_prompt.any():
        # The branch without the prompt comes right after the other and is as long.
        is_guided = np.append(bounds.without_prompt[1:], 0)[which] > 0
        guided = is_guided.take(layout.scored_spans).nonzero()[0]
        lengths = (bounds.end - bounds.start)[which]
        guiding_rows = layout.hidden_rows[guided] + lengths.take(layout.scored_spans[guided])
    return StepBatch(
        **{name: getattr(layout, name) for name in LAYOUT_FIELDS},
        spans=tuple(spans),
        num_repeats=num_repeats,
        denoised=tuple(denoised),
        table_rows=bounds.row[which],
        has_no_row=_has_no_row(bounds, which, layout),
        adapted=_adapted(spans, which, layout, decoding),
        shares=_shares(spans, which, layout, decoding),
        anchors=_anchors(bounds, layout) if attention == "canvas" else None,
        penalties=_penalties(decoding, layout) if attention == "causal_window" else None,
        constraints=_constraints(denoised, layout, decoding),
        classes=_classes(denoised, layout, decoding) if attention != "canvas" else None,
        given=_given(denoised, layout, decoding),
        guided=guided,
        guiding_rows=guiding_rows,
        decoding=decoding,
        images=images,
        rotary=rotary,
    )


def _bounds(spans: list[Span], table: SequenceTable, num_repeats: int) -> IntArray:
    """`Span.bounds` of all spans, [S, 11]; the table keeps them for as long as spans repeat."""
    rows = np.array([span.row for span in spans])
    numbers = table.bounds.take(rows, axis=0)
    if num_repeats < len(spans):
        fresh = np.array([span.bounds for span in spans[num_repeats:]], np.int64)
        numbers[num_repeats:] = table.bounds[rows[num_repeats:]] = fresh
    return numbers


def _flags(spans: list[Span], which: IntArray, decoding: DecodingArrays) -> SpanFlags:
    num_unknown = np.array([span.sequence.num_unknown for span in spans], np.int64)
    edits_from = np.full(len(spans), NEVER)
    if decoding.edits is not None:
        for i in which[decoding.edits].tolist():
            edits_from[i] = spans[i].sequence.num_prompt
    if decoding.drafts is not None:
        for i in which[decoding.drafts].tolist():
            if spans[i].verifies:  # every token of the draft is scored
                edits_from[i] = spans[i].query.scored.start
    return SpanFlags(num_unknown, edits_from)


def _mask_prompts(spans: list[Span], bounds: Bounds, layout: Layout) -> None:
    """Mask the prompt, and the text after the answer, in branches without them."""
    for i in bounds.without_prompt.nonzero()[0].tolist():
        sequence, start = spans[i].sequence, spans[i].query.start
        tokens = layout.token_ids[layout.query_starts[i] : layout.query_starts[i + 1]]
        tokens[: max(0, sequence.num_prompt - start)] = sequence.mask_token_id
        tokens[max(0, sequence.fill_end - start) :] = sequence.mask_token_id


def _has_no_row(bounds: Bounds, which: IntArray, layout: Layout) -> BoolArray:
    if (bounds.scored_end <= bounds.end).all():
        return np.zeros(len(layout.scored_positions), np.bool_)
    return layout.scored_positions >= bounds.end[which].take(layout.scored_spans)


def _adapted(
    spans: list[Span], which: IntArray, layout: Layout, decoding: DecodingArrays
) -> BoolArray:
    """True in rows of blocks that are drafted."""
    adapted = np.zeros(len(layout.token_ids), np.bool_)
    if decoding.drafts is None:
        return adapted
    for i in which[decoding.drafts].tolist():
        span, first = spans[i], layout.query_starts[i]
        if not span.query.is_causal:
            opened = span.block_start - span.query.start
            adapted[first + opened : layout.query_starts[i + 1]] = True
    return adapted


def _shares(
    spans: list[Span], which: IntArray, layout: Layout, decoding: DecodingArrays
) -> FloatArray | None:
    """Shares of tokens in their rows, the rest being the mask token's; None if all are whole.

    Rows before an open block are tokens alone.
    """
    mixed = which[decoding.columns["mixes"]].tolist()
    if not mixed:
        return None
    shares = np.ones(len(layout.token_ids), np.float32)
    for i in mixed:
        span = spans[i]
        first = layout.query_starts[i] + span.block_start - span.query.start
        own = span.sequence.shares[span.block_start : span.query.end]
        shares[first : first + len(own)] = own
    return shares


def _constraints(
    denoised: list[Span], layout: Layout, decoding: DecodingArrays
) -> RowConstraints | None:
    """Constraints of the rows; None if no request has any in this step."""
    if not decoding.columns["has_constraint"].any():
        return None
    constraints: list[Constraint | None] = [s.sequence.decoding.constraint for s in denoised]
    owner = layout.scored_spans.copy()
    for i, span in enumerate(denoised):
        sequence, penalties = span.sequence, span.sequence.decoding.penalties
        if (lengths := sequence.lengths) is not None and lengths.is_full(sequence.open_len):
            constraints[i] = lengths.rules.when_full
        if penalties is None:
            continue
        base, rows = constraints[i], slice(*layout.scored_starts[i : i + 2])
        positions = layout.scored_positions[rows]
        is_early = positions < sequence.num_prompt + penalties.min_tokens
        for own, chosen in _by_own_token(sequence, positions):
            committed = _committed(sequence, own)
            for may_end, some in ((True, chosen & ~is_early), (False, chosen & is_early)):
                if some.any():
                    owner[rows][some] = len(constraints)
                    constraints.append(penalties.constraint(base, committed, may_end=may_end))
    if all(constraint is None for constraint in constraints):
        return None
    return RowConstraints(constraints, owner)


def _by_own_token(
    sequence: Sequence, positions: IntArray
) -> Iterator[tuple[int | None, BoolArray]]:
    """Tokens that scored `positions` [N] hold and may keep, each with its rows [N]; None for none.

    A step chooses such a token anew, and others count for its penalties, but not the token itself.
    """
    decoding = sequence.decoding
    is_edited = decoding.editing_threshold is not None and not decoding.remasks
    is_held = ~sequence.masked[positions] & (positions < sequence.last_end)
    is_held &= decoding.counts_tokens and is_edited
    yield None, ~is_held
    tokens = sequence.tokens[positions]
    for token_id in np.unique(tokens[is_held]).tolist():
        yield token_id, is_held & (tokens == token_id)


def _committed(sequence: Sequence, own: int | None) -> IntArray:
    """Tokens of the answer that are committed, without one that is a row's `own`."""
    answer = slice(sequence.num_prompt, min(sequence.block_end, sequence.last_end))
    committed = sequence.tokens[answer][~sequence.masked[answer]]
    return committed if own is None else np.delete(committed, np.argmax(committed == own))


def _classes(denoised: list[Span], layout: Layout, decoding: DecodingArrays) -> RowClasses | None:
    """Masks of the rows of requests with a grammar; None if there are none."""
    structured = decoding["is_structured"].nonzero()[0].tolist()
    if not structured:
        return None
    spans, parts = list[int](), list[Part]()
    for i in structured:
        structure = denoised[i].sequence.structure
        assert structure is not None, "the request has a grammar"
        for part in structure.open_parts:
            spans.append(i)
            parts.append(part)
    if not parts:
        return None
    return RowClasses.of_parts(spans, parts, layout.scored_starts, layout.scored_positions)


def _given(denoised: list[Span], layout: Layout, decoding: DecodingArrays) -> GivenRows | None:
    """Rows of answers that are given; None if there are none."""
    is_given = decoding.columns["is_given"]
    if not is_given.any():
        return None
    which = is_given.nonzero()[0].tolist()
    return GivenRows.of_spans(denoised, which, layout.scored_starts, layout.scored_positions)


def _anchors(bounds: Bounds, layout: Layout) -> IntArray:
    """A committed token's own position, and for all tokens of a canvas its first."""
    opened = bounds.open_start.repeat(bounds.end - bounds.start)
    return np.minimum(layout.positions, opened)


def _penalties(decoding: DecodingArrays, layout: Layout) -> FloatArray:
    """Nats [M] by each scored position's distance from the first masked one of its window."""
    spans, positions = layout.scored_spans, layout.scored_positions
    distance = positions - positions.take(layout.scored_starts.take(spans))
    penalty = np.asarray(decoding.columns["distance_penalty"])
    penalties: FloatArray = penalty.take(spans) * distance.astype(np.float32)
    return penalties


def _decoding_arrays(
    denoised: list[Span], bounds: Bounds, which: IntArray, table: SequenceTable
) -> DecodingArrays:
    rows = bounds.row[which]
    columns = table.parameters.take(rows)
    sequences = [span.sequence for span in denoised]
    steps = np.array([s.block_step + s.in_flight for s in sequences], np.int64)
    steps[bounds.opens_next[which] > 0] = 0
    quota = table.quotas[rows, np.minimum(steps, columns["num_steps"] - 1)]
    drafts = columns["drafts"] if columns["drafts"].any() else None
    if drafts is not None:  # a token is drawn alike whether it was drafted before
        steps = np.where(drafts, 0, steps)
    if (mixes := columns["mixes"]).any():  # drawn anew, a token changes if its chances do
        steps = np.where(mixes, 0, steps)
    edits, by_rules = ~np.isnan(columns["editing_threshold"]), columns["has_edit_rules"]
    has_edits = bool(edits.any())
    return DecodingArrays(
        columns,
        quota,
        steps,
        drafts,
        edits if has_edits else None,
        by_rules if has_edits and by_rules.any() else None,
    )
