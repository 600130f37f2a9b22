"""What a step computes, and what comes of it: plain arrays, no torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unmask.engine.sequence import Sequence
from unmask.types import MAX_BLOCK_LENGTH, PolicyName

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """Positions [start, end) of a sequence; those from `open_start` on are its open block."""

    sequence: Sequence
    start: int
    end: int
    open_start: int


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
    num_logprobs: int


@dataclass(frozen=True, slots=True)
class StepBatch:
    """T query tokens of S spans, one span after another, M of them masked and scored."""

    spans: tuple[Span, ...]
    token_ids: IntArray  # [T]
    positions: IntArray  # [T]
    slots: IntArray  # [T]
    horizons: IntArray  # [T]
    query_starts: list[int]  # S + 1
    pages: IntArray  # [P]
    page_starts: list[int]  # S + 1
    masked_rows: IntArray  # [M] indices into T
    masked_spans: IntArray  # [M] indices into the decoding arrays
    open_rows: IntArray  # [R] indices into T of open blocks, masked or not
    open_cells: IntArray  # [R] where the device's canvas [sequences, MAX_BLOCK_LENGTH] has them
    open_is_known: npt.NDArray[np.bool_]  # [R] whether `token_ids` has the result of every step
    masked_open: IntArray  # [M] indices into R
    decoding: DecodingArrays

    @property
    def num_tokens(self) -> int:
        """Query tokens in the step."""
        return len(self.token_ids)


@dataclass(frozen=True, slots=True)
class StepResult:
    """For each masked row: its best token, and whether the policy commits it in this step."""

    tokens: IntArray  # [M]
    confidence: FloatArray  # [M]
    selected: npt.NDArray[np.bool_]  # [M]
    top_ids: IntArray | None  # [M, K]
    top_logprobs: FloatArray | None  # [M, K]


def build_batch(spans: list[Span], page_size: int) -> StepBatch:
    """Lay spans out as flat arrays; every span's pages must already cover its end."""
    lengths = np.array([span.end - span.start for span in spans])
    query_starts = np.concatenate(([0], lengths.cumsum()))
    span_of = np.repeat(np.arange(len(spans)), lengths)
    starts = np.array([span.start for span in spans])
    positions = np.arange(query_starts[-1]) - query_starts[span_of] + starts[span_of]
    page_counts = [-(-span.end // page_size) for span in spans]
    page_starts = np.concatenate(([0], np.cumsum(page_counts)))
    pages = np.concatenate(
        [span.sequence.pages[:count] for span, count in zip(spans, page_counts, strict=True)]
    ).astype(np.int64)
    slots = pages[page_starts[span_of] + positions // page_size] * page_size + positions % page_size
    block_lens = np.array([span.sequence.decoding.block_len for span in spans])[span_of]
    masked = np.concatenate([span.sequence.masked[span.start : span.end] for span in spans])
    denoised = [i for i, span in enumerate(spans) if span.end > span.open_start]
    rank_of = np.zeros(len(spans), np.int64)
    rank_of[denoised] = np.arange(len(denoised))
    masked_rows = np.flatnonzero(masked)
    open_starts = np.array([span.open_start for span in spans])[span_of]
    open_rows = np.flatnonzero(positions >= open_starts)
    canvas_rows = np.array([span.sequence.canvas_row for span in spans])[span_of[open_rows]]
    in_block = positions[open_rows] - open_starts[open_rows]
    is_known = np.array([span.sequence.in_flight == 0 for span in spans])
    return StepBatch(
        spans=tuple(spans),
        token_ids=np.concatenate([span.sequence.canvas[span.start : span.end] for span in spans]),
        positions=positions,
        slots=slots,
        horizons=(positions // block_lens + 1) * block_lens,
        query_starts=query_starts.tolist(),
        pages=pages,
        page_starts=page_starts.tolist(),
        masked_rows=masked_rows,
        masked_spans=rank_of[span_of[masked_rows]],
        open_rows=open_rows,
        open_cells=canvas_rows * MAX_BLOCK_LENGTH + in_block,
        open_is_known=is_known[span_of[open_rows]],
        masked_open=np.searchsorted(open_rows, masked_rows),
        decoding=_decoding_arrays([spans[i].sequence for i in denoised]),
    )


def _decoding_arrays(sequences: list[Sequence]) -> DecodingArrays:
    params = [sequence.decoding for sequence in sequences]
    wanted = [p.num_logprobs for p in params if p.num_logprobs is not None]
    quotas = [
        step_quota(sequence.next_step, p.steps, p.block_len)
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
        num_logprobs=max(wanted, default=0),
    )


def step_quota(step: int, steps: int, block_len: int) -> int:
    """Positions that step number `step` of `steps` must fill, so that they fill `block_len`."""
    return max(1, block_len // steps + (1 if step < block_len % steps else 0))
