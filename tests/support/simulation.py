"""A scheduler whose results are made up: thousands of steps without a model."""

from collections import deque
from dataclasses import dataclass, fields

import numpy as np

from tests.support.tiny import byte_tokenizer
from unmask.config import EngineConfig
from unmask.engine.apply.apply import apply_step
from unmask.engine.apply.session import Session
from unmask.engine.apply.text import TextAssembler
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.batch import StepBatch, StepResult, build_batch
from unmask.engine.schedule.layout import Layout
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.pages import PagePool
from unmask.engine.schedule.scheduler import Scheduler
from unmask.engine.schedule.sequence import Sequence
from unmask.tokenizer import Tokenizer
from unmask.types import MAX_BLOCK_LENGTH, Delta, ModelInfo, Request, SamplingParams

PAGE, VOCAB, MASK = 4, 200, 199
TOKENIZER = Tokenizer(byte_tokenizer())
MODEL = ModelInfo(
    name="m",
    max_model_len=96,
    vocab_size=VOCAB,
    mask_token_id=MASK,
    eos_token_ids=(),
    default_sampling=SamplingParams(block_length=8),
    created_s=0,
)


def token_at(position: int) -> int:
    """The token that every made-up result has at a position."""
    return position * 7 % 150 + 20


@dataclass
class Simulation:
    """A scheduler whose steps end after as many others as `ahead`."""

    model: ModelInfo
    limits: EngineLimits
    ahead: int
    random: np.random.Generator

    def __post_init__(self) -> None:
        self.pool = PagePool(self.limits.num_pages, PAGE)
        self.scheduler = Scheduler(
            EngineConfig(prefix_cache=True), self.limits, self.pool, self.model
        )
        self.sessions: dict[str, Session] = {}
        self.pending: deque[StepBatch] = deque()
        self.answers: dict[str, list[int]] = {}
        self.num_repeats = self.num_tokens = 0  # of all steps, of the last one

    def add(self, request: Request) -> None:
        sequence = Sequence(request, resolve(request, self.model, self.limits), self.model)
        self.scheduler.add(sequence)
        text = TextAssembler(TOKENIZER, ())
        self.sessions[request.request_id] = Session(sequence, text, TOKENIZER)

    def step(self) -> None:
        batch = self.scheduler.schedule()
        if batch is not None:
            assert_laid_out(batch, self.model)
            assert_same_by_numpy(batch, self)
            self.num_repeats += batch.num_repeats
            self.num_tokens = batch.num_tokens
            self.scheduler.advance(batch)
            self.pending.append(batch)
        while len(self.pending) > (0 if batch is None else self.ahead):
            self.apply(self.pending.popleft())
        self.pool.check_integrity(sequence.pages for sequence in self.scheduler.sequences)

    def apply(self, batch: StepBatch) -> None:
        """Fill each block's quota at least, anywhere among what is still masked in it."""
        selected = np.zeros(len(batch.scored_positions), np.bool_)
        for i, quota in enumerate(batch.decoding.quota.tolist()):
            is_masked = batch.denoised[i].sequence.masked
            rows = np.arange(*batch.scored_starts[i : i + 2])
            rows = rows[is_masked[batch.scored_positions[rows]]]
            count = min(len(rows), quota + int(self.random.integers(0, 2)))
            selected[self.random.permutation(rows)[:count]] = True
        tokens = np.array([token_at(p) for p in batch.scored_positions.tolist()], np.int64)
        confidence = np.full(len(tokens), 0.5, np.float32)
        result = StepResult(tokens, confidence, selected)
        applied = apply_step(self.sessions, self.scheduler.table, batch, result, at_s=0.0)
        for event in applied.events:
            assert isinstance(event, Delta)
            self.answers.setdefault(event.request_id, []).extend(event.token_ids)
        for session, _ in applied.finished:
            self.scheduler.remove(session.sequence)
            del self.sessions[session.sequence.request.request_id]


def assert_same_by_numpy(batch: StepBatch, simulation: Simulation) -> None:
    """C and NumPy lay the same spans out alike."""
    by_numpy = build_batch(
        list(batch.spans),
        simulation.scheduler.table,
        PAGE,
        attention=simulation.model.attention,
        shift=simulation.model.shift,
        uses_c=False,
    )
    for field in fields(Layout):
        ours, theirs = getattr(batch, field.name), getattr(by_numpy, field.name)
        assert ours.tolist() == theirs.tolist(), field.name
        assert ours.dtype == theirs.dtype


def assert_laid_out(batch: StepBatch, model: ModelInfo) -> None:
    """Every array of a batch is what its spans say one by one."""
    denoised = 0
    for i, span in enumerate(batch.spans):
        sequence, query = span.sequence, span.query
        rows = slice(*batch.query_starts[i : i + 2])
        in_text = positions = np.arange(query.start, query.end)
        if model.attention == "causal_window":  # positions with a token first
            positions = positions[np.argsort(sequence.masked[positions], kind="stable")]
        assert batch.positions[rows].tolist() == positions.tolist()
        assert batch.token_ids[rows].tolist() == sequence.tokens[positions].tolist()
        pages = sequence.pages[: -(-query.horizon // PAGE)]
        assert batch.pages[slice(*batch.page_starts[i : i + 2])].tolist() == pages
        slots = [pages[p // PAGE] * PAGE + p % PAGE for p in in_text.tolist()]
        assert batch.slots[rows].tolist() == slots
        block_len = sequence.decoding.block_len
        ends = (in_text // block_len + 1) * block_len
        if model.attention == "full":
            ends = np.full_like(positions, query.horizon)
        if model.attention == "causal_window":
            ends = in_text + 1
        if model.attention in ("causal_prefix", "causal"):
            is_open = (positions >= sequence.block_start) & (not query.is_causal)
            ends = np.where(is_open, query.horizon, positions + 1)
        assert batch.horizons[rows].tolist() == np.minimum(ends, query.horizon).tolist()
        if not query.scored:
            continue
        assert batch.denoised[denoised] is span
        scored = slice(*batch.scored_starts[denoised : denoised + 2])
        may_change = [p for p in query.scored if sequence.masked[p] or span.verifies]
        assert batch.scored_positions[scored].tolist() == may_change
        opens_next = span.block_start > sequence.block_start
        step = 0 if opens_next else sequence.block_step + sequence.in_flight
        quotas = sequence.decoding.quotas
        assert batch.decoding.steps[denoised] == (0 if sequence.decoding.drafts else step)
        assert batch.decoding.quota[denoised] == quotas[min(step, len(quotas) - 1)]
        assert batch.table_rows[denoised] == sequence.table_row
        assert batch.scored_tokens[scored].tolist() == sequence.tokens[may_change].tolist()
        reads_before = model.shift or query.is_causal
        rows_by_position = np.append(np.argsort(positions), len(positions))
        own_rows = batch.query_starts[i] + rows_by_position[np.array(may_change) - query.start]
        assert batch.hidden_rows[scored].tolist() == (own_rows - reads_before).tolist()
        if query.scored.stop <= query.end:
            is_known = batch.is_known[own_rows]
            assert (is_known == (opens_next or not sequence.num_unknown)).all() or (
                sequence.num_unknown == 1 and is_known[1:].all()
            )
            assert batch.token_slots[own_rows].tolist() == batch.scored_slots[scored].tolist()
        # A block's positions have token slots of their own in the sequence's row.
        slots = batch.scored_slots[scored]
        assert len(set(slots.tolist())) == len(slots)
        assert (slots // MAX_BLOCK_LENGTH == sequence.table_row).all()
        denoised += 1
    assert len(batch.denoised) == denoised
