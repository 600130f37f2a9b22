"""Tensors of a SigLIP tower and its projector; a checkpoint that lacks one serves text alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.models.layers import BiasedLinear, LayerNorm, Projector
from unmask.models.vision.fitting import Shapes, fits, leave_out
from unmask.models.vision.siglip import SiglipLayer, SiglipTower
from unmask.models.vision.siglip_config import SiglipConfig, TowerSizes
from unmask.models.vision.vision_config import NUM_COLOURS
from unmask.models.weights import Weights

QKV = "q_proj", "k_proj", "v_proj"


@dataclass(frozen=True, slots=True)
class Names:
    """Names of a checkpoint's tensors of images."""

    tower: str  # beginning of the tower's
    projector: tuple[str, str]  # its two layers
    newline: str
    prefixes: tuple[str, ...]  # beginnings of all
    unread: tuple[str, ...]  # beginnings of those behind the layers that are read, or of videos


def take_siglip_tower(
    sizes: TowerSizes | None, names: Names, num_outputs: int, weights: Weights
) -> SiglipTower | None:
    """The vision tower of a checkpoint with rows of `num_outputs`, in the dtype of `weights`.

    Quantized weights are dequantized. None, with a logged reason, if tensors do not fit the sizes;
    None if there are no sizes, or no tensors.
    """
    if sizes is not None and any(name.startswith(names.prefixes) for name in weights.names):
        leave_out(weights, names.unread)
        shapes = _shapes(sizes.config, names, num_outputs)
        if fits(shapes, weights, names.prefixes):
            return _read(sizes, names, shapes, weights)
    leave_out(weights, names.prefixes)
    return None


def _shapes(config: SiglipConfig, names: Names, num_outputs: int) -> Shapes:
    width, inner, embeddings = config.hidden_size, config.intermediate_size, _embeddings(names)
    shapes: dict[str, tuple[int, ...]] = {
        names.newline: (num_outputs,),
        f"{embeddings}patch_embedding.bias": (width,),
        f"{embeddings}patch_embedding.weight": (width, NUM_COLOURS, *[config.patch_size] * 2),
        f"{embeddings}position_embedding.weight": (config.side**2, width),
    }
    first, second = names.projector
    linears = {first: (num_outputs, width), second: (num_outputs, num_outputs)}
    for index in range(config.num_layers):
        layer = _layer(names, index)
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}{norm}.{part}": (width,) for part in ("weight", "bias")}
        linears |= {f"{layer}self_attn.{name}": (width, width) for name in (*QKV, "out_proj")}
        linears |= {f"{layer}mlp.fc1": (inner, width), f"{layer}mlp.fc2": (width, inner)}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def _embeddings(names: Names) -> str:
    return f"{names.tower}embeddings."


def _layer(names: Names, index: int) -> str:
    return f"{names.tower}encoder.layers.{index}."


def _read(sizes: TowerSizes, names: Names, shapes: Shapes, weights: Weights) -> SiglipTower:
    """The tower of tensors that fit."""
    config = sizes.config

    def take(name: str) -> Tensor:
        return weights.take(name, shapes[name])

    def linear(*joined: str) -> BiasedLinear:
        parts = [[take(f"{name}.{part}") for name in joined] for part in ("weight", "bias")]
        weight, bias = (torch.cat(part) for part in parts)
        return BiasedLinear(weight, bias)

    def norm(name: str) -> LayerNorm:
        return LayerNorm(take(f"{name}.weight"), take(f"{name}.bias"), config.layer_norm_eps)

    def layer(index: int) -> SiglipLayer:
        prefix = _layer(names, index)
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

    patches = linear(f"{_embeddings(names)}patch_embedding")
    first, second = names.projector
    return SiglipTower(
        config=config,
        tiles=sizes.tiles,
        patches=BiasedLinear(patches.weight.flatten(1), patches.bias),
        positions=take(f"{_embeddings(names)}position_embedding.weight"),
        layers=[layer(index) for index in range(config.num_layers)],
        projector=Projector(linear(first), linear(second)),
        newline=take(names.newline),
    )
