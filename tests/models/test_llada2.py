"""LLaDA2.0 and 2.1 against their published code and a second implementation."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.checkpoints import load, load_golden, load_random
from tests.support.forward import block_causal, logits_of
from tests.support.moe_reference import llada2, llada2_shapes
from tests.support.tiny import GOLDEN
from unmask.errors import InvalidCheckpoint
from unmask.models.llada2 import FAMILY, read_config

RAW: dict[str, Any] = {
    "architectures": ["LLaDA2MoeModelLM"],
    "model_type": "llada2_moe",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts": 12,
    "num_experts_per_tok": 3,
    "n_group": 3,
    "topk_group": 2,
    "num_shared_experts": 1,
    "moe_intermediate_size": 24,
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.7,
    "partial_rotary_factor": 0.5,
    "rope_theta": 10000.0,
}
OTHERS = {
    "as_it_is": {},
    "all_of_a_head_turns": {"partial_rotary_factor": 1.0},
    "a_quarter_of_a_head_turns": {"partial_rotary_factor": 0.25},
    "what_turns_is_scaled": {
        "rope_scaling": {  # of a factor that leaves the angles
            "rope_type": "yarn",
            "factor": 1.0,
            "attention_factor": 1.5,
            "original_max_position_embeddings": 512,
        }
    },
    "one_expert_a_row": {"num_experts_per_tok": 1, "n_group": 1, "topk_group": 1},
    "many_small_groups": {"num_experts": 32, "num_experts_per_tok": 6, "n_group": 8},
    "no_shared_expert": {"num_shared_experts": None},
    "a_shared_expert_without_numbers": {"num_shared_experts": 0},
    "two_shared_experts": {"num_shared_experts": 2},
    "no_dense_layer": {"first_k_dense_replace": 0},
    "projections_with_biases": {"use_qkv_bias": True, "use_bias": True},
    "heads_without_norms": {"use_qk_norm": False},
    "a_bias_that_is_not_enabled_is_added": {"moe_router_enable_expert_bias": False},
    "experts_kept_by_block": {"expert_capacity": 5, "block_size": 32},
    "one_expert_a_row_by_block": {"num_experts_per_tok": 1, "expert_capacity": 2},
    "all_experts_kept_by_block": {"expert_capacity": 12},
    "many_heads": {"num_attention_heads": 6, "num_key_value_heads": 1, "head_dim": 24},
}


@pytest.mark.parametrize("name", ["llada2", "llada21"])
def test_logits_of_one_forward_are_those_of_the_reference(name: str, tmp_path: Path) -> None:
    loaded = load_golden(name, tmp_path)
    assert loaded.info.default_sampling.editing_threshold == (0.5 if name == "llada21" else None)
    golden = load_file(GOLDEN / name / "forward.safetensors")
    ids = golden["input_ids"].flatten()
    logits = logits_of(loaded, ids, block_causal(len(ids), 32))
    expected = golden["logits"].view_as(logits)
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("source", ["llada2", "llada22", "llada_moe_options"])
def test_a_bias_of_experts_is_not_rounded(source: str, tmp_path: Path) -> None:
    """Scores are close together: rounded to the model's type, it would choose other experts."""
    weights = load_file(GOLDEN / source / "model.safetensors")
    shutil.copy(GOLDEN / source / "config.json", tmp_path)
    logits = []
    for rounds in (False, True):
        for name in (name for name in weights if name.endswith("expert_bias")):
            bias = 256.0 + torch.linspace(0, 0.9, len(weights[name]))  # less than a step apart
            weights[name] = bias.bfloat16().float() if rounds else bias
        save_file(weights, tmp_path / "model.safetensors")
        loaded = load(tmp_path, "bfloat16")
        logits.append(logits_of(loaded, torch.arange(32), block_causal(32, 32)))
    assert not logits[0].equal(logits[1])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"partial_rotary_factor": 0.25}, 4),
        ({"partial_rotary_factor": 0.25, "rotary_dim": 4}, 4),
        ({"rotary_dim": 4}, 4),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.25}}, 4),
        ({}, 8),
    ],
)
def test_the_rotated_part_of_a_head_may_be_said_in_either_way(
    fields: dict[str, Any], expected: int
) -> None:
    plain = {key: value for key, value in RAW.items() if key != "partial_rotary_factor"}
    sizes = {"vocab_size": 512, "rms_norm_eps": 1e-6}
    assert read_config(plain | sizes | fields).rope.rotary_dim == expected


def test_two_rotated_parts_of_a_head_are_refused(tmp_path: Path) -> None:
    raw = RAW | {"rotary_dim": 16}
    with pytest.raises(InvalidCheckpoint, match="rotary_dim is 16, but partial_rotary_factor rot"):
        load_random(raw, llada2_shapes(raw), tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_other_sizes_agree_with_a_second_implementation(name: str, tmp_path: Path) -> None:
    raw = RAW | OTHERS[name]
    loaded, weights = load_random(raw, llada2_shapes(raw), tmp_path)
    ids = torch.randint(0, 512, (75,), generator=torch.Generator().manual_seed(1))
    expected = llada2(raw, weights, ids)
    logits = logits_of(loaded, ids, block_causal(len(ids), 32))
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_block_has_the_same_logits_with_and_without_the_next(dtype: str, tmp_path: Path) -> None:
    """Bitwise; GPU libraries do not guarantee that for products of few rows with a head."""
    loaded, _ = load_random(RAW, llada2_shapes(RAW), tmp_path, dtype, device="cpu")
    ids = torch.randint(0, 512, (96,), generator=torch.Generator().manual_seed(1))
    whole = logits_of(loaded, ids, block_causal(96, 32))
    for end in (32, 64):
        assert torch.equal(logits_of(loaded, ids[:end], block_causal(end, 32)), whole[:end])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score_function", "softmax"),
        ("norm_topk_prob", False),
        ("rope_scaling", {"rope_type": "dynamic", "factor": 4.0}),
        ("use_sliding_window", True),
        ("hidden_act", "gelu"),
        ("rope_parameters", {"rope_type": "longrope"}),
        ("partial_rotary_factor", 0.2),
    ],
)
def test_what_would_change_the_mathematics_is_refused_by_name(
    name: str, value: object, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=name):
        load_random(RAW | {name: value}, llada2_shapes(RAW), tmp_path)


def test_shared_experts_that_the_config_has_not_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"unexpected .*shared_experts\.gate_proj"):
        load_random(RAW | {"num_shared_experts": 0}, llada2_shapes(RAW), tmp_path)


def test_an_expert_that_is_missing_is_named(tmp_path: Path) -> None:
    shapes = llada2_shapes(RAW)
    del shapes["model.layers.1.mlp.experts.7.up_proj.weight"]
    with pytest.raises(InvalidCheckpoint, match=r"missing model\.layers\.1\.mlp\.experts\.7\.up"):
        load_random(RAW, shapes, tmp_path)


def test_a_checkpoint_says_how_it_is_decoded() -> None:
    raws = {
        name: json.loads((GOLDEN / name / "config.json").read_text())
        for name in ("llada2", "llada21")
    }
    edits = {name: list(FAMILY.presets(raw, "folder")) for name, raw in raws.items()}
    assert edits == {"llada2": [], "llada21": ["quality", "speed"]}
    real = FAMILY.traits(raws["llada2"] | {"vocab_size": 157184})
    assert (real.mask_token_id, real.block_length) == (156895, 32)
    assert FAMILY.traits(raws["llada2"]).mask_token_id is None
