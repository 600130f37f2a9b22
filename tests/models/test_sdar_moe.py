"""Other kinds of SDAR-MoE than the golden checkpoint, against a second implementation."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.support.checkpoints import load, load_random
from tests.support.forward import block_causal, logits_of
from tests.support.moe_reference import sdar_moe
from unmask.errors import InvalidCheckpoint
from unmask.models.sdar_moe import FAMILY, is_sparse

RAW: dict[str, Any] = {
    "architectures": ["SDARMoeForCausalLM"],
    "model_type": "sdar_moe",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts": 10,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 24,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "rope_theta": 1000000.0,
}
OTHERS = {
    "as_it_is": {},
    "shares_do_not_sum_to_one": {"norm_topk_prob": False},
    "every_other_layer_is_dense": {"decoder_sparse_step": 2},
    "a_layer_is_named_dense": {"mlp_only_layers": [1]},
    "attention_with_biases": {"attention_bias": True},
    "one_expert_a_row": {"num_experts_per_tok": 1, "num_experts": 33},
}


def shapes_of(raw: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, size = raw["hidden_size"], raw["head_dim"]
    queries, keys = raw["num_attention_heads"] * size, raw["num_key_value_heads"] * size

    def mlp(prefix: str, inner: int) -> dict[str, tuple[int, ...]]:
        shapes = {f"{prefix}{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
        return shapes | {f"{prefix}down_proj.weight": (hidden, inner)}

    shapes: dict[str, tuple[int, ...]] = {"model.norm.weight": (hidden,)}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        shapes[name] = (512, hidden)
    for i in range(raw["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for name in ("input", "post_attention"):
            shapes[f"{p}{name}_layernorm.weight"] = (hidden,)
        for name, outputs in (("q", queries), ("k", keys), ("v", keys)):
            shapes[f"{p}self_attn.{name}_proj.weight"] = (outputs, hidden)
        shapes[f"{p}self_attn.o_proj.weight"] = (hidden, queries)
        if raw.get("attention_bias"):
            for name, outputs in (("q", queries), ("k", keys), ("v", keys), ("o", hidden)):
                shapes[f"{p}self_attn.{name}_proj.bias"] = (outputs,)
        for name in "qk":
            shapes[f"{p}self_attn.{name}_norm.weight"] = (size,)
        if i in raw["mlp_only_layers"] or (i + 1) % raw["decoder_sparse_step"]:
            shapes |= mlp(f"{p}mlp.", raw["intermediate_size"])
            continue
        shapes[f"{p}mlp.gate.weight"] = (raw["num_experts"], hidden)
        for expert in range(raw["num_experts"]):
            shapes |= mlp(f"{p}mlp.experts.{expert}.", raw["moe_intermediate_size"])
    return shapes


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("block", [4, 16])
def test_logits_agree_with_a_second_implementation(name: str, block: int, tmp_path: Path) -> None:
    raw = RAW | OTHERS[name]
    loaded, weights = load_random(raw, shapes_of(raw), tmp_path)
    ids = torch.randint(0, 512, (45,), generator=torch.Generator().manual_seed(1))
    expected = sdar_moe(raw, weights, ids, block)
    logits = logits_of(loaded, ids, block_causal(len(ids), block))
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def test_layers_with_experts_are_counted_from_one() -> None:
    raw = {"num_experts": 4, "decoder_sparse_step": 2, "mlp_only_layers": [3]}
    assert [is_sparse(raw, i) for i in range(6)] == [False, True, False, False, False, True]
    assert not is_sparse(raw | {"num_experts": 0}, 1)


def test_experts_may_be_counted_under_the_name_that_transformers_5_writes(tmp_path: Path) -> None:
    raw = RAW | {"num_local_experts": RAW["num_experts"]}
    del raw["num_experts"]
    loaded, weights = load_random(raw, shapes_of(RAW), tmp_path)
    ids = torch.arange(45)
    expected = sdar_moe(RAW, weights, ids, 4)
    logits = logits_of(loaded, ids, block_causal(len(ids), 4))
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def test_experts_may_be_stacked_as_transformers_5_holds_them(tmp_path: Path) -> None:
    _, weights = load_random(RAW, shapes_of(RAW), tmp_path)
    ids, stacked = torch.arange(45), dict(weights)
    for i in range(RAW["num_hidden_layers"]):
        experts = f"model.layers.{i}.mlp.experts."
        parts = {
            part: torch.stack(
                [stacked.pop(f"{experts}{e}.{part}_proj.weight") for e in range(RAW["num_experts"])]
            )
            for part in ("gate", "up", "down")
        }
        stacked[f"{experts}gate_up_proj"] = torch.cat((parts["gate"], parts["up"]), 1)
        stacked[f"{experts}down_proj"] = parts["down"]
    save_file(stacked, tmp_path / "model.safetensors")
    expected = sdar_moe(RAW, weights, ids, 4)
    logits = logits_of(load(tmp_path), ids, block_causal(len(ids), 4))
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def test_blocks_are_as_long_as_the_checkpoint_says_or_else_as_its_authors_decode() -> None:
    assert FAMILY.traits({"block_size": 16}).block_length == 16
    assert FAMILY.traits({}).block_length == 4


def test_an_activation_that_is_not_silu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="hidden_act"):
        load_random(RAW | {"hidden_act": "gelu"}, shapes_of(RAW), tmp_path)
