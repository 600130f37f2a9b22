"""The whole engine on Triton's kernels gives what it gives on torch."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.tiny import GOLDEN, save_tokenizer, write_checkpoint
from unmask.config import Config, DecodingConfig, EngineConfig, ModelConfig
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.registry import load_model
from unmask.types import Delta, Event, Request, SamplingParams
from unmask_kernels import dispatch

PROMPTS = [[5, 9, 12], list(range(20, 57)), [7] * 11, [8, 9], [10] * 4, [30, 31], [77] * 5]
PARAMS = [
    SamplingParams(max_tokens=6, seed=1, ignore_eos=True),
    SamplingParams(max_tokens=5, temperature=0.8, seed=2, ignore_eos=True),
    SamplingParams(max_tokens=5, temperature=1.0, top_k=5, seed=3, logprobs=2, ignore_eos=True),
    SamplingParams(max_tokens=5, allowed_token_ids=(3, 40, 41), ignore_eos=True),
    SamplingParams(max_tokens=5, logit_bias=((40, 5.0), (9, -100.0)), temperature=0.5, seed=4),
    SamplingParams(max_tokens=5, policy="sequential", cache="block", ignore_eos=True),
    SamplingParams(max_tokens=5, threshold=0.3, eos_last=True, logit_bias=((510, 9.0),)),
]

USUAL = SamplingParams(max_tokens=6, block_length=8, ignore_eos=True)
OF_POLICIES = [
    replace(USUAL, policy="hierarchical", threshold=0.1, low_threshold=0.01),
    replace(USUAL, policy="local_leap", threshold=0.03, relaxed_threshold=0.01, radius=2),
    replace(USUAL, policy="random", steps=3, seed=5),
    replace(USUAL, policy="entropy", steps=3, alg_temp=0.5, seed=6),
    replace(USUAL, policy="klass", threshold=0.0, kl_threshold=1.0),
    replace(USUAL, policy="credit", threshold=0.02),
    replace(USUAL, policy="threshold", threshold=0.02),
]


def answers(
    folder: str,
    name: dispatch.Backend,
    only: range = range(len(PROMPTS)),
    params: Sequence[SamplingParams] = PARAMS,
    **held: str | int,
) -> dict[str, list[int]]:
    with dispatch.backend(name):
        model = ModelConfig(path=folder, dtype="float32", **held)
        loaded = load_model(model, DecodingConfig())
        config = Config(engine=EngineConfig(num_pages=16, page_size=16, max_batch_tokens=48))
        engine = Engine(config, loaded, Metrics())
        for i in only:
            engine.add(Request(str(i), tuple(PROMPTS[i]), params[i]))
        events: list[Event] = []
        while engine.has_work:
            events += engine.step()
    tokens: dict[str, list[int]] = {str(i): [] for i in only}
    for event in events:
        assert isinstance(event, Delta)
        tokens[event.request_id] += event.token_ids
    return tokens


@pytest.mark.slow
def test_tokens_are_the_same_on_both(tmp_path: Path) -> None:
    folder = str(write_checkpoint(tmp_path))
    on_torch = answers(folder, "torch")
    assert all(on_torch.values())
    assert answers(folder, "triton") == on_torch


@pytest.mark.exhaustive
@pytest.mark.slow
def test_every_policy_writes_the_same_on_both(tmp_path: Path) -> None:
    folder = str(write_checkpoint(tmp_path))
    on_torch = answers(folder, "torch", params=OF_POLICIES)
    assert all(on_torch.values())
    assert answers(folder, "triton", params=OF_POLICIES) == on_torch


@pytest.mark.exhaustive
def test_several_open_blocks_are_filled_alike_on_both(tmp_path: Path) -> None:
    folder, usual = str(write_checkpoint(tmp_path)), replace(USUAL, max_tokens=12, block_length=4)
    params = [replace(usual, threshold=0.02, open_blocks=count) for count in (2, 3, 4, 1)]
    params[1] = replace(params[1], temperature=0.8, seed=3)
    on_torch = answers(folder, "torch", range(4), params=params)
    assert all(on_torch.values())
    assert answers(folder, "triton", range(4), params=params) == on_torch


@pytest.mark.exhaustive
def test_blocks_of_mixed_embeddings_are_written_alike_on_both() -> None:
    folder, usual = str(GOLDEN / "dmax"), replace(USUAL, policy="dmax", block_length=4)
    params = [replace(usual, threshold=0.5), replace(usual, policy="threshold", threshold=0.5)]
    on_torch = answers(folder, "torch", range(2), params=params, mask_token_id=511)
    assert all(on_torch.values())
    assert answers(folder, "triton", range(2), params=params, mask_token_id=511) == on_torch


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["llada", "dream"])
def test_open_blocks_of_full_attention_are_filled_alike_on_both(name: str, tmp_path: Path) -> None:
    for file in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / name / file, tmp_path)
    save_tokenizer(tmp_path)
    usual = SamplingParams(
        max_tokens=16, block_length=4, open_blocks=4, policy="entropy_threshold", ignore_eos=True
    )
    params = [replace(usual, entropy_threshold=bound) for bound in (0.5, 2.0, 0.1, 1.0)]
    params[1] = replace(params[1], cache="delayed", cache_delay_iter=1)
    params[3] = replace(usual, open_blocks=None, entropy_threshold=0.5)
    on_torch = answers(str(tmp_path), "torch", range(4), params=params)
    assert all(on_torch.values())
    assert answers(str(tmp_path), "triton", range(4), params=params) == on_torch


@pytest.mark.exhaustive
def test_windows_are_filled_alike_on_both() -> None:
    folder, only = str(GOLDEN / "wedlm"), range(4)
    on_torch = answers(folder, "torch", only)
    assert all(on_torch.values())
    assert answers(folder, "triton", only) == on_torch


@pytest.mark.exhaustive
def test_windows_to_both_sides_are_seen_alike_on_both(tmp_path: Path) -> None:
    for file in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "modernbert" / file, tmp_path)
    save_tokenizer(tmp_path)
    params = [replace(USUAL, steps=3, cache=cache) for cache in ("none", "prefix", "dual")]
    on_torch = answers(str(tmp_path), "torch", range(3), params=params)
    assert all(on_torch.values())
    assert answers(str(tmp_path), "triton", range(3), params=params) == on_torch


@pytest.mark.exhaustive
def test_products_in_e4m3_give_a_request_the_same_tokens_in_any_company(tmp_path: Path) -> None:
    folder = str(write_checkpoint(tmp_path))
    together = answers(folder, "triton", range(3), quantization="fp8")
    for i in range(3):
        alone = answers(folder, "triton", range(i, i + 1), quantization="fp8")
        assert alone == {str(i): together[str(i)]}
