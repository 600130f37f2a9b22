"""Tensors of Qwen2.5-VL's tower; a checkpoint that lacks one serves text alone."""

from unmask.models.family import RawConfig
from unmask.models.layers import Projector, RmsNorm
from unmask.models.vision.fitting import Fitted, Shapes, fitted, leave_out
from unmask.models.vision.qwen import GatedMlp, QwenLayer, QwenTower
from unmask.models.vision.qwen_config import QwenVisionConfig, read_qwen_config
from unmask.models.vision.vision_config import NUM_COLOURS
from unmask.models.weights import Weights

TOWER = "model.visual."
EPS = 1e-6  # which no configuration has
LAYER = ("attn.qkv", "attn.proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
PATCHES, NORM = f"{TOWER}patch_embed.proj.weight", f"{TOWER}merger.ln_q.weight"
PROJECTOR = f"{TOWER}merger.mlp.0", f"{TOWER}merger.mlp.2"


def take_qwen_tower(raw: RawConfig, weights: Weights) -> QwenTower | None:
    """The vision tower of a checkpoint, in the dtype of `weights`.

    Quantized weights are dequantized. None, with a logged reason, if tensors do not fit the
    configuration; None if there are none, or if `weights` are read without images.
    """
    config = read_qwen_config(raw) if weights.with_images else None
    if config is not None and any(name.startswith(TOWER) for name in weights.names):
        found = fitted(_shapes(config), weights, (TOWER,))
        if found is not None:
            return _read(config, found)
    leave_out(weights, (TOWER,))
    return None


def _shapes(config: QwenVisionConfig) -> Shapes:
    width, inner = config.hidden_size, config.intermediate_size
    joined = width * config.unit_side**2
    patch = NUM_COLOURS, config.num_frames, config.patch_size, config.patch_size
    shapes: dict[str, tuple[int, ...]] = {PATCHES: (width, *patch), NORM: (width,)}
    linears = dict(zip(PROJECTOR, ((joined, joined), (config.num_outputs, joined)), strict=True))
    sizes = (3 * width, width), (width, width), (inner, width), (inner, width), (width, inner)
    for index in range(config.num_layers):
        layer = f"{TOWER}blocks.{index}."
        shapes |= {f"{layer}{norm}.weight": (width,) for norm in ("norm1", "norm2")}
        linears |= {layer + name: size for name, size in zip(LAYER, sizes, strict=True)}
    for name, size in linears.items():
        shapes |= {f"{name}.weight": size, f"{name}.bias": size[:1]}
    return shapes


def _read(config: QwenVisionConfig, found: Fitted) -> QwenTower:
    """The tower of tensors that fit."""
    take, linear = found.take, found.linear

    def layer(index: int) -> QwenLayer:
        prefix = f"{TOWER}blocks.{index}."
        qkv, out, gate, up, down = (linear(prefix + name) for name in LAYER)
        return QwenLayer(
            attention_norm=RmsNorm(take(f"{prefix}norm1.weight"), EPS),
            qkv=qkv,
            out=out,
            mlp_norm=RmsNorm(take(f"{prefix}norm2.weight"), EPS),
            mlp=GatedMlp(gate, up, down),
            num_heads=config.num_heads,
        )

    first, second = (linear(name) for name in PROJECTOR)
    return QwenTower(
        config=config,
        patches=take(PATCHES).flatten(1),
        layers=[layer(index) for index in range(config.num_layers)],
        norm=RmsNorm(take(NORM), EPS),
        projector=Projector(first, second),
    )
