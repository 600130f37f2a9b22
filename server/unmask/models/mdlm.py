"""MDLM (Sahoo et al., 2024) and the transformer that BD3-LM shares with it, folded at load.

Time is no input of the published checkpoints, so the shifts, scales and gates of adaLN (DiT;
Peebles and Xie, 2023) are constants, and the plain decoder computes the rest: scales are in the
norms' weights, shifts in the biases of the products after them, gates in the weights of products
before the residual. LayerNorm of rows is the RMS norm of rows without their mean, so whatever is
added to the residual stream has its mean taken out.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder, DecoderConfig, Layer, PlainMlp
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.rope import plain_rope
from unmask.models.weights import Weights

VOCAB_SIZE = 50258  # GPT-2's, and the mask token
MODEL_LENGTH = 1024
MLP_RATIO = 4
NORM_EPS = 1e-5
ROPE_THETA = 10_000.0
TIME_INPUTS = 256  # cosines, then sines, of the time
# The mask's logit was never trained (SUBS: its probability is zero); far below any other.
MASK_BIAS = -1e4

FIELDS = ConfigFields(
    read=frozenset(("cond_dim", "hidden_dim", "model_length", "n_blocks", "n_heads")),
    harmless=frozenset(("dropout",)),
    accepted={"time_conditioning": (False,)},
)


def read_config(raw: RawConfig) -> DecoderConfig:
    num_heads, hidden_size = raw["n_heads"], raw["hidden_dim"]
    head_dim = hidden_size // num_heads
    if head_dim * num_heads != hidden_size or head_dim % 2:
        raise InvalidCheckpoint(
            f"hidden_dim {hidden_size} is not {num_heads} heads of an even size"
        )
    return DecoderConfig(
        vocab_size=raw["vocab_size"],
        hidden_size=hidden_size,
        num_layers=raw["n_blocks"],
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=head_dim,
        rms_norm_eps=NORM_EPS,
        rope=plain_rope(ROPE_THETA, head_dim),
        tied=False,
    )


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """Decoder of the folded weights; raises `InvalidCheckpoint`."""
    config = read_config(raw)
    folded = _fold(raw, weights)
    hidden_size, inner = config.hidden_size, MLP_RATIO * config.hidden_size

    def layer(weights: Weights, index: int) -> Layer:
        prefix = f"layers.{index}."
        return Layer(
            input_norm=weights.take(f"{prefix}input_norm", (hidden_size,)),
            qkv=weights.take_linear([f"{prefix}qkv"], [3 * hidden_size], hidden_size, bias=True),
            qk_norm=None,
            out=weights.take_linear([f"{prefix}out"], [hidden_size], hidden_size),
            post_norm=weights.take(f"{prefix}post_norm", (hidden_size,)),
            mlp=PlainMlp(
                weights.take_linear([f"{prefix}up"], [inner], hidden_size, bias=True),
                weights.take_linear([f"{prefix}down"], [hidden_size], inner, bias=True),
                "gelu_tanh",
            ),
        )

    return Decoder(
        config,
        folded,
        num_positions,
        embedding="embedding",
        norm="norm",
        head="head",
        head_bias="head_bias",
        layer=layer,
    )


class _Modulation(NamedTuple):
    """Constants [C] of adaLN around attention or the MLP."""

    shift: Tensor
    scale: Tensor
    gate: Tensor


def _fold(raw: RawConfig, weights: Weights) -> Weights:
    """The decoder's weights, of the checkpoint's; computed in float32."""
    hidden_size, vocab_size, cond_dim = raw["hidden_dim"], raw["vocab_size"], raw["cond_dim"]
    inner = MLP_RATIO * hidden_size

    def take(name: str, *shape: int) -> Tensor:
        return weights.take(f"backbone.{name}", shape).float()

    condition = _condition(raw, weights)

    def modulations(prefix: str, count: int) -> tuple[Tensor, ...]:
        name = f"{prefix}.adaLN_modulation"
        weight = take(f"{name}.weight", count * hidden_size, cond_dim)
        return (weight @ condition + take(f"{name}.bias", count * hidden_size)).chunk(count)

    folded = {"embedding": _centred(take("vocab_embed.embedding", vocab_size, hidden_size).T).T}
    for i in range(raw["n_blocks"]):
        name, to = f"blocks.{i}", f"layers.{i}"
        parts = modulations(name, 6)
        attention, mlp = _Modulation(*parts[:3]), _Modulation(*parts[3:])
        folded[f"{to}.input_norm"] = take(f"{name}.norm1.weight", hidden_size) * (
            1 + attention.scale
        )
        qkv = take(f"{name}.attn_qkv.weight", 3 * hidden_size, hidden_size)
        folded |= {f"{to}.qkv.weight": qkv, f"{to}.qkv.bias": qkv @ attention.shift}
        out = take(f"{name}.attn_out.weight", hidden_size, hidden_size)
        folded[f"{to}.out.weight"] = _centred(attention.gate[:, None] * out)
        folded[f"{to}.post_norm"] = take(f"{name}.norm2.weight", hidden_size) * (1 + mlp.scale)
        up, up_bias = take(f"{name}.mlp.0.weight", inner, hidden_size), f"{name}.mlp.0.bias"
        folded[f"{to}.up.weight"] = up
        folded[f"{to}.up.bias"] = take(up_bias, inner) + up @ mlp.shift
        down = take(f"{name}.mlp.2.weight", hidden_size, inner)
        folded[f"{to}.down.weight"] = _centred(mlp.gate[:, None] * down)
        folded[f"{to}.down.bias"] = _centred(mlp.gate * take(f"{name}.mlp.2.bias", hidden_size))
    shift, scale = modulations("output_layer", 2)
    folded["norm"] = take("output_layer.norm_final.weight", hidden_size) * (1 + scale)
    head = take("output_layer.linear.weight", vocab_size, hidden_size)
    folded["head_bias"] = take("output_layer.linear.bias", vocab_size) + head @ shift
    mask = mask_token_id(raw)
    head[mask], folded["head_bias"][mask] = 0.0, MASK_BIAS
    folded["head"] = head
    for buffer in ("backbone.rotary_emb.inv_freq", "sampling_eps_min", "sampling_eps_max"):
        weights.drop(buffer)
    quantization, weights.quantization = weights.quantization, "none"
    weights.check_all_taken()
    result = Weights(folded, weights.dtype, weights.device, quantization=quantization)
    result.num_tokens = weights.num_tokens
    return result


def _condition(raw: RawConfig, weights: Weights) -> Tensor:
    """Input [D] of every adaLN: the embedding of time zero, whose cosines are 1 and sines 0."""
    cond_dim = raw["cond_dim"]
    x = torch.zeros(TIME_INPUTS, device=weights.device)
    x[: TIME_INPUTS // 2] = 1.0
    for i, num_inputs in ((0, TIME_INPUTS), (2, cond_dim)):
        name = f"backbone.sigma_map.mlp.{i}"
        weight = weights.take(f"{name}.weight", (cond_dim, num_inputs)).float()
        x = weight @ x + weights.take(f"{name}.bias", (cond_dim,)).float()
        x = torch.nn.functional.silu(x)
    return x


def _centred(weight: Tensor) -> Tensor:
    """A weight [N, ...] without the mean over its N outputs."""
    return weight - weight.mean(0)


def mask_token_id(raw: RawConfig) -> int:
    """The last id, which the authors add to GPT-2's vocabulary."""
    return int(raw.get("vocab_size", VOCAB_SIZE)) - 1


def traits(raw: RawConfig) -> Traits:
    """Full attention over one block; by default exact samples, a position a step."""
    return Traits(
        "full",
        mask_token_id=mask_token_id(raw),
        policy="random",
        temperature=1.0,
        stated_positions=raw.get("model_length", MODEL_LENGTH),
    )


FAMILY = Family(
    "mdlm",
    ("MDLM",),
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4, samples exactly, of the authors' code on a tiny random checkpoint",
    model_types=("mdlm",),
)
