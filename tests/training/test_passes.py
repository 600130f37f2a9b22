"""Passes by hand: the losses and gradients of autograd, for both objectives and any layout."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.kernels.test_native import EMULATED
from training import passes
from training.data import ROW_LENGTHS, Batch, Objective, Sample, collate, pack, segments_of
from training.model import Model, Shape
from training.native import library as library_module
from training.native.library import TILES, compile_with, library, load
from training.passes import AutogradPasses, PassesByHand, is_served_by_hand
from training.tokenizer import END_ID
from unmask_kernels.native.library import INSTRUCTIONS

SHAPE = Shape(
    hidden=96, layers=2, heads=6, kv_heads=2, head_dim=64, intermediate=160, vocab=256, eps=1e-5
)
TOKENS = 2304
EMULATING = (
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler"),
    *([] if library() is None else [pytest.mark.exhaustive]),
)
NATIVE = pytest.mark.skipif(library() is None, reason="this CPU has no AMX")


@pytest.fixture(
    params=[pytest.param("emulated", marks=EMULATING), pytest.param("native", marks=NATIVE)]
)
def by_hand(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """C passes, also on a CPU that lacks their instructions."""
    if request.param == "emulated":
        base = tmp_path_factory.getbasetemp()
        folder = (base if worker_id == "master" else base.parent) / "native"
        file = compile_with(folder, (*INSTRUCTIONS["AVX2"], TILES[0], *EMULATED))
        assert file is not None
        compiled = load(file)
        monkeypatch.setattr(passes, "library", lambda: compiled)


def batches(objective: Objective, tokens: int = TOKENS) -> list[Batch]:
    """Rows of each length with samples of 3 to 300 tokens, some of them with a hole."""
    rng = np.random.default_rng(0)
    samples = []
    for size in (3, 31, 32, 33, 64, 90, 190, *rng.integers(4, 90, 60).tolist()):
        ids = rng.integers(3, SHAPE.vocab, size).tolist()
        cut = int(rng.integers(0, size - 1))
        samples.append(Sample(ids[:cut], [*ids[cut:], END_ID]))
    samples.append(Sample([5, 6], [7, 8, 9, 10, END_ID, END_ID, 11, END_ID], (2, 6)))
    samples *= 12
    block_lens = rng.choice([4, 8, 16, 32], len(samples)).tolist()
    segments = list(segments_of(samples, block_lens, objective, rng))
    found = []
    for length in ROW_LENGTHS:
        rows = list(pack([s for s in segments if len(s.ids) <= length], (length,)))
        found.append(collate(rows[: tokens // length], length))
    return found


def model() -> Model:
    torch.manual_seed(0)
    made = Model(SHAPE)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:  # norms, of ones
                parameter += 0.2 * torch.randn_like(parameter)
    return made


def gradients(of: Model) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in of.named_parameters() if p.grad is not None}


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("objective", ["denoise", "next"])
def test_passes_by_hand_give_the_gradients_of_autograd(objective: Objective) -> None:
    learner, parts = model(), batches(objective)
    exact = AutogradPasses(learner, torch.device("cpu"), compiled=False)
    exact.working.float()
    expected_loss = exact.learn(learner, parts)
    expected = gradients(learner)
    native = PassesByHand(learner, TOKENS, threads=1)
    torch.testing.assert_close(native.learn(learner, parts), expected_loss, rtol=1e-3, atol=0.0)
    found = gradients(learner)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        error = (found[name] - gradient).norm() / gradient.norm()
        assert error < 0.04, f"{name}: {error:.4f}"
    assert native.loss(parts) == pytest.approx(expected_loss.item(), rel=1e-3)


@pytest.mark.usefixtures("by_hand")
def test_threads_add_up_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = batches("denoise")
    alone, together = model(), model()
    one = PassesByHand(alone, TOKENS, threads=1)
    two = PassesByHand(together, TOKENS, threads=2)
    one.learn(alone, parts[:1])  # whose gradients the next step finds
    torch.testing.assert_close(one.learn(alone, parts), two.learn(together, parts))
    expected = gradients(alone)
    for name, gradient in gradients(together).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)


@pytest.mark.usefixtures("by_hand")
def test_what_a_batch_left_behind_changes_nothing() -> None:
    first, *_, last = batches("denoise")
    used, fresh = model(), model()
    after_another = PassesByHand(used, TOKENS, threads=1)
    after_another.learn(used, [last])
    loss = after_another.learn(used, [first])
    assert torch.equal(loss, PassesByHand(fresh, TOKENS, threads=1).learn(fresh, [first]))
    expected = gradients(fresh)
    for name, gradient in gradients(used).items():
        assert torch.equal(gradient, expected[name]), name


@pytest.mark.usefixtures("by_hand")
def test_new_weights_are_taken() -> None:
    parts, learner = batches("next"), model()
    native = PassesByHand(learner, TOKENS, threads=1)
    before = native.loss(parts)
    with torch.no_grad():
        learner.model.norm.weight.mul_(2)
    assert native.loss(parts) == before
    native.load(learner)
    assert native.loss(parts) != before


@NATIVE
@pytest.mark.parametrize(
    ("change", "tokens"),
    [
        ({"head_dim": 32}, TOKENS),
        ({"hidden": 80}, TOKENS),
        ({"intermediate": 72}, TOKENS),
        ({}, 384),
    ],
)
def test_other_shapes_are_left_to_autograd(change: dict[str, int], tokens: int) -> None:
    assert is_served_by_hand(SHAPE, TOKENS)
    assert not is_served_by_hand(replace(SHAPE, **change), tokens)


def test_a_cpu_without_amx_has_no_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert library_module.library.__wrapped__() is None
    monkeypatch.setattr(passes, "library", lambda: None)
    made = passes.passes_of(model(), TOKENS, torch.device("cpu"), compiled=False)
    assert isinstance(made, AutogradPasses)
