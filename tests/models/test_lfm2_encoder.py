"""LFM2's encoder as a masked diffusion model: the engine gives the tokens of its authors' loop."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.engines import assert_same_in_company, make_engine, run_all, run_alone
from tests.support.lfm2_encoder import FULL, Reference, load_encoder
from tests.support.tiny import GOLDEN, MASK_ID, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig, InvalidRequest
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request, SamplingParams


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.random()


@pytest.fixture(scope="module")
def loaded(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_encoder(reference.write(tmp_path_factory.mktemp("encoder")))


def prompt(length: int) -> tuple[int, ...]:
    return tuple((7 + 31 * i) % 256 for i in range(length))


def slowly(num_tokens: int, **params: Any) -> SamplingParams:
    """One token a pass, anywhere in the answer."""
    blocks = {"block_length": num_tokens, "steps": num_tokens, "policy": "low_confidence"}
    return SamplingParams(
        max_tokens=num_tokens, temperature=0.0, ignore_eos=True, **blocks | params
    )


def requests() -> list[Request]:
    kinds = [{}, {"steps": 3}, {"block_length": 8}, {"threshold": 0.1}, {"temperature": 1.0}]
    return [
        Request(
            f"r{i}",
            prompt(3 + 11 * i),
            SamplingParams(max_tokens=20, seed=i, ignore_eos=True, **kind),
        )
        for i, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(("length", "num_tokens"), [(1, 5), (9, 12), (40, 7)])
def test_answers_are_those_of_the_authors_loop(
    reference: Reference, loaded: LoadedModel, length: int, num_tokens: int
) -> None:
    request = Request("r", prompt(length), slowly(num_tokens, logprobs=2))
    got = run_alone(loaded, request)
    expected = reference.fill(prompt(length), num_tokens)
    assert got.token_ids == expected
    first = torch.tensor([*prompt(length), *[MASK_ID] * num_tokens])
    logits = reference.logits(first)[length:]
    logits[:, MASK_ID] = -torch.inf  # no special token but the end counts
    logprobs = logits.log_softmax(-1)
    best = int(logprobs.max(-1).values.argmax())
    for token_id, logprob in got.logprobs[best].top:
        assert logprob == pytest.approx(logprobs[best, token_id].item(), abs=1e-4)


def test_a_request_in_company_gets_the_answer_that_it_gets_alone(loaded: LoadedModel) -> None:
    assert_same_in_company(loaded, requests())


def test_guidance_and_text_behind_the_answer_are_seen(loaded: LoadedModel) -> None:
    plain = Request("r", prompt(9), slowly(8))
    answers = [
        run_alone(loaded, request).token_ids
        for request in (
            plain,
            replace(plain, sampling=slowly(8, cfg_scale=1.5)),
            replace(plain, suffix_token_ids=prompt(4)),
        )
    ]
    assert len(set(map(tuple, answers))) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_types": None, "full_attn_idxs": [1, 3]},
        {"layer_types": [FULL] * 4},
        {"conv_bias": True},
        {"conv_L_cache": 5},
        {"block_auto_adjust_ff_dim": False, "intermediate_size": 96},
    ],
)
def test_configurations_give_the_answers_of_the_reference(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    reference = Reference.random(**changes)
    loaded = load_encoder(reference.write(tmp_path))
    expected = reference.fill(prompt(9), 8)
    assert run_alone(loaded, Request("r", prompt(9), slowly(8))).token_ids == expected


def test_tensors_may_have_the_names_of_transformers(
    reference: Reference, loaded: LoadedModel, tmp_path: Path
) -> None:
    request = Request("r", prompt(9), slowly(8))
    other = load_encoder(reference.write(tmp_path, root="model."))
    assert run_alone(other, request).token_ids == run_alone(loaded, request).token_ids


def test_a_cache_is_refused_as_convolutions_need_every_row(
    loaded: LoadedModel, reference: Reference, tmp_path: Path
) -> None:
    request = Request("r", prompt(9), SamplingParams(max_tokens=8, cache="dual"))
    with pytest.raises(InvalidRequest, match="must be none, got dual"):
        make_engine(loaded).check(request)
    folder = reference.write(tmp_path)
    config = ModelConfig(str(folder), dtype="float32", device="cpu")
    with pytest.raises(InvalidConfig, match="must be none, got prefix"):
        load_model(config, DecodingConfig(cache="prefix"))


@pytest.mark.parametrize(("name", "warns"), [("LFM2.5-Encoder-350M", True), ("X-Diffusion", False)])
def test_an_encoder_that_is_not_called_a_diffusion_model_is_told(
    reference: Reference, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, warns: bool
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    with caplog.at_level(logging.WARNING):
        load_encoder(reference.write(folder))
    assert ("writes no answers" in caplog.text) == warns


def test_a_chat_begins_with_the_token_that_begins_a_sequence(
    reference: Reference, tmp_path: Path
) -> None:
    reference.write(tmp_path)
    inner = byte_tokenizer(tags=("<|startoftext|>",))
    inner.bos_token = "<|startoftext|>"
    inner.save_pretrained(tmp_path)
    tokenizer, message = load_encoder(tmp_path).tokenizer, {"role": "user", "content": "hi"}
    begin = inner.bos_token_id
    ids = tokenizer.apply_chat([message])
    assert ids[0] == begin
    assert ids.count(begin) == 1
    inner.chat_template = "{{ bos_token }}" + inner.chat_template
    inner.save_pretrained(tmp_path)
    assert load_encoder(tmp_path).tokenizer.apply_chat([message]) == ids


def test_special_tokens_but_the_end_are_in_no_answer(reference: Reference, tmp_path: Path) -> None:
    reference.write(tmp_path)
    inner = byte_tokenizer(tags=("<|pad|>", "<|startoftext|>"))
    inner.save_pretrained(tmp_path)
    banned = inner.convert_tokens_to_ids(["<|mask|>", "<|pad|>", "<|startoftext|>"])
    assert load_encoder(tmp_path).info.banned_ids == tuple(banned)


def test_an_even_kernel_is_refused(reference: Reference, tmp_path: Path) -> None:
    folder = Reference.random(conv_L_cache=4).write(tmp_path)
    with pytest.raises(InvalidCheckpoint, match="conv_L_cache"):
        load_encoder(folder)


def test_recorded_answers_are_the_same(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "lfm2_encoder", tmp_path, dirs_exist_ok=True)
    byte_tokenizer().save_pretrained(tmp_path)
    cases = json.loads((GOLDEN / "lfm2_encoder" / "golden.json").read_text())["cases"]
    made = [
        Request(f"{i}", tuple(case["prompt"]), slowly(len(case["tokens"])))
        for i, case in enumerate(cases)
    ]
    answers = run_all(make_engine(load_encoder(tmp_path)), made)
    assert [answers[f"{i}"].token_ids for i in range(len(cases))] == [c["tokens"] for c in cases]
