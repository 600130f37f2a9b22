"""A step gathers tokens and pages of all sequences from one table."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engines import make_engine, run_all
from unmask.config import EngineConfig
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.batch import StepBatch, build_batch
from unmask.engine.schedule.layout import Layout, final_ends
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.pages import PagePool
from unmask.engine.schedule.scheduler import Scheduler
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.table import SequenceTable
from unmask.models.registry import LoadedModel
from unmask.types import CanvasSchedule, ModelInfo, Request, SamplingParams

PAGE, VOCAB, MASK = 4, 50, 49
CONFIG = EngineConfig(prefix_cache=False)
LIMITS = EngineLimits(256, 100, PAGE, max_num_seqs=4)


def info(**changes: Any) -> ModelInfo:
    values = {
        "name": "m",
        "max_model_len": 64,
        "vocab_size": VOCAB,
        "mask_token_id": MASK,
        "eos_token_ids": (),
        "default_sampling": SamplingParams(block_length=8),
        "created_s": 0,
    }
    return ModelInfo(**(values | changes))


def sequence(model: ModelInfo, num_prompt: int, **params: Any) -> Sequence:
    request = Request("r", tuple(range(num_prompt)), SamplingParams(max_tokens=16, **params))
    return Sequence(request, resolve(request, model, LIMITS), model)


def schedule(model: ModelInfo, sequences: list[Sequence]) -> tuple[Scheduler, StepBatch]:
    scheduler = Scheduler(CONFIG, LIMITS, PagePool(100, PAGE), model)
    for own in sequences:
        scheduler.add(own)
    batch = scheduler.schedule()
    assert batch is not None
    return scheduler, batch


def test_a_canvas_lies_in_the_table_until_its_sequence_leaves() -> None:
    table, own = SequenceTable(2, 32, 8), sequence(info(), 5)
    own.pages = [7, 3]
    before = own.tokens.tolist()
    table.enter(own)
    assert own.tokens.tolist() == before
    table.tokens[own.table_row, 6] = 11
    table.masked[own.table_row, 6] = False
    assert own.tokens[6] == 11
    assert not own.masked[6]
    assert table.pages[own.table_row, :2].tolist() == [7, 3]
    table.leave(own)
    assert own.table_row is None
    table.tokens[:] = 0
    assert own.tokens[6] == 11, "nobody else writes to the canvas of a sequence that left"


def test_pages_that_come_later_are_noted() -> None:
    table, own = SequenceTable(2, 32, 8), sequence(info(), 5)
    own.pages = [7]
    table.note_pages(own, 1)  # nothing to do before there is a row
    table.enter(own)
    own.pages += [4, 5]
    table.note_pages(own, 2)
    assert table.pages[own.table_row, :3].tolist() == [7, 4, 5]


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (info(), ({}, {"temperature": 0.5, "seed": 3, "top_k": 7}, {"steps": 2})),
        (info(), ({"block_length": 4}, {"block_length": 16}, {"sub_block_length": 4})),
        (info(shift=True), ({}, {"block_length": 4})),
        (info(attention="causal_prefix"), ({}, {"block_length": 4}, {"block_length": 1})),
        (info(attention="causal_window"), ({}, {"block_length": 4}, {"block_length": 1})),
        (info(attention="full"), ({}, {"cfg_scale": 1.5}, {"cache": "dual"})),
        (info(can_edit=True), ({"editing_threshold": 0.8}, {"policy": "margin"})),
    ],
)
def test_a_batch_has_the_rows_of_its_spans_one_after_another(
    model: ModelInfo, params: tuple[dict[str, Any], ...]
) -> None:
    sequences = [sequence(model, 3 + 3 * i, **own) for i, own in enumerate(params)]
    _, batch = schedule(model, sequences)
    denoised = 0
    for i, span in enumerate(batch.spans):
        own, query = span.sequence, span.query
        rows = slice(*batch.query_starts[i : i + 2])
        positions = np.arange(query.start, query.end)
        assert batch.positions[rows].tolist() == positions.tolist()
        hidden = own.tokens[positions]
        if span.without_prompt:
            is_answer = (positions >= own.num_prompt) & (positions < own.fill_end)
            hidden = np.where(is_answer, hidden, own.mask_token_id)
        assert batch.token_ids[rows].tolist() == hidden.tolist()
        count = -(-query.horizon // PAGE)
        pages = own.pages[count:] if span.without_prompt else own.pages[:count]
        assert batch.pages[slice(*batch.page_starts[i : i + 2])].tolist() == pages
        slots = [pages[p // PAGE] * PAGE + p % PAGE for p in positions.tolist()]
        assert batch.slots[rows].tolist() == slots
        if not query.scored or span.without_prompt:
            continue
        assert batch.denoised[denoised] is span
        scored = slice(*batch.scored_starts[denoised : denoised + 2])
        edits = own.decoding.editing_threshold is not None
        wanted = [p for p in query.scored if own.masked[p] or (edits and p >= own.num_prompt)]
        assert batch.scored_positions[scored].tolist() == wanted
        assert (batch.scored_spans[scored] == denoised).all()
        own_rows = batch.query_starts[i] + np.array(wanted) - query.start
        own_rows -= model.shift or query.scored.start >= query.end
        assert batch.hidden_rows[scored].tolist() == own_rows.tolist()
        assert batch.scored_tokens[scored].tolist() == own.tokens[wanted].tolist()
        assert batch.decoding.quota[denoised] == own.decoding.quotas[0]
        temperature = np.float32(own.decoding.sampling.temperature)
        assert batch.decoding["temperature"][denoised] == temperature
        assert batch.decoding["top_k"][denoised] == own.decoding.top_k
        denoised += 1
    assert len(batch.denoised) == denoised == len(sequences)


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (info(), ({}, {"block_length": 4}, {"block_length": 12}, {"sub_block_length": 4})),
        (info(shift=True), ({}, {"block_length": 4})),
        (info(attention="prompt_block"), ({}, {"block_length": 4}, {"block_length": 12})),
        (info(attention="prompt_block", shift=True), ({}, {"block_length": 4})),
        (info(attention="causal_prefix"), ({}, {"block_length": 4}, {"block_length": 1})),
        (info(attention="causal_window"), ({}, {"block_length": 4}, {"block_length": 1})),
        (info(attention="full"), ({}, {"cfg_scale": 1.5}, {"cache": "dual"})),
        (info(can_edit=True), ({"editing_threshold": 0.8}, {"policy": "margin"})),
        (
            info(attention="canvas", canvas=CanvasSchedule(), mask_token_id=None),
            ({"policy": "entropy_bound"}, {"policy": "entropy_bound", "steps": 3}),
        ),
    ],
)
def test_c_and_numpy_lay_rows_out_alike(
    model: ModelInfo, params: tuple[dict[str, Any], ...]
) -> None:
    sequences = [sequence(model, 3 + 3 * i, **own) for i, own in enumerate(params)]
    scheduler, batch = schedule(model, sequences)
    attention, shift = model.attention, model.shift
    by_c, by_numpy = (
        build_batch(
            list(batch.spans),
            scheduler.table,
            PAGE,
            attention=attention,
            shift=shift,
            uses_c=uses_c,
        )
        for uses_c in (True, False)
    )
    for field in fields(Layout):
        ours, theirs = getattr(by_c, field.name), getattr(by_numpy, field.name)
        assert ours.tolist() == theirs.tolist(), field.name
        assert ours.dtype == theirs.dtype


@given(
    masked=st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=6),
    data=st.data(),
)
def test_c_and_numpy_find_the_same_final_prefixes(
    masked: list[list[bool]], data: st.DataObject
) -> None:
    table = SequenceTable(len(masked), 12, 1)
    table.masked[:] = masked
    rows = np.array(data.draw(st.permutations(range(len(masked)))), np.int64)
    starts = np.array([data.draw(st.integers(0, 12)) for _ in masked], np.int64)
    limits = np.array([data.draw(st.integers(int(s), 12)) for s in starts], np.int64)
    expected = [
        next((p for p in range(start, limit) if table.masked[row, p]), limit)
        for row, start, limit in zip(rows, starts, limits, strict=True)
    ]
    for uses_c in (True, False):
        assert final_ends(table, rows, starts, limits, uses_c=uses_c).tolist() == expected


def test_rows_are_taken_again_by_those_who_come_later() -> None:
    model = info()
    first = [sequence(model, 5) for _ in range(4)]
    scheduler, _ = schedule(model, first)
    assert sorted(own.table_row for own in first if own.table_row is not None) == [0, 1, 2, 3]
    row = first[2].table_row
    scheduler.remove(first[2])
    later = sequence(model, 7)
    scheduler.add(later)
    scheduler.schedule()
    assert later.table_row == row


def test_a_preempted_sequence_keeps_its_row_and_its_tokens(tiny: LoadedModel) -> None:
    """Half the pages that all need: some are preempted, and every row is free in the end."""
    params = SamplingParams(max_tokens=40, block_length=8, steps=4, seed=1, ignore_eos=True)
    requests = [Request(str(i), tuple(range(3, 30 + i)), params) for i in range(4)]
    scarce = make_engine(tiny, num_pages=12, page_size=16, max_num_seqs=4, prefix_cache=False)
    answers = run_all(scarce, requests)
    assert scarce.scheduler.num_preempted > 0
    plenty = run_all(make_engine(tiny, max_num_seqs=4), requests)
    for name, answer in plenty.items():
        assert answers[name].token_ids == answer.token_ids
