"""WeDLM's window: it moves with the first mask, and nothing but the request decides the answer."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.engines import ROOMY, Answer, collect, make_engine, run_all, run_alone
from tests.support.golden import cases_of, load_golden, read_reference
from tests.support.graphs import Recordings, in_turn
from tests.support.tiny import GOLDEN
from unmask.config import DecodingConfig, ModelConfig
from unmask.engine.run.limits import derive_limits
from unmask.engine.schedule.admission import resolve
from unmask.errors import InvalidConfig, InvalidRequest
from unmask.models.registry import LoadedModel, load_model
from unmask.types import RefinementOptions, Request, SamplingParams
from unmask_kernels.policies.table import POLICIES

PROMPTS = tuple(tuple(range(3, 5 + 9 * i)) for i in range(6))
SAMPLERS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 0.8},
    {"temperature": 1.2, "top_k": 9},
    {"temperature": 0.9, "top_p": 0.7},
)


@pytest.fixture(scope="module", params=["wedlm", "wedlm_bias"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_golden(request.param, Path(tmp_path_factory.mktemp(request.param)))


@pytest.fixture(scope="module")
def wedlm(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_golden("wedlm", Path(tmp_path_factory.mktemp("wedlm")))


def asking(i: int, **params: Any) -> Request:
    sampling = SamplingParams(max_tokens=30, ignore_eos=True, seed=i)
    return Request(f"r{i}", PROMPTS[i % len(PROMPTS)], replace(sampling, **params))


def assorted(num_requests: int) -> list[Request]:
    """Requests of several windows, samplers and policies."""
    return [
        asking(
            i,
            block_length=(None, 4, 24, 1)[i % 4],
            entropy_threshold=None if i % 3 else 1.5,
            policy=None if i % 3 != 2 else ("threshold", "entropy", "sequential")[i % 9 // 3],
            **SAMPLERS[i % len(SAMPLERS)],
        )
        for i in range(num_requests)
    ]


def tokens_of(answers: dict[str, Answer]) -> dict[str, list[int]]:
    return {name: answer.token_ids for name, answer in answers.items()}


def alone(loaded: LoadedModel, requests: list[Request]) -> dict[str, list[int]]:
    return {request.request_id: run_alone(loaded, request).token_ids for request in requests}


@pytest.mark.parametrize("folder", ["wedlm", "wedlm_bias"])
def test_steps_and_rows_are_the_published_engines_without_its_last_pass(
    folder: str, tmp_path: Path
) -> None:
    """The published one gives tokens out one pass after they are filled."""
    loaded, cases = load_golden(folder, tmp_path), cases_of(folder)
    rows = {case["name"]: case.get("rows") for case in read_reference(folder)["cases"]}
    assert len(cases) == 13
    for case in cases:
        finish = run_alone(loaded, case.request).finish
        assert finish is not None
        assert finish.usage.denoising_steps == case.forwards
        num_prompt = len(case.request.prompt_token_ids)
        assert finish.usage.query_tokens == num_prompt + sum(rows[case.name][:-1])


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("params", SAMPLERS)
def test_a_longer_answer_begins_with_the_shorter_one(
    wedlm: LoadedModel, params: dict[str, Any]
) -> None:
    """The window is not cut where the answer ends: positions behind it are filled and seen."""
    for i in range(4):
        whole = run_alone(wedlm, asking(i, max_tokens=40, **params)).token_ids
        for count in (1, 7, 16, 29):
            part = run_alone(wedlm, asking(i, max_tokens=count, **params)).token_ids
            assert part == whole[:count]


@pytest.mark.usual_cases(1)
def test_the_likeliest_tokens_are_filled_in_the_same_order_at_any_temperature(
    loaded: LoadedModel,
) -> None:
    """Entropies are of the logits before temperature, top-k and top-p."""
    for i in range(4):
        greedy = run_alone(loaded, asking(i))
        for params in ({"temperature": 1.7, "top_k": 1}, {"temperature": 0.3, "top_p": 1e-6}):
            drawn = run_alone(loaded, asking(i, **params))
            assert drawn.token_ids == greedy.token_ids
            assert drawn.finish is not None
            assert greedy.finish is not None
            assert drawn.finish.usage.denoising_steps == greedy.finish.usage.denoising_steps


def test_a_seed_decides_the_draws(wedlm: LoadedModel) -> None:
    drawn = [run_alone(wedlm, asking(2, seed=s, temperature=1.5)).token_ids for s in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "options",
    [
        {"overlap": True, "steps_ahead": 2, "num_pages": 26, "page_size": 8},
        {"overlap": False, "max_batch_tokens": 24, "page_size": 12},
        {"overlap": False, "max_batch_tokens": 37, "num_pages": 40, "page_size": 4},
        {"prefix_cache": False, "max_num_seqs": 3},
        {"speculation_rows": 200},
    ],
)
def test_company_pages_and_chunks_change_nothing(
    loaded: LoadedModel, options: dict[str, Any]
) -> None:
    requests = assorted(16)
    expected = alone(loaded, requests)
    engine = make_engine(loaded, **options)
    for _ in range(2):  # the second time with keys of the first
        assert tokens_of(run_all(engine, requests)) == expected
    assert (engine.scheduler.num_preempted > 0) == ("num_pages" in options)


def test_a_step_that_holds_one_window_does(wedlm: LoadedModel) -> None:
    """Filled positions without keys go first where they do not fit beside the window."""
    requests = [asking(i, entropy_threshold=9.0) for i in range(4)]
    narrow = make_engine(wedlm, max_batch_tokens=16)
    wide = run_all(make_engine(wedlm), requests)
    for name, answer in run_all(narrow, requests).items():
        assert answer.token_ids == wide[name].token_ids
        narrow_end, wide_end = answer.finish, wide[name].finish
        assert narrow_end is not None
        assert wide_end is not None
        assert narrow_end.usage.forward_passes > wide_end.usage.forward_passes


def test_a_preempted_window_keeps_what_is_filled_in_it(wedlm: LoadedModel) -> None:
    """No token is drawn twice: preemption costs passes over what has no keys, and no more steps."""
    requests = [asking(i, temperature=1.3, max_tokens=60) for i in range(6)]
    engine = make_engine(wedlm, num_pages=14, page_size=16)
    answers = run_all(engine, requests)
    assert engine.scheduler.num_preempted > 0
    for request in requests:
        single, answer = run_alone(wedlm, request), answers[request.request_id]
        assert answer.token_ids == single.token_ids
        assert answer.finish is not None
        assert single.finish is not None
        assert answer.finish.usage.denoising_steps == single.finish.usage.denoising_steps


def test_whole_pages_of_a_prompt_are_shared_wherever_it_ends(wedlm: LoadedModel) -> None:
    engine = make_engine(wedlm, page_size=8)
    text = tuple(range(7, 60))
    expected = {n: run_alone(wedlm, Request("a", text[:n], asking(0).sampling)) for n in (16, 53)}
    first = Request("first", text[:29], replace(asking(0).sampling, block_length=4))
    run_all(engine, [first])
    for count, shared in ((16, 16), (53, 24)):
        answer = run_all(engine, [Request("a", text[:count], asking(0).sampling)])["a"]
        assert answer.finish is not None
        assert answer.finish.usage.cached_tokens == shared
        assert answer.token_ids == expected[count].token_ids


def test_a_token_leaves_as_soon_as_none_before_it_is_masked(wedlm: LoadedModel) -> None:
    engine = make_engine(wedlm)
    engine.add(asking(3))
    sequence = next(iter(engine.scheduler.sequences))
    sent = 0
    while engine.has_work:
        answers: dict[str, Answer] = {}
        collect(answers, engine.step())
        sent += sum(len(answer.token_ids) for answer in answers.values())
        masked = sequence.masked[len(PROMPTS[3]) :].nonzero()[0]
        assert sent == min(int(masked[0]), 30)
    assert sent == 30


@pytest.mark.parametrize("every", [1, 2])
def test_refinements_show_the_window_and_change_nothing(wedlm: LoadedModel, every: int) -> None:
    plain = asking(4, temperature=0.7, entropy_threshold=2.0)
    refined = replace(plain, refinements=RefinementOptions(every=every, tokens=True))
    expected, answer = run_alone(wedlm, plain), run_alone(wedlm, refined)
    assert answer.essence == expected.essence
    assert answer.finish is not None
    # The last step ends the answer, and is shown by its tokens.
    assert len(answer.refinements) == (answer.finish.usage.denoising_steps - 1) // every
    for refinement in answer.refinements:
        start, end = refinement.span
        assert 0 <= start < end <= min(start + 16, 30)
        assert 1 <= refinement.step <= refinement.max_steps == 16
        tokens = refinement.tokens or ()
        assert len(tokens) == end - start
        assert refinement.unresolved == sum(not token.resolved for token in tokens)
        for position, token in enumerate(tokens, start):
            assert not token.resolved or token.token_id == answer.token_ids[position]


def test_ends_and_stop_strings_cut_the_answer(wedlm: LoadedModel) -> None:
    whole = run_alone(wedlm, asking(1, max_tokens=60))
    stop = whole.text[len(whole.text) // 2 :][:2]
    cut = run_alone(wedlm, asking(1, max_tokens=60, stop=(stop,)))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish is not None
    assert cut.finish.stop_reason == stop
    end = whole.token_ids[20]
    ended = run_alone(wedlm, asking(1, max_tokens=60, stop_token_ids=(end,)))
    assert ended.token_ids == whole.token_ids[: whole.token_ids.index(end) + 1]


def test_every_token_has_its_logprob(wedlm: LoadedModel) -> None:
    requests = [asking(i, logprobs=2, **SAMPLERS[i]) for i in range(4)]
    together = run_all(make_engine(wedlm), requests)
    for request in requests:
        answer = together[request.request_id]
        assert [entry.token_id for entry in answer.logprobs] == answer.token_ids
        assert all(entry.logprob <= 0 and len(entry.top) == 2 for entry in answer.logprobs)
        assert answer.logprobs == run_alone(wedlm, request).logprobs


@pytest.mark.parametrize(
    "policy", [row.name for row in POLICIES if not (row.keeps_trace or row.by_chance or row.mixes)]
)
def test_every_policy_fills_a_window_in_the_steps_it_is_given(
    wedlm: LoadedModel, policy: str
) -> None:
    """A share of each window is filled by every step, whatever the policy adds."""
    answer = run_alone(wedlm, asking(2, policy=policy, steps=4, block_length=16, max_tokens=32))
    assert len(answer.token_ids) == 32
    assert answer.finish is not None
    assert answer.finish.usage.denoising_steps <= (32 + 16) // 4


def test_nearer_positions_are_filled_first_under_a_penalty(wedlm: LoadedModel) -> None:
    """Under a large one they are filled from left to right, one by one."""
    for i in range(3):
        wanted = run_alone(wedlm, asking(i, policy="sequential", block_length=8))
        strict = asking(i, policy="entropy", block_length=8, distance_penalty=100.0)
        assert run_alone(wedlm, strict).token_ids == wanted.token_ids
        free = asking(i, policy="entropy", block_length=8, distance_penalty=0.0)
        assert run_alone(wedlm, free).finish != run_alone(wedlm, strict).finish


def test_token_by_token_is_a_window_of_one(wedlm: LoadedModel) -> None:
    answer = run_alone(wedlm, asking(3, mode="ar", temperature=0.8))
    expected = run_alone(wedlm, asking(3, block_length=1, temperature=0.8))
    assert answer.token_ids == expected.token_ids
    assert answer.finish is not None
    usage = answer.finish.usage
    assert (usage.denoising_steps, usage.block_length) == (30, 1)
    assert usage.query_tokens == len(PROMPTS[3]) + 1 + 2 * 29  # the last token, and a mask


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("overlap", [False, True])
def test_replayed_steps_give_the_same_answers(loaded: LoadedModel, overlap: bool) -> None:
    forward, sampling = Recordings(), Recordings()
    engine = make_engine(
        loaded,
        graphs=True,
        overlap=overlap,
        max_batch_tokens=200,
        recorder=in_turn(forward, sampling),
    )
    forward.num_replays = sampling.num_replays = 0
    requests = [asking(i, block_length=(None, 4)[i % 2], **SAMPLERS[i % 2]) for i in range(9)]
    requests.append(asking(9, policy="threshold", threshold=0.3))
    assert tokens_of(run_all(engine, requests)) == alone(loaded, requests)
    assert forward.num_replays > 0
    assert sampling.num_replays > 0


def test_steps_overlap_only_where_somebody_says_so(wedlm: LoadedModel, tiny: LoadedModel) -> None:
    """Passes over windows wait for results, so half of them would be in every other step."""

    def overlaps(loaded: LoadedModel, overlap: bool | None) -> bool:
        on_gpu = replace(loaded, device=torch.device("cuda"))
        return derive_limits(replace(ROOMY, overlap=overlap), on_gpu).overlaps

    assert overlaps(tiny, None)
    assert not overlaps(wedlm, None)
    assert overlaps(wedlm, True)


REFUSED = [
    ({"mode": "self_speculation"}, "mode", "mode self_speculation is for models that verify"),
    ({"mode": "auto"}, "mode", "mode auto is for models that verify"),
    ({"mode": "ar", "block_length": 8}, "block_length", "no meaning in mode ar"),
    ({"block_length": "auto"}, "block_length", "auto is for models"),
    ({"sub_block_length": 4}, "sub_block_length", "sub_block_length is for models"),
    ({"cfg_scale": 1.0}, "cfg_scale", "cfg_scale is for models"),
    ({"cache": "block"}, "cache", "cache of this model must be none"),
    ({"editing_threshold": 0.5}, "editing_threshold", "editing_threshold is for models"),
    ({"policy": "threshold", "distance_penalty": 0.1}, "distance_penalty", "rank by entropy"),
    ({"policy": "threshold", "entropy_threshold": 0.1}, "entropy_threshold", "has no meaning"),
    ({"block_length": 301}, "block_length", "block_length is 301, but a step holds 300"),
]


@pytest.mark.parametrize(("params", "field", "message"), REFUSED)
def test_what_a_window_does_not_do_is_refused_by_name(
    wedlm: LoadedModel, params: dict[str, Any], field: str, message: str
) -> None:
    engine = make_engine(wedlm, max_batch_tokens=300)
    with pytest.raises(InvalidRequest, match=message) as error:
        engine.check(asking(1, **params))
    assert error.value.field == field


def test_a_window_that_no_pages_hold_is_refused_at_the_door(wedlm: LoadedModel) -> None:
    """The window of the last token is whole, so it takes pages behind the answer."""
    engine = make_engine(wedlm, num_pages=4, page_size=16)
    request = Request("a", tuple(range(40)), SamplingParams(max_tokens=10, ignore_eos=True))
    with pytest.raises(InvalidRequest, match="need 5 KV pages") as error:
        engine.check(request)
    assert error.value.field == "max_tokens"
    fitting = replace(request, sampling=replace(request.sampling, max_tokens=9))
    assert len(run_all(engine, [fitting])["a"].token_ids) == 9


def test_an_answer_may_end_with_the_context(wedlm: LoadedModel, tmp_path: Path) -> None:
    """Positions of the window behind the context are computed, and never given out."""
    shutil.copytree(GOLDEN / "wedlm", tmp_path, dirs_exist_ok=True)
    config = ModelConfig(str(tmp_path), dtype="float32", mask_token_id=511, max_model_len=48)
    short = load_model(config, DecodingConfig())
    prompt = tuple(range(3, 35))
    request = Request("a", prompt, SamplingParams(ignore_eos=True))
    expected = replace(request, sampling=replace(request.sampling, max_tokens=60))
    answer = run_alone(short, request)
    assert answer.token_ids == run_alone(wedlm, expected).token_ids[:16]
    with pytest.raises(InvalidRequest, match="at most 16 are left"):
        make_engine(short).check(
            replace(request, sampling=replace(request.sampling, max_tokens=17))
        )


def test_a_penalty_is_refused_where_there_is_no_window(tiny: LoadedModel) -> None:
    engine = make_engine(tiny)
    asked = asking(1, policy="entropy", distance_penalty=0.1, block_length=4)
    with pytest.raises(InvalidRequest, match="models with a window, as WeDLM") as error:
        resolve(asked, tiny.info, engine.limits)
    assert error.value.field == "distance_penalty"
    config = ModelConfig(str(GOLDEN / "idlm"), dtype="float32", mask_token_id=511)
    with pytest.raises(InvalidConfig, match=r"decoding\.distance_penalty is for models"):
        load_model(config, DecodingConfig(distance_penalty=0.1))


def test_defaults_are_the_published_engines(loaded: LoadedModel) -> None:
    request = Request("a", (5, 6), SamplingParams(max_tokens=8))
    decoding = resolve(request, loaded.info, make_engine(loaded).limits)
    assert (decoding.policy, decoding.threshold) == ("entropy_threshold", 0.4)
    assert decoding.sampling.distance_penalty == 0.02
    assert (decoding.block_len, decoding.quotas[0]) == (16, 1)
