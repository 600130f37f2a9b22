"""One client's flood of requests delays another's one by a bounded number of steps."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.engines import Answer, collect, make_engine, run_alone
from tests.support.simulation import MODEL, PAGE, Simulation, token_at
from unmask.engine.schedule.limits import EngineLimits
from unmask.models.registry import LoadedModel
from unmask.types import ModelInfo, Request, SamplingParams

FLOOD = 300
ONE = Request("one", (5, 6, 7), SamplingParams(max_tokens=16, steps=4, ignore_eos=True), client="b")
ROWS_PER_CLIENT = 16
SIZES = EngineLimits(128, 2000, PAGE, max_num_seqs=16, rows_per_client=ROWS_PER_CLIENT)
LONG = SamplingParams(max_tokens=64, steps=8, ignore_eos=True)


def flood(client: str = "a", num: int = FLOOD, prompt: int = 3) -> list[Request]:
    return [
        Request(f"{client}{i}", tuple(range(3, 3 + prompt)), LONG, client=client)
        for i in range(num)
    ]


def steps_of_one(
    limits: EngineLimits,
    others: list[Request],
    *,
    model: ModelInfo = MODEL,
    ahead: int = 0,
    one: Request = ONE,
    warm_up: int = 25,
) -> tuple[int, int]:
    """Steps that one request takes beside others that are there already, and their most rows."""
    simulation = Simulation(model, limits, ahead, np.random.default_rng(0))
    for request in others:
        simulation.add(request)
    for _ in range(warm_up if others else 0):
        simulation.step()
    simulation.add(one)
    most = 0
    for number in range(1, 3000):
        simulation.step()
        most = max(most, simulation.num_tokens)
        if one.request_id not in simulation.sessions:
            start, count = len(one.prompt_token_ids), one.sampling.max_tokens or 0
            expected = [token_at(p) for p in range(start, start + count)]
            assert simulation.answers[one.request_id] == expected
            return number, most
    raise AssertionError("it never ends")


@pytest.mark.parametrize("ahead", [0, 1, 2])
@pytest.mark.parametrize("attention", ["block_causal", "full", "causal"])
def test_a_flood_delays_another_client_by_a_few_steps(attention: str, ahead: int) -> None:
    model = replace(MODEL, attention=attention)
    alone, _ = steps_of_one(SIZES, [], model=model, ahead=ahead)
    beside, _ = steps_of_one(SIZES, flood(), model=model, ahead=ahead)
    assert beside <= alone + 2 + ahead


def test_the_same_client_waits_for_its_own_flood() -> None:
    """Guards the test above: without clients there is a queue."""
    alone, _ = steps_of_one(SIZES, [])
    beside, _ = steps_of_one(SIZES, flood(num=60), one=replace(ONE, client="a"))
    assert beside > 5 * alone


def test_floods_of_long_passes_take_turns_with_one_of_another_client() -> None:
    limits = replace(SIZES, saturation_rows=8)
    heavy = SamplingParams(max_tokens=60, steps=20, block_length=48, ignore_eos=True)
    one = replace(ONE, sampling=heavy)
    others = [replace(r, sampling=heavy) for r in flood(num=40)]
    alone, _ = steps_of_one(limits, [], one=one)
    beside, _ = steps_of_one(limits, others, one=one)
    assert beside <= 2 * alone
    lights = flood()
    beside, _ = steps_of_one(limits, lights, one=one)
    assert beside <= 3 * alone
    beside, _ = steps_of_one(limits, others)
    assert beside <= 3 * steps_of_one(limits, [])[0]


@pytest.mark.parametrize("num_pages", [40, 60, 100])
def test_a_flood_that_holds_all_pages_gives_some_up(num_pages: int) -> None:
    limits = replace(SIZES, num_pages=num_pages)
    alone, _ = steps_of_one(limits, [])
    beside, _ = steps_of_one(limits, flood())
    assert beside <= alone + 3


def test_a_flood_of_long_prompts_does_not_take_every_step() -> None:
    prompts = flood(prompt=30)
    limits = replace(SIZES, max_batch_tokens=64)
    alone, _ = steps_of_one(limits, [])
    beside, _ = steps_of_one(limits, prompts, warm_up=3)
    assert beside <= alone + 3


def test_steps_beside_one_small_request_are_short() -> None:
    """A step that both share has two clients' rows, and the first pass of the one."""
    _, most = steps_of_one(SIZES, flood())
    assert most <= 3 * ROWS_PER_CLIENT
    _, most = steps_of_one(replace(SIZES, rows_per_client=1000), flood())
    assert most > 100


@pytest.mark.parametrize("num_clients", [2, 5, 15])
def test_several_floods_delay_one_request_by_a_step_each_at_most(num_clients: int) -> None:
    others = [r for i in range(num_clients) for r in flood(f"a{i}-", 60)]
    alone, _ = steps_of_one(SIZES, [])
    beside, _ = steps_of_one(SIZES, others)
    assert beside <= alone + num_clients + 2


def test_single_requests_in_a_row_do_not_stop_the_flood() -> None:
    simulation = Simulation(MODEL, SIZES, 0, np.random.default_rng(0))
    for request in flood(num=60):
        simulation.add(request)
    for i in range(20):
        simulation.add(replace(ONE, request_id=f"one{i}"))
        while f"one{i}" in simulation.sessions:
            simulation.step()
    num_tokens = sum(len(ids) for name, ids in simulation.answers.items() if name[0] == "a")
    assert num_tokens >= 20 * 16, "half of the rows are the flood's"
    simulation.pool.check_integrity(s.pages for s in simulation.scheduler.sequences)


def test_two_floods_share_what_runs() -> None:
    simulation = Simulation(MODEL, SIZES, 0, np.random.default_rng(0))
    for request in flood("a"):
        simulation.add(request)
    for _ in range(10):
        simulation.step()
    for request in flood("b"):
        simulation.add(request)
    for _ in range(10):
        simulation.step()
    running = [s.request.client for s in simulation.scheduler.sequences if s.pages]
    assert (running.count("a"), running.count("b")) == (8, 8)


def test_a_lower_priority_is_first_of_its_own_client_only() -> None:
    limits = replace(SIZES, max_num_seqs=1)
    simulation = Simulation(MODEL, limits, 0, np.random.default_rng(0))
    requests = [
        replace(ONE, request_id="running", client="a"),
        replace(ONE, request_id="usual", client="a"),
        replace(ONE, request_id="urgent", client="a", priority=-1),
        replace(ONE, request_id="other", client="b", priority=9),
    ]
    for request in requests:
        simulation.add(request)
        simulation.step()
    ended = list[str]()
    while simulation.sessions:
        simulation.step()
        ended += [r.request_id for r in requests if r.request_id not in simulation.sessions]
    assert list(dict.fromkeys(ended)) == ["running", "other", "urgent", "usual"]


def test_fair_shares_change_no_answer(tiny: LoadedModel) -> None:
    params = SamplingParams(max_tokens=24, ignore_eos=True, block_length=8, steps=4)
    requests = [
        Request(f"r{i}", tuple(range(i, i + 10)), params, client="ab"[i > 8]) for i in range(12)
    ]
    sizes = {"num_pages": 14, "max_num_seqs": 4, "max_batch_tokens": 48, "rows_per_client": 8}
    engine, answers = make_engine(tiny, **sizes), dict[str, Answer]()
    for request in requests[:9]:
        engine.add(request)
    for _ in range(5):
        collect(answers, engine.step())
    for request in requests[9:]:
        engine.add(request)
    while engine.has_work:
        collect(answers, engine.step())
        engine.check_integrity()
    assert engine.scheduler.num_preempted > 0
    for request in requests:
        assert answers[request.request_id].essence == run_alone(tiny, request).essence


def beside_sequences_of_one_prompt(num_pages: int, prompt: tuple[int, ...]) -> tuple[bool, int]:
    """If another client's request starts at once, and the sequences preempted for it."""
    limits = replace(SIZES, num_pages=num_pages)
    simulation = Simulation(MODEL, limits, 0, np.random.default_rng(0))
    for request in flood(num=12, prompt=28):
        simulation.add(request)
    for _ in range(12):
        simulation.step()
    before = simulation.scheduler.num_preempted
    simulation.add(replace(ONE, prompt_token_ids=prompt))
    num_running = simulation.scheduler.num_running
    simulation.step()
    num_preempted = simulation.scheduler.num_preempted - before
    return simulation.scheduler.num_running > num_running - num_preempted, num_preempted


@pytest.mark.parametrize("num_pages", [26, 34, 46, 58])
def test_a_page_that_others_hold_too_makes_no_room(num_pages: int) -> None:
    """Sequences with a common prompt were preempted, and the one they gave way to had to wait."""
    starts, _ = beside_sequences_of_one_prompt(num_pages, tuple(range(50, 82)))
    assert starts


@pytest.mark.parametrize("num_pages", [26, 34, 46, 58])
def test_a_page_that_is_there_already_needs_no_room(num_pages: int) -> None:
    starts, num_preempted = beside_sequences_of_one_prompt(num_pages, tuple(range(3, 31)))
    assert starts
    assert num_preempted <= 1
