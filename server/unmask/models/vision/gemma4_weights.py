"""Tensors of Gemma 4's vision tower; a checkpoint that lacks one serves text alone."""

import torch
from torch import Tensor

from unmask.models.family import RawConfig
from unmask.models.vision.fitting import Fitted, Shapes, fitted, leave_out
from unmask.models.vision.gemma4 import (
    ClippedLinear,
    Gemma4Tower,
    Standardization,
    TowerAttention,
    TowerLayer,
    TowerMlp,
)
from unmask.models.vision.gemma4_config import NUM_AXES, Gemma4VisionConfig, read_gemma4_config
from unmask.models.vision.vision_config import NUM_COLOURS
from unmask.models.weights import Weights

TOWER, EMBED = PREFIXES = "model.encoder.vision_tower.", "model.encoder.embed_vision."
PROJECTION = f"{EMBED}embedding_projection.weight"
NORMS = (
    *("input_layernorm", "post_attention_layernorm"),
    *("pre_feedforward_layernorm", "post_feedforward_layernorm"),
)
BOUNDS = ("input_min", "input_max", "output_min", "output_max")


def take_gemma4_tower(raw: RawConfig, num_outputs: int, weights: Weights) -> Gemma4Tower | None:
    """The vision tower of a checkpoint with rows of `num_outputs`, in the dtype of `weights`.

    Quantized weights are dequantized. None, with a logged reason, if tensors do not fit the
    configuration; None if there are none, or if `weights` are read without images.
    """
    config = read_gemma4_config(raw) if weights.with_images else None
    if config is not None and any(name.startswith(TOWER) for name in weights.names):
        found = fitted(_shapes(config, num_outputs), weights, PREFIXES)
        if found is not None:
            return _read(config, found)
    leave_out(weights, PREFIXES)
    return None


def _shapes(config: Gemma4VisionConfig, num_outputs: int) -> Shapes:
    """Shapes of all tensors by name."""
    c, width = config, config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedder.input_proj.weight": (width, NUM_COLOURS * c.patch_size**2),
        "patch_embedder.position_embedding_table": (NUM_AXES, c.num_positions, width),
    }
    if c.is_standardized:
        shapes |= {"std_bias": (width,), "std_scale": (width,)}
    heads, kv_heads = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim
    linears = {
        "self_attn.q_proj": (heads, width),
        "self_attn.k_proj": (kv_heads, width),
        "self_attn.v_proj": (kv_heads, width),
        "self_attn.o_proj": (width, heads),
        "mlp.gate_proj": (c.intermediate_size, width),
        "mlp.up_proj": (c.intermediate_size, width),
        "mlp.down_proj": (width, c.intermediate_size),
    }
    for index in range(c.num_layers):
        layer = f"encoder.layers.{index}."
        shapes |= {f"{layer}{norm}.weight": (width,) for norm in NORMS}
        shapes |= {f"{layer}self_attn.{part}_norm.weight": (c.head_dim,) for part in "qk"}
        for name, shape in linears.items():
            shapes[f"{layer}{name}.linear.weight"] = shape
            if c.is_clipped:
                shapes |= {f"{layer}{name}.{bound}": () for bound in BOUNDS}
    named = {TOWER + name: shape for name, shape in shapes.items()}
    return named | {PROJECTION: (num_outputs, width)}


def _read(config: Gemma4VisionConfig, found: Fitted) -> Gemma4Tower:
    """The tower of tensors that fit."""

    def take(name: str) -> Tensor:
        return found.take(TOWER + name)

    def linear(name: str) -> ClippedLinear:
        bounds = [take(f"{name}.{bound}") for bound in BOUNDS] if config.is_clipped else []
        return ClippedLinear(take(f"{name}.linear.weight"), torch.stack(bounds) if bounds else None)

    def layer(index: int) -> TowerLayer:
        prefix = f"encoder.layers.{index}."
        attention, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
        return TowerLayer(
            attention=TowerAttention(
                query=linear(f"{attention}q_proj"),
                key=linear(f"{attention}k_proj"),
                value=linear(f"{attention}v_proj"),
                out=linear(f"{attention}o_proj"),
                query_norm=take(f"{attention}q_norm.weight"),
                key_norm=take(f"{attention}k_norm.weight"),
                eps=config.rms_norm_eps,
            ),
            mlp=TowerMlp(
                gate=linear(f"{mlp}gate_proj"),
                up=linear(f"{mlp}up_proj"),
                down=linear(f"{mlp}down_proj"),
            ),
            norms=torch.stack([take(f"{prefix}{norm}.weight") for norm in NORMS]),
            eps=config.rms_norm_eps,
        )

    standardization = None
    if config.is_standardized:
        standardization = Standardization(take("std_bias"), take("std_scale"))
    tower = Gemma4Tower(
        config=config,
        patches=take("patch_embedder.input_proj.weight"),
        positions=take("patch_embedder.position_embedding_table"),
        layers=[layer(index) for index in range(config.num_layers)],
        standardization=standardization,
        projection=found.take(PROJECTION),
    )
    leave_out(found.weights, PREFIXES)  # buffers without use
    return tower
