"""DiffusionGemma's forward passes over rows of several sequences, without an engine."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unmask.models import diffusion_gemma
from unmask.models.canvas_decoder import CanvasDecoder
from unmask.models.inputs import CanvasRows, ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.weights import Weights
from unmask_kernels.noise.ops import score_canvas
from unmask_kernels.scoring.types import Draws

PAGE_SIZE = 16
NUM_POSITIONS = 512
CPU = torch.device("cpu")


def load(
    folder: Path, dtype: torch.dtype = torch.float32, device: torch.device = CPU
) -> CanvasDecoder:
    """The model in a folder."""
    raw = json.loads((folder / "config.json").read_text())
    return diffusion_gemma.build(raw, Weights.from_folder(folder, dtype, device), NUM_POSITIONS)


@dataclass(frozen=True)
class Image:
    """Vectors [end - start, C] of an image in positions [start, end), each of which sees all."""

    start: int
    end: int
    vectors: Tensor


def images_of(model: CanvasDecoder, golden: dict[str, Tensor], token_id: int) -> list[Image]:
    """Images of a golden prompt, whose rows have `token_id`, as the model's tower encodes them."""
    assert model.vision is not None
    is_image = torch.nn.functional.pad(golden["input_ids"] == token_id, (1, 1)).int()
    (starts,), (ends,) = (is_image.diff().eq(sign).nonzero(as_tuple=True) for sign in (1, -1))
    pixels = [golden[f"pixels.{i}"].to(model.embedding.device) for i in range(len(starts))]
    return [
        Image(start, end, model.vision(image, (1, 1)))
        for start, end, image in zip(starts.tolist(), ends.tolist(), pixels, strict=True)
    ]


@dataclass(frozen=True)
class Rows:
    """Rows of a sequence in a step: tokens to encode, then an optional canvas."""

    pages: list[int]
    start: int
    encoded: Tensor  # [n] int64
    canvas: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    soft: Tensor | None = None  # [L, C]; None: zeros
    images: tuple[Image, ...] = ()  # all in `encoded`

    @property
    def canvas_start(self) -> int:
        return self.start + len(self.encoded)

    @property
    def end(self) -> int:
        return self.canvas_start + len(self.canvas)

    def horizons(self) -> np.ndarray:
        causal = np.arange(self.start, self.canvas_start) + 1
        for image in self.images:
            causal[image.start - self.start : image.end - self.start] = image.end
        return np.concatenate((causal, np.full(len(self.canvas), self.end)))

    def anchors(self) -> np.ndarray:
        positions = np.arange(self.start, self.canvas_start)
        return np.concatenate((positions, np.full(len(self.canvas), self.canvas_start)))

    def first_keys(self) -> np.ndarray:
        first = np.full(self.end - self.start, NUM_POSITIONS)
        for image in self.images:
            first[image.start - self.start : image.end - self.start] = image.start
        return first


class Forward:
    """Model with a KV cache of shuffled pages.

    Token ids are on the CPU, hidden states on the model's device.
    """

    def __init__(self, model: CanvasDecoder, num_pages: int = 64) -> None:
        self.model = model
        dtype, self._device = model.embedding.dtype, model.embedding.device
        self.cache = KVCache.empty(model.layers, num_pages, PAGE_SIZE, dtype, self._device)
        self._free = torch.randperm(num_pages, generator=torch.Generator().manual_seed(3)).tolist()

    def pages(self, num_tokens: int) -> list[int]:
        """Pages for so many tokens."""
        return [self._free.pop() for _ in range(-(-num_tokens // PAGE_SIZE))]

    def hidden(self, *all_rows: Rows) -> list[Tensor]:
        """Normed hidden states [L, C] of each sequence's canvas after one forward pass."""
        ends = [len(rows.encoded) + len(rows.canvas) for rows in all_rows]
        query_starts = np.concatenate(([0], np.cumsum(ends)))
        positions = np.concatenate([np.arange(rows.start, rows.end) for rows in all_rows])
        used = [rows.pages[: -(-rows.end // PAGE_SIZE)] for rows in all_rows]
        page_of = np.concatenate(
            [
                np.array(rows.pages)[np.arange(rows.start, rows.end) // PAGE_SIZE]
                for rows in all_rows
            ]
        )
        plans = plan_layers(
            self.model.layers,
            query_starts.tolist(),
            np.concatenate([rows.horizons() for rows in all_rows]),
            np.concatenate(used),
            np.concatenate(([0], np.cumsum([len(pages) for pages in used]))).tolist(),
            PAGE_SIZE,
            device=self._device,
            dtype=self.model.embedding.dtype,
            anchors=np.concatenate([rows.anchors() for rows in all_rows]),
            first_keys=np.concatenate([rows.first_keys() for rows in all_rows]),
        )
        is_canvas = torch.cat(
            [
                torch.cat((torch.zeros_like(rows.encoded), torch.ones_like(rows.canvas)))
                for rows in all_rows
            ]
        )
        canvas_rows = is_canvas.nonzero().flatten().to(self._device)
        token_ids = torch.cat([torch.cat((rows.encoded, rows.canvas)) for rows in all_rows])
        slots = torch.from_numpy(page_of * PAGE_SIZE + positions % PAGE_SIZE)
        soft = [
            self.model.embedding.new_zeros(len(rows.canvas), self.model.embedding.shape[1])
            if rows.soft is None
            else rows.soft
            for rows in all_rows
        ]
        step = ForwardInputs(
            token_ids=token_ids.to(self._device),
            positions=torch.from_numpy(positions).to(self._device),
            slots=slots.to(self._device),
            plans=plans,
            cache=self.cache,
            canvas=self._canvases(canvas_rows, torch.cat(soft)) if len(canvas_rows) else None,
        )
        placed = [
            (torch.arange(image.start, image.end) + first - rows.start, image.vectors)
            for rows, first in zip(all_rows, query_starts.tolist(), strict=False)
            for image in rows.images
        ]
        if placed:
            at, vectors = zip(*placed, strict=True)
            step = replace(
                step, image_rows=torch.cat(at).to(self._device), image_vectors=torch.cat(vectors)
            )
        hidden = self.model.final_norm(self.model.forward(step))
        return list(hidden[canvas_rows].split([len(rows.canvas) for rows in all_rows]))

    def _canvases(self, rows: Tensor, soft: Tensor) -> CanvasRows:
        """Canvas rows of a model that has no use for noise levels and first steps."""
        none = torch.zeros(1, device=self._device)
        return CanvasRows(rows, soft, none, none.bool())


def soft_of(model: CanvasDecoder, hidden: Tensor, temperature: float) -> Tensor:
    """Self-conditioning of the next step, from normed rows at this temperature."""
    at = torch.full((len(hidden),), temperature, device=hidden.device)
    zeros = torch.zeros_like(at, dtype=torch.int64)
    return score_canvas(hidden, model.vocabulary, Draws(at, zeros, zeros, zeros)).soft
