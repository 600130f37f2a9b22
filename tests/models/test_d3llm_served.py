"""d3LLM's checkpoints by their names, and requests for its decoding that are refused by name."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.d3llm import NUM_TOKENS, cases, params_of
from tests.support.engines import make_engine, run_alone
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import AttentionName, DecodingConfig, ModelConfig
from unmask.errors import InvalidConfig, InvalidRequest
from unmask.grammar import Regex
from unmask.models.registry import LoadedModel, load_model
from unmask.types import LengthCommands, ModelInfo, Request, SamplingParams

Load = Callable[..., LoadedModel]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"open_blocks": 2, "cache": "dual"}, "open_blocks"),
        ({"open_blocks": 2, "cache": "prefix"}, "open_blocks"),
        ({"open_blocks": 2, "cfg_scale": 1.0}, "open_blocks"),
        ({"open_blocks": 2, "grammar": Regex("a+")}, "open_blocks"),
        ({"open_blocks": 2, "bad_words": ("a",)}, "open_blocks"),
        ({"open_blocks": 2, "max_thinking_tokens": 4}, "open_blocks"),
        ({"open_blocks": 2, "policy": "entropy"}, "open_blocks"),
        ({"open_blocks": 2, "steps": 4}, "open_blocks"),  # implies a policy that only ranks
        ({"open_blocks": 2, "policy": "entropy_bound"}, "open_blocks"),
        ({"open_blocks": 2, "policy": "remdm_cap"}, "open_blocks"),
        ({"open_blocks": 9, "block_length": 128}, "open_blocks"),
        ({"open_blocks": 2, "semi_complete_threshold": 0.5}, "semi_complete_threshold"),
        ({"open_blocks": 2, "cache_delay_iter": 1}, "cache_delay_iter"),
        ({"open_blocks": 2, "refresh_interval": 3}, "refresh_interval"),
        ({"open_blocks": 2, "cache": "dual", "refresh_interval": 3}, "open_blocks"),
        ({"cache": "delayed"}, "cache"),
        ({"cache": "delayed", "open_blocks": 1}, "cache"),
        ({"cache": "dual", "cache_delay_iter": 3}, "cache_delay_iter"),
        ({"add_block_threshold": 0.5}, "add_block_threshold"),
        ({"refresh_interval": 0}, "refresh_interval"),
    ],
)
def test_a_combination_that_is_not_served_is_refused_by_name(
    golden_model: Load, asked: dict[str, Any], field: str
) -> None:
    loaded = golden_model("llada")
    info = replace(loaded.info, begin_think_token_id=3, end_think_token_id=4)
    with pytest.raises(InvalidRequest) as refused:
        make_engine(replace(loaded, info=info)).check(
            Request("a", (5, 6), SamplingParams(max_tokens=30, **asked))
        )
    assert refused.value.field == field


def test_answers_that_grow_have_one_block(golden_model: Load) -> None:
    loaded = golden_model("dream")
    usual = replace(loaded.info.default_sampling, open_blocks=4)
    commands = LengthCommands(expand_token_id=500, delete_token_ids=(501,))
    info = replace(loaded.info, length_commands=commands, default_sampling=usual)
    engine = make_engine(replace(loaded, info=info))
    engine.check(Request("a", (5,), SamplingParams(max_tokens=9), suffix_token_ids=(7,)))
    asked = SamplingParams(max_tokens=9, open_blocks=2)
    with pytest.raises(InvalidRequest) as refused:
        engine.check(Request("a", (5,), asked, suffix_token_ids=(7,)))
    assert refused.value.field == "open_blocks"


def info(
    folder: Path,
    source: str,
    decoding: DecodingConfig | None = None,
    attention: AttentionName | None = None,
) -> ModelInfo:
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / source / name, folder)
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32", mask_token_id=511, attention=attention)
    return load_model(config, decoding or DecodingConfig()).info


@pytest.mark.parametrize(
    ("name", "source", "preset", "expected"),
    [
        ("d3LLM_LLaDA", "llada", None, (0.5, 0.1, 2, 10000)),
        ("d3LLM_LLaDA", "llada", "gsm8k", (0.5, 0.1, 2, 3)),
        ("d3LLM_LLaDA", "llada", "humaneval", (0.5, 1.0, 2, 4)),
        ("my-d3llm", "llada", "mbpp", (0.4, 0.1, 1, 10000)),
        ("d3LLM_Dream", "dream", None, (0.5, 0.1, 2, 10000)),
        ("d3LLM_Dream", "dream", "gsm8k", (0.4, 0.1, 1, 10000)),
        ("d3LLM_Dream_Coder", "dream", None, (0.5, 0.1, 32, 10000)),
    ],
)
def test_a_name_brings_the_published_settings_without_a_warning(
    name: str,
    source: str,
    preset: str | None,
    expected: tuple[float, ...],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "unmask"):
        model = info(tmp_path / name, source, DecodingConfig(preset=preset))
    assert not [r for r in caplog.records if "trained" in r.getMessage()]
    usual = model.default_sampling
    kept = usual.cache_delay_iter, usual.refresh_interval
    assert (usual.entropy_threshold, usual.add_block_threshold, *kept) == expected
    assert (usual.policy, usual.block_length, usual.open_blocks) == ("entropy_threshold", 32, 32)
    assert (usual.cache, model.attention) == (None, "full")
    assert model.fills_best == (source == "llada")


def test_other_names_denoise_one_block_at_a_time(tmp_path: Path) -> None:
    assert info(tmp_path / "dParallel-LLaDA", "llada").default_sampling.open_blocks is None
    with pytest.raises(InvalidConfig, match="no presets"):
        info(tmp_path / "LLaDA", "llada", DecodingConfig(preset="gsm8k"))
    with pytest.raises(InvalidConfig, match="cannot be combined with cache dual"):
        info(tmp_path / "d3LLM_LLaDA", "llada", DecodingConfig(cache="dual"))
    one = DecodingConfig(cache="dual", open_blocks=1)
    assert info(tmp_path / "x" / "d3LLM_LLaDA", "llada", one).default_sampling.open_blocks == 1


def test_the_start_warns_of_open_blocks_that_a_model_was_not_trained_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "unmask"):
        info(tmp_path / "LLaDA", "llada", DecodingConfig(open_blocks=4))
    (warning,) = [r.getMessage() for r in caplog.records if "trained" in r.getMessage()]
    assert "decoding.open_blocks is 4, but LLaDA is not known to be trained" in warning


def test_a_server_s_default_holds_where_it_applies(golden_model: Load) -> None:
    loaded, case = golden_model("llada"), cases("llada")[13]
    usual = replace(params_of(case), max_tokens=None, ignore_eos=False)
    served = replace(loaded, info=replace(loaded.info, default_sampling=usual))
    plain = SamplingParams(max_tokens=NUM_TOKENS, ignore_eos=True)
    prompt = tuple(case["prompt"])
    assert run_alone(served, Request("a", prompt, plain)).token_ids == case["tokens"]
    for asked in ({"policy": "entropy"}, {"cfg_scale": 0.5}, {"open_blocks": 1}):
        params = replace(plain, **asked)
        if "policy" not in asked:
            loop = case["settings"]
            params = replace(
                params, policy="entropy_threshold", entropy_threshold=loop["threshold"]
            )
        answer = run_alone(served, Request("a", prompt, params))
        block = replace(params, block_length=8)
        assert answer.essence == run_alone(loaded, Request("a", prompt, block)).essence
