"""Configurations of the golden folders of relatives, with the fields that their authors publish."""

from dataclasses import dataclass, field
from typing import Any

from tests.support.tiny import EOS_ID, MASK_ID, VOCAB_SIZE

SIZES: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "hidden_act": "silu",
    "attention_bias": False,
    "tie_word_embeddings": False,
    "eos_token_id": EOS_ID,
}
QWEN3 = SIZES | {"head_dim": 16}
LLAMA = SIZES | {"mlp_bias": False, "rope_theta": 500_000.0}
Cases = list[tuple[int, dict[str, Any]]]


@dataclass
class Made:
    """A golden folder: its base in transformers, its fields, its loop and the loop's cases."""

    base: str
    raw: dict[str, Any]
    loop: str
    cases: Cases
    block: int | None = None
    shift: bool = False
    seed: int = 1
    own: frozenset[str] = frozenset()  # fields that the base does not have
    added: dict[str, Any] = field(default_factory=dict)
    omitted: frozenset[str] = frozenset()

    @property
    def published(self) -> dict[str, Any]:
        """`config.json` of the folder."""
        kept = {name: value for name, value in self.raw.items() if name not in self.omitted}
        return kept | {"torch_dtype": "float32"} | self.added


def dynamic(block: int, threshold: float, length: int, steps: int | None = None) -> dict[str, Any]:
    return {
        "policy": "threshold",
        "threshold": threshold,
        "block_length": block,
        "steps_per_block": steps or block,
        "gen_length": length,
    }


def static(block: int, steps: int, length: int, **more: Any) -> dict[str, Any]:
    settings = {"policy": "low_confidence", "block_length": block, "steps_per_block": steps}
    return settings | {"gen_length": length} | more


BLOCKS_OF_32: Cases = [
    (1, static(32, 32, 40)),
    (33, dynamic(32, 0.4, 60)),
    (50, dynamic(32, 0.6, 45)),
    (64, static(32, 8, 32)),
    (40, static(32, 16, 60)),
    (31, dynamic(16, 0.5, 40)),
]
WHOLE: Cases = [
    (5, {"policy": "entropy", "steps": 24, "gen_length": 24}),
    (17, {"policy": "entropy", "steps": 7, "gen_length": 30}),
    (40, {"policy": "entropy", "steps": 40, "gen_length": 20}),
    (1, {"policy": "entropy", "steps": 13, "gen_length": 33}),
]
ANSWERS: Cases = [
    (6, static(32, 32, 32)),
    (21, static(16, 8, 48)),
    (40, static(8, 3, 32)),
    (1, static(32, 7, 64)),
    (12, static(16, 5, 32, cfg_scale=0.7)),
]
ROUNDED: Cases = [(length, s | {"schedule": "rounded"}) for length, s in ANSWERS]
CONFIGS: dict[str, Made] = {
    "dream_reasoner": Made(
        "qwen3",
        QWEN3 | {"block_size": 32, "mask_token_id": MASK_ID},
        "block",
        BLOCKS_OF_32,
        block=32,
        own=frozenset(("block_size", "mask_token_id")),
        added={
            "architectures": ["DreamForCausalLM"],
            "auto_map": {
                "AutoConfig": "configuration_dream.DreamConfig",
                "AutoModelForCausalLM": "modeling_dream.DreamForCausalLM",
            },
            "model_type": "Dream",
            "head_dim": 16,
        },
    ),
    "stable_diffcoder": Made(
        "llama",
        LLAMA,
        "block",
        [
            (1, static(4, 4, 24, of_masks=True)),
            (8, static(4, 2, 30, of_masks=True)),
            (13, dynamic(4, 0.5, 40) | {"of_masks": True}),
            (30, dynamic(4, 0.3, 33) | {"of_masks": True}),
            (21, dynamic(8, 0.4, 40) | {"of_masks": True}),
            (16, static(8, 4, 40, of_masks=True)),
        ],
        block=4,
        added={
            "architectures": ["StableDiffcoderForCausalLM"],
            "auto_map": {
                "AutoModelForCausalLM": "modeling_stable_diffcoder.StableDiffcoderForCausalLM"
            },
            "model_type": "llama",
            "pretraining_tp": 1,
            "rope_scaling": None,
        },
    ),
    "efficient_dlm": Made(
        "qwen3",
        QWEN3,
        "block",
        BLOCKS_OF_32,
        block=32,
        seed=2,
        added={
            "architectures": ["DiffEncoderModel"],
            "block_size": 32,
            "mask_token_id": MASK_ID,
            "dlm_paradigm": "block_diff",
            "dlm_type": "llada",
            "disable_qk_norm": False,
            "prefix_ratio": 0.8,
            "random_length_prob": None,
            "seq_length": 4096,
            "tok_mask_half_life_ratio": 0.1,
        },
    ),
    "a2d_mdlm": Made(
        "qwen3",
        QWEN3 | {"tie_word_embeddings": True},
        "answer",
        ROUNDED,
        seed=3,
        added={
            "architectures": ["A2DQwen3LMHeadModel"],
            "layer_types": ["full_attention", "full_attention"],
            "max_window_layers": 28,
            "model_type": "a2d-qwen3",
            "use_sliding_window": False,
        },
    ),
    "a2d_bd3lm": Made(
        "qwen2",
        {name: value for name, value in SIZES.items() if name != "attention_bias"},
        "answer",
        [
            (32, static(32, 32, 64, schedule="rounded")),
            (64, static(32, 7, 96, schedule="rounded")),
            (48, static(16, 5, 48, schedule="rounded")),
            (8, static(4, 4, 40, schedule="rounded")),
        ],
        block=32,
        seed=4,
        added={
            "architectures": ["A2DQwen2LMHeadModel"],
            "layer_types": ["full_attention", "full_attention"],
            "model_type": "a2d-qwen2",
            "sliding_window": None,
            "use_sliding_window": False,
        },
    ),
    "a2d_llama": Made(
        "llama",
        LLAMA | {"tie_word_embeddings": True},
        "answer",
        ROUNDED[:3],
        seed=5,
        added={
            "architectures": ["A2DLlamaLMHeadModel"],
            "model_type": "a2d-llama",
            "pretraining_tp": 1,
        },
    ),
    "illada": Made(
        "llama",
        LLAMA | {"tie_word_embeddings": True},
        "answer",
        ANSWERS,
        seed=6,
        added={
            "architectures": ["ILLaDAForCausalLM"],
            "auto_map": {
                "AutoModel": "modeling_illada.ILLaDAForCausalLM",
                "AutoModelForCausalLM": "modeling_illada.ILLaDAForCausalLM",
            },
            "layer_norm_eps": None,
            "model_type": "illada",
            "resid_pdrop": 0.0,
        },
        omitted=frozenset(("tie_word_embeddings",)),  # as where a default is not written
    ),
    "coda": Made(
        "qwen3",
        QWEN3,
        "dream",
        [
            *WHOLE,
            (9, {"policy": "maskgit_plus", "steps": 11, "gen_length": 25}),
            (28, {"policy": "topk_margin", "steps": 9, "gen_length": 21}),
        ],
        shift=True,
        seed=7,
        added={
            "architectures": ["CoDALanguageModel"],
            "attention_kernel": "flash_attention",
            "auto_map": {
                "AutoConfig": "model_config.CoDAConfig",
                "AutoModel": "modeling_coda.CoDALanguageModel",
            },
            "block_masking_probability": [0.25, 0.5, 0.5, 0.75, 0.25],
            "mask_block_sizes": [4, 8, 16, 32],
            "mask_token_id": MASK_ID,
            "max_window_layers": 28,
            "model_type": "CoDA",
            "prefix_probability": 0,
            "rope_scaling": None,
            "sampling_eps": [0.001, 0.25, 0.5, 0.25, 0.001],
            "sliding_window": None,
            "truncate_probability": 0,
            "use_sliding_window": False,
        },
        omitted=frozenset(("tie_word_embeddings",)),  # published so, with a head of its own
    ),
    "rnd1": Made(
        "qwen3_moe",
        QWEN3
        | {
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "moe_intermediate_size": 16,
            "norm_topk_prob": True,
            "num_experts": 6,
            "num_experts_per_tok": 3,
        },
        "rnd1",
        WHOLE,
        shift=True,
        seed=8,
        added={
            "architectures": ["RND1LM"],
            "auto_map": {
                "AutoConfig": "configuration_rnd.RND1Config",
                "AutoModel": "modeling_rnd.RND1Model",
                "AutoModelForMaskedLM": "modeling_rnd.RND1LM",
            },
            "is_causal": False,
            "mask_token_id": MASK_ID,
            "max_window_layers": 48,
            "model_type": "rnd1",
            "moe_backend": "hf",
            "num_diffusion_steps": 256,
            "output_router_logits": False,
            "rope_scaling": False,
            "router_aux_loss_coef": 0.001,
            "sliding_window": False,
            "use_sliding_window": False,
        },
    ),
}
NAMES = {"efficient_dlm": {"model.": "encoder.", "lm_head": "diffusion_head"}}
