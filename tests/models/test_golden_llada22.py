"""LLaDA2.2 through the engine against tokens of a port of its authors' loop."""

import json
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.checkpoints import load_golden
from tests.support.engines import Answer, make_engine, run_all, run_noting_ends
from tests.support.forward import block_causal, logits_of
from tests.support.graphs import Recordings
from tests.support.levenshtein_reference import Rows, decode
from tests.support.tiny import EOS_ID, GOLDEN
from unmask.models.registry import LoadedModel
from unmask.types import (
    FinishReason,
    ModelInfo,
    RefinementOptions,
    Request,
    SamplingParams,
)

GOLDEN_FILE = json.loads((GOLDEN / "llada22" / "golden.json").read_text())
CASES = GOLDEN_FILE["cases"]
COMMANDS = 508, 509
PAGE = 32
few = settings(
    max_examples=examples(6, 12),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# An engine's ways to run the same requests.
WAYS = {
    "together": {},
    "overlap": {"overlap": True, "steps_ahead": 3},
    "prompts in chunks": {"max_batch_tokens": 66},
    "chunks and overlap": {"max_batch_tokens": 100, "overlap": True},
    "few pages": {"num_pages": 10, "overlap": True},
    "few at a time": {"max_num_seqs": 3},
    "speculation": {"speculation_rows": 200},
    "pages of two blocks": {"page_size": 64},
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_golden("llada22", tmp_path_factory.mktemp("golden"), device="cpu")


def plain(loaded: LoadedModel) -> LoadedModel:
    """The same model where requests edit only if they say so, as with the preset `plain`."""
    default = replace(loaded.info.default_sampling, threshold=0.95, editing_threshold=None)
    info: ModelInfo = replace(loaded.info, default_sampling=default)
    return replace(loaded, info=info)


def request_of(case: dict, refinements: RefinementOptions | None = None) -> Request:
    given = case["settings"]
    sampling = SamplingParams(
        max_tokens=given["gen_length"],
        ignore_eos=True,
        threshold=given["threshold"],
        editing_threshold=given["editing_threshold"],
        steps=given.get("steps"),
        block_length=given["block_length"],
    )
    return Request(case["name"], tuple(case["prompt"]), sampling, refinements)


def others(count: int) -> list[Request]:
    """Requests of many kinds that do not edit."""
    draw = random.Random(count)
    kinds = (
        {},
        {"policy": "low_confidence", "steps": 6},
        {"temperature": 0.8, "top_k": 20},
        {"logprobs": 5},
        {"threshold": 0.3, "sub_block_length": 8},
        {"logit_bias": ((7, 5.0), (508, 100.0))},
        {"block_length": 64, "threshold": 0.2},
        {"threshold": 0.3, "eos_last": True},
    )
    return [
        Request(
            f"other-{i}",
            tuple(draw.choices(range(500), k=draw.randint(1, 100))),
            SamplingParams(max_tokens=draw.randint(1, 70), seed=i, **kinds[i % len(kinds)]),
        )
        for i in range(count)
    ]


def alone(loaded: LoadedModel, request: Request) -> Answer:
    engine = make_engine(loaded, prefix_cache=False, page_size=PAGE)
    return run_all(engine, [request])[request.request_id]


def tokens_of(answers: dict[str, Answer]) -> dict[str, list[int]]:
    return {case["name"]: answers[case["name"]].token_ids for case in CASES}


EXPECTED = {case["name"]: case["tokens"] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_request_alone_gets_the_tokens_of_the_loop_in_as_many_steps(
    loaded: LoadedModel, case: dict
) -> None:
    answer = alone(loaded, request_of(case))
    assert answer.token_ids == case["tokens"]
    assert answer.finish is not None
    assert answer.finish.usage.denoising_steps == case["forwards"]
    assert case["commands"] > 0


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("way", WAYS)
def test_requests_that_edit_and_others_change_nothing_of_each_other(
    loaded: LoadedModel, way: str
) -> None:
    model = plain(loaded)
    requests = [request_of(case) for case in CASES]
    company = others(8)
    mixed = [r for pair in zip(requests, company, strict=False) for r in pair] + company[5:]
    engine = make_engine(model, **({"page_size": PAGE} | WAYS[way]))
    answers = run_all(engine, mixed)
    assert tokens_of(answers) == EXPECTED
    for other in company:
        answer = answers[other.request_id]
        assert answer.essence == alone(model, other).essence
        assert not set(answer.token_ids) & set(COMMANDS)
    assert (engine.scheduler.num_preempted > 0) == (way == "few pages")


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("way", WAYS)
def test_a_router_by_block_without_commands_keeps_answers_apart(
    loaded: LoadedModel, way: str
) -> None:
    """Next blocks are opened ahead there, and tokens are replaced as of LLaDA2.1."""
    model = plain(loaded)
    model = replace(model, info=replace(model.info, edit_commands=None, max_post_steps=3))
    company = others(7)
    edits = SamplingParams(max_tokens=40, editing_threshold=0.3, threshold=0.5, ignore_eos=True)
    company += [Request(f"edits-{i}", tuple(range(i, 40)), edits) for i in range(3)]
    answers = run_all(make_engine(model, **({"page_size": PAGE} | WAYS[way])), company)
    for request in company:
        assert answers[request.request_id].essence == alone(model, request).essence


def test_prompts_whose_keys_are_cached_change_nothing(loaded: LoadedModel) -> None:
    engine = make_engine(loaded, page_size=PAGE)
    requests = [request_of(case) for case in CASES]
    assert tokens_of(run_all(engine, requests)) == EXPECTED
    again = run_all(engine, requests)
    assert tokens_of(again) == EXPECTED
    for case in CASES:
        finish = again[case["name"]].finish
        assert finish is not None
        assert finish.usage.cached_tokens == len(case["prompt"]) // PAGE * PAGE


@pytest.mark.exhaustive
def test_an_answer_goes_on_from_the_cached_keys_of_an_edited_one(loaded: LoadedModel) -> None:
    """Keys of final blocks are those of their final tokens, though their last pass had others."""
    engine, num_cached = make_engine(loaded, page_size=PAGE), list[int]()
    for case in CASES:
        first = request_of(case)
        answer = run_all(engine, [first])[case["name"]]
        prompt = (*first.prompt_token_ids, *answer.token_ids)
        longer = Request(
            "longer", prompt, replace(first.sampling, max_tokens=40, block_length=None)
        )
        after = run_all(engine, [longer])["longer"]
        assert after.finish is not None
        num_cached.append(after.finish.usage.cached_tokens - len(first.prompt_token_ids))
        assert after.essence == alone(loaded, longer).essence
    assert max(num_cached) >= 32


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("overlap", [False, True])
def test_captured_passes_change_nothing(loaded: LoadedModel, overlap: bool) -> None:
    model, recordings = plain(loaded), Recordings()
    model = replace(model, info=replace(model.info, max_model_len=256))
    engine = make_engine(
        model,
        graphs=True,
        overlap=overlap,
        page_size=PAGE,
        max_batch_tokens=128,
        max_num_seqs=8,
        recorder=recordings,
    )
    recordings.num_replays = 0
    company = others(4)
    answers = run_all(engine, [*(request_of(case) for case in CASES), *company])
    assert recordings.num_replays > 0
    assert tokens_of(answers) == EXPECTED
    for other in company:
        assert answers[other.request_id].essence == alone(model, other).essence


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_stream_has_whole_blocks_and_drafts_without_commands(
    loaded: LoadedModel, case: dict
) -> None:
    engine = make_engine(loaded, page_size=PAGE)
    request = request_of(case, RefinementOptions(tokens=True))
    answer, ends = run_noting_ends(engine, request)
    num_drafts = 0
    assert answer.token_ids == case["tokens"]
    assert all(end % 32 == 0 for end in ends[:-1])
    for draft in answer.refinements:
        assert draft.tokens is not None
        assert not {token.token_id for token in draft.tokens} & {*COMMANDS, 511}
        num_drafts += 1
    assert num_drafts > len(ends)


def test_an_end_counts_only_in_a_final_block(loaded: LoadedModel) -> None:
    """A token that some draft has, though the final block has not, ends nothing."""
    case = CASES[1]
    request = request_of(case, RefinementOptions(tokens=True))
    drafts = alone(loaded, request).refinements
    drafted = {token.token_id for draft in drafts for token in draft.tokens or () if token.resolved}
    gone = sorted(drafted - set(case["tokens"]))
    assert gone, "no edit took a token back"
    sampling = replace(request.sampling, stop_token_ids=tuple(gone))
    answer = alone(loaded, replace(request, sampling=sampling))
    assert answer.token_ids == case["tokens"]
    end = case["tokens"][20]
    ended = alone(
        loaded, replace(request, sampling=replace(request.sampling, stop_token_ids=(end,)))
    )
    assert ended.token_ids == case["tokens"][: case["tokens"].index(end) + 1]
    assert ended.finish is not None
    assert ended.finish.reason is FinishReason.STOP


def test_without_an_editing_threshold_it_is_decoded_as_llada20(
    loaded: LoadedModel,
) -> None:
    """Against a loop over the bare model that fills by threshold and knows no command."""
    model, prompt, count = plain(loaded), list(range(7, 47)), 50
    tokens = prompt + [511] * (96 - len(prompt))
    for start in (32, 64):
        while 511 in tokens[start : start + 32]:
            seen = torch.tensor(tokens[: start + 32])
            logits = logits_of(loaded, seen, block_causal(len(seen), 32))[-32:].double()
            logits[:, list(COMMANDS)] = -torch.inf
            shares = logits.softmax(-1)
            shares[:, 511] = -1.0
            sure, best = shares.max(-1)
            masked = [i for i in range(32) if tokens[start + i] == 511]
            chosen = [i for i in masked if sure[i] >= 0.3]
            for i in chosen or [max(masked, key=lambda i: float(sure[i]))]:
                tokens[start + i] = int(best[i])
    sampling = SamplingParams(max_tokens=count, threshold=0.3, ignore_eos=True)
    answer = alone(model, Request("plain", tuple(prompt), sampling))
    assert answer.token_ids == tokens[len(prompt) : len(prompt) + count]


@st.composite
def edited_requests(draw: st.DrawFn) -> list[Request]:
    """Requests with few steps after the last mask, or few in all: random weights edit for long."""
    return [
        Request(
            f"r{i}",
            tuple(draw(st.lists(st.integers(0, EOS_ID - 3), min_size=1, max_size=70))),
            SamplingParams(
                max_tokens=draw(st.integers(1, 50)),
                threshold=draw(st.sampled_from([0.0, 0.3, 0.6, 0.95])),
                editing_threshold=draw(st.sampled_from([0.0, 0.3, 0.7, 1.0])),
                steps=draw(st.sampled_from([None, 1, 4, 40])),
                logprobs=draw(st.sampled_from([None, 0, 4])),
                ignore_eos=True,
            ),
        )
        for i in range(draw(st.integers(1, 3)))
    ]


@given(
    batch=edited_requests(),
    max_post_steps=st.sampled_from([0, 1, 5]),
    ways=st.fixed_dictionaries(
        {
            "overlap": st.booleans(),
            "prefix_cache": st.booleans(),
            "num_pages": st.sampled_from([5, 8, 100]),
            "max_batch_tokens": st.sampled_from([33, 64, 100, 2048]),
            "page_size": st.sampled_from([32, 64]),
        }
    ),
)
@few
def test_any_request_gets_the_tokens_of_the_loop(
    loaded: LoadedModel, batch: list[Request], max_post_steps: int, ways: dict[str, object]
) -> None:
    model = replace(loaded, info=replace(loaded.info, max_post_steps=max_post_steps))

    def rows_of(token_ids: list[int]) -> Rows:
        rows: Rows = logits_of(
            loaded, torch.tensor(token_ids), block_causal(len(token_ids), 32)
        ).tolist()
        return rows

    answers = run_all(make_engine(model, **ways), batch)
    for request in batch:
        asked = request.sampling
        assert asked.max_tokens is not None
        expected = decode(
            rows_of,
            list(request.prompt_token_ids),
            asked.max_tokens,
            (511, *COMMANDS),
            threshold=asked.threshold,
            editing_threshold=asked.editing_threshold,
            steps=asked.steps or 32,
            max_post_steps=max_post_steps,
        )
        answer = answers[request.request_id]
        assert answer.token_ids == expected.tokens
        if asked.logprobs is not None:
            assert [entry.token_id for entry in answer.logprobs] == expected.tokens
            values = [entry.logprob for entry in answer.logprobs]
            assert values == pytest.approx(expected.logprobs, abs=1e-3)
            for entry in answer.logprobs:
                listed = [token_id for token_id, _ in entry.top]
                assert len(listed) == asked.logprobs
                assert not set(listed) & {*COMMANDS, 511}
        assert answer.finish is not None
        assert answer.finish.usage.denoising_steps == expected.forwards
