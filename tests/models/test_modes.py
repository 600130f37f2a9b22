"""Modes of models with a causal prefix: blocks, token by token, and verified drafts."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden import load_golden, read_reference, sampling_of
from tests.support.graphs import Recordings
from unmask.engine.schedule.admission import resolve
from unmask.errors import InvalidRequest
from unmask.grammar import Regex
from unmask.metrics import value_of
from unmask.models.registry import LoadedModel
from unmask.types import ModeName, Request, SamplingParams

PROMPTS = tuple(tuple(range(3, 4 + 11 * i)) for i in range(8))
MODES: tuple[ModeName, ...] = ("diffusion", "ar", "self_speculation")


@pytest.fixture(scope="module")
def nemotron(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_golden("nemotron", Path(tmp_path_factory.mktemp("nemotron")))


@pytest.fixture(scope="module", params=["nemotron", "idlm"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Models that verify their drafts, in a pass of its own and in the next one."""
    return load_golden(request.param, Path(tmp_path_factory.mktemp(request.param)))


def asking(i: int, mode: ModeName, **params: object) -> Request:
    sampling = SamplingParams(max_tokens=30, ignore_eos=True, mode=mode, seed=i)
    sampling = replace(sampling, **params)  # type: ignore[arg-type]
    return Request(f"{mode}-{i}", PROMPTS[i % len(PROMPTS)], sampling)


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
def test_a_verified_draft_is_what_the_model_writes_token_by_token(
    loaded: LoadedModel, temperature: float, overlap: bool
) -> None:
    modes: tuple[ModeName, ...] = ("ar", "self_speculation")
    requests = [
        asking(i, mode, temperature=temperature, top_k=(0, 5)[i % 2], block_length=length)
        for i in range(8)
        for mode, length in zip(modes, (None, (8, 16)[i % 2]), strict=True)
    ]
    answers = run_all(make_engine(loaded, overlap=overlap, max_num_seqs=5), requests)
    for i in range(8):
        ar, drafted = (answers[f"{mode}-{i}"] for mode in modes)
        assert drafted.token_ids == ar.token_ids
        assert len(ar.token_ids) == 30


@pytest.mark.parametrize("has_adapter", [True, False])
def test_drafts_and_their_verification_are_all_passes_of_a_block(
    nemotron: LoadedModel, monkeypatch: pytest.MonkeyPatch, has_adapter: bool
) -> None:
    golden = read_reference("nemotron")
    cases = [case for case in golden["cases"] if case["settings"].get("adapter") == has_adapter]
    assert len(cases) == (16 if has_adapter else 8)
    if not has_adapter:
        monkeypatch.setattr(nemotron.model, "draft_adapters", ())
    for case in cases:
        sampling = sampling_of(golden, case["settings"])
        answer = run_alone(nemotron, Request(case["name"], tuple(case["prompt"]), sampling))
        assert answer.token_ids == case["tokens"]
        assert answer.finish is not None
        num_passes = answer.finish.usage.forward_passes
        # A last block that is cut to what is missing may be drafted in fewer passes.
        assert num_passes == case["forwards"] or (
            case["settings"]["threshold"] and num_passes < case["forwards"]
        )


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("rule", [{"threshold": 0.5}, {"steps": 4}, {"policy": "entropy"}])
def test_drafts_by_a_policy_change_no_token(nemotron: LoadedModel, rule: dict[str, object]) -> None:
    requests = [
        asking(i, "self_speculation", temperature=(0.0, 0.8)[i % 2], block_length=8, **rule)
        for i in range(8)
    ]
    options = {"overlap": True, "num_pages": 26, "page_size": 8, "max_batch_tokens": 60}
    answers = run_all(make_engine(nemotron, **options), requests)
    for i, request in enumerate(requests):
        ar = run_alone(nemotron, asking(i, "ar", temperature=(0.0, 0.8)[i % 2]))
        assert answers[request.request_id].token_ids == ar.token_ids


def test_drafts_of_right_tokens_save_passes(nemotron: LoadedModel) -> None:
    passes = {}
    for mode in ("ar", "self_speculation"):
        length = None if mode == "ar" else 8
        answers = [run_alone(nemotron, asking(i, mode, block_length=length)) for i in range(8)]
        passes[mode] = sum(a.finish.usage.forward_passes for a in answers if a.finish is not None)
    assert passes["self_speculation"] < passes["ar"]


def test_token_by_token_takes_one_row_each(loaded: LoadedModel) -> None:
    finish = run_alone(loaded, asking(3, "ar")).finish
    assert finish is not None
    assert finish.usage.query_tokens == len(PROMPTS[3]) + 30 - 1
    assert finish.usage.forward_passes == 30
    assert finish.usage.block_length == 1


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_modes_share_steps_pages_and_keys(loaded: LoadedModel, temperature: float) -> None:
    requests = [
        asking(i, MODES[i % 3], temperature=temperature, block_length=None) for i in range(15)
    ]
    alone = {r.request_id: run_alone(loaded, r).token_ids for r in requests}
    for options in (
        {"overlap": True, "steps_ahead": 2, "num_pages": 26, "page_size": 8},
        {"overlap": False, "max_batch_tokens": 40},
    ):
        engine = make_engine(loaded, **options)
        for _ in range(2):  # the second time with keys of the first
            answers = run_all(engine, requests)
            assert {name: answer.token_ids for name, answer in answers.items()} == alone


def test_a_load_chooses_the_mode_and_changes_no_token(loaded: LoadedModel) -> None:
    requests = [asking(i, "auto", temperature=(0.0, 0.7)[i % 2], block_length=8) for i in range(12)]
    answers = run_all(make_engine(loaded, saturation_rows=16), requests)
    modes = {}
    for i, request in enumerate(requests):
        answer, ar = answers[request.request_id], asking(i, "ar", temperature=(0.0, 0.7)[i % 2])
        assert answer.token_ids == run_alone(loaded, ar).token_ids
        assert answer.finish is not None
        modes[i] = answer.finish.usage.mode
        assert answer.finish.usage.block_length == (1 if modes[i] == "ar" else 8)
    # All twelve are there as the first is admitted, and few are left as the last is.
    assert modes[0] == "ar"
    alone = run_alone(loaded, requests[0]).finish
    assert alone is not None
    assert alone.usage.mode == "self_speculation"


def test_a_model_with_one_mode_does_not_tell_it(tiny: LoadedModel) -> None:
    finish = run_alone(tiny, Request("a", (1, 2), SamplingParams(max_tokens=4))).finish
    assert finish is not None
    assert finish.usage.mode is None


@pytest.mark.parametrize("mode", MODES)
def test_only_tokens_that_stay_count_as_committed(loaded: LoadedModel, mode: ModeName) -> None:
    engine = make_engine(loaded)
    length = None if mode == "ar" else 8
    answers = run_all(
        engine, [asking(i, mode, block_length=length, max_tokens=32) for i in range(4)]
    )
    num_tokens = sum(len(answer.token_ids) for answer in answers.values())
    assert value_of(engine.metrics.committed_tokens) == num_tokens


@pytest.mark.parametrize("name", ["nemotron", "idlm", "wedlm", "sdar"])
def test_a_model_tells_the_modes_that_it_takes(name: str, tmp_path: Path) -> None:
    model = load_golden(name, tmp_path)
    engine, taken = make_engine(model), []
    for mode in get_args(ModeName):
        with suppress(InvalidRequest):
            engine.check(asking(0, mode))
            taken.append(mode)
    assert sorted(taken) == sorted(model.info.modes)


def test_modes_are_refused_where_a_model_has_none(tiny: LoadedModel) -> None:
    engine = make_engine(tiny)
    with pytest.raises(InvalidRequest, match="mode ar is for models that are causal too") as error:
        engine.add(asking(0, "ar"))
    assert error.value.field == "mode"
    engine.add(asking(0, "diffusion"))


@pytest.mark.parametrize("mode", ["ar", "self_speculation", "auto"])
def test_a_grammar_gives_a_model_no_mode(tiny: LoadedModel, mode: ModeName) -> None:
    loaded = replace(tiny, info=replace(tiny.info, eos_token_ids=(2,)))
    asked = asking(0, mode, grammar=Regex("[ab]+"), ignore_eos=False)
    with pytest.raises(InvalidRequest, match=f"mode {mode} is for models") as error:
        make_engine(loaded).check(asked)
    assert error.value.field == "mode"


def test_a_window_that_no_step_holds_is_refused(tmp_path: Path) -> None:
    idlm = load_golden("idlm", tmp_path)
    engine = make_engine(idlm, max_batch_tokens=40)
    with pytest.raises(InvalidRequest, match="21, which takes 41 tokens a pass") as error:
        engine.add(asking(1, "diffusion", block_length=21))
    assert error.value.field == "block_length"
    answers = run_all(engine, [asking(1, "diffusion", block_length=20)])
    assert len(answers["diffusion-1"].token_ids) == 30
    with pytest.raises(InvalidRequest, match="at most 512, got 513"):
        resolve(asking(1, "diffusion", block_length=513), idlm.info, engine.limits)


def test_a_block_length_is_refused_token_by_token(nemotron: LoadedModel) -> None:
    engine = make_engine(nemotron)
    asked = asking(0, "ar", block_length=8)
    with pytest.raises(InvalidRequest, match="block_length") as error:
        resolve(asked, nemotron.info, engine.limits)
    assert error.value.field == "block_length"


def test_a_block_length_is_refused_token_by_token_with_a_grammar(loaded: LoadedModel) -> None:
    asked = asking(0, "ar", block_length=8, ignore_eos=False, grammar=Regex("[ab]+"))
    with pytest.raises(InvalidRequest, match="block_length has no meaning") as error:
        resolve(asked, loaded.info, make_engine(loaded).limits)
    assert error.value.field == "block_length"


@pytest.mark.exhaustive
@pytest.mark.parametrize("overlap", [False, True])
def test_replayed_steps_give_the_same_answers(loaded: LoadedModel, overlap: bool) -> None:
    recordings = Recordings()
    engine = make_engine(
        loaded, graphs=True, overlap=overlap, max_batch_tokens=200, recorder=recordings
    )
    requests = [asking(i, MODES[i % 3], temperature=(0.0, 0.9)[i % 2]) for i in range(9)]
    answers = run_all(engine, requests)
    assert recordings.num_replays > 0
    for one in requests:
        assert answers[one.request_id].token_ids == run_alone(loaded, one).token_ids
