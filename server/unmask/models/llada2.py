"""LLaDA2.0, 2.1, 2.2: block-causal attention, partial RoPE, experts routed by sigmoid.

LLaDA2.0 and 2.1 route each row alone, to experts of its best groups. LLaDA2.2 routes by block: see
`route_by_block`. It ignores the groups, which are still in its configuration.
"""

import re
from functools import partial
from typing import Any

import torch

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import (
    Decoder,
    DecoderConfig,
    Layer,
    Mlp,
    rotary_permutation,
    take_gated_mlp,
    take_qk_norm,
)
from unmask.models.family import Family, Presets, RawConfig, Traits
from unmask.models.mixing import mixing_presets
from unmask.models.moe import MoeMlp, Route, take_experts, take_router
from unmask.models.multi_block import multi_block_presets
from unmask.models.rope import FIELDS as ROPE_FIELDS
from unmask.models.rope import Rope, read_rope
from unmask.models.weights import Weights
from unmask.types import EditCommands
from unmask_kernels.moe.routing import route_by_block, route_sigmoid

BLOCK_LENGTH = 32
OPEN_BLOCKS = 2  # of MBD-LMs
MASK_TOKEN_ID = 156895  # of the published tokenizer; no file of a checkpoint has it
# The files of 2.0 and 2.1 do not differ, so the name decides whether a checkpoint can edit. The
# presets are those of 2.1's report.
EDITING_NAME = re.compile(r"llada[-_]?2[._]1(?!\d)", re.I)
EDITING_PRESETS = {
    "quality": {"threshold": 0.7, "editing_threshold": 0.5},
    "speed": {"threshold": 0.5, "editing_threshold": 0.0},
}
# The first is that of 2.2's model card, the other is what FluxServe compares it with.
LEVENSHTEIN_PRESETS = {"speed": EDITING_PRESETS["speed"], "plain": {"threshold": 0.95}}
PARTIAL_ROTARY_FACTOR = 0.5  # of the authors' class, where a file has neither this nor the other
FIELDS = ConfigFields(
    read=frozenset(
        (
            *("block_size", "delete_token_id", "expert_capacity", "first_k_dense_replace"),
            *("head_dim", "hidden_size"),
            *("intermediate_size", "max_position_embeddings", "moe_intermediate_size"),
            *("moe_router_enable_expert_bias", "n_group", "num_attention_heads", "num_experts"),
            *("num_experts_per_tok", "num_hidden_layers", "num_key_value_heads"),
            *("num_shared_experts", "partial_rotary_factor", "rms_norm_eps", "rope_theta"),
            *("rotary_dim", "routed_scaling_factor", "split_token_id", "tie_word_embeddings"),
            *("topk_group", "use_bias", "use_qk_norm", "use_qkv_bias"),
        )
    ),
    harmless=frozenset(
        (
            *("max_window_layers", "mtp_loss_scaling_factor", "output_dropout"),
            *("moe_shared_expert_intermediate_size", "output_router_logits"),
            *("sliding_window", "router_aux_loss_coef"),  # `use_sliding_window` is refused
        )
    ),
    accepted={
        "hidden_act": ("silu",),
        "multi_gate": (False,),
        "norm_head": (False,),
        "norm_softmax": (False,),
        "norm_topk_prob": (True,),
        "num_nextn_predict_layers": (0,),
        "router_dtype": ("fp32", "float32"),
        "score_function": ("sigmoid",),
        "use_rmsnorm": (True,),
        "use_sliding_window": (False,),
        "using_split_qkv_in_self_attention": (False,),
    },
    nested={"rope_parameters": ROPE_FIELDS, "rope_scaling": ROPE_FIELDS},
)


def read_config(raw: RawConfig) -> DecoderConfig:
    head_dim = raw.get("head_dim") or raw["hidden_size"] // raw["num_attention_heads"]
    return DecoderConfig(
        vocab_size=raw["vocab_size"],
        hidden_size=raw["hidden_size"],
        num_layers=raw["num_hidden_layers"],
        num_heads=raw["num_attention_heads"],
        num_kv_heads=raw["num_key_value_heads"],
        head_dim=head_dim,
        rms_norm_eps=raw["rms_norm_eps"],
        rope=_rope(raw, head_dim),
        tied=raw.get("tie_word_embeddings"),
    )


def _rope(raw: RawConfig, head_dim: int) -> Rope:
    """RoPE of half a head's dimensions, or of as many as either field says."""
    stated = raw.get("rotary_dim")
    rope = read_rope(raw, head_dim, stated / head_dim if stated else PARTIAL_ROTARY_FACTOR)
    if stated not in (None, rope.rotary_dim):
        raise InvalidCheckpoint(
            f"config.json: rotary_dim is {stated}, but partial_rotary_factor rotates "
            f"{rope.rotary_dim} of {head_dim} dimensions"
        )
    return rope


def build(
    raw: RawConfig,
    weights: Weights,
    num_positions: int,
    *,
    root: str = "model.",
    head: str = "lm_head.weight",
) -> Decoder:
    """The decoder of tensors whose names begin with `root`, but for the LM head's."""
    config = read_config(raw)
    by_block = _routing_block_length(raw)
    return Decoder(
        config,
        weights,
        num_positions,
        embedding=f"{root}word_embeddings.weight",
        norm=f"{root}norm.weight",
        head=head,
        layer=partial(_layer, raw, config, root),
        routing_block_length=by_block,
    )


def _layer(raw: RawConfig, config: DecoderConfig, root: str, weights: Weights, index: int) -> Layer:
    prefix = f"{root}layers.{index}."
    attn, hidden = f"{prefix}attention.", config.hidden_size
    norms = f"{attn}query_layernorm.weight", f"{attn}key_layernorm.weight"
    sparse = raw.get("num_experts") is not None and index >= raw["first_k_dense_replace"]
    return Layer(
        input_norm=weights.take(f"{prefix}input_layernorm.weight", (hidden,)),
        qkv=weights.take_linear(
            [f"{attn}query_key_value"],
            [sum(config.num_qkv)],
            hidden,
            bias=bool(raw.get("use_qkv_bias")),
            permutation=rotary_permutation(config),
        ),
        qk_norm=take_qk_norm(weights, config, *norms) if raw.get("use_qk_norm", True) else None,
        out=weights.take_linear(
            [f"{attn}dense"], [hidden], config.num_qkv[0], bias=bool(raw.get("use_bias"))
        ),
        post_norm=weights.take(f"{prefix}post_attention_layernorm.weight", (hidden,)),
        mlp=(_sparse if sparse else _dense)(raw, weights, f"{prefix}mlp."),
    )


def _dense(raw: RawConfig, weights: Weights, prefix: str) -> Mlp:
    return take_gated_mlp(weights, raw["hidden_size"], raw["intermediate_size"], _names(prefix))


def _sparse(raw: RawConfig, weights: Weights, prefix: str) -> Mlp:
    num_experts, hidden = raw["num_experts"], raw["hidden_size"]
    intermediate, top_k = raw["moe_intermediate_size"], raw["num_experts_per_tok"]
    num_shared, shared = raw.get("num_shared_experts") or 0, f"{prefix}shared_experts."
    # The reference adds an existing bias even if the field is false.
    is_enabled = raw.get("moe_router_enable_expert_bias", True)
    take = weights.take if is_enabled else weights.take_optional
    # Rounded to bfloat16, it would choose other experts: scores are close together.
    bias = take(f"{prefix}gate.expert_bias", (num_experts,), torch.float32)
    if bias is None:
        bias = torch.zeros(num_experts, device=weights.device)
    common = {
        "bias": bias,
        "top": top_k,
        "scale": raw["routed_scaling_factor"],
        "renormalise": top_k > 1,
    }
    capacity = _expert_capacity(raw)
    route: Route
    if capacity is None:
        num_groups, chosen = _groups(raw)
        groups: dict[str, Any] = {"groups": num_groups, "top_groups": chosen}
        route = partial(route_sigmoid, **common, **groups)
    else:
        route = partial(route_by_block, **common, capacity=capacity)
    return MoeMlp(
        # The reference routes in float32 for any dtype.
        router=take_router(weights, f"{prefix}gate.weight", (num_experts, hidden), torch.float32),
        router_dtype=torch.float32,
        route=route,
        experts=take_experts(weights, f"{prefix}experts.", num_experts, hidden, intermediate),
        shared=take_gated_mlp(weights, hidden, intermediate * num_shared, _names(shared))
        if num_shared
        else None,
    )


def _groups(raw: RawConfig) -> tuple[int, int]:
    """Groups of experts, and those that a row chooses; raises `InvalidCheckpoint`."""
    num_experts, num_groups, chosen = raw["num_experts"], raw["n_group"], raw["topk_group"]
    of_row = raw["num_experts_per_tok"]
    fits = 0 < chosen <= num_groups and num_experts % num_groups == 0
    if not fits or of_row > chosen * (num_experts // num_groups):
        raise InvalidCheckpoint(
            f"config.json: topk_group {chosen} of n_group {num_groups} of {num_experts} experts, "
            f"of which a row chooses {of_row}, is not possible"
        )
    return num_groups, chosen


def _expert_capacity(raw: RawConfig) -> int | None:
    """Experts that a routing block keeps; None where rows are routed alone.

    Raises `InvalidCheckpoint` for fewer than a row chooses and for more than there are.
    """
    capacity = raw.get("expert_capacity")
    if not capacity:
        return None
    fewest, most = raw["num_experts_per_tok"], raw["num_experts"]
    if not isinstance(capacity, int) or not fewest <= capacity <= most:
        raise InvalidCheckpoint(
            f"config.json: expert_capacity is {capacity!r:.40}, not from {fewest} to {most}"
        )
    return capacity


def _block_length(raw: RawConfig) -> int:
    return raw.get("block_size") or BLOCK_LENGTH


def _routing_block_length(raw: RawConfig) -> int | None:
    return None if _expert_capacity(raw) is None else _block_length(raw)


def _edit_commands(raw: RawConfig) -> EditCommands | None:
    """Tokens that delete and insert; raises `InvalidCheckpoint` for one alone or no such token."""
    delete, split = raw.get("delete_token_id"), raw.get("split_token_id")
    if delete is None and split is None:
        return None
    vocabulary = range(raw["vocab_size"])
    if not (type(delete) is type(split) is int and delete != split) or not (
        delete in vocabulary and split in vocabulary
    ):
        raise InvalidCheckpoint(
            f"config.json: delete_token_id {delete!r:.40} and split_token_id {split!r:.40} are "
            f"not two tokens of a vocabulary of {len(vocabulary)}"
        )
    return EditCommands(delete, split)


def _names(prefix: str) -> tuple[str, str, str]:
    return f"{prefix}gate_proj.weight", f"{prefix}up_proj.weight", f"{prefix}down_proj.weight"


def traits(raw: RawConfig) -> Traits:
    """Block-causal attention in blocks of 32; 2.1 and 2.2 can edit tokens of the open block."""
    has_mask = raw.get("vocab_size", 0) > MASK_TOKEN_ID
    commands = _edit_commands(raw)
    return Traits(
        "block_causal",
        mask_token_id=MASK_TOKEN_ID if has_mask else None,
        block_length=_block_length(raw),
        can_edit=True,
        can_mix=commands is None,
        edit_commands=commands,
        routing_block_length=_routing_block_length(raw),
        greedy=commands is not None,
        caps_steps=True,
    )


def presets(raw: RawConfig, name: str) -> Presets:
    """Presets of LLaDA2.1's report, of LLaDA2.2's model card, of DMax, and of MBD-LMs, by name."""
    if raw.get("delete_token_id") is not None:
        return LEVENSHTEIN_PRESETS
    several = multi_block_presets(name, _block_length(raw), OPEN_BLOCKS)
    edits = raw.get("model_type") == "llada21_moe" or EDITING_NAME.search(name)
    return several or mixing_presets(name) or (EDITING_PRESETS if edits else {})


FAMILY = Family(
    "llada2",
    ("LLaDA2MoeModelLM",),
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4 and tokens exactly, of the authors' code on tiny random checkpoints; "
    "of 2.2 with ports of its router and of its loop; DMax's tokens of its authors' loop",
    model_types=(
        "llada2_moe",
        "llada21_moe",
    ),
    block_field="block_size",
    presets=presets,
)
