"""Tensors of Qwen2-VL's tower and of Dream-VL's projector; without one, text alone is served."""

from dataclasses import dataclass

from torch import Tensor

from unmask.models.layers import Projector
from unmask.models.vision.fitting import Fitted, Shapes, fitted, leave_out
from unmask.models.vision.qwen import QuickMlp, QwenLayer, QwenTower, Rows
from unmask.models.vision.qwen_config import QwenVisionConfig
from unmask.models.vision.vision_config import NUM_COLOURS
from unmask.models.weights import Weights

TOWER, PROJECTOR = "visual.", "projector."
PREFIXES = TOWER, PROJECTOR
PATCHES, NORM = f"{TOWER}patch_embed.proj.weight", f"{TOWER}merger.ln_q"
MERGER = f"{TOWER}merger.mlp.0", f"{TOWER}merger.mlp.2"
LINEARS = f"{PROJECTOR}linear_1", f"{PROJECTOR}linear_2"
EPS = 1e-6  # which no configuration has


@dataclass(frozen=True, slots=True)
class Chained:
    """One projector after another."""

    first: Rows
    second: Rows

    def __call__(self, x: Tensor) -> Tensor:
        """Rows [N, C] of the text model."""
        return self.second(self.first(x))


def take_qwen2_tower(
    config: QwenVisionConfig | None, num_outputs: int, weights: Weights
) -> QwenTower | None:
    """The vision tower with its projector to `num_outputs`, in the dtype of `weights`.

    None, with a logged reason, if tensors do not fit the configuration; None if there are none, or
    without a configuration.
    """
    if config is not None and any(name.startswith(PREFIXES) for name in weights.names):
        found = fitted(_shapes(config, num_outputs), weights, PREFIXES)
        if found is not None:
            return _read(config, found)
    leave_out(weights, PREFIXES)
    return None


def _shapes(config: QwenVisionConfig, num_outputs: int) -> Shapes:
    width, inner, middle = config.hidden_size, config.intermediate_size, config.num_outputs
    joined = width * config.unit_side**2
    patch = NUM_COLOURS, config.num_frames, config.patch_size, config.patch_size
    sizes: dict[str, tuple[int, ...]] = {NORM: (width,)}
    for index in range(config.num_layers):
        layer = f"{TOWER}blocks.{index}."
        sizes |= {f"{layer}norm1": (width,), f"{layer}norm2": (width,)}
        sizes |= {f"{layer}attn.qkv": (3 * width, width), f"{layer}attn.proj": (width, width)}
        sizes |= {f"{layer}mlp.fc1": (inner, width), f"{layer}mlp.fc2": (width, inner)}
    sizes |= dict(zip(MERGER, ((joined, joined), (middle, joined)), strict=True))
    sizes |= dict(zip(LINEARS, ((num_outputs, middle), (num_outputs,) * 2), strict=True))
    weights = {f"{name}.weight": size for name, size in sizes.items()}
    biases = {f"{name}.bias": size[:1] for name, size in sizes.items()}
    return {PATCHES: (width, *patch), **weights, **biases}


def _read(config: QwenVisionConfig, found: Fitted) -> QwenTower:
    """The tower of tensors that fit."""
    linear, norm = found.linear, found.norm

    def layer(index: int) -> QwenLayer:
        prefix = f"{TOWER}blocks.{index}."
        return QwenLayer(
            attention_norm=norm(f"{prefix}norm1", EPS),
            qkv=linear(f"{prefix}attn.qkv"),
            out=linear(f"{prefix}attn.proj"),
            mlp_norm=norm(f"{prefix}norm2", EPS),
            mlp=QuickMlp(linear(f"{prefix}mlp.fc1"), linear(f"{prefix}mlp.fc2")),
            num_heads=config.num_heads,
        )

    merger, projector = (
        Projector(linear(first), linear(second)) for first, second in (MERGER, LINEARS)
    )
    return QwenTower(
        config=config,
        patches=found.take(PATCHES).flatten(1),
        layers=[layer(index) for index in range(config.num_layers)],
        norm=norm(NORM, EPS),
        projector=Chained(merger, projector),
    )
