"""Shapes in the proportions of each family's checkpoints, from 64 to 106 million parameters.

Most have 86 to 92 million: the number of parameters determines the token rate more than all else.
"""

from dataclasses import dataclass
from typing import Any

from unmask.types import CacheName

VOCAB_SIZE = 16_384
MASK_ID = VOCAB_SIZE - 1

# Qwen's layout, which SDAR and Dream share: four query heads to a key head, an MLP of 8/3.
QWEN: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "mask_token_id": MASK_ID,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 3,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "max_position_embeddings": 2048,
}


@dataclass(frozen=True)
class FamilyShape:
    """A `config.json`, its decoding, and our speed targets.

    `targets` are ratios to the reference's tokens per second, by batch size.
    """

    name: str
    config: dict[str, Any]
    block_length: int
    cache: CacheName | None
    targets: dict[int, float]


SDAR = FamilyShape(
    "sdar",
    QWEN
    | {
        "architectures": ["SDARForCausalLM"],
        "head_dim": 64,
        "block_size": 4,
        "tie_word_embeddings": True,
    },
    4,
    None,
    {1: 1.5, 8: 1.5},
)
DREAM = FamilyShape(
    "dream",
    QWEN
    | {
        "architectures": ["DreamModel"],
        "model_type": "Dream",
        "num_hidden_layers": 10,
        "tie_word_embeddings": False,
    },
    32,
    "dual",
    {8: 2.0},
)
LLADA = FamilyShape(
    "llada",
    {
        "architectures": ["LLaDAModelLM"],
        "model_type": "llada",
        "vocab_size": VOCAB_SIZE,
        "embedding_size": VOCAB_SIZE,
        "mask_token_id": MASK_ID,
        "d_model": 768,
        "mlp_hidden_size": 2304,
        "n_layers": 8,
        "n_heads": 12,
        "n_kv_heads": 12,
        "rms_norm_eps": 1e-5,
        "rope_theta": 5e5,
        "max_sequence_length": 2048,
        "weight_tying": False,
        "block_type": "llama",
        "layer_norm_type": "rms",
        "activation_type": "silu",
        "block_group_size": 1,
        "include_bias": False,
        "include_qkv_bias": False,
        "attention_layer_norm": False,
        "alibi": False,
        "rope": True,
        "rope_full_precision": True,
        "scale_logits": False,
        "input_emb_norm": False,
    },
    32,
    "dual",
    {1: 1.5, 8: 1.5},
)
LLADA2 = FamilyShape(
    "llada2",
    {
        "architectures": ["LLaDA2MoeModelLM"],
        "model_type": "llada2_moe",
        "vocab_size": VOCAB_SIZE,
        "mask_token_id": MASK_ID,
        "hidden_size": 512,
        "intermediate_size": 1280,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "partial_rotary_factor": 0.5,
        "first_k_dense_replace": 1,
        "moe_intermediate_size": 128,
        "moe_shared_expert_intermediate_size": 128,
        "num_experts": 48,
        "num_experts_per_tok": 8,
        "num_shared_experts": 1,
        "n_group": 8,
        "topk_group": 4,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "score_function": "sigmoid",
        "moe_router_enable_expert_bias": True,
        "use_qk_norm": True,
        "use_bias": False,
        "use_qkv_bias": False,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 6e5,
        "rope_scaling": None,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
    },
    32,
    None,
    {1: 4.0, 8: 4.0},
)
SHAPES = (SDAR, LLADA, DREAM, LLADA2)
