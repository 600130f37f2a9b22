"""Vision towers of Qwen2-VL, as Dream-VL has it, and of Qwen2.5-VL (transformers 5.23).

A row of the tower is a patch. It has attention to the patches of its window, in some layers to all
of its image, in Qwen2-VL's in every one; so results depend on this image alone. Squares of patches
are joined to the rows of a prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.image_fits import Size
from unmask.models.layers import BiasedLinear, PatchRotation
from unmask.models.vision.qwen_config import QwenVisionConfig
from unmask.models.vision.vision_config import DEVIATION, LARGEST, MEAN, NUM_COLOURS, TURNED

THETA = 10_000.0  # which no configuration has
QUICK = 1.702  # of the sigmoid in place of a normal distribution's
Rows = Callable[[Tensor], Tensor]
"""Rows of a norm, or of an MLP, for rows [T, C]."""
Windows = Sequence[Tensor]
"""Patches [W, N] of windows of one size, for each size that windows of an image have."""


@dataclass(frozen=True, slots=True)
class GatedMlp:
    """MLP of Qwen2.5-VL, whose gate is activated by SiLU."""

    gate: BiasedLinear
    up: BiasedLinear
    down: BiasedLinear

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs [T, C] of rows [T, C]."""
        return self.down(F.silu(self.gate(x)) * self.up(x))


@dataclass(frozen=True, slots=True)
class QuickMlp:
    """MLP of Qwen2-VL, activated by CLIP's quick GELU."""

    up: BiasedLinear
    down: BiasedLinear

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs [T, C] of rows [T, C]."""
        inner = self.up(x)
        return self.down(inner * torch.sigmoid(QUICK * inner))


@dataclass(frozen=True, slots=True)
class QwenLayer:
    """Attention within windows, then an MLP, each after a norm."""

    attention_norm: Rows
    qkv: BiasedLinear
    out: BiasedLinear
    mlp_norm: Rows
    mlp: Rows
    num_heads: int

    def __call__(self, x: Tensor, rotation: PatchRotation, windows: Windows) -> Tensor:
        """Rows [T, C] after the layer."""
        x = x + self._attend(self.attention_norm(x), rotation, windows)
        return x + self.mlp(self.mlp_norm(x))

    def _attend(self, x: Tensor, rotation: PatchRotation, windows: Windows) -> Tensor:
        query, key, value = self.qkv(x).view(len(x), 3, self.num_heads, -1).unbind(1)
        query, key = rotation(query), rotation(key)
        mixed = torch.empty_like(x)
        for patches in windows:
            parts = (part[patches].transpose(1, 2) for part in (query, key, value))
            of_query, of_key, of_value = parts  # [W, H, N, D]
            together = F.scaled_dot_product_attention(of_query, of_key, of_value)
            mixed[patches] = together.transpose(1, 2).flatten(2)
        return self.out(mixed)


@dataclass(frozen=True, slots=True)
class QwenTower:
    """Weights of the tower, and images to rows of a prompt."""

    config: QwenVisionConfig
    patches: Tensor  # [C, 3 * F * P * P], projection of the colours of a patch in each frame
    layers: Sequence[QwenLayer]
    norm: Rows
    projector: Rows  # of the patches of a unit, side by side

    def __call__(self, pixels: Tensor, source: Size) -> Tensor:
        """Rows [N, C] of an image [H, W, 3] of whole units, in uint8; C is the text model's.

        A row is a unit, from left to right and from top to bottom. It is in the dtype of the
        weights. Nothing depends on the `source`'s size.
        """
        unit = self.config.unit_size
        rows, columns = pixels.shape[0] // unit, pixels.shape[1] // unit
        x = self._embed(pixels, rows, columns)
        rotation = self._rotation(rows, columns)
        whole = [torch.arange(len(x), device=x.device)[None]]
        windows = self._windows(rows, columns)
        for index, layer in enumerate(self.layers):
            x = layer(x, rotation, whole if index in self.config.full_layers else windows)
        joined = self.norm(x).view(rows * columns, -1)
        return self.projector(joined)

    def _embed(self, pixels: Tensor, rows: int, columns: int) -> Tensor:
        """Embeddings [T, C] of patches, unit after unit; a colour has all frames side by side."""
        side, size = self.config.unit_side, self.config.patch_size
        mean, deviation = (
            pixels.new_tensor(part, dtype=torch.float32) for part in (MEAN, DEVIATION)
        )
        colours = (pixels.float() / LARGEST - mean) / deviation
        parts = colours.view(rows, side, size, columns, side, size, NUM_COLOURS)
        patches = parts.permute(0, 3, 1, 4, 6, 2, 5).flatten(0, 3)[:, :, None]
        frames = patches.expand(-1, -1, self.config.num_frames, -1, -1).flatten(1)
        return F.linear(frames.to(self.patches.dtype), self.patches)

    def _rotation(self, rows: int, columns: int) -> PatchRotation:
        side, device = self.config.unit_side, self.patches.device
        count = self.config.hidden_size // self.config.num_heads // TURNED
        inverse = THETA ** -(torch.arange(count, dtype=torch.float32, device=device) / count)
        down, across = (torch.arange(n * side, device=device) for n in (rows, columns))
        places = torch.stack(torch.meshgrid(down, across, indexing="ij"), -1)
        of_units = places.view(rows, side, columns, side, 2).transpose(1, 2).flatten(0, 3)
        angles = (of_units[..., None] * inverse).flatten(1)[:, None]
        return PatchRotation(angles.cos(), angles.sin())

    def _windows(self, rows: int, columns: int) -> Windows:
        """Windows of at most four sizes: those at the lower and at the right edge are smaller."""
        side, device = self.config.window_side, self.patches.device
        num_patches = self.config.unit_side**2
        units = torch.arange(rows * columns, device=device).view(rows, columns)
        windows = list[Tensor]()
        for down, across in product(_parts(rows, side), _parts(columns, side)):
            part = units[slice(*down), slice(*across)]
            height, width = min(side, len(part)), min(side, part.shape[1])
            cut = part.view(-1, height, part.shape[1] // width, width).transpose(1, 2)
            of_window = cut.flatten(2).flatten(0, 1)  # [W, units]
            within = torch.arange(num_patches, device=device)
            windows.append((of_window[..., None] * num_patches + within).flatten(1))
        return windows


def _parts(length: int, side: int) -> list[tuple[int, int]]:
    """Whole windows of a length, and the rest of it, each if there is any."""
    whole = length // side * side
    return [part for part in ((0, whole), (whole, length)) if part[0] < part[1]]
