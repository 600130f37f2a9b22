"""DiffusionGemma against what transformers computed, and against transformers itself."""

import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.support.canvases import Forward, Rows, load
from tests.support.tiny import GOLDEN
from unmask.models.canvas_decoder import CanvasDecoder
from unmask_kernels.canvas import score_canvas

FOLDER = GOLDEN / "dgemma"
PROMPT_LEN = 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CanvasDecoder:
    folder = tmp_path_factory.mktemp("dgemma")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(FOLDER / name, folder / name)
    return load(folder)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FOLDER / "forward.safetensors")


def soft_of(model: CanvasDecoder, hidden: Tensor, temperature: float) -> Tensor:
    """What the next step is conditioned on after a step at this temperature."""
    at = torch.full((len(hidden),), temperature)
    return score_canvas(hidden, model.vocabulary, at, torch.ones_like(at), None).soft


def assert_close(logits: Tensor, expected: Tensor) -> None:
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("cuts", [(40,), (7, 40), (1, 2, 16, 31, 40), (0,)])
def test_logits_are_those_of_the_reference_however_the_prompt_is_cut(
    model: CanvasDecoder, golden: dict[str, Tensor], cuts: tuple[int, ...]
) -> None:
    """The last cut is where the canvas's own step begins; it may bring prompt rows along."""
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
