"""GLM-Image's tokenizer of images (transformers 5.23), as LLaDA2.0-Uni has it.

SigLIP's layers on an image in its own shape, and the nearest code for each patch. A code is a token
of the text model, so rows of a prompt are embeddings of tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.image_fits import Size
from unmask.models.layers import BiasedLinear, squares
from unmask.models.vision.image_tokenizer_config import ImageTokenizerConfig
from unmask.models.vision.siglip import SiglipLayer
from unmask.models.vision.vision_config import LARGEST, MIDDLE


@dataclass(frozen=True, slots=True)
class ImageTokenizer:
    """Weights of the tower and of its codes, and images to tokens."""

    config: ImageTokenizerConfig
    patches: BiasedLinear  # of the colours of a patch, [C, 3 * P * P]
    positions: Tensor  # [1, C, S, S] float32, embeddings of patches in a square
    layers: Sequence[SiglipLayer]
    projection: BiasedLinear  # to the codes' space, [D, C]
    codes: Tensor  # [K, D] float32, each of length one
    embeddings: Tensor  # [K, H] of the text model, for the token of each code

    def __call__(self, pixels: Tensor, source: Size) -> Tensor:
        """Embeddings [N, H] of the tokens of an image of pixels [H, W, 3]."""
        return F.embedding(self.encode(pixels), self.embeddings)

    def encode(self, pixels: Tensor) -> Tensor:
        """The code [N] of each patch of pixels [H, W, 3] uint8, line by line."""
        x = self._embed(pixels)[None]
        for layer in self.layers:
            x = layer(x)
        # Of codes of one length, the nearest has the largest product.
        return (self.projection(x[0]).float() @ self.codes.T).argmax(1)

    def _embed(self, pixels: Tensor) -> Tensor:
        """Embeddings [N, C] of patches."""
        size, dtype = self.config.patch_size, self.patches.weight.dtype
        rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
        colours = (pixels.float() / LARGEST - MIDDLE) / MIDDLE
        patches = squares(colours, size).to(dtype)
        return self.patches(patches) + self._positions(rows, columns).to(dtype)

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Embeddings [N, C] of positions, between those of the square."""
        down, across = (
            (torch.arange(length, device=self.positions.device) + 0.5) / length * 2 - 1
            for length in (rows, columns)
        )
        grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)[None]
        found = F.grid_sample(
            self.positions, grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        return found[0].flatten(1).T
