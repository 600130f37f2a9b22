"""Vision towers: time of one image beside its floor, and peak memory, with random weights."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.device.report import Part
from benchmarks.device.timing import Ceilings, timed
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

TEXT_SIZE = 2816  # of DiffusionGemma-26B-A4B
PUBLISHED = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 72,
    "standardize": True,
    "use_clipped_linears": True,
}
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "patch_size": 4,
}
CELLS = ((14, 20), (28, 40))  # rows and columns: 280 tokens as by default, and 1,120


def parts(device: torch.device, ceilings: Ceilings, *, small: bool = False) -> Iterator[Part]:
    """Gemma 4's tower with images of several sizes."""
    for rows, columns in ((2, 3),) if small else CELLS:
        yield Part(
            f"vision, Gemma 4, {rows * columns} tokens",
            4,
            partial(measure, SMALL if small else PUBLISHED, rows, columns, ceilings, device),
            "vision",
        )


def measure(
    fields: dict[str, Any], rows: int, columns: int, ceilings: Ceilings, device: torch.device
) -> dict[str, Any]:
    """Time of one image in bfloat16, its floor by FLOPs and bytes, and memory beside weights."""
    config = read_gemma4_config({"vision_config": fields})
    assert config is not None
    tower = random_tower(config, TEXT_SIZE, device)
    size = config.cell
    pixels = torch.randint(256, (rows * size, columns * size, 3), device=device, dtype=torch.uint8)
    source, peak_bytes = (pixels.shape[0], pixels.shape[1]), None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        tower(pixels, source)
        peak_bytes = torch.cuda.max_memory_allocated() - before
    took = timed(lambda: tower(pixels, source))
    num_patches = rows * columns * config.pooling**2
    num_bytes = 2 * config.num_layers * num_weights(config)
    floor_s = ceilings.floor_s(num_bytes, num_flops(config, num_patches))
    return {
        "model": "Gemma 4",
        "tokens": rows * columns,
        "patches": num_patches,
        "us": took.median_us,
        "spread_us": [1e6 * took.low_s, 1e6 * took.high_s],
        "floor_us": 1e6 * floor_s,
        "share_of_floor": floor_s / took.median_s,
        "peak_bytes": peak_bytes,
    }


def num_weights(config: Gemma4VisionConfig) -> int:
    """Numbers in the matrices of a layer."""
    heads = config.num_heads + config.num_kv_heads
    columns = 2 * heads * config.head_dim + 3 * config.intermediate_size
    return config.hidden_size * columns


def num_flops(config: Gemma4VisionConfig, num_patches: int) -> int:
    """Operations of products and of attention over all patches."""
    attention = 4 * num_patches**2 * config.num_heads * config.head_dim
    return config.num_layers * (2 * num_patches * num_weights(config) + attention)


def random_tower(config: Gemma4VisionConfig, num_outputs: int, device: torch.device) -> Gemma4Tower:
    """A tower of a configuration in bfloat16."""
    width, heads = config.hidden_size, config.num_heads * config.head_dim
    kv_heads = config.num_kv_heads * config.head_dim

    def weights(*shape: int) -> Tensor:
        return (torch.randn(shape, device=device) * shape[-1] ** -0.5).bfloat16()

    def linear(outputs: int, inputs: int) -> ClippedLinear:
        bounds = torch.tensor([-64.0, 64.0, -64.0, 64.0], device=device).bfloat16()
        return ClippedLinear(weights(outputs, inputs), bounds if config.is_clipped else None)

    def ones(*shape: int) -> Tensor:
        return torch.ones(shape, device=device).bfloat16()

    layers = [
        TowerLayer(
            attention=TowerAttention(
                query=linear(heads, width),
                key=linear(kv_heads, width),
                value=linear(kv_heads, width),
                out=linear(width, heads),
                query_norm=ones(config.head_dim),
                key_norm=ones(config.head_dim),
                eps=config.rms_norm_eps,
            ),
            mlp=TowerMlp(
                gate=linear(config.intermediate_size, width),
                up=linear(config.intermediate_size, width),
                down=linear(width, config.intermediate_size),
            ),
            norms=ones(4, width),
            eps=config.rms_norm_eps,
        )
        for _ in range(config.num_layers)
    ]
    return Gemma4Tower(
        config=config,
        patches=weights(width, NUM_COLOURS * config.patch_size**2),
        positions=weights(NUM_AXES, config.num_positions, width),
        layers=layers,
        standardization=Standardization(ones(width), ones(width))
        if config.is_standardized
        else None,
        projection=weights(num_outputs, width),
    )
