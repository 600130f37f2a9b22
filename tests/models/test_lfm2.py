"""LFM2 blocks of uniform noise: the engine gives the tokens of transformers' layers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.engines import assert_same_in_company, make_engine, run_all, run_alone
from tests.support.lfm2 import BLOCK_LENGTH, FULL, Reference, load_lfm2
from tests.support.lfm2_loop import Settings, answer, posterior
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.engine.run.noise_schedules import posterior_chances
from unmask.errors import InvalidCheckpoint, InvalidRequest
from unmask.models.registry import LoadedModel
from unmask.types import RefinementOptions, Request, SamplingParams

GREEDY = SamplingParams(max_tokens=20, temperature=0.0, ignore_eos=True)
DRAWN = SamplingParams(max_tokens=24, seed=5, ignore_eos=True)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.random(peak=2.0)


@pytest.fixture(scope="module")
def loaded(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_lfm2(reference.write(tmp_path_factory.mktemp("lfm2")))


def prompt(length: int, first: int = 7) -> tuple[int, ...]:
    return tuple((first + 31 * i) % 256 for i in range(length))


def requests() -> list[Request]:
    shapes = [(5, 20, 8), (64, 16, 8), (33, 1, 3), (70, 30, 2), (1, 9, 4), (64, 12, 8)]
    return [
        Request(f"r{i}", prompt(n), SamplingParams(max_tokens=m, seed=i, steps=s, ignore_eos=True))
        for i, (n, m, s) in enumerate(shapes)
    ]


@pytest.mark.parametrize("length", [1, 2, 5, 40])
def test_greedy_answers_are_those_of_the_reference(
    reference: Reference, loaded: LoadedModel, length: int
) -> None:
    request = Request("r", prompt(length), replace(GREEDY, logprobs=3))
    expected, logprobs = answer(reference, prompt(length), 20, Settings(temperature=0.0))
    got = run_alone(loaded, request)
    assert got.token_ids == expected
    for i, item in enumerate(got.logprobs):
        block, row = divmod(i, BLOCK_LENGTH)
        for token_id, logprob in ((item.token_id, item.logprob), *item.top):
            assert logprob == pytest.approx(logprobs[block][row, token_id].item(), abs=1e-4)


@pytest.mark.parametrize(
    ("params", "settings"),
    [
        ({}, {}),
        ({"steps": 1}, {"steps": 1, "t_min": 0.5, "rho": 0.2}),
        ({"steps": 2}, {"steps": 2, "t_min": 0.5, "rho": 0.2}),
        ({"steps": 4}, {"steps": 4, "t_min": 0.5, "rho": 0.2}),
        ({"steps": 17}, {"steps": 17}),
        ({"temperature": 0.6}, {"temperature": 0.6}),
        ({"top_k": 4}, {"top_k": 4}),
    ],
)
def test_drawn_answers_follow_the_posterior(
    reference: Reference, loaded: LoadedModel, params: dict[str, Any], settings: dict[str, Any]
) -> None:
    request = Request("r", prompt(9), replace(DRAWN, **params))
    expected, _ = answer(reference, prompt(9), 24, Settings(seed=5, **settings))
    got = run_alone(loaded, request)
    assert got.token_ids == expected
    assert got.finish is not None
    assert got.finish.usage.denoising_steps == 3 * (params.get("steps") or 8)


def test_recorded_answers_are_the_same(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "lfm2", tmp_path, dirs_exist_ok=True)
    byte_tokenizer().save_pretrained(tmp_path)
    recorded, made = load_lfm2(tmp_path), list[Request]()
    cases = json.loads((GOLDEN / "lfm2" / "golden.json").read_text())["cases"]
    for i, case in enumerate(cases):
        asked = {name: case["settings"][name] for name in ("seed", "steps", "temperature", "top_k")}
        sampling = SamplingParams(max_tokens=len(case["tokens"]), ignore_eos=True, **asked)
        made.append(Request(f"{i}", tuple(case["prompt"]), sampling))
    answers = run_all(make_engine(recorded), made)
    assert [answers[f"{i}"].token_ids for i in range(6)] == [case["tokens"] for case in cases]


def test_a_mixture_of_three_draws_is_the_published_posterior() -> None:
    p = torch.rand(6, 50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p, held = p / p.sum(-1, keepdim=True), torch.arange(6)
    for before, after in ((0.001, 0.2), (0.4, 0.41), (0.4966, 1.0)):
        shares = torch.tensor([before]).double().numpy(), torch.tensor([after]).double().numpy()
        [(gain, stay, draw, renew)] = posterior_chances(*shares, 50).tolist()
        keep = gain * p.gather(1, held[:, None]) + stay
        parts = keep * torch.nn.functional.one_hot(held, 50) + draw * p + renew / 50
        mixture = parts / (keep + draw + renew)
        expected = posterior(p, held, torch.tensor(before).double(), torch.tensor(after).double())
        torch.testing.assert_close(mixture, expected)
        torch.testing.assert_close(mixture.sum(-1), torch.ones(6, dtype=torch.float64))


def test_the_log_probability_of_a_token_is_without_temperature(
    reference: Reference, loaded: LoadedModel
) -> None:
    got = run_alone(loaded, Request("r", prompt(9), replace(DRAWN, max_tokens=8, logprobs=1)))
    _, [logprobs] = answer(reference, prompt(9), 8, Settings(seed=5))
    for row, item in zip(logprobs, got.logprobs, strict=True):
        assert item.logprob == pytest.approx(row[item.token_id].item(), abs=1e-4)


def test_a_request_in_company_gets_the_answer_that_it_gets_alone(loaded: LoadedModel) -> None:
    assert_same_in_company(loaded, requests())


@pytest.mark.parametrize("max_batch_tokens", [8, 24])
def test_prompts_in_chunks_give_the_same_answers(
    loaded: LoadedModel, max_batch_tokens: int
) -> None:
    whole = run_all(make_engine(loaded), requests())
    chunked = run_all(make_engine(loaded, max_batch_tokens=max_batch_tokens), requests())
    assert {name: a.essence for name, a in chunked.items()} == {
        name: a.essence for name, a in whole.items()
    }


def test_a_cached_prefix_keeps_the_inputs_of_convolutions(loaded: LoadedModel) -> None:
    engine = make_engine(loaded)
    first, second = Request("a", prompt(70), DRAWN), Request("b", prompt(70), DRAWN)
    before = run_all(engine, [first])["a"]
    after = run_all(engine, [second])["b"]
    assert after.finish is not None
    assert after.finish.usage.cached_tokens == 64
    assert after.essence == before.essence


@pytest.mark.parametrize("num_pages", [16, 400])
def test_steps_that_overlap_equal_steps_in_turn(loaded: LoadedModel, num_pages: int) -> None:
    in_turn = run_all(make_engine(loaded), requests())
    engine = make_engine(loaded, overlap=True, steps_ahead=3, num_pages=num_pages)
    overlapping = run_all(engine, requests())
    assert {name: a.essence for name, a in overlapping.items()} == {
        name: a.essence for name, a in in_turn.items()
    }


def test_refinements_show_the_block_and_resolve_all_of_it(loaded: LoadedModel) -> None:
    request = Request("r", prompt(9), DRAWN, RefinementOptions(tokens=True))
    got = run_alone(loaded, request)
    assert got.essence == run_alone(loaded, replace(request, refinements=None)).essence
    shown = [r for r in got.refinements if r.block == 0]
    assert [r.step for r in shown] == list(range(1, 9))
    assert shown[-1].tokens is not None
    assert [token.token_id for token in shown[-1].tokens] == got.token_ids[:BLOCK_LENGTH]
    assert any(r.unresolved for r in shown[:-1])


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_types": None, "full_attn_idxs": [1, 3]},
        {"layer_types": None},
        {"layer_types": [FULL] * 4},
        {"conv_bias": True},
        {"conv_L_cache": 4},
        {"self_conditioning": False},
        {"selfcond_ffn_bias": False},
        {"block_auto_adjust_ff_dim": False},
        {"rope_theta": None, "rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"}},
        {"num_key_value_heads": 4},
    ],
)
def test_configurations_give_the_answers_of_the_reference(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    reference = Reference.random(peak=2.0, **changes)
    loaded = load_lfm2(reference.write(tmp_path))
    expected, _ = answer(reference, prompt(9), 16, Settings(temperature=0.0))
    request = Request("r", prompt(9), replace(GREEDY, max_tokens=16))
    assert run_alone(loaded, request).token_ids == expected


def test_answers_have_no_token_behind_the_real_vocabulary(
    reference: Reference, loaded: LoadedModel
) -> None:
    assert loaded.info.vocab_size == len(reference.embedding)
    with pytest.raises(InvalidRequest, match="outside the vocabulary"):
        make_engine(loaded).check(Request("r", (loaded.info.vocab_size,), GREEDY))


def test_memory_of_states_counts_with_keys(loaded: LoadedModel) -> None:
    """Two attention layers of 2 heads of 12, and two convolutions of 48 channels."""
    engine = make_engine(loaded, num_pages=None, kv_memory_mib=1, page_size=16)
    of_token = 4 * (2 * 2 * 2 * 12 + 2 * 48)
    assert engine.pool.num_pages == 2**20 // (16 * of_token)


@pytest.mark.parametrize(
    ("field", "value"), [("block_length", 16), ("threshold", 0.5), ("policy", "entropy_bound")]
)
def test_what_the_posterior_has_no_use_for_is_refused(
    loaded: LoadedModel, field: str, value: object
) -> None:
    request = Request("r", (5, 6), SamplingParams(max_tokens=4, **{field: value}))
    with pytest.raises(InvalidRequest) as caught:
        make_engine(loaded).check(request)
    assert caught.value.field in (field, "policy")


@pytest.mark.parametrize(
    "changes",
    [
        {"adaln_conditioning": False},
        {"tie_embedding": False},
        {"layer_types": ["conv"] * 4},
        {"layer_types": ["conv", FULL, FULL]},
        {"layer_types": ["conv", "mamba", "conv", FULL]},
        {"real_vocab_size": 10_000},
        {"diffusion_block_size": 100_000},
        {"use_moe": True},
    ],
)
def test_checkpoints_of_another_kind_are_refused(
    reference: Reference, tmp_path: Path, changes: dict[str, Any]
) -> None:
    replace(reference, config=reference.config | changes).write(tmp_path)
    with pytest.raises(InvalidCheckpoint):
        load_lfm2(tmp_path)


def test_an_odd_number_of_frequencies_is_refused_by_name(
    reference: Reference, tmp_path: Path
) -> None:
    """Cosines and sines come in pairs."""
    changed = reference.config | {"sigma_freq_embedding_size": 15}
    replace(reference, config=changed).write(tmp_path)
    with pytest.raises(InvalidCheckpoint, match="sigma_freq_embedding_size must be even"):
        load_lfm2(tmp_path)


@pytest.mark.parametrize("quantization", ["int8", "fp8"])
def test_weights_in_few_bits_give_nearly_the_same_tokens(
    reference: Reference, loaded: LoadedModel, tmp_path: Path, quantization: str
) -> None:
    few = load_lfm2(reference.write(tmp_path), quantization=quantization)
    request = Request("r", prompt(9), replace(GREEDY, max_tokens=8, steps=1, logprobs=0))
    exact, rough = run_alone(loaded, request), run_alone(few, request)
    same = [
        one.logprob - other.logprob
        for one, other in zip(exact.logprobs, rough.logprobs, strict=True)
        if one.token_id == other.token_id
    ]
    assert len(same) >= 4
    assert max(map(abs, same)) < 1.0
