"""MDLM and BD3-LM: folded weights, defaults, the likelihood bound, and what is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.draws import REMASKING
from tests.support.engines import Answer, collect, make_engine, run_alone
from tests.support.forward import block_causal, logits_of
from tests.support.golden import company
from tests.support.tiny import EOS_ID, GOLDEN, MASK_ID, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.likelihood import likelihood_request
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Delta, RefinementOptions, Request, SamplingParams

Load = Callable[[str], LoadedModel]
BLOCK_LEN = 8
both = pytest.mark.parametrize("family", ["mdlm", "bd3lm"])


def load(
    folder: Path, family: str, config: ModelConfig | None = None, **fields: Any
) -> LoadedModel:
    """The golden checkpoint, without a tokenizer and with changed fields; None removes one."""
    folder.mkdir(exist_ok=True)
    raw = json.loads((GOLDEN / family / "config.json").read_text()) | fields
    kept = {name: value for name, value in raw.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    if not (folder / "model.safetensors").exists():
        shutil.copy(GOLDEN / family / "model.safetensors", folder)
    config = config or ModelConfig(dtype="float32")
    return load_model(replace(config, path=str(folder)), DecodingConfig())


@pytest.mark.parametrize(
    ("family", "fields", "message"),
    [
        ("mdlm", {"time_conditioning": True}, "time_conditioning"),
        ("bd3lm", {"time_conditioning": True}, "time_conditioning"),
        ("bd3lm", {"cross_attn": False}, "cross_attn"),
        ("bd3lm", {"adaln": False}, "adaln"),
        ("bd3lm", {"causal": True}, "causal"),
        ("mdlm", {"block_size": 8}, "block_size"),
        ("mdlm", {"tie_word_embeddings": True}, "tie_word_embeddings"),
        ("mdlm", {"n_heads": 3}, "3 heads"),
        ("bd3lm", {"cond_dim": 16}, "adaLN_modulation"),
        ("bd3lm", {"n_blocks": 3}, r"missing backbone\.blocks\.2\."),
        ("bd3lm", {"n_blocks": 1}, r"unexpected backbone\.blocks\.1\."),
        ("bd3lm", {"model_length": 0}, "model_length"),
    ],
)
def test_what_is_not_read_is_refused_by_name(
    family: str, fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        load(tmp_path, family, **fields)


@both
def test_samples_are_drawn_by_default_in_the_context_of_training(
    family: str, tmp_path: Path
) -> None:
    info = load(tmp_path, family).info
    default = info.default_sampling
    assert (default.policy, default.temperature) == ("random", 1.0)
    assert default.block_length == (None if family == "mdlm" else BLOCK_LEN)
    assert (info.max_model_len, info.mask_token_id) == (512, 511)
    with pytest.raises(InvalidConfig, match="leave it unset"):
        load(tmp_path, family, ModelConfig(dtype="float32", max_model_len=513))


def test_a_block_length_may_be_in_the_name(tmp_path: Path) -> None:
    named = load(tmp_path / "bd3lm-owt-block_size16", "bd3lm", block_size=None)
    assert named.info.default_sampling.block_length == 16


def test_a_tokenizer_may_be_elsewhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    byte_tokenizer().save_pretrained(tmp_path / "tokenizer")
    model = tmp_path / "model"
    without = load(model, "mdlm")
    assert "--tokenizer" in caplog.text
    assert without.info.eos_token_ids == ()
    named = ModelConfig(dtype="float32", tokenizer=str(tmp_path / "tokenizer"))
    loaded = load(model, "mdlm", named)
    assert loaded.tokenizer.encode("<|end|>ab")[0] == EOS_ID
    assert loaded.info.eos_token_ids == (EOS_ID,)
    with pytest.raises(InvalidCheckpoint, match=r"model\.tokenizer"):
        load(model, "mdlm", replace(named, tokenizer=str(model)))


def test_the_losses_of_the_bound_are_those_of_the_reference(golden_model: Load) -> None:
    """-log p / t of masked tokens, after the clean text of earlier blocks."""
    loaded, golden = golden_model("bd3lm"), load_file(GOLDEN / "bd3lm" / "bound.safetensors")
    losses = torch.zeros_like(golden["losses"])
    for noised, found in zip(golden["noised"], losses, strict=True):
        for first in range(0, len(found), BLOCK_LEN):
            block = slice(first, first + BLOCK_LEN)
            text = torch.cat((golden["ids"][:first], noised[block]))
            logits = logits_of(loaded, text, block_causal(len(text), BLOCK_LEN))[block]
            surprise = -logits.log_softmax(-1).gather(1, golden["ids"][block, None])[:, 0]
            found[block] = torch.where(text[block] == MASK_ID, surprise / golden["times"][block], 0)
    assert (golden["losses"] > 0).sum() > 30
    torch.testing.assert_close(losses, golden["losses"], rtol=1e-4, atol=1e-4)


def test_log_probabilities_of_a_prompt_are_the_references_losses(golden_model: Load) -> None:
    """Of a token with masks in its place and after it, which is a term of the bound times t."""
    loaded, golden = golden_model("bd3lm"), load_file(GOLDEN / "bd3lm" / "bound.safetensors")
    ids = golden["ids"]
    request = likelihood_request("r", tuple(ids.tolist()), 3, loaded.info)
    assert request is not None
    read = run_alone(loaded, request).logprobs
    for block in range(1, len(ids) // BLOCK_LEN):
        first = block * BLOCK_LEN + block  # masked position of the block
        expected = -golden["losses"][1, first] * golden["times"][first]
        assert read[first - 1].token_id == ids[first]
        assert abs(read[first - 1].logprob - float(expected)) < 1e-4


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("params", REMASKING)
@pytest.mark.parametrize("folder", ["mdlm", "dream", "llada"])
def test_tokens_that_are_masked_again_are_final_with_their_block(
    golden_model: Load, folder: str, params: dict[str, Any]
) -> None:
    """Streams, log-probabilities and company change nothing; text comes in whole blocks."""
    loaded = golden_model(folder)
    sampling = SamplingParams(
        max_tokens=24, block_length=8, temperature=1.0, seed=7, ignore_eos=True, **params
    )
    plain = Request("plain", (9, 41, 77), sampling)
    every = RefinementOptions(every=1, tokens=True)
    streamed = Request("streamed", plain.prompt_token_ids, replace(sampling, logprobs=2), every)
    engine = make_engine(loaded, overlap=True)
    answers: dict[str, Answer] = {}
    lengths = []
    for request in (plain, streamed, *company(loaded, 3, seed=4)):
        engine.add(request)
    while engine.has_work:
        events = engine.step()
        collect(answers, events)
        lengths += [
            len(e.token_ids) for e in events if isinstance(e, Delta) and e.request_id == "plain"
        ]
    assert [length for length in lengths if length] == [8, 8, 8]
    alone = run_alone(loaded, plain)
    assert answers["plain"].essence == answers["streamed"].essence == alone.essence
    assert alone.finish is not None
    assert alone.finish.usage.denoising_steps == 3 * params["steps"]
    found = answers["streamed"]
    assert [item.token_id for item in found.logprobs] == found.token_ids
    open_counts = [refinement.unresolved for refinement in found.refinements]
    # Some step has left more masks than there were before it.
    assert any(b > a for a, b in pairwise(open_counts) if a)


@both
def test_a_half_precision_is_close(family: str, tmp_path: Path) -> None:
    golden = load_file(GOLDEN / family / "forward.safetensors")
    loaded = load(tmp_path, family, ModelConfig(dtype="bfloat16"))
    ids = golden["input_ids"]
    horizons = block_causal(len(ids), len(ids) if family == "mdlm" else BLOCK_LEN)
    logits = logits_of(loaded, ids, horizons)[:, :MASK_ID].float()
    error = (logits - golden["logits"]).norm() / golden["logits"].norm()
    assert error < 0.03


def test_a_tensor_that_is_not_read_is_refused(tmp_path: Path) -> None:
    tensors = load_file(GOLDEN / "bd3lm" / "model.safetensors")
    save_file(tensors | {"backbone.extra": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(InvalidCheckpoint, match=r"unexpected backbone\.extra"):
        load(tmp_path, "bd3lm")


def test_a_chance_of_one_keeps_no_token(golden_model: Load) -> None:
    """Every committed token is masked again as long as the schedule has as many masks."""
    params = SamplingParams(
        max_tokens=8, block_length=8, temperature=1.0, seed=3, ignore_eos=True,
        policy="remdm_cap", eta=1.0, steps=4,
    )  # fmt: skip
    every = RefinementOptions(every=1, tokens=True)
    answer = run_alone(golden_model("mdlm"), Request("r", (9, 41, 77), params, every))
    resolved = [
        {i for i, token in enumerate(refinement.tokens or ()) if token.resolved}
        for refinement in answer.refinements
    ]
    assert resolved[0]
    assert not resolved[0] & resolved[1], "the tokens of the first step have masks after the second"
