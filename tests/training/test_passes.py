"""Passes by hand: the losses and gradients of autograd, for any layout."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from ctypes import CDLL
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.kernels.test_native import EMULATED
from training import passes
from training.data import ROW_LENGTHS, Batch, Sample, collate, lay_out, pack
from training.model import Model, Shape
from training.native import library as library_module
from training.native.library import TILES, compile_to, library, load
from training.passes import AutogradPasses, PassesByHand, is_served_by_hand
from training.tokenizer import END_ID
from unmask_kernels.native.library import INSTRUCTIONS

SHAPE = Shape(
    hidden=96, layers=2, heads=6, kv_heads=2, head_dim=64, intermediate=160, vocab=256, eps=1e-5
)
TOKENS = 2304
COMPILER = shutil.which("gcc")
EMULATING = (
    pytest.mark.skipif(COMPILER is None, reason="no C compiler"),
    pytest.mark.exhaustive,  # a minute
)
NATIVE = pytest.mark.skipif(library() is None, reason="this CPU has no AMX")
# bfloat16 keeps 8 bits: autograd's own gradients are this far from those in float32.
FAR = 0.04


@pytest.fixture(
    scope="module",
    params=[pytest.param("emulated", marks=EMULATING), pytest.param("native", marks=NATIVE)],
)
def in_c(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> CDLL:
    """The passes, also on a CPU that lacks their instructions."""
    if request.param == "native":
        found = library()
        assert found is not None
        return found
    assert COMPILER is not None
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "native"
    return load(compile_to(folder, COMPILER, (*INSTRUCTIONS["AVX2"], TILES[0], *EMULATED)))


def batches(tokens: int = TOKENS) -> list[Batch]:
    """Rows of each length with samples of 3 to 190 tokens, some of them with a hole."""
    rng = np.random.default_rng(0)
    samples = []
    for size in (3, 31, 32, 33, 64, 90, 190, *rng.integers(4, 90, 60).tolist()):
        ids = rng.integers(3, SHAPE.vocab, size).tolist()
        cut = int(rng.integers(0, size - 1))
        samples.append(Sample(ids[:cut], [*ids[cut:], END_ID]))
    samples.append(Sample([5, 6], [7, 8, 9, 10, END_ID, END_ID, 11, END_ID], (2, 6)))
    samples *= 12
    block_lens = rng.choice([4, 8, 16, 32], len(samples)).tolist()
    segments = [lay_out(s, length, rng) for s, length in zip(samples, block_lens, strict=True)]
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


def test_passes_by_hand_give_the_gradients_of_autograd(in_c: CDLL) -> None:
    learner, parts = model(), batches()
    exact = AutogradPasses(learner, torch.device("cpu"), compiled=False)
    exact.working.float()
    expected_loss = exact.learn(learner, parts)
    expected = gradients(learner)
    native = PassesByHand(in_c, learner, TOKENS, threads=1)
    torch.testing.assert_close(native.learn(learner, parts), expected_loss, rtol=1e-3, atol=0.0)
    found = gradients(learner)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        error = (found[name] - gradient).norm() / gradient.norm()
        assert error < FAR, f"{name}: {error:.4f}"
    assert native.loss(parts) == pytest.approx(expected_loss.item(), rel=1e-3)


def test_threads_add_up_to_one(in_c: CDLL) -> None:
    parts = batches()
    alone, together = model(), model()
    one = PassesByHand(in_c, alone, TOKENS, threads=1)
    two = PassesByHand(in_c, together, TOKENS, threads=2)
    one.learn(alone, parts[:1])  # whose gradients the next step finds
    torch.testing.assert_close(one.learn(alone, parts), two.learn(together, parts))
    expected = gradients(alone)
    for name, gradient in gradients(together).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)


def test_what_a_batch_left_behind_changes_nothing(in_c: CDLL) -> None:
    first, *_, last = batches()
    used, fresh = model(), model()
    after_another = PassesByHand(in_c, used, TOKENS, threads=1)
    after_another.learn(used, [last])
    loss = after_another.learn(used, [first])
    assert torch.equal(loss, PassesByHand(in_c, fresh, TOKENS, threads=1).learn(fresh, [first]))
    expected = gradients(fresh)
    for name, gradient in gradients(used).items():
        assert torch.equal(gradient, expected[name]), name


def test_new_weights_are_taken(in_c: CDLL) -> None:
    parts, learner = batches(), model()
    native = PassesByHand(in_c, learner, TOKENS, threads=1)
    before = native.loss(parts)
    with torch.no_grad():
        learner.model.norm.weight.mul_(2)
    assert native.loss(parts) == before
    native.load(learner)
    assert native.loss(parts) != before


def test_a_loss_that_is_no_number_is_told(in_c: CDLL) -> None:
    [first, *_], learner = batches(), model()
    with torch.no_grad():
        learner.get_parameter("model.layers.0.mlp.up_proj.weight")[0, 0] = torch.nan
    assert PassesByHand(in_c, learner, TOKENS, threads=1).learn(learner, [first]).isnan()


def test_threads_of_others_stay_as_they_were(in_c: CDLL) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        native = PassesByHand(in_c, model(), TOKENS, threads=2)
        counts = list(native.pool.map(lambda _: torch.get_num_threads(), range(8)))
        assert (set(counts), torch.get_num_threads()) == ({1}, 3)
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("change", "tokens", "is_served"),
    [
        ({}, TOKENS, True),
        ({}, 2 * TOKENS, True),
        ({"head_dim": 32}, TOKENS, False),
        ({"hidden": 80}, TOKENS, False),
        ({"intermediate": 72}, TOKENS, False),
        ({"vocab": 250}, TOKENS, False),
        ({}, 768, False),  # two rows of 384, but not of 576
    ],
)
def test_shapes_are_served_by_hand_or_left_to_autograd(
    change: dict[str, int], tokens: int, is_served: bool
) -> None:
    assert is_served_by_hand(replace(SHAPE, **change), tokens) is is_served


def choose(num_parts: int, monkeypatch: pytest.MonkeyPatch, found: CDLL | None) -> passes.Passes:
    monkeypatch.setattr(passes, "library", lambda: found)
    return passes.passes_of(model(), TOKENS, num_parts, torch.device("cpu"), compiled=False)


def test_without_passes_in_c_autograd_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(choose(4, monkeypatch, None), AutogradPasses)


def test_there_are_no_more_threads_than_parts(in_c: CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    chosen = choose(3, monkeypatch, in_c)
    assert isinstance(chosen, PassesByHand)
    assert len(chosen.workers) == 3


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
@pytest.mark.parametrize(
    ("has_tiles", "compiler", "message"),
    [(False, "gcc", ""), (True, None, ""), (True, "false", "passes in C do not compile")],
)
def test_what_a_machine_lacks_leaves_autograd(
    has_tiles: bool,
    compiler: str | None,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_tiles)
    monkeypatch.setattr(torch.cpu, "_init_amx", lambda: has_tiles)
    monkeypatch.setattr(library_module.compiler, "find_compiler", lambda: compiler)
    library.cache_clear()
    try:
        assert library() is None
    finally:
        library.cache_clear()
    assert message in caplog.text
