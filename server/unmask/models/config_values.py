"""Allowed ranges of numbers in a `config.json`, checked before any memory is allocated."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import CONFIG
from unmask.types import MAX_BLOCK_LENGTH

MAX_POSITIONS = 2**21  # RoPE tables of this many positions take at most 1 GiB


@dataclass(frozen=True, slots=True)
class Range:
    """Closed range of integers, or of floats if `real`."""

    low: float
    high: float
    real: bool = False

    def holds(self, value: Any) -> bool:
        """True if a JSON value is a number of this kind in the range."""
        if isinstance(value, bool) or not isinstance(value, (int, float) if self.real else int):
            return False
        return math.isfinite(value) and self.low <= value <= self.high

    def __str__(self) -> str:
        kind = "number" if self.real else "whole number"
        return f"{kind} from {self.low:,g} to {self.high:,g}"


_WIDTH, _LAYERS, _HEADS = Range(1, 2**17), Range(1, 1000), Range(1, 1024)
_EXPERTS, _TOKEN, _FACTOR = Range(0, 2**13), Range(0, 2**24), Range(1e-6, 1e6, real=True)
_THETA = Range(1, 1e12, real=True)
_GROUPS = Range(-2, 2**10)  # LLaDA-MoE's class has -2 for none
RANGES: Mapping[str, Range] = {
    "attention_factor": _FACTOR,
    "bd_size": Range(1, MAX_BLOCK_LENGTH),
    "block_ff_dim": Range(1, 2**20),
    "block_ffn_dim_multiplier": _FACTOR,
    "block_multiple_of": Range(1, 2**14),
    "beta_fast": _FACTOR,
    "beta_slow": _FACTOR,
    "block_size": Range(1, MAX_BLOCK_LENGTH),
    "canvas_length": Range(1, MAX_BLOCK_LENGTH),
    "cond_dim": _WIDTH,
    "conv_L_cache": Range(1, 64),
    "d_model": _WIDTH,
    "decoder_sparse_step": _LAYERS,
    "dense_intermediate_size": Range(1, 2**20),
    "depth": _LAYERS,
    "diffusion_block_size": Range(1, MAX_BLOCK_LENGTH),
    "embed_dim": _WIDTH,
    "embedding_size": _TOKEN,
    "expert_intermediate_size": Range(1, 2**20),
    "factor": _FACTOR,
    "final_logit_softcapping": _FACTOR,
    "first_k_dense_replace": Range(0, 1000),
    "global_head_dim": Range(1, 2**12),
    "global_attn_every_n_layers": _LAYERS,
    "global_rope_theta": _THETA,
    "head_dim": Range(1, 2**12),
    "hidden_dim": _WIDTH,
    "hidden_size": _WIDTH,
    "high_freq_factor": _FACTOR,
    "image_size": Range(1, 2**12),
    "image_token_offset": Range(1, 2**22),
    "intermediate_size": Range(1, 2**20),
    "layer_norm_eps": Range(0, 1, real=True),
    "llama_4_scaling_beta": Range(0, 1e6, real=True),
    "local_attention": Range(0, 2**31),
    "local_rope_theta": _THETA,
    "low_freq_factor": _FACTOR,
    "mask_token_id": _TOKEN,
    "max_position_embeddings": Range(1, MAX_POSITIONS),
    "max_sequence_length": Range(1, MAX_POSITIONS),
    "mlp_hidden_size": Range(1, 2**20),
    "mlp_ratio": Range(1, 64),
    "mscale": Range(0, 1e3, real=True),
    "mscale_all_dim": Range(0, 1e3, real=True),
    "model_length": Range(1, MAX_POSITIONS),
    "moe_intermediate_size": Range(1, 2**20),
    "n_blocks": _LAYERS,
    "n_group": _GROUPS,
    "n_heads": _HEADS,
    "n_kv_heads": _HEADS,
    "n_layers": _LAYERS,
    "norm_eps": Range(0, 1, real=True),
    "num_attention_heads": _HEADS,
    "num_embeddings": Range(1, 2**20),
    "num_experts": _EXPERTS,
    "num_experts_per_tok": Range(1, 2**10),
    "num_global_key_value_heads": _HEADS,
    "num_heads": _HEADS,
    "num_hidden_layers": _LAYERS,
    "num_key_value_heads": _HEADS,
    "num_local_experts": _EXPERTS,
    "num_shared_experts": Range(0, 2**8),
    "original_max_position_embeddings": Range(1, MAX_POSITIONS),
    "out_hidden_size": _WIDTH,
    "partial_rotary_factor": Range(1e-6, 1, real=True),
    "patch_size": Range(1, 2**10),
    "pooling_kernel_size": Range(1, 64),
    "position_embedding_size": Range(1, 2**17),
    "real_vocab_size": Range(1, 2**22),
    "rms_norm_eps": Range(0, 1, real=True),
    "rope_theta": _THETA,
    "routed_scaling_factor": Range(1e-6, 1e6, real=True),
    "shared_expert_intermediate_size": Range(0, 2**20),
    "sigma_cond_dim": _WIDTH,
    "sigma_freq_embedding_size": Range(2, 2**14),
    "sliding_window": Range(0, 2**31),
    "spatial_merge_size": Range(1, 64),
    "temporal_patch_size": Range(1, 64),
    "top_k_experts": Range(1, 2**10),
    "topk_group": _GROUPS,
    "vocab_size": Range(1, 2**22),
    "window_size": Range(1, 2**14),
}

LISTS: Mapping[str, type] = {
    "full_attn_idxs": int,
    "layer_types": str,
    "mlp_only_layers": int,
    "moe_layer_freq": int,
}
OBJECTS = ("per_layer_config",)
# Fields of which the first must not be larger, or be a multiple of the second.
NOT_ABOVE = (
    ("image_token_offset", "vocab_size"),
    ("num_experts_per_tok", "num_experts"),
    ("num_experts_per_tok", "num_local_experts"),
    ("patch_size", "image_size"),
    ("top_k_experts", "num_experts"),
)
MULTIPLES = (
    ("hidden_size", "num_heads"),
    ("num_attention_heads", "num_key_value_heads"),
    ("n_heads", "n_kv_heads"),
)


def without_nulls(raw: Mapping[str, Any], kept: Collection[str] = ()) -> dict[str, Any]:
    """Fields that are not null, of nested objects too, and those that are `kept`."""
    return {
        name: without_nulls(value, kept) if isinstance(value, Mapping) else value
        for name, value in raw.items()
        if value is not None or name in kept
    }


def check_values(raw: Mapping[str, Any], prefix: str = "", file: str = CONFIG) -> None:
    """Raise `InvalidCheckpoint` that names every number out of range; `null` counts as absent.

    Names begin with `prefix`.
    """
    if problems := list(_problems(raw, prefix)):
        raise InvalidCheckpoint(f"{file}: {'; '.join(problems)}")


def _problems(raw: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in raw.items():
        if isinstance(value, Mapping) and not name.startswith(("vision", "audio")):
            yield from _problems(value, f"{prefix}{name}.")
        allowed = RANGES.get(name)
        if allowed is None or value is None or (name == "sliding_window" and value is False):
            continue
        if not allowed.holds(value):
            yield f"{prefix}{name} must be a {allowed}, got {value!r:.40}"
    yield from _kinds(raw, prefix)
    yield from _relations(raw, prefix)


def _kinds(raw: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Problems of lists and objects."""
    for name, kind in LISTS.items():
        value = raw.get(name)
        if value is None or (isinstance(value, list) and all(type(v) is kind for v in value)):
            continue
        yield f"{prefix}{name} must be a list of type {kind.__name__}, got {value!r:.40}"
    for name in OBJECTS:
        if not isinstance(value := raw.get(name), Mapping | None):
            yield f"{prefix}{name} must be an object, got {value!r:.40}"


def _relations(raw: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Problems of two whole numbers that do not fit."""
    for name, value, other, limit in _pairs(raw, NOT_ABOVE):
        if value > limit:
            yield f"{prefix}{name} {value} is above {other} {limit}"
    for name, value, other, limit in _pairs(raw, MULTIPLES):
        if value % limit:
            yield f"{prefix}{name} {value} is no multiple of {other} {limit}"


def _pairs(
    raw: Mapping[str, Any], names: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, int, str, int]]:
    """Pairs of fields that both are whole numbers, with their names."""
    for name, other in names:
        value, limit = raw.get(name), raw.get(other)
        if type(value) is int and type(limit) is int and limit > 0:
            yield name, value, other, limit
