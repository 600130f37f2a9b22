"""What a step computes, and what comes of it: plain arrays, no torch."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unmask.engine.sequence import Decoding, IntArray, Reach, Sequence
from unmask.types import MAX_BLOCK_LENGTH, PolicyName
from unmask_kernels.request_constraint import Constraint

FloatArray = npt.NDArray[np.float32]
NEVER = 2.0  # no confidence is as high


@dataclass(frozen=True, slots=True)
class Span:
    """A sequence's part in a step; `block_start` is where its open block began then.

    With guidance there is a second one, `without_prompt`, on pages of its own.
    """

    sequence: Sequence
    reach: Reach
    block_start: int
    without_prompt: bool = False

    @property
    def opens(self) -> bool:
        """Whether the open block is computed."""
        return bool(self.reach.scored)

    @property
    def denoises(self) -> bool:
        """Whether positions of the open block are scored, so that some will be filled."""
        return self.opens and not self.without_prompt

    @property
    def token_ids(self) -> IntArray:
        """Token ids [end - start]."""
        if self.without_prompt:
            return self.sequence.tokens_without_prompt(self.reach)
        return self.sequence.tokens(self.reach)

    def pages(self, page_size: int) -> list[int]:
        """Pages up to the horizon."""
        count = -(-self.reach.horizon // page_size)
        first = count if self.without_prompt else 0
        return self.sequence.pages[first : first + count]


@dataclass(frozen=True, slots=True)
class DecodingArrays:
    """Decoding parameters of the spans that have masked rows, one entry a span."""

    policies: list[PolicyName]
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
    constraints: list[Constraint | None]
    eos_last: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class StepBatch:
    """T query tokens of S spans, one span after another, and M positions that are scored."""

    spans: tuple[Span, ...]
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
    open_is_known: npt.NDArray[np.bool_]  # [R] whether `token_ids` has the result of every step
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
    selected: npt.NDArray[np.bool_]  # [M]
    accepted: npt.NDArray[np.bool_] | None = None  # [M], of canvases of noise
    top_ids: IntArray | None = None  # [M, K]
    top_logprobs: FloatArray | None = None  # [M, K]


def build_batch(spans: list[Span], page_size: int, *, shift: bool = False) -> StepBatch:
    """Lay spans out as flat arrays; every span's pages must already cover its horizon.

    With `shift`, the logits of a position are about the one after it.
    """
    reaches = [span.reach for span in spans]
    starts = np.array([reach.start for reach in reaches])
    lengths = np.array([reach.end for reach in reaches]) - starts
    query_starts = np.concatenate(([0], lengths.cumsum()))
    span_of = np.repeat(np.arange(len(spans)), lengths)
    first_rows = query_starts[:-1] - starts  # row of a position, less the position
    positions = np.arange(query_starts[-1]) - first_rows[span_of]
    pages_of = [span.pages(page_size) for span in spans]
    page_starts = np.array([0, *itertools.accumulate(map(len, pages_of))])
    pages = np.fromiter(itertools.chain.from_iterable(pages_of), np.int64, page_starts[-1])
    slots = pages[page_starts[span_of] + positions // page_size] * page_size + positions % page_size
    denoised = [i for i, span in enumerate(spans) if span.denoises]
    scored = [spans[i].sequence.scored(reaches[i]) for i in denoised]
    scored_positions = np.concatenate([np.empty(0, np.int64), *scored])
    counts = [len(own) for own in scored]
    scored_spans = np.repeat(np.arange(len(denoised)), counts)
    scored_rows = scored_positions + first_rows[denoised][scored_spans]
    open_rows, open_cells, open_is_known = _open_block(spans, first_rows)
    hidden_rows = scored_rows - 1 if shift else scored_rows
    is_guided = np.array([spans[i].sequence.num_canvases == 2 for i in denoised], np.bool_)
    guided = np.flatnonzero(is_guided[scored_spans])
    # The canvas without the prompt comes right after the other and is as long.
    lengths_of = lengths[np.array(denoised, np.int64)][scored_spans[guided]]
    return StepBatch(
        spans=tuple(spans),
        token_ids=np.concatenate([span.token_ids for span in spans]),
        positions=positions,
        slots=slots,
        horizons=_horizons(spans, positions, span_of),
        anchors=_anchors(spans, positions, span_of),
        query_starts=query_starts.tolist(),
        pages=pages,
        page_starts=page_starts.tolist(),
        scored_positions=scored_positions,
        scored_rows=scored_rows,
        hidden_rows=hidden_rows,
        scored_spans=scored_spans,
        scored_starts=np.array([0, *itertools.accumulate(counts)]),
        open_rows=open_rows,
        open_cells=open_cells,
        open_is_known=open_is_known,
        scored_open=np.searchsorted(open_rows, scored_rows),
        guided=guided,
        guiding_rows=hidden_rows[guided] + lengths_of,
        decoding=_decoding_arrays([spans[i].sequence for i in denoised]),
    )


def _horizons(spans: list[Span], positions: IntArray, span_of: IntArray) -> IntArray:
    """How far each query sees: to the end of its block, or of everything, or to itself."""
    limits: IntArray = np.array([span.reach.horizon for span in spans])[span_of]
    if all(span.sequence.is_full for span in spans):
        return limits
    if all(span.sequence.is_canvas for span in spans):
        opened = np.array([span.block_start for span in spans])[span_of]
        return np.where(positions < opened, positions + 1, limits)
    block_lens = np.array([span.sequence.decoding.block_len for span in spans])[span_of]
    ends: IntArray = (positions // block_lens + 1) * block_lens
    return np.minimum(ends, limits)


def _anchors(spans: list[Span], positions: IntArray, span_of: IntArray) -> IntArray | None:
    """A committed token's own position, and for all tokens of a canvas its first."""
    if not all(span.sequence.is_canvas for span in spans):
        return None
    opened: IntArray = np.array([span.block_start for span in spans])[span_of]
    return np.minimum(positions, opened)


def _open_block(
    spans: list[Span], first_rows: IntArray
) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
    """Rows of open blocks, their cells on the device, and whether the host knows what they hold."""
    opened = [i for i, span in enumerate(spans) if span.opens]
    starts = np.array([spans[i].block_start for i in opened], np.int64)
    ends = [min(spans[i].sequence.block_end, spans[i].reach.end) for i in opened]
    lengths = np.array(ends, np.int64) - starts
    owner = np.repeat(np.arange(len(opened)), lengths)
    in_block = np.arange(len(owner)) - np.repeat(lengths.cumsum() - lengths, lengths)
    canvas_rows = np.array([spans[i].sequence.canvas_row for i in opened], np.int64)
    is_known = np.array([spans[i].sequence.in_flight == 0 for i in opened], np.bool_)
    rows = (first_rows[opened] + starts)[owner] + in_block
    return rows, canvas_rows[owner] * MAX_BLOCK_LENGTH + in_block, is_known[owner]


def _decoding_arrays(sequences: list[Sequence]) -> DecodingArrays:
    params = [sequence.decoding for sequence in sequences]
    wanted = [p.num_logprobs for p in params if p.num_logprobs is not None]
    quotas = [
        p.quotas[min(sequence.next_step, p.steps - 1)]
        for sequence, p in zip(sequences, params, strict=True)
    ]
    return DecodingArrays(
        policies=[p.policy for p in params],
        quota=np.array(quotas, np.int64),
        limit=np.array([p.limit for p in params], np.float32),
        temperature=np.array([p.temperature for p in params], np.float32),
        top_p=np.array([p.top_p for p in params], np.float32),
        top_k=np.array([p.top_k for p in params], np.int64),
        seeds=np.array([p.seed for p in params], np.int64),
        steps=np.array([sequence.next_step for sequence in sequences], np.int64),
        num_steps=np.array([p.steps for p in params], np.int64),
        num_logprobs=max(wanted, default=0),
        guidance=np.array([p.guidance for p in params], np.float32),
        editing=_editing_limits(params),
        longest=max((p.block_len for p in params), default=0),
        constraints=[p.constraint for p in params],
        eos_last=np.array([p.eos_last for p in params], np.bool_),
    )


def _editing_limits(params: list[Decoding]) -> FloatArray | None:
    if all(p.editing_limit is None for p in params):
        return None
    limits = [NEVER if p.editing_limit is None else p.editing_limit for p in params]
    return np.array(limits, np.float32)
