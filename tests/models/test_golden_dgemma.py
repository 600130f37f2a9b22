"""DiffusionGemma against recorded results of transformers, and against transformers."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.support.canvases import Forward, Rows, images_of, load, soft_of
from tests.support.tiny import GOLDEN
from unmask.models.canvas_decoder import CanvasDecoder

FOLDER = GOLDEN / "dgemma"
IMAGES = GOLDEN / "dgemma_images"
PROMPT_LEN = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint without the recorded results."""
    folder = tmp_path_factory.mktemp("dgemma")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(FOLDER / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> CanvasDecoder:
    return load(folder)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FOLDER / "forward.safetensors")


def assert_close(logits: Tensor, expected: Tensor) -> None:
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("cuts", [(40,), (7, 40), (1, 2, 16, 31, 40), (0,)])
def test_logits_are_those_of_the_reference_however_the_prompt_is_cut(
    model: CanvasDecoder, golden: dict[str, Tensor], cuts: tuple[int, ...]
) -> None:
    """The last cut is at the canvas's own step, which may include prompt rows."""
    ids = golden["input_ids"]
    prompt, canvas = ids[:PROMPT_LEN], ids[PROMPT_LEN:]
    forward = Forward(model)
    pages = forward.pages(len(ids))
    for start, end in zip((0, *cuts), cuts, strict=False):
        if end > start:
            forward.hidden(Rows(pages, start, prompt[start:end]))
    (first,) = forward.hidden(Rows(pages, cuts[-1], prompt[cuts[-1] :], canvas))
    assert_close(model.logits(first), golden["logits"][0])
    soft = soft_of(model, first, 0.7)
    (second,) = forward.hidden(Rows(pages, PROMPT_LEN, prompt[:0], canvas, soft))
    assert_close(model.logits(second), golden["logits"][1])


@pytest.mark.parametrize("cuts", [(64,), (7, 37, 64), (5, 40, 64), (37, 46, 60), (0,)])
def test_logits_after_images_are_those_of_the_reference(cuts: tuple[int, ...]) -> None:
    """Images are in positions 7 to 36, longer than a window, and 48 to 54."""
    model, golden = load(IMAGES), load_file(IMAGES / "forward.safetensors")
    prompt, canvas = golden["input_ids"].split([64, 16])
    images = images_of(model, golden, 508)
    assert [(image.start, image.end) for image in images] == [(7, 37), (48, 55)]
    forward = Forward(model)
    pages = forward.pages(80)

    def rows(start: int, end: int, canvas: Tensor = prompt[:0]) -> Rows:
        within = tuple(i for i in images if start <= i.start and i.end <= end)
        return Rows(pages, start, prompt[start:end], canvas, images=within)

    for start, end in zip((0, *cuts), cuts, strict=False):
        if end > start:
            forward.hidden(rows(start, end))
    (first,) = forward.hidden(rows(cuts[-1], 64, canvas))
    assert_close(model.logits(first), golden["logits"][0])
    soft = soft_of(model, first, 0.7)
    (second,) = forward.hidden(Rows(pages, 64, prompt[:0], canvas, soft))
    assert_close(model.logits(second), golden["logits"][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_gets_the_same_bits_in_any_company(folder: Path, dtype: torch.dtype) -> None:
    """Prompts, commits and canvases of three requests in one forward pass, and each alone."""
    model = load(folder, dtype)
    generator = torch.Generator().manual_seed(7)

    def tokens(count: int) -> Tensor:
        return torch.randint(0, len(model.embedding), (count,), generator=generator)

    prompts = [tokens(count) for count in (90, 33, 2)]
    finished, canvases = tokens(16), [tokens(16) for _ in prompts]
    soft = torch.randn(16, model.embedding.shape[1], generator=generator).to(dtype)

    def run(together: bool) -> list[Tensor]:
        forward = Forward(model)
        pages = [forward.pages(160) for _ in prompts]
        forward.hidden(Rows(pages[0], 0, prompts[0][:50]))
        forward.hidden(Rows(pages[1], 0, prompts[1]))
        forward.hidden(Rows(pages[2], 0, prompts[2]))
        rows = [
            Rows(pages[0], 50, prompts[0][50:], canvases[0]),
            Rows(pages[1], 33, finished, canvases[1]),
            Rows(pages[2], 2, finished[:0], canvases[2], soft),
        ]
        hidden = forward.hidden(*rows) if together else [forward.hidden(r)[0] for r in rows]
        return [*hidden, *forward.cache.keys, *forward.cache.values]

    for one, other in zip(run(together=True), run(together=False), strict=True):
        assert torch.equal(one, other)


def test_an_encoder_row_is_not_told_of_canvases(model: CanvasDecoder) -> None:
    generator = torch.Generator().manual_seed(7)
    prompt = torch.randint(0, 512, (40,), generator=generator)
    caches = []
    for seed in range(2):
        forward = Forward(model)
        canvas = torch.randint(0, 512, (16,), generator=torch.Generator().manual_seed(seed))
        pages = forward.pages(56)
        forward.hidden(Rows(pages, 0, prompt, canvas))
        caches.append([k[pages].flatten(0, 1) for k in forward.cache.keys])
    for one, other in zip(*caches, strict=True):
        assert torch.equal(one[:40], other[:40])
        assert not torch.equal(one[40:56], other[40:56])


def test_a_window_reaches_back_from_where_the_canvas_begins(model: CanvasDecoder) -> None:
    """All canvas positions see the same keys before the canvas: 23 of 24."""
    plans = [shape.window for shape in model.layers]
    assert plans == [24, 24, None]
    forward = Forward(model)
    pages = forward.pages(56)
    ids = torch.arange(56)
    (plain,) = forward.hidden(Rows(pages, 0, ids[:40], ids[40:]))
    for keys in forward.cache.keys[:2]:
        flat = keys[pages].flatten(0, 1)
        flat[:17] = 100.0
        keys[pages] = flat.view(-1, *keys.shape[1:])
    (again,) = forward.hidden(Rows(pages, 40, ids[:0], ids[40:]))
    assert torch.equal(plain, again)
