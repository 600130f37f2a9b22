"""Thoughts end at their budget, in every family and mode, whatever else is in a step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.engines import Answer, make_engine, run_all, run_alone
from tests.support.golden import load_golden
from tests.support.graphs import Recordings
from unmask.engine.schedule.admission import resolve
from unmask.errors import InvalidRequest
from unmask.models.registry import LoadedModel
from unmask.types import CanvasSchedule, Request, SamplingParams

FOLDERS = (
    *("sdar", "llada2", "llada", "dream", "fast_dllm", "fast_dvlm", "nemotron", "idlm", "wedlm"),
)
MODES = ("diffusion", "ar", "self_speculation")
MAX_TOKENS = 30
PROMPTS = tuple(tuple(range(3, 4 + n)) for n in (1, 14, 15, 16, 31, 40))
Load = Callable[[str], LoadedModel]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Golden models whose thoughts end with a token that they do not write by themselves."""
    known: dict[str, LoadedModel] = {}

    def get(folder: str) -> LoadedModel:
        if folder not in known:
            loaded = load_golden(folder, Path(tmp_path_factory.mktemp(folder)))
            asked = SamplingParams(max_tokens=64, ignore_eos=True)
            known_ids = {token_id for prompt in PROMPTS for token_id in prompt}
            for prompt in PROMPTS:
                known_ids.update(run_alone(loaded, Request("x", prompt, asked)).token_ids)
            rare = min(set(range(200)) - known_ids)
            known[folder] = replace(loaded, info=replace(loaded.info, end_think_token_id=rare))
        return known[folder]

    return get


def end_of(loaded: LoadedModel) -> int:
    assert loaded.info.end_think_token_id is not None
    return loaded.info.end_think_token_id


def asking(i: int, budget: int | None, **params: object) -> Request:
    sampling = SamplingParams(
        max_tokens=MAX_TOKENS, ignore_eos=True, seed=i, max_thinking_tokens=budget
    )
    name = f"{i}-{budget}-{params.get('mode')}"
    sampling = replace(sampling, **params)  # type: ignore[arg-type]
    return Request(name, PROMPTS[i % len(PROMPTS)], sampling)


def modes_of(folder: str) -> tuple[str | None, ...]:
    return MODES if folder in ("nemotron", "idlm") else (None,)


def tokens_of(answers: dict[str, Answer]) -> dict[str, list[int]]:
    return {name: answer.token_ids for name, answer in answers.items()}


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_budget_as_long_as_the_answer_changes_nothing(load: Load, folder: str) -> None:
    loaded = load(folder)
    for mode in modes_of(folder):
        for i, length in enumerate((1, 2, 7)):
            params = {"mode": mode, "max_tokens": length}
            plain = run_alone(loaded, asking(i, None, **params)).token_ids
            for budget in (length, length + 1, length + 9, 1000):
                assert run_alone(loaded, asking(i, budget, **params)).token_ids == plain


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("block_length", [1, 8, 16])
def test_the_end_is_where_the_budget_is(load: Load, folder: str, block_length: int) -> None:
    loaded = load(folder)
    requests = [
        asking(i, budget, mode=mode, block_length=None if mode == "ar" else block_length)
        for mode in modes_of(folder)
        for i, budget in enumerate((0, 1, 7, 8, 9, 29))
    ]
    answers = run_all(make_engine(loaded, overlap=True), requests)
    for request in requests:
        tokens = answers[request.request_id].token_ids
        assert len(tokens) == MAX_TOKENS
        assert tokens.index(end_of(loaded)) == request.sampling.max_thinking_tokens


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", FOLDERS)
def test_company_pages_chunks_and_preemption_change_nothing(load: Load, folder: str) -> None:
    loaded = load(folder)
    requests = [
        asking(i, (None, 0, 7, 13, 16)[i % 5], mode=mode, temperature=(0.0, 0.8)[i % 2])
        for mode in modes_of(folder)
        for i in range(10)
    ]
    alone = {r.request_id: run_alone(loaded, r).token_ids for r in requests}
    assert any(end_of(loaded) in tokens for tokens in alone.values())
    for options in (
        {"overlap": True, "steps_ahead": 3, "num_pages": 26, "page_size": 8},
        {"overlap": False, "max_batch_tokens": 80},
        {"overlap": True, "speculation_rows": 256},
    ):
        engine = make_engine(loaded, **options)
        for _ in range(2):  # the second time with keys of the first
            assert tokens_of(run_all(engine, requests)) == alone


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("folder", ["nemotron", "idlm"])
def test_a_draft_is_cut_where_the_end_is_written_token_by_token(
    load: Load, folder: str, overlap: bool
) -> None:
    requests = [
        asking(i, budget, mode=mode, temperature=(0.0, 0.9)[i % 2])
        for mode in ("ar", "self_speculation")
        for i, budget in enumerate((0, 1, 5, 8, 12, 20))
    ]
    answers = tokens_of(run_all(make_engine(load(folder), overlap=overlap), requests))
    for one, other in zip(requests[:6], requests[6:], strict=True):
        assert answers[one.request_id] == answers[other.request_id]


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("block_length", [2, 3])
def test_a_token_behind_a_drafted_block_is_forgotten_where_thoughts_are_cut(
    load: Load, block_length: int
) -> None:
    loaded = load("nemotron")
    drafted = {"mode": "self_speculation", "policy": "threshold", "threshold": 0.3}
    for budget in range(1, 20):
        request = asking(0, budget, block_length=block_length, **drafted)
        engine = make_engine(loaded, overlap=True)
        engine.add(request)
        answer = Answer()
        for _ in range(4 * MAX_TOKENS):
            for event in engine.step():
                answer.take(event)
        assert answer.finish is not None, "the answer ends"
        alone = run_alone(loaded, asking(0, budget, mode="ar"))
        assert answer.token_ids == alone.token_ids


def test_blocks_that_a_load_cuts_have_the_end_too(load: Load) -> None:
    loaded = load("sdar")
    requests = [asking(i, (0, 3, 20)[i % 3], block_length="auto") for i in range(6)]
    answers = run_all(make_engine(loaded, saturation_rows=16), requests)
    for request in requests:
        found = answers[request.request_id].token_ids.index(end_of(loaded))
        assert found == request.sampling.max_thinking_tokens


@pytest.mark.parametrize("folder", ["sdar", "nemotron"])
@pytest.mark.parametrize("budget", [7, 8, 15])
def test_later_blocks_see_the_end(load: Load, folder: str, budget: int) -> None:
    loaded = load(folder)
    asked = asking(0, budget, block_length=8)
    answer = run_alone(loaded, asked).token_ids
    known = -(-(len(asked.prompt_token_ids) + budget + 1) // 8) * 8  # from a block's beginning on
    if folder == "nemotron":
        known = len(asked.prompt_token_ids) + (budget // 8 + 1) * 8
    prompt = (*asked.prompt_token_ids, *answer)[:known]
    left = MAX_TOKENS - (known - len(asked.prompt_token_ids))
    sampling = SamplingParams(max_tokens=left, ignore_eos=True, block_length=8)
    rest = run_alone(loaded, Request("rest", prompt, sampling)).token_ids
    assert rest == answer[-left:]


def test_kept_keys_of_a_block_leave_the_end_in_its_place(load: Load) -> None:
    loaded = load("sdar")
    requests = [asking(i, 5 + i, cache="block", block_length=16) for i in range(8)]
    alone = {r.request_id: run_alone(loaded, r).token_ids for r in requests}
    engine = make_engine(loaded, num_pages=14, page_size=8, prefix_cache=False)
    assert tokens_of(run_all(engine, requests)) == alone
    assert engine.scheduler.num_preempted
    for request in requests:
        found = alone[request.request_id].index(end_of(loaded))
        assert found == request.sampling.max_thinking_tokens


def test_replayed_steps_give_the_same_answers(load: Load) -> None:
    loaded, recordings = load("nemotron"), Recordings()
    engine = make_engine(
        loaded, graphs=True, overlap=True, max_batch_tokens=200, recorder=recordings
    )
    requests = [asking(i, 3 * i, mode=MODES[i % 3]) for i in range(9)]
    answers = run_all(engine, requests)
    assert recordings.num_replays > 0
    for one in requests:
        assert answers[one.request_id].token_ids == run_alone(loaded, one).token_ids


@pytest.mark.parametrize("mode", MODES)
def test_the_end_that_was_put_there_is_certain(load: Load, mode: str) -> None:
    loaded = load("nemotron")
    for budget in (0, 8, 11):
        answer = run_alone(loaded, asking(1, budget, mode=mode, logprobs=1))
        assert [item.token_id for item in answer.logprobs] == answer.token_ids
        assert answer.logprobs[budget].logprob == 0.0


def test_thoughts_that_ended_are_left_alone(load: Load) -> None:
    loaded = load("sdar")
    plain = asking(1, None)
    own = run_alone(loaded, plain).token_ids
    ends = replace(loaded, info=replace(loaded.info, end_think_token_id=own[3]))
    assert run_alone(ends, asking(1, 25, block_length=8)).token_ids == (
        run_alone(ends, asking(1, None, block_length=8)).token_ids
    )


def test_only_answers_that_think_are_cut(load: Load) -> None:
    loaded = load("sdar")
    own = run_alone(loaded, asking(1, None, block_length=8)).token_ids
    end, last = end_of(loaded), PROMPTS[1][-1]

    def with_begin(token_id: int) -> list[int]:
        tagged = replace(loaded, info=replace(loaded.info, begin_think_token_id=token_id))
        return run_alone(tagged, asking(1, 20, block_length=8)).token_ids

    assert with_begin(own[0])[20] == with_begin(last)[20] == end  # in the answer, in the prompt
    assert with_begin(end + 1) == own  # in neither
    closed = replace(loaded, info=replace(loaded.info, end_think_token_id=last))
    assert run_alone(closed, asking(1, 20, block_length=8)).token_ids == own


@pytest.mark.parametrize(
    ("info", "params", "reason"),
    [
        ({"end_think_token_id": None}, {}, "token </think>"),
        ({"can_edit": True}, {"editing_threshold": 0.5}, "may be replaced"),
        (
            {"attention": "canvas", "canvas": CanvasSchedule(), "mask_token_id": None},
            {"policy": "entropy_bound"},
            "fill mask tokens",
        ),
        (
            {"end_think_token_id": 7},
            {"stop_token_ids": (7,), "min_tokens": 7, "ignore_eos": False},
            "min_tokens",
        ),
    ],
)
def test_budgets_that_cannot_be_kept_are_refused(
    load: Load, info: dict[str, object], params: dict[str, object], reason: str
) -> None:
    loaded = load("sdar")
    model, limits = replace(loaded.info, **info), make_engine(loaded).limits  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=reason) as error:
        resolve(asking(0, 5, **params), model, limits)
    assert error.value.field == "max_thinking_tokens"
