"""Closed loops of the GPU benchmark count tokens as they are committed, never more."""

from dataclasses import dataclass, replace

import pytest
import torch

from benchmarks.device import engine as engines
from benchmarks.device.families import TINY, sizes
from benchmarks.device.loads import Load
from benchmarks.device.loop import ClosedLoop, Counts, check, phases, run_window, to_steady
from benchmarks.device.timing import Ceilings
from unmask.metrics import Metrics
from unmask.types import Delta, Event, Finish, FinishReason, Request, SamplingParams, Usage

BLOCK, STEPS = 8, 4


@dataclass
class _Running:
    request: Request
    step: int = 0
    num_final: int = 0


class FakeEngine:
    """Commits `BLOCK / STEPS` tokens a step and request, and emits them when a block is full.

    A block takes one step more, as with overlapping steps. `copies` of each commit are counted.
    """

    def __init__(self, copies: int = 1) -> None:
        self.metrics = Metrics()
        self.running: dict[str, _Running] = {}
        self.copies = copies

    @property
    def has_work(self) -> bool:
        return bool(self.running)

    def add(self, request: Request) -> None:
        self.running[request.request_id] = _Running(request)

    def abort(self, request_id: str) -> list[Event]:
        del self.running[request_id]
        return []

    def step(self) -> list[Event]:
        metrics, events = self.metrics, list[Event]()
        metrics.forward_passes.inc()
        metrics.batch_sequences.observe(len(self.running))
        for name, one in list(self.running.items()):
            metrics.query_tokens.inc(BLOCK)
            if one.step < STEPS:
                metrics.committed_tokens.inc(self.copies * BLOCK // STEPS)
                one.step += 1
                continue
            one.step, one.num_final = 0, one.num_final + BLOCK
            finish = None
            if one.num_final == one.request.sampling.max_tokens:
                usage = Usage(1, 0, one.num_final, 0, 0, query_tokens=0, block_length=BLOCK)
                finish = Finish(FinishReason.LENGTH, usage)
                del self.running[name]
            events.append(Delta(name, (1,) * BLOCK, "", finish=finish))
        return events


def _request(place: int, request_id: str, is_first: bool) -> Request:
    num_blocks = 1 + place % 3 if is_first else 3
    return Request(request_id, (1,), SamplingParams(max_tokens=num_blocks * BLOCK))


def _loop(engine: FakeEngine, count: int) -> ClosedLoop:
    return ClosedLoop(engine, _request, phases(count, STEPS + 1), BLOCK, "loop")


@pytest.mark.parametrize("count", [1, 3, 16])
def test_tokens_are_those_committed_in_steps_in_which_all_requests_run(count: int) -> None:
    loop = _loop(FakeEngine(), count)
    to_steady(loop)
    window = run_window(loop, 0.0)
    # Steps end as blocks do, so tokens emitted in them would be too many by what was begun before.
    assert window.counts.steps == STEPS + 1
    assert window.counts.tokens == count * BLOCK
    assert window.counts.requests == count * window.counts.steps
    assert window.counts.rows == window.counts.requests * BLOCK
    share, wrong = check(window, count, BLOCK / STEPS)
    assert share == pytest.approx(STEPS / (STEPS + 1))
    assert wrong == []


def test_a_request_that_ends_is_replaced_at_once() -> None:
    engine = FakeEngine()
    loop = _loop(engine, 4)
    to_steady(loop)
    seen = set()
    for _ in range(5 * STEPS * 3):
        loop.step()
        assert len(engine.running) == 4
        seen |= set(engine.running)
    assert len(seen) > 8
    loop.stop()
    assert not engine.has_work


def test_more_tokens_than_steps_can_commit_is_a_problem() -> None:
    loop = _loop(FakeEngine(copies=2), 2)
    to_steady(loop)
    share, [wrong] = check(run_window(loop, 0.0), 2, BLOCK / STEPS)
    assert share == pytest.approx(2 * STEPS / (STEPS + 1))
    assert "times as many tokens" in wrong


def test_steps_without_all_requests_and_prompts_read_again_are_problems() -> None:
    loop = _loop(FakeEngine(), 2)
    to_steady(loop)
    window = run_window(loop, 0.0)
    short = replace(window, counts=replace(window.counts, requests=window.counts.requests - 1))
    assert "of 2 requests ran" in check(short, 2, BLOCK / STEPS)[1][0]
    assert check(short, 2, BLOCK / STEPS, share_of_steps=STEPS / (STEPS + 1))[1] == []
    again = replace(window, counts=replace(window.counts, looked_up=64, cached=0))
    assert "64 prompt tokens were read again" in check(again, 2, BLOCK / STEPS)[1][0]
    assert check(again, 2, BLOCK / STEPS, shares_prompts=False)[1] == []


def test_requests_begin_at_phases_of_their_own() -> None:
    drawn = phases(128, 9)
    assert drawn == phases(128, 9)
    assert min(drawn) == 0
    assert set(drawn) == set(range(9))
    assert max(drawn.count(phase) for phase in set(drawn)) < 32  # 14 on average
    assert phases(1, 9) == [0]
    assert phases(3, 1) == [0, 0, 0]
    assert all(len(set(phases(2, 3, seed))) == 2 for seed in range(20))


def test_counts_are_differences() -> None:
    metrics = Metrics()
    before = Counts.read(metrics)
    metrics.committed_tokens.inc(3)
    metrics.batch_sequences.observe(7)
    measured = Counts.read(metrics).since(before)
    assert (measured.tokens, measured.requests, measured.steps) == (3, 7, 0)


@pytest.mark.parametrize("name", ["tiny SDAR", "tiny LLaDA", "tiny LLaDA2", "tiny DiffusionGemma"])
@pytest.mark.parametrize("overlap", [False, True])
def test_an_engine_commits_a_block_in_its_steps_and_no_more(name: str, overlap: bool) -> None:
    rows = 0 if overlap else None
    load = Load(3, 64, 16, block=8, tokens_per_forward=4, overlap_rows=rows)
    loaded = engines.load(TINY[name], torch.device("cpu"), 1200, block_length=8)
    engine = engines.start(loaded, [replace(load, concurrency=5), load])
    measured = engines.measure(engine, sizes(TINY[name]), load, Ceilings(1e9, 1e9), least_s=0.0)
    cycle = load.steps + (1 if overlap else 0)
    tokens_a_step = 3 * load.block / cycle
    if overlap and name != "tiny LLaDA":
        # A block begins behind the last step of the one before; an answer waits for its last one.
        cycle, tokens_a_step = load.steps, 3 * 16 / (2 * load.steps + 1)
    assert measured["problems"] == []
    assert measured["tokens_a_step"] == pytest.approx(tokens_a_step)
    assert measured["share_of_possible"] == pytest.approx(tokens_a_step / 3 / 8 * load.steps)
    assert measured["phases"] == phases(3, cycle)
    engine.check_integrity()
    assert not engine.has_work


def test_active_rows_commit_as_much_with_fewer_rows() -> None:
    loaded = engines.load(TINY["tiny SDAR"], torch.device("cpu"), 1200, block_length=16)
    whole = Load(3, 64, 32, block=16, tokens_per_forward=4)
    active = replace(whole, cache="block")
    engine, model_sizes = engines.start(loaded, [whole, active]), sizes(TINY["tiny SDAR"])
    measured = [
        engines.measure(engine, model_sizes, load, Ceilings(1e9, 1e9), least_s=0.0)
        for load in (whole, active)
    ]
    assert [one["problems"] for one in measured] == [[], []]
    assert measured[1]["rows_a_step"] < 0.9 * measured[0]["rows_a_step"]


def test_weights_of_few_bits_are_counted_by_how_they_are_held() -> None:
    whole, small = sizes(TINY["tiny SDAR"]), sizes(TINY["tiny SDAR"], "fp8")
    assert whole.linear_bytes == 2 * whole.linear
    assert small.linear_bytes == small.linear == whole.linear
    assert 0.5 < sizes(TINY["tiny SDAR"], "int4").linear_bytes / whole.linear < 0.6
    loaded = engines.load(TINY["tiny SDAR"], torch.device("cpu"), 1200, "fp8", 8)
    load = Load(2, 64, 16, 8, 4, "fp8", "fp8")
    engine = engines.start(loaded, [load])
    assert engine.runner.device.cache.keys[0].dtype is torch.float8_e4m3fn
    assert engines.measure(engine, small, load, Ceilings(1e9, 1e9), least_s=0.0)["problems"] == []
