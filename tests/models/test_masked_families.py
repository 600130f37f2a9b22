"""LLaDA, LLaDA-MoE, Dream and Fast-dLLM v2 against published logits and against plain torch."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.support.forward import block_causal, full, logits_of
from tests.support.plain import LLADA, draw_tensors, logits_written_out, renamed, write_folder
from tests.support.tiny import GOLDEN, VOCAB_SIZE, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, load_model

QWEN = {
    "vocab_size": 512,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "mask_token_id": 511,
}
SIZES = {"vocab": 512, "width": 48, "inner": 80, "layers": 3, "heads": 6, "kv_heads": 3}
RUN = {"layers": 3, "heads": 6, "kv_heads": 3, "theta": 10000.0, "eps": 1e-6}
DREAM = QWEN | {"architectures": ["DreamModel"]}
FAST = QWEN | {"architectures": ["Fast_dLLM_QwenForCausalLM"], "bd_size": 32}
MOE = QWEN | {
    "architectures": ["LLaDAMoEModelLM"],
    "expert_intermediate_size": 40,
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "qk_layernorm": True,
    "moe_layer_freq": [1, 1, 1],
}
LLADA_CONFIG = {
    "architectures": ["LLaDAModelLM"],
    "vocab_size": 512,
    "embedding_size": 512,
    "d_model": 48,
    "mlp_hidden_size": 80,
    "n_layers": 3,
    "n_heads": 6,
    "n_kv_heads": 3,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_sequence_length": 300,
    "block_type": "llama",
    "layer_norm_type": "rms",
    "activation_type": "silu",
    "rope": True,
    "mask_token_id": 511,
}
IDS = torch.randint(512, (83,), generator=torch.Generator().manual_seed(1))
ALL = torch.ones(83, 83, dtype=torch.bool)
BLOCKS = torch.arange(83) // 32


def load(folder: Path, **settings: Any) -> LoadedModel:
    return load_model(ModelConfig(str(folder), dtype="float32", **settings), DecodingConfig())


def assert_close(logits: Tensor, expected: Tensor) -> None:
    assert logits.shape == expected.shape
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(("family", "shift"), [("llada", False), ("dream", True)])
def test_logits_are_those_of_the_published_code(family: str, shift: bool, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / family / name, tmp_path / name)
    byte_tokenizer().save_pretrained(tmp_path)
    loaded = load(tmp_path)
    golden = load_file(GOLDEN / family / "forward.safetensors")
    ids = golden["input_ids"].flatten()
    assert_close(logits_of(loaded, ids, full(len(ids))), golden["logits"].view(len(ids), -1))
    assert (loaded.info.attention, loaded.info.shift) == ("full", shift)
    assert loaded.info.mask_token_id == 511


@pytest.mark.parametrize(
    ("config", "sizes", "run"),
    [
        ({}, {}, {}),
        ({"n_kv_heads": None}, {"kv_heads": 6}, {"kv_heads": 6}),
        (
            {"n_kv_heads": None, "multi_query_attention": True, "include_qkv_bias": True},
            {"kv_heads": 1, "bias": True},
            {"kv_heads": 1},
        ),
        ({"weight_tying": True}, {"tied": True}, {}),
        ({"embedding_size": 640}, {"vocab": 640}, {}),
        ({"n_heads": 3, "mlp_hidden_size": None, "mlp_ratio": 2}, {"heads": 3, "inner": 96}, {}),
    ],
    ids=["grouped", "all-heads", "one-key-head-bias", "tied", "padded", "other-sizes"],
)
def test_llada_of_any_size(
    config: dict[str, Any], sizes: dict[str, Any], run: dict[str, Any], tmp_path: Path
) -> None:
    tensors = draw_tensors(**SIZES | sizes)
    loaded = load(write_folder(tmp_path, LLADA_CONFIG | config, renamed(tensors, LLADA)))
    heads = {"heads": config.get("n_heads", 6)}
    expected = logits_written_out(tensors, IDS, ALL, **RUN | heads | run)
    with_text = expected[:, :VOCAB_SIZE]  # embeddings are padded by ids without text
    assert_close(logits_of(loaded, IDS, full(83)), with_text)
    assert loaded.info.max_model_len == 300
    assert loaded.info.vocab_size == VOCAB_SIZE


@pytest.mark.parametrize("tied", [False, True])
def test_dream_has_biases_and_sees_everything(tied: bool, tmp_path: Path) -> None:
    tensors = draw_tensors(**SIZES, bias=True, tied=tied)
    loaded = load(write_folder(tmp_path, DREAM | {"tie_word_embeddings": tied}, tensors))
    expected = logits_written_out(tensors, IDS, ALL, **RUN)
    assert_close(logits_of(loaded, IDS, full(83)), expected)


def test_fast_dllm_sees_up_to_the_end_of_its_block(tmp_path: Path) -> None:
    tensors = draw_tensors(**SIZES, bias=True)
    loaded = load(write_folder(tmp_path, FAST, tensors))
    sees = BLOCKS[:, None] >= BLOCKS[None, :]
    expected = logits_written_out(tensors, IDS, sees, **RUN)
    assert_close(logits_of(loaded, IDS, block_causal(83, 32)), expected)
    assert (loaded.info.attention, loaded.info.shift) == ("block_causal", True)
    assert loaded.info.default_sampling.block_length == 32


@pytest.mark.parametrize(("config", "temperature"), [(FAST, 0.0), (DREAM, 0.7)])
def test_fast_dllm_is_greedy_though_its_generation_configuration_samples(
    config: dict[str, Any], temperature: float, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path, config, draw_tensors(**SIZES, bias=True))
    sampled = {"do_sample": True, "temperature": 0.7}
    (folder / "generation_config.json").write_text(json.dumps(sampled))
    assert load(folder).info.default_sampling.temperature == temperature


@pytest.mark.parametrize("qk_norm", [True, False])
def test_llada_moe_weighs_experts_by_their_softmax(qk_norm: bool, tmp_path: Path) -> None:
    tensors = draw_tensors(**SIZES | {"inner": 40}, qk_norm=qk_norm, num_experts=6)
    loaded = load(write_folder(tmp_path, MOE | {"qk_layernorm": qk_norm}, tensors))
    expected = logits_written_out(tensors, IDS, ALL, **RUN, top=2)
    assert_close(logits_of(loaded, IDS, full(83)), expected)


def test_every_tensor_that_does_not_fit_is_named(tmp_path: Path) -> None:
    tensors = renamed(draw_tensors(**SIZES), LLADA)
    del tensors["model.transformer.blocks.1.k_proj.weight"]
    tensors["model.transformer.ln_f.weight"] = torch.ones(47)
    tensors["model.transformer.blocks.0.q_norm.weight"] = torch.ones(8)
    with pytest.raises(InvalidCheckpoint) as caught:
        load(write_folder(tmp_path, LLADA_CONFIG, tensors))
    for part in (
        "missing model.transformer.blocks.1.k_proj.weight (24, 48)",
        "model.transformer.ln_f.weight is (47,), expected (48,)",
        "unexpected model.transformer.blocks.0.q_norm.weight (8,)",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        (LLADA_CONFIG, "alibi", True),
        (LLADA_CONFIG, "layer_norm_type", "default"),
        (LLADA_CONFIG, "include_bias", True),
        (LLADA_CONFIG, "attention_layer_norm", True),
        (LLADA_CONFIG, "block_type", "sequential"),
        (LLADA_CONFIG, "scale_logits", True),
        (LLADA_CONFIG, "input_emb_norm", True),
        (LLADA_CONFIG, "rope", False),
        (LLADA_CONFIG, "activation_type", "swiglu"),
        (LLADA_CONFIG, "bias_for_layer_norm", True),
        (LLADA_CONFIG, "rope_scaling", {"factor": 2.0}),
        (DREAM, "rope_scaling", {"rope_type": "dynamic", "factor": 4.0}),
        (DREAM, "rope_scaling", {"rope_type": "linear"}),
        (DREAM, "rope_parameters", {"rope_type": "longrope", "rope_theta": 1e4}),
        (DREAM, "use_sliding_window", True),
        (DREAM, "hidden_act", "gelu"),
        (FAST, "layer_types", ["full_attention", "sliding_attention", "full_attention"]),
        (MOE, "moe_router_score_function", "sigmoid"),
        (MOE, "norm_topk_prob", True),
        (MOE, "routed_scaling_factor", 2.5),
        (MOE, "router_num_group", 8),
        (MOE, "partial_rotary_factor", 0.4),
    ],
)
def test_mathematics_that_is_not_supported_is_refused_by_name(
    config: dict[str, Any], field: str, value: Any, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path, config | {field: value}, {"x": torch.ones(1)})
    with pytest.raises(InvalidCheckpoint, match=field):
        load(folder)


def forget_the_mask(tokenizer: Any) -> None:
    tokenizer.mask_token = None


@pytest.mark.parametrize(
    ("config", "mask"),
    [(LLADA_CONFIG, 126336), (DREAM, 151666), (FAST, 151665), (MOE, 156895)],
    ids=["llada", "dream", "fast-dllm", "llada-moe"],
)
def test_a_mask_that_the_checkpoint_does_not_name_is_the_familys_or_the_flags(
    config: dict[str, Any], mask: int, tmp_path: Path
) -> None:
    # The family's mask is outside such a small vocabulary, which is an error at loading.
    unnamed = config | {"mask_token_id": None}
    folder = write_folder(tmp_path, unnamed, {"x": torch.ones(1)}, forget_the_mask)
    with pytest.raises(InvalidCheckpoint, match=f"{mask}.*--mask-token-id"):
        load(folder)
    with pytest.raises(InvalidCheckpoint, match="unexpected x"):
        load(folder, mask_token_id=500)


def test_the_end_of_a_turn_ends_an_answer_beside_the_end_of_a_text(tmp_path: Path) -> None:
    def add_turn_end(tokenizer: Any) -> None:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|eot_id|>"]})

    tensors = renamed(draw_tensors(**SIZES | {"vocab": 640}), LLADA)
    config = LLADA_CONFIG | {"embedding_size": 640, "eos_token_id": 510}
    loaded = load(write_folder(tmp_path, config, tensors, add_turn_end))
    assert loaded.info.eos_token_ids == (510, 512)
    plain = tmp_path / "plain"
    plain.mkdir()
    assert load(write_folder(plain, config, tensors)).info.eos_token_ids == (510,)
    (plain / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 510]}))
    assert load(plain).info.eos_token_ids == (3, 510)
