"""Tensors of Pixtral's tower and its projector; a checkpoint that lacks one serves text alone."""

import torch
from torch import Tensor

from unmask.models.vision.fitting import Fitted, Shapes, fitted, leave_out
from unmask.models.vision.pixtral import PixtralLayer, PixtralProjector, PixtralTower
from unmask.models.vision.pixtral_config import PixtralConfig
from unmask.models.vision.vision_config import NUM_COLOURS
from unmask.models.weights import Weights

TOWER, PROJECTOR = "encoder.vision_tower.", "encoder.multi_modal_projector."
PATCHES, NORM = f"{TOWER}patch_conv", f"{TOWER}ln_pre"
QKV = tuple(f"attention.{name}_proj" for name in "qkv")
LAYER = (*QKV, "attention.o_proj", *(f"feed_forward.{n}_proj" for n in ("gate", "up", "down")))
NORMS = "attention_norm", "ffn_norm"
PROJECTIONS = "patch_merger.merging_layer", "linear_1", "linear_2"


def take_pixtral_tower(config: PixtralConfig | None, weights: Weights) -> PixtralTower | None:
    """The vision tower of a checkpoint, in the dtype of `weights`.

    Quantized weights are dequantized. None, with a logged reason, if tensors do not fit the
    configuration; None if there is none, or if there are no tensors.
    """
    prefixes = TOWER, PROJECTOR
    if config is not None and any(name.startswith(prefixes) for name in weights.names):
        found = fitted(_shapes(config), weights, prefixes)
        if found is not None:
            return _read(config, found)
    leave_out(weights, prefixes)
    return None


def _shapes(config: PixtralConfig) -> Shapes:
    width, inner, outputs = config.hidden_size, config.intermediate_size, config.num_outputs
    joined = width * config.unit_side**2
    shapes: dict[str, tuple[int, ...]] = {
        PATCHES: (width, NUM_COLOURS, config.patch_size, config.patch_size),
        NORM: (width,),
        f"{PROJECTOR}norm": (width,),
    }
    sizes = (width, joined), (outputs, width), (outputs, outputs)
    shapes |= {PROJECTOR + name: size for name, size in zip(PROJECTIONS, sizes, strict=True)}
    of_layer = *[(width, width)] * 4, (inner, width), (inner, width), (width, inner)
    for index in range(config.num_layers):
        prefix = _layer(index)
        shapes |= {prefix + norm: (width,) for norm in NORMS}
        shapes |= {prefix + name: size for name, size in zip(LAYER, of_layer, strict=True)}
    return {f"{name}.weight": shape for name, shape in shapes.items()}


def _layer(index: int) -> str:
    return f"{TOWER}transformer.layers.{index}."


def _read(config: PixtralConfig, found: Fitted) -> PixtralTower:
    """The tower of tensors that fit."""

    def take(name: str) -> Tensor:
        return found.take(f"{name}.weight")

    def layer(index: int) -> PixtralLayer:
        prefix = _layer(index)
        query, key, value, out, gate, up, down = (take(prefix + name) for name in LAYER)
        return PixtralLayer(
            attention_norm=take(f"{prefix}attention_norm"),
            qkv=torch.cat((query, key, value)),
            out=out,
            mlp_norm=take(f"{prefix}ffn_norm"),
            gate=gate,
            up=up,
            down=down,
            num_heads=config.num_heads,
        )

    merge, first, second = (take(PROJECTOR + name) for name in PROJECTIONS)
    return PixtralTower(
        config=config,
        patches=take(PATCHES).flatten(1),
        norm=take(NORM),
        layers=[layer(index) for index in range(config.num_layers)],
        projector=PixtralProjector(take(f"{PROJECTOR}norm"), merge, first, second),
    )
