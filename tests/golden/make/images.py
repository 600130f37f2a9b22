"""Pictures, prompts and files of golden checkpoints that take images."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.golden.make.relatives import CloseChoice, Reference, block_loop
from tests.support.tiny import MASK_ID

NUM_SEEDS = 400
FEWEST = 4  # of different tokens of an answer
Layout = tuple[tuple[int, ...], tuple[int, ...]]
"""Lengths of text between images, all but the last of which are before an image; and these."""


def draw_image(height: int, width: int, generator: torch.Generator) -> Tensor:
    """A smooth image [H, W, 3] in uint8 with some noise."""
    shape = 1, 3, height, width
    coarse = torch.rand(1, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    noisy = 0.9 * smooth + 0.1 * torch.rand(shape, generator=generator)
    return (noisy[0].permute(1, 2, 0) * 255).to(torch.uint8).contiguous()


def spread(last: torch.nn.Linear, rows: Tensor, deviation: float) -> None:
    """Have rows [N, C] of the `last` layer differ by a standard deviation, around zero."""
    last.bias -= rows.mean(0)
    factor = deviation / (rows - rows.mean(0)).std()
    last.weight *= factor
    last.bias *= factor


def draw_prompts(
    layout: Layout, features: Sequence[Tensor], image: int, highest: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Prompts of random text: with an `image` token for each image, and with one for each row."""
    lengths, images = layout
    for seed in range(NUM_SEEDS):
        generator = torch.Generator().manual_seed(seed)
        template: list[int] = []
        for length, shown in zip(lengths, (*images, None), strict=True):
            template += torch.randint(3, highest, (length,), generator=generator).tolist()
            template += [image] if shown is not None else []
        counts = iter([len(features[shown]) for shown in images])
        yield template, [i for t in template for i in [t] * (next(counts) if t == image else 1)]


def make_block_case(
    name: str,
    layout: Layout,
    features: Sequence[Tensor],
    settings: dict[str, Any],
    see: Callable[[Tensor, Tensor], Reference],
    *,
    image: int,
    highest: int,
    loop: Callable[[Reference, list[int], dict[str, Any]], list[int]] = block_loop,
) -> dict[str, Any]:
    """A prompt of random text in which every choice is clear, and its answer, as in blocks.

    `see` makes a reference that has rows [N, C] of images at places [N] of the prompt.
    """
    rows = torch.cat([features[shown] for shown in layout[1]])
    for template, prompt in draw_prompts(layout, features, image, highest):
        places = (torch.tensor(prompt) == image).nonzero().flatten()
        reference = see(places, rows)
        try:
            tokens = loop(reference, prompt, settings)
            if len(set(tokens)) < FEWEST or {image, MASK_ID} & set(tokens):
                continue
            depends = loop(see(places, -rows), prompt, settings) != tokens
        except CloseChoice:
            continue
        if depends:
            return {
                **{"name": f"{name}-{settings['policy']}", "prompt": template},
                **{"images": list(layout[1]), "settings": settings},
                **{"forwards": reference.forwards, "tokens": tokens},
            }
    raise AssertionError(f"no clear choices: {name}")


def write_golden(
    folder: Path,
    tensors: dict[str, Tensor],
    recorded: dict[str, Tensor],
    files: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write a checkpoint, what was recorded, and `files` of JSON; print their sizes."""
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    save_file(recorded, folder / "forward.safetensors")
    for file, content in files.items():
        (folder / file).write_text(json.dumps(content, indent=1) + "\n")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"{path.relative_to(folder)}: {path.stat().st_size:,} bytes")
