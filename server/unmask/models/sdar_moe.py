"""SDAR with experts: Qwen3-MoE with block-causal attention."""

from functools import partial

from unmask.models import sdar
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder, Mlp
from unmask.models.family import Family, RawConfig
from unmask.models.moe import MoeMlp, take_experts, take_router, take_stacked_experts
from unmask.models.qwen import dense
from unmask.models.weights import Weights
from unmask_kernels.moe.routing import route_softmax

FIELDS = sdar.FIELDS.joined(
    ConfigFields(
        read=frozenset(
            (
                *("decoder_sparse_step", "mlp_only_layers", "moe_intermediate_size"),
                *("norm_topk_prob", "num_experts", "num_experts_per_tok", "num_local_experts"),
            )
        ),
        harmless=frozenset(("output_router_logits", "router_aux_loss_coef")),
        accepted={"shared_expert_intermediate_size": (0,)},
    )
)


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    return sdar.build(raw, weights, num_positions, partial(_take_mlp, raw))


def _take_mlp(raw: RawConfig, weights: Weights, prefix: str, index: int) -> Mlp:
    if not is_sparse(raw, index):
        return dense(raw)(weights, prefix, index)
    num_experts, hidden = _num_experts(raw), raw["hidden_size"]
    mlp = f"{prefix}mlp."
    # Transformers 5 holds the experts of a layer as two tensors.
    is_stacked = weights.has(f"{mlp}experts.gate_up_proj")
    take = take_stacked_experts if is_stacked else take_experts
    return MoeMlp(
        # The reference computes router logits in the weights' dtype and their softmax in float32.
        router=take_router(weights, f"{mlp}gate.weight", (num_experts, hidden), weights.dtype),
        router_dtype=weights.dtype,
        route=partial(
            route_softmax, top=raw["num_experts_per_tok"], renormalise=raw["norm_topk_prob"]
        ),
        experts=take(weights, f"{mlp}experts.", num_experts, hidden, raw["moe_intermediate_size"]),
    )


def is_sparse(raw: RawConfig, index: int) -> bool:
    """True if a layer has experts, by Qwen3-MoE's fields."""
    if index in (raw.get("mlp_only_layers") or ()) or not _num_experts(raw):
        return False
    return bool((index + 1) % raw.get("decoder_sparse_step", 1) == 0)


def _num_experts(raw: RawConfig) -> int:
    """Experts a layer; transformers 5 writes `num_local_experts`."""
    number: int = raw["num_local_experts"] if "num_local_experts" in raw else raw["num_experts"]
    return number


FAMILY = Family(
    "sdar-moe",
    ("SDARMoeForCausalLM",),
    sdar.traits,
    build,
    FIELDS,
    verified="logits to 1e-4 and tokens exactly, of Qwen3-MoE under SDAR's code on a tiny random "
    "checkpoint",
    model_types=("sdar_moe",),
    block_field="block_size",
)
