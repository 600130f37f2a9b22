"""Long requests take turns with the others: no starvation, and unchanged answers."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.engines import Answer, collect, make_engine, run_all, run_alone
from tests.support.golden import load_golden
from unmask.engine.engine import Engine
from unmask.engine.schedule.turns import Turns
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

SMALL = SamplingParams(max_tokens=48, ignore_eos=True, steps=16, block_length=16)
HUGE = SamplingParams(max_tokens=1000, ignore_eos=True, steps=1024, block_length=1024)
PROMPT = (1, 2, 3)


@pytest.fixture(scope="module")
def llada(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_golden("llada", tmp_path_factory.mktemp("llada"))


def request(name: str, sampling: SamplingParams = SMALL) -> Request:
    return Request(name, PROMPT, sampling)


def query_tokens(engine: Engine) -> float:
    return engine.metrics.registry.get_sample_value("unmask_query_tokens_total") or 0.0


def rows_until(engine: Engine, name: str) -> tuple[float, Answer]:
    """Query tokens computed until a request ends, and its answer."""
    before, answers = query_tokens(engine), dict[str, Answer]()
    for _ in range(3000):
        collect(answers, engine.step())
        if name in answers and answers[name].finish is not None:
            engine.check_integrity()
            return query_tokens(engine) - before, answers[name]
    raise AssertionError("it never ends")


def compare(loaded: LoadedModel, others: list[Request], small: Request, **changes: object) -> float:
    """Extra query tokens computed while a small request runs, compared with it alone."""
    engine = make_engine(loaded, **changes)
    engine.add(small)
    alone, answer = rows_until(engine, small.request_id)
    engine = make_engine(loaded, **changes)
    for other in others:
        engine.add(other)
    for _ in range(3):
        engine.step()
    engine.add(small)
    beside, same = rows_until(engine, small.request_id)
    assert same.essence == answer.essence == run_alone(loaded, small).essence
    engine.fail_all("enough")
    engine.check_integrity()
    return beside / alone


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("steps", [1, 64, 1024])
@pytest.mark.parametrize("block_length", [64, 1024])
def test_two_short_answers_in_huge_blocks_are_no_burden(
    tiny: LoadedModel, steps: int, block_length: int
) -> None:
    sampling = SamplingParams(max_tokens=2, block_length=block_length, steps=steps)
    others = [request(f"b{i}", sampling) for i in range(2)]
    assert compare(tiny, others, request("small")) < 5


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("num_others", [1, 2, 5])
def test_a_small_request_does_not_wait_for_huge_blocks(tiny: LoadedModel, num_others: int) -> None:
    others = [request(f"b{i}", HUGE) for i in range(num_others)]
    assert compare(tiny, others, request("small")) < 5


@pytest.mark.parametrize("num_others", [1, 3])
@pytest.mark.parametrize("cache", ["none", "prefix"])
def test_a_small_canvas_does_not_wait_for_long_ones(
    llada: LoadedModel, num_others: int, cache: str
) -> None:
    longest = llada.info.max_model_len - len(PROMPT)
    long = SamplingParams(max_tokens=longest, ignore_eos=True, steps=64, cache=cache)
    others = [request(f"b{i}", long) for i in range(num_others)]
    small = SamplingParams(max_tokens=16, ignore_eos=True, steps=16)
    assert compare(llada, others, request("small", small)) < 5


def test_a_small_request_passes_a_queue_of_huge_ones(tiny: LoadedModel) -> None:
    others = [request(f"b{i}", HUGE) for i in range(30)]
    assert compare(tiny, others, request("small"), num_pages=200) < 5


def endless() -> Iterator[Request]:
    i = 0
    while True:
        yield request(f"s{i}")
        i += 1


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("num_light", [1, 8])
def test_a_huge_request_ends_under_any_load(tiny: LoadedModel, num_light: int) -> None:
    engine, lights, answers = make_engine(tiny), endless(), dict[str, Answer]()
    sampling = SamplingParams(max_tokens=1000, ignore_eos=True, steps=8, block_length=1024)
    engine.add(request("huge", sampling))
    for _ in range(num_light):
        engine.add(next(lights))
    for _ in range(3000):
        events = engine.step()
        collect(answers, events)
        for event in events:
            if getattr(event, "finish", None) and event.request_id != "huge":
                engine.add(next(lights))
        if "huge" in answers and answers["huge"].finish is not None:
            break
    assert answers["huge"].essence == run_alone(tiny, request("huge", sampling)).essence
    engine.fail_all("enough")


@pytest.mark.parametrize(("light_rows", "num_steps"), [(4, 16), (64, 16), (256, 4)])
def test_a_step_of_few_rows_counts_as_one_that_fills_the_device(
    light_rows: int, num_steps: int
) -> None:
    turns, num = Turns(2048, 64), 0
    turns.end(0, 512)
    while not turns.is_heavy_due:
        turns.end(light_rows, 0)
        num += 1
    assert num == num_steps


def test_huge_requests_take_turns_among_themselves(tiny: LoadedModel) -> None:
    engine = make_engine(tiny)
    sampling = SamplingParams(max_tokens=1000, ignore_eos=True, steps=4, block_length=1024)
    for i in range(4):
        engine.add(request(f"b{i}", sampling))
    ends: list[int] = []
    for step in range(100):
        ends += [step for event in engine.step() if getattr(event, "finish", None)]
    assert len(ends) == 4
    assert max(ends) - min(ends) <= 2


def test_requests_take_turns_where_a_step_cannot_hold_all(tiny: LoadedModel) -> None:
    """Small ones too: the budget holds four blocks, and eight requests arrived before."""
    long = SamplingParams(max_tokens=512, ignore_eos=True, steps=16, block_length=16)
    engine = make_engine(tiny, max_batch_tokens=64)
    for i in range(8):
        engine.add(request(f"b{i}", long))
    for _ in range(5):
        engine.step()
    engine.add(request("small"))
    rows, answer = rows_until(engine, "small")
    assert answer.essence == run_alone(tiny, request("small")).essence
    assert rows < 64 * 250  # 64 steps alone, and 520 steps until the first of the others ends
    engine.fail_all("enough")


def test_rows_kept_for_a_request_that_lacks_pages_go_to_those_that_run(tiny: LoadedModel) -> None:
    """Half the budget holds no block, and the last request waits until another one ends."""
    sampling = SamplingParams(max_tokens=80, ignore_eos=True, steps=2, block_length=40)
    engine = make_engine(tiny, num_pages=20, page_size=16, max_batch_tokens=64)
    for i in range(5):
        engine.add(Request(f"b{i}", tuple(range(20)), sampling))
    answers = dict[str, Answer]()
    for _ in range(100):
        collect(answers, engine.step())
        engine.check_integrity()
    assert not engine.has_work
    alone = run_alone(tiny, Request("b", tuple(range(20)), sampling))
    for answer in answers.values():
        assert answer.essence == alone.essence


def test_a_preempted_long_request_is_not_passed_where_it_keeps_the_last_row(
    tiny: LoadedModel,
) -> None:
    """Two may run, and the preempted request is still one of them."""
    small = SamplingParams(max_tokens=60, ignore_eos=True, block_length=4, policy="low_confidence")
    batch = [
        Request("a", tuple(range(20)), replace(small, max_tokens=30)),
        Request("long", PROMPT, replace(small, block_length=32)),
        Request("b", PROMPT, small),
    ]
    engine = make_engine(
        tiny, page_size=8, num_pages=9, max_batch_tokens=128, max_num_seqs=2, saturation_rows=4
    )
    answers = run_all(engine, batch)
    assert engine.scheduler.num_preempted > 0
    for own in batch:
        assert answers[own.request_id].essence == run_alone(tiny, own).essence
