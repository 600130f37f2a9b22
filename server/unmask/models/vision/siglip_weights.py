"""Tensors of a SigLIP tower and its projector; a checkpoint that lacks one serves text alone."""

from dataclasses import dataclass

from unmask.models.layers import Projector
from unmask.models.vision.fitting import Fitted, Shapes, fitted, leave_out
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
        found = fitted(_shapes(sizes.config, names, num_outputs), weights, names.prefixes)
        if found is not None:
            return _read(sizes, names, found)
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


def _read(sizes: TowerSizes, names: Names, found: Fitted) -> SiglipTower:
    """The tower of tensors that fit."""
    config, linear, eps = sizes.config, found.linear, sizes.config.layer_norm_eps

    def layer(index: int) -> SiglipLayer:
        prefix = _layer(names, index)
        attention = f"{prefix}self_attn."
        return SiglipLayer(
            attention_norm=found.norm(f"{prefix}layer_norm1", eps),
            qkv=linear(*(attention + name for name in QKV)),
            out=linear(f"{attention}out_proj"),
            mlp_norm=found.norm(f"{prefix}layer_norm2", eps),
            up=linear(f"{prefix}mlp.fc1"),
            down=linear(f"{prefix}mlp.fc2"),
            num_heads=config.num_heads,
        )

    first, second = names.projector
    return SiglipTower(
        config=config,
        tiles=sizes.tiles,
        patches=linear(f"{_embeddings(names)}patch_embedding"),
        positions=found.take(f"{_embeddings(names)}position_embedding.weight"),
        layers=[layer(index) for index in range(config.num_layers)],
        projector=Projector(linear(first), linear(second)),
        newline=found.take(names.newline),
    )
