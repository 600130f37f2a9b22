"""Configurations of relatives as their authors publish them, of full size and without weights."""

from typing import Any

import pytest

from unmask.models.config_fields import check_fields
from unmask.models.config_values import check_values
from unmask.models.qwen import read_config
from unmask.models.registry import find_family

QWEN3_SIZES = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "head_dim": 128,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
CODA = QWEN3_SIZES | {
    "architectures": ["CoDALanguageModel"],
    "attention_kernel": "flash_attention",
    "auto_map": {
        "AutoConfig": "model_config.CoDAConfig",
        "AutoModel": "modeling_coda.CoDALanguageModel",
    },
    "block_masking_probability": [0.25, 0.5, 0.5, 0.75, 0.25],
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "mask_block_sizes": [4, 8, 16, 32],
    "mask_token_id": 151669,
    "max_window_layers": 28,
    "model_type": "CoDA",
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "pad_token_id": 151643,
    "prefix_probability": 0,
    "rope_scaling": None,
    "sampling_eps": [0.001, 0.25, 0.5, 0.25, 0.001],
    "sliding_window": None,
    "torch_dtype": "float32",
    "transformers_version": "4.47.1",
    "truncate_probability": 0,
    "use_cache": True,
}
# Of the defaults that RND1's configuration writes.
RND1 = QWEN3_SIZES | {
    "architectures": ["RND1LM"],
    "auto_map": {
        "AutoConfig": "configuration_rnd.RND1Config",
        "AutoModel": "modeling_rnd.RND1Model",
        "AutoModelForMaskedLM": "modeling_rnd.RND1LM",
    },
    "decoder_sparse_step": 1,
    "dtype": "bfloat16",
    "eos_token_id": 151645,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "is_causal": False,
    "mask_token_id": 151669,
    "max_window_layers": 48,
    "mlp_only_layers": [],
    "model_type": "rnd1",
    "moe_backend": "hf",
    "moe_intermediate_size": 768,
    "norm_topk_prob": True,
    "num_attention_heads": 32,
    "num_diffusion_steps": 256,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "output_router_logits": False,
    "pad_token_id": 151643,
    "rope_scaling": False,
    "router_aux_loss_coef": 0.001,
    "sliding_window": False,
    "tie_word_embeddings": False,
    "transformers_version": "4.57.0",
    "use_cache": False,
}
# Qwen3-0.6B's, under the class that dLLM converts it to.
A2D = QWEN3_SIZES | {
    "architectures": ["A2DQwen3LMHeadModel"],
    "bos_token_id": 151643,
    "dtype": "bfloat16",
    "eos_token_id": 151645,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "layer_types": ["full_attention"] * 28,
    "max_window_layers": 28,
    "model_type": "a2d-qwen3",
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rope_scaling": None,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "transformers_version": "4.57.0",
    "use_cache": True,
}
SEED_SIZES = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pad_token_id": 1,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "vocab_size": 155136,
}
DIFFCODER = SEED_SIZES | {
    "architectures": ["StableDiffcoderForCausalLM"],
    "bos_token_id": 0,
    "intermediate_size": 14336,
    "model_type": "llama",
    "pretraining_tp": 1,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
ILLADA = SEED_SIZES | {
    "architectures": ["ILLaDAForCausalLM"],
    "intermediate_size": 14336,
    "layer_norm_eps": None,
    "model_type": "illada",
    "resid_pdrop": 0.0,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
}
PUBLISHED: dict[str, tuple[dict[str, Any], tuple[int, int, int, bool | None]]] = {
    "CoDA-v0": (CODA, (28, 8, 128, None)),
    "RND1": (RND1, (48, 4, 128, False)),
    "Qwen3-0.6B-diffusion": (A2D, (28, 8, 128, True)),
    "Stable-DiffCoder-8B": (DIFFCODER, (32, 8, 128, False)),
    "iLLaDA-8B": (ILLADA, (32, 8, 128, True)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_field_is_known_and_its_sizes_are_read(name: str) -> None:
    raw, (layers, kv_heads, head_dim, tied) = PUBLISHED[name]
    family = find_family(raw["architectures"][0])
    check_fields(raw, family.fields)
    check_values(raw)
    config = read_config(raw)
    assert (config.num_layers, config.num_kv_heads, config.head_dim) == (layers, kv_heads, head_dim)
    assert config.tied == tied
