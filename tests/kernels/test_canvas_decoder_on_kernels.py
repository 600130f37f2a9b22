"""DiffusionGemma's forward pass on Triton's kernels gives the logits of transformers."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.canvases import Forward, Rows, images_of, load, soft_of
from tests.support.tiny import GOLDEN
from unmask_kernels import dispatch

PROMPT_LEN = 40


@pytest.mark.exhaustive
def test_logits_are_those_of_the_reference(tmp_path: Path, device: torch.device) -> None:
    """Windows, heads of two sizes, values that are keys, GELU gates and self-conditioning."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "dgemma" / name, tmp_path / name)
    golden = load_file(GOLDEN / "dgemma" / "forward.safetensors")
    prompt, canvas = golden["input_ids"].split([PROMPT_LEN, 16])
    with dispatch.backend("triton"):
        model = load(tmp_path, device=device)
        forward = Forward(model, 8)
        pages = forward.pages(56)
        forward.hidden(Rows(pages, 0, prompt[:30]))
        (first,) = forward.hidden(Rows(pages, 30, prompt[30:], canvas))
        soft = soft_of(model, first, 0.7)
        (second,) = forward.hidden(Rows(pages, PROMPT_LEN, prompt[:0], canvas, soft))
    for rows, expected in zip((first, second), golden["logits"], strict=True):
        result = model.logits(rows).cpu()
        assert (result - expected).abs().max() < 1e-4 * expected.abs().max()
    assert torch.isfinite(soft).all()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_logits_after_images_are_those_of_the_reference(device: torch.device) -> None:
    """An image that is longer than a window, and one that is not."""
    golden = load_file(GOLDEN / "dgemma_images" / "forward.safetensors")
    prompt, canvas = golden["input_ids"].split([64, 16])
    with dispatch.backend("triton"):
        model = load(GOLDEN / "dgemma_images", device=device)
        forward = Forward(model, 8)
        images = tuple(images_of(model, golden, 508))
        pages = forward.pages(80)
        (first,) = forward.hidden(Rows(pages, 0, prompt, canvas, images=images))
        soft = soft_of(model, first, 0.7)
        (second,) = forward.hidden(Rows(pages, 64, prompt[:0], canvas, soft))
    for rows, expected in zip((first, second), golden["logits"], strict=True):
        result = model.logits(rows).cpu()
        assert (result - expected).abs().max() < 1e-4 * expected.abs().max()
