"""RoPE, and whole models with it, against transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PretrainedConfig, Qwen3Config, Qwen3ForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.ministral3.modeling_ministral3 import get_llama_4_attn_scale

from tests.support.checkpoints import load
from tests.support.forward import logits_of
from unmask.errors import InvalidCheckpoint
from unmask.models.rope import (
    QueryScale,
    plain_kind,
    read_query_scale,
    read_rope,
    stretched_positions,
)

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256,
}
KINDS: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 2.5},
    "yarn": YARN,
    "yarn-of-a-short-context": YARN | {"original_max_position_embeddings": 8},
    "yarn-without-the-length": {"rope_type": "yarn", "factor": 2.0},
    "yarn-that-shrinks": YARN | {"factor": 0.5},
    "yarn-with-its-own-scale": YARN | {"attention_factor": 0.7},
    "yarn-with-mscale": YARN | {"mscale": 0.8, "mscale_all_dim": 0.4},
    "yarn-with-other-bounds": YARN | {"beta_fast": 16, "beta_slow": 2, "truncate": False},
    "llama3": LLAMA3,
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("head_dim", "part"), [(16, 1.0), (24, 0.5), (128, 0.25)])
def test_angles_are_those_of_transformers(name: str, head_dim: int, part: float) -> None:
    sizes = {
        "hidden_size": 6 * head_dim,
        "num_attention_heads": 6,
        "head_dim": head_dim,
        "max_position_embeddings": 2048,
    }
    old = {"rope_theta": 50_000.0, "partial_rotary_factor": part}
    new = {"original_max_position_embeddings": 2048} | KINDS[name] | old
    config = PretrainedConfig(**sizes, rope_parameters=new)
    inverse, scale = ROPE_INIT_FUNCTIONS[KINDS[name]["rope_type"]](config, torch.device("cpu"))
    forms = {"rope_scaling": KINDS[name]} | old, {"rope_parameters": new}
    for rope in (read_rope(sizes | form, head_dim) for form in forms):
        torch.testing.assert_close(rope.inverse, inverse, rtol=1e-6, atol=0.0)
        assert rope.scale == pytest.approx(scale)


@pytest.mark.parametrize("kind", ["rope_type", "type"])
def test_sections_tell_the_coordinate_of_each_pair(kind: str) -> None:
    """A type that is called after the sections is a plain one."""
    named = plain_kind({kind: "mrope", "mrope_section": [2, 1, 5]})
    rope = read_rope({"rope_theta": 1e4, "rope_scaling": named}, 16)
    found = rope.coordinates(torch.device("cpu"))
    assert found is not None
    assert found.tolist() == [0, 0, 1, 2, 2, 2, 2, 2]
    plain = read_rope({"rope_theta": 1e4}, 16)
    assert torch.equal(rope.inverse, plain.inverse)
    assert plain.coordinates(torch.device("cpu")) is None


@pytest.mark.parametrize("name", ["linear", "yarn", "llama3"])
def test_a_model_that_turns_so_has_the_logits_of_transformers(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=515,
        hidden_size=40,
        intermediate_size=56,
        num_hidden_layers=2,
        num_attention_heads=5,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=2048,
        rope_parameters=KINDS[name] | {"rope_theta": 10_000.0},
        attn_implementation="sdpa",
        architectures=["SDARForCausalLM"],
    )
    model = Qwen3ForCausalLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(tmp_path)
    config.architectures = ["SDARForCausalLM"]
    config.save_pretrained(tmp_path)
    ids = torch.randint(515, (70,))
    with torch.no_grad():
        expected = model(ids[None]).logits[0]
    logits = logits_of(load(tmp_path), ids, np.arange(1, 71))
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def test_queries_are_scaled_like_those_of_transformers() -> None:
    rope = YARN | {"llama_4_scaling_beta": 0.1}
    scale = read_query_scale({"rope_parameters": rope})
    assert scale == QueryScale(0.1, 512)
    table = scale.table(2048, torch.float32, torch.device("cpu"))
    assert table is not None
    expected = get_llama_4_attn_scale(torch.arange(2048)[None], 0.1, 512)
    assert torch.equal(table[:, 0], expected[0, 0])
    assert scale.table(512, torch.float32, torch.device("cpu")) is None  # all of them are 1
    assert read_query_scale({"rope_parameters": YARN}) is None


def test_a_context_that_yarn_stretches_is_served_whole() -> None:
    assert stretched_positions({"rope_scaling": YARN}) == 2048
    assert stretched_positions({"rope_parameters": YARN}) == 2048
    for fields in (None, {}, LLAMA3, {"rope_type": "yarn", "factor": 4.0}):
        assert stretched_positions({"rope_scaling": fields}) == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "dynamic", "factor": 2.0}, "rope_scaling of type dynamic is not supported"),
        ({"type": "linear"}, "rope_scaling of type linear has no 'factor'"),
        ({"type": "yarn", "factor": 2.0}, "yarn has no 'original_max_position_embeddings'"),
    ],
)
def test_a_kind_that_is_not_known_or_not_whole_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        read_rope({"rope_theta": 1e4, "rope_scaling": fields}, 16)


TWICE = {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (TWICE, "rope_theta is 500000.0 in rope_parameters and 10000.0 in config.json"),
        (
            {
                "partial_rotary_factor": 0.5,
                "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 1.0},
            },
            "partial_rotary_factor is 1.0 in rope_parameters and 0.5 in config.json",
        ),
        (
            {
                "rope_parameters": {"rope_theta": 1e4, "rope_type": "default"},
                "rope_scaling": LLAMA3,
            },
            "rope_type is default in rope_parameters and llama3 in rope_scaling",
        ),
        (
            {"rope_theta": 1e4, "rope_scaling": {"type": "linear", "rope_type": "default"}},
            "rope_type is linear in rope_scaling and default in rope_scaling",
        ),
        (
            {"rope_theta": 1e4, "rope_scaling": {"factor": 4.0}},
            "rope_scaling of type default has no use for factor 4.0",
        ),
        (
            {"rope_theta": 1e4, "rope_scaling": {"type": "default", "attention_factor": 1.2}},
            "rope_scaling of type default has no use for attention_factor 1.2",
        ),
        (
            {"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 4.0, "mscale": 1.0}},
            "rope_scaling of type linear has no use for mscale 1.0",
        ),
    ],
)
def test_what_one_release_of_transformers_would_ignore_is_refused(
    raw: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        read_rope(raw, 16)


def test_places_that_agree_are_no_problem() -> None:
    fields = {"rope_type": None, "type": "default", "rope_theta": 1e4, "factor": 1.0}
    raw = {"rope_theta": 10000, "rope_parameters": fields, "rope_scaling": {"type": "default"}}
    assert torch.equal(read_rope(raw, 16).inverse, read_rope({"rope_theta": 1e4}, 16).inverse)


PLAIN = {"rope_theta": 1e4}
NEUTRAL = {"factor": 1.0, "attention_factor": 1.0, "mscale": None}


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"rope_type": "default"} | NEUTRAL, {}),
        (NEUTRAL | {"beta_fast": 32, "beta_slow": 1, "mscale": 0.7}, {}),
        ({"type": "default", "low_freq_factor": 1.0, "high_freq_factor": 4.0}, {}),
        ({"type": "linear"} | NEUTRAL, {}),
        ({"type": "linear", "factor": 4.0, "attention_factor": 1}, {"type": "linear", "factor": 4}),
        (LLAMA3 | {"attention_factor": 1.0, "beta_fast": None}, LLAMA3),
    ],
)
def test_fields_that_change_nothing_are_taken(fields: dict[str, Any], same: dict[str, Any]) -> None:
    expected = read_rope(PLAIN | {"rope_scaling": same}, 16)
    for place in ("rope_scaling", "rope_parameters"):
        rope = read_rope(PLAIN | {place: fields}, 16)
        assert torch.equal(rope.inverse, expected.inverse)
        assert rope.scale == expected.scale == 1.0


def test_a_part_of_a_head_that_is_no_pairs_is_refused() -> None:
    for part in (0.4, -1, 1.5):
        with pytest.raises(InvalidCheckpoint, match="partial_rotary_factor"):
            read_rope({"rope_theta": 1e4, "partial_rotary_factor": part}, 16 + 2)
