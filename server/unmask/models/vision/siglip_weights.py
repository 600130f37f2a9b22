"""Tensors of a SigLIP tower and its projector; a checkpoint that lacks one serves text alone."""

import torch
from torch import Tensor

from unmask.models.family import RawConfig
from unmask.models.vision.fitting import Shapes, fits, leave_out
from unmask.models.vision.siglip import (
    BiasedLinear,
    LayerNorm,
    Projector,
    SiglipLayer,
    SiglipTower,
)
from unmask.models.vision.siglip_config import SiglipConfig, read_siglip_config, read_tiles
from unmask.models.vision.vision_config import NUM_COLOURS
from unmask.models.weights import Weights

TOWER, PROJECTOR, NEWLINE = "vision_tower.vision_model.", "multi_modal_projector.", "image_newline"
PREFIXES = "vision_tower.", PROJECTOR, NEWLINE
UNREAD = f"{TOWER}head.", f"{TOWER}post_layernorm."  # behind the layers that are read
QKV = "q_proj", "k_proj", "v_proj"


def take_tower(raw: RawConfig, num_outputs: int, weights: Weights) -> SiglipTower | None:
    """The vision tower of a checkpoint with rows of `num_outputs`, in the dtype of `weights`.

    Quantized weights are dequantized. None, with a logged reason, if tensors do not fit the
    configuration; None if there are none, or if `weights` are read without images.
    """
    config = read_siglip_config(raw) if weights.with_images else None
    if config is not None and any(name.startswith(TOWER) for name in weights.names):
        leave_out(weights, UNREAD)
        shapes = _shapes(config, num_outputs)
        if fits(shapes, weights, PREFIXES):
            return _read(raw, config, shapes, weights)
    leave_out(weights, PREFIXES)
    return None


def _shapes(config: SiglipConfig, num_outputs: int) -> Shapes:
    width, inner = config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {
        NEWLINE: (num_outputs,),
        f"{TOWER}embeddings.patch_embedding.bias": (width,),
        f"{TOWER}embeddings.patch_embedding.weight": (width, NUM_COLOURS, *[config.patch_size] * 2),
        f"{TOWER}embeddings.position_embedding.weight": (config.side**2, width),
    }
    linears = {
        f"{PROJECTOR}linear_1": (num_outputs, width),
        f"{PROJECTOR}linear_2": (num_outputs, num_outputs),
    }
    for index in range(config.num_layers):
        layer = f"{TOWER}encoder.layers.{index}."
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}{norm}.{part}": (width,) for part in ("weight", "bias")}
        linears |= {f"{layer}self_attn.{name}": (width, width) for name in (*QKV, "out_proj")}
        linears |= {f"{layer}mlp.fc1": (inner, width), f"{layer}mlp.fc2": (width, inner)}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def _read(raw: RawConfig, config: SiglipConfig, shapes: Shapes, weights: Weights) -> SiglipTower:
    """The tower of tensors that fit."""

    def take(name: str) -> Tensor:
        return weights.take(name, shapes[name])

    def linear(*names: str) -> BiasedLinear:
        parts = [[take(f"{name}.{part}") for name in names] for part in ("weight", "bias")]
        weight, bias = (torch.cat(part) for part in parts)
        return BiasedLinear(weight, bias)

    def norm(name: str) -> LayerNorm:
        return LayerNorm(take(f"{name}.weight"), take(f"{name}.bias"), config.layer_norm_eps)

    def layer(index: int) -> SiglipLayer:
        prefix = f"{TOWER}encoder.layers.{index}."
        attention = f"{prefix}self_attn."
        return SiglipLayer(
            attention_norm=norm(f"{prefix}layer_norm1"),
            qkv=linear(*(attention + name for name in QKV)),
            out=linear(f"{attention}out_proj"),
            mlp_norm=norm(f"{prefix}layer_norm2"),
            up=linear(f"{prefix}mlp.fc1"),
            down=linear(f"{prefix}mlp.fc2"),
            num_heads=config.num_heads,
        )

    patches = linear(f"{TOWER}embeddings.patch_embedding")
    return SiglipTower(
        config=config,
        tiles=read_tiles(raw, config),
        patches=BiasedLinear(patches.weight.flatten(1), patches.bias),
        positions=take(f"{TOWER}embeddings.position_embedding.weight"),
        layers=[layer(index) for index in range(config.num_layers)],
        projector=Projector(linear(f"{PROJECTOR}linear_1"), linear(f"{PROJECTOR}linear_2")),
        newline=take(NEWLINE),
    )
