"""DMax through the engine against tokens of its authors' loop."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.support.checkpoints import load_golden
from tests.support.draws import MIXING
from tests.support.engines import Answer, make_engine, run_all, run_alone, run_noting_ends
from tests.support.graphs import Recordings
from tests.support.tiny import GOLDEN
from unmask.models.family import Model
from unmask.models.inputs import ForwardInputs
from unmask.models.registry import LoadedModel
from unmask.types import FinishReason, RefinementOptions, Request, SamplingParams

CASES = json.loads((GOLDEN / "dmax" / "golden.json").read_text())["cases"]
EXPECTED = {case["name"]: (case["tokens"], case["forwards"]) for case in CASES}
# An engine's ways to run the same requests.
WAYS = {
    "together": {},
    "overlap": {"overlap": True, "steps_ahead": 3},
    "prompts in chunks": {"max_batch_tokens": 66},
    "few pages": {"num_pages": 12, "overlap": True},
    "few at a time": {"max_num_seqs": 3, "page_size": 8},
    "speculation": {"speculation_rows": 200},
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    model = load_golden("dmax", tmp_path_factory.mktemp("golden"), device="cpu")
    return replace(model, info=replace(model.info, max_model_len=400))


def request_of(case: dict, refinements: RefinementOptions | None = None) -> Request:
    given = case["settings"]
    sampling = SamplingParams(
        max_tokens=given["gen_length"],
        ignore_eos=True,
        policy=given["policy"],
        threshold=given["threshold"],
        block_length=given["block_length"],
        temperature=given.get("temperature", 0.0),
        seed=given.get("seed"),
    )
    return Request(case["name"], tuple(case["prompt"]), sampling, refinements)


def others() -> list[Request]:
    """Requests that fill masks and revise nothing, or by an editing threshold."""
    kinds: tuple[dict, ...] = (
        {},
        {"policy": "low_confidence", "steps": 6},
        {"temperature": 0.8, "top_k": 20, "logprobs": 2},
        {"threshold": 0.3, "sub_block_length": 8},
        {"threshold": 0.5, "open_blocks": 2},
        {"threshold": 0.3, "editing_threshold": 0.9},
    )
    return [
        Request(
            f"other-{i}",
            tuple(range(i, 30 + 9 * i)),
            SamplingParams(max_tokens=20 + 7 * i, seed=i, ignore_eos=True, **kind),
        )
        for i, kind in enumerate(kinds)
    ]


def found(answers: dict[str, Answer]) -> dict[str, tuple[list[int], int]]:
    """Tokens and denoising passes of the cases."""
    told = {}
    for name in EXPECTED:
        finish = answers[name].finish
        assert finish is not None
        told[name] = answers[name].token_ids, finish.usage.denoising_steps
    return told


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_request_alone_gets_the_tokens_of_the_loop_in_as_many_passes(
    loaded: LoadedModel, case: dict
) -> None:
    answer = run_alone(loaded, request_of(case))
    assert answer.token_ids == case["tokens"]
    assert answer.finish is not None
    assert answer.finish.usage.denoising_steps == case["forwards"]


def test_the_recorded_blocks_end_for_every_reason() -> None:
    ends = [case["ends"] for case in CASES]
    for reason in ("sure", "unchanged", "out", "revised"):
        assert sum(end[reason] for end in ends) > 0


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("way", WAYS)
def test_requests_that_mix_and_others_change_nothing_of_each_other(
    loaded: LoadedModel, way: str
) -> None:
    company = others()
    mixed = [request_of(case) for case in CASES]
    mixed[1:1], mixed[5:5] = company[:3], company[3:]
    engine = make_engine(loaded, **WAYS[way])
    answers = run_all(engine, mixed)
    assert found(answers) == EXPECTED
    for other in company:
        assert answers[other.request_id].essence == run_alone(loaded, other).essence
    assert (engine.scheduler.num_preempted > 0) == (way == "few pages")


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("overlap", [False, True])
def test_captured_passes_change_nothing(loaded: LoadedModel, overlap: bool) -> None:
    recordings, batch = Recordings(), 128
    engine = make_engine(
        loaded,
        graphs=True,
        overlap=overlap,
        max_batch_tokens=batch,
        max_num_seqs=8,
        recorder=recordings,
    )
    recordings.num_replays = 0
    company = others()[:3]
    answers = run_all(engine, [*(request_of(case) for case in CASES), *company])
    assert recordings.num_replays > max(forwards for _, forwards in EXPECTED.values())
    assert found(answers) == EXPECTED
    for other in company:
        assert answers[other.request_id].essence == run_alone(loaded, other).essence


def test_prompts_whose_keys_are_cached_change_nothing(loaded: LoadedModel) -> None:
    engine = make_engine(loaded)
    requests = [request_of(case) for case in CASES]
    assert found(run_all(engine, requests)) == EXPECTED
    again = run_all(engine, requests)
    assert found(again) == EXPECTED
    assert sum(answer.finish.usage.cached_tokens for answer in again.values() if answer.finish) > 0


def test_keys_that_are_kept_are_those_of_final_tokens_alone(loaded: LoadedModel) -> None:
    """An answer that goes on from cached keys is that of an engine that computes them anew."""
    engine, num_cached = make_engine(loaded), 0
    for case in CASES[:4]:
        first = request_of(case)
        answer = run_all(engine, [first])[case["name"]]
        prompt = (*first.prompt_token_ids, *answer.token_ids)
        sampling = replace(first.sampling, policy="threshold", max_tokens=20)
        longer = Request("longer", prompt, sampling)
        after = run_all(engine, [longer])["longer"]
        assert after.finish is not None
        num_cached += after.finish.usage.cached_tokens - len(first.prompt_token_ids)
        assert after.essence == run_alone(loaded, longer).essence
    assert num_cached > 0


@pytest.mark.parametrize("case", CASES[1:4], ids=lambda case: case["name"])
def test_a_stream_has_whole_blocks_and_drafts_of_the_open_one(
    loaded: LoadedModel, case: dict
) -> None:
    engine = make_engine(loaded)
    request = request_of(case, RefinementOptions(tokens=True))
    answer, ends = run_noting_ends(engine, request)
    assert answer.token_ids == case["tokens"]
    assert all(end % 32 == 0 for end in ends[:-1])
    drafts = [draft.tokens for draft in answer.refinements]
    assert len(drafts) == case["forwards"] - 1
    shown = {token.token_id for draft in drafts for token in draft or () if token.resolved}
    assert 511 not in shown
    assert shown - set(case["tokens"]), "some drafts were revised"


def test_an_end_counts_only_in_a_final_block(loaded: LoadedModel) -> None:
    case = CASES[1]
    request = request_of(case, RefinementOptions(tokens=True))
    drafts = run_alone(loaded, request).refinements
    drafted = {token.token_id for draft in drafts for token in draft.tokens or () if token.resolved}
    gone = tuple(sorted(drafted - set(case["tokens"])))
    assert gone, "no pass took a token back"
    sampling = replace(request.sampling, stop_token_ids=gone)
    assert run_alone(loaded, replace(request, sampling=sampling)).token_ids == case["tokens"]
    end = case["tokens"][20]
    sampling = replace(request.sampling, stop_token_ids=(end,))
    ended = run_alone(loaded, replace(request, sampling=sampling))
    assert ended.token_ids == case["tokens"][: case["tokens"].index(end) + 1]
    assert ended.finish is not None
    assert ended.finish.reason is FinishReason.STOP


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("seed", range(6))
def test_any_request_is_the_same_in_any_company(loaded: LoadedModel, seed: int) -> None:
    batch = [
        Request(
            f"r{i}",
            tuple((7 * i + seed + k * k) % 500 for k in range(3 + 11 * i + seed)),
            SamplingParams(
                max_tokens=9 + 8 * i,
                block_length=(4, 8, 16, 32, 32)[(i + seed) % 5],
                ignore_eos=True,
                logprobs=(None, 0, 3)[(i + seed) % 3],
                logit_bias=((7, 3.0), (9, -100.0)) if (i + seed) % 4 == 0 else (),
                seed=i,
                **MIXING[(i + seed) % len(MIXING)],
            ),
            RefinementOptions(tokens=True) if i == 2 else None,
        )
        for i in range(6)
    ]
    page_size = (8, 16)[seed % 2]
    pages = {"page_size": page_size, "num_pages": 224 // page_size}
    engine = make_engine(loaded, **pages, overlap=seed % 2 == 0)
    together = run_all(engine, batch)
    for request in batch:
        alone = run_alone(loaded, replace(request, refinements=None))
        answer = together[request.request_id]
        assert answer.essence == alone.essence
        assert answer.logprobs == alone.logprobs
        assert 511 not in answer.token_ids
        if request.sampling.logprobs is not None:
            assert [entry.token_id for entry in answer.logprobs] == answer.token_ids


def test_a_block_takes_no_more_passes_than_it_may(loaded: LoadedModel) -> None:
    sampling = SamplingParams(
        max_tokens=32, policy="dmax", threshold=0.9, steps=3, block_length=16, ignore_eos=True
    )
    answer = run_alone(loaded, Request("few", tuple(range(16)), sampling))
    assert answer.finish is not None
    assert answer.finish.usage.denoising_steps <= 6
    assert len(answer.token_ids) == 32


class Unmixed:
    """A model that reads tokens' own embeddings, whatever a step says."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def forward(self, step: ForwardInputs) -> Tensor:
        return self._model.forward(replace(step, mixture=None))


def test_tokens_depend_on_the_mixture(loaded: LoadedModel) -> None:
    """Guards the comparisons above."""
    unmixed = replace(loaded, model=Unmixed(loaded.model))
    answers = run_all(make_engine(unmixed), [request_of(case) for case in CASES])
    assert sum(answers[name].token_ids != tokens for name, (tokens, _) in EXPECTED.items()) > 3


class Deaf(Unmixed):
    """The model as if every token were as likely as any other."""

    def forward(self, step: ForwardInputs) -> Tensor:
        return torch.zeros_like(super().forward(step))


def test_tokens_are_drawn_alike_in_every_step_of_a_block(loaded: LoadedModel) -> None:
    """A block comes to rest as soon as its chances do."""
    deaf = replace(loaded, model=Deaf(loaded.model))
    sampling = SamplingParams(
        max_tokens=64, policy="dmax", threshold=0.0, temperature=1.0, seed=3, ignore_eos=True
    )
    answer = run_alone(deaf, Request("drawn", tuple(range(32)), sampling))
    assert answer.finish is not None
    assert answer.finish.usage.denoising_steps == 4  # two a block: one draws, one sees no change
    assert len(set(answer.token_ids)) > 40
    other = run_alone(deaf, Request("other", tuple(range(32)), replace(sampling, seed=4)))
    assert other.token_ids != answer.token_ids


def test_a_low_temperature_is_none(loaded: LoadedModel) -> None:
    case = CASES[0]
    request = request_of(case)
    cold = replace(request.sampling, temperature=1e-5, seed=1)
    assert run_alone(loaded, replace(request, sampling=cold)).token_ids == case["tokens"]
