"""Steps of training: the optimizer, the loss of padded targets, and the stream of batches."""

import multiprocessing
import os
import signal
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from training import data, tokenizer, train
from training.data import ASKED_UNIT, IGNORED, Batches, Sample, collate, draw_segments, lay_out
from training.export import export
from training.model import Mlp, Shape, together
from training.muon import Muon
from training.passes import AutogradPasses
from training.tokenizer import END_ID
from training.train import PRESETS, Job, Preset, Schedule, Trainer

SHAPES = ((24, 24), (8, 24), (8, 24), (40, 24), (24, 40))
SMALL = Shape(hidden=64, layers=1, heads=2, kv_heads=1, head_dim=32, intermediate=96)


def matrices() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape) * 0.05) for shape in SHAPES]


def test_muon_by_shape_steps_as_torchs_does() -> None:
    ours, theirs = matrices(), matrices()
    options: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.02, "adjust_lr_fn": "match_rms_adamw"}
    pairs = ((Muon(ours, **options), ours), (torch.optim.Muon(theirs, **options), theirs))
    for optimizer, parameters in pairs:
        torch.manual_seed(1)
        for _ in range(3):
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape)
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)
    pairs[1][0].load_state_dict(pairs[0][0].state_dict())


def test_layers_together_give_what_each_gives() -> None:
    torch.manual_seed(0)
    mlp, x = Mlp(SMALL), torch.randn(3, 5, 64)
    gate, up = together(x, mlp.gate_proj, mlp.up_proj)
    torch.testing.assert_close(gate, mlp.gate_proj(x))
    torch.testing.assert_close(up, mlp.up_proj(x))


def trainer() -> Trainer:
    preset = Preset(SMALL, steps=5, part_tokens=512, parts_per_step=1)
    return Trainer(preset, torch.device("cpu"), 0, compiled=False)


def two_rows() -> data.Batch:
    # Without a prompt the first position is asked for, with which places are filled up.
    noise = np.random.default_rng(0)
    whole = Sample([], [*range(50, 61), END_ID])
    return collate([[lay_out(whole, 16, noise)], [lay_out(whole, 4, noise)]], 64)


def test_places_that_fill_up_a_batch_weigh_nothing() -> None:
    batch = two_rows()
    num_asked = int((batch.targets != IGNORED).sum())
    assert len(batch.asked) == ASKED_UNIT > num_asked
    assert batch.targets[0, 0] != IGNORED
    assert not batch.weights[num_asked:].any()
    short = replace(batch, asked=batch.asked[:num_asked], weights=batch.weights[:num_asked])
    passes = trainer().passes
    assert passes.loss([batch]) == pytest.approx(passes.loss([short]))


def test_a_step_counts_its_batches_and_moves_both_copies_of_the_weights() -> None:
    model, batch = trainer(), two_rows()
    before = [parameter.clone() for parameter in model.master.parameters()]
    first = model.update([batch, batch], 1.0)
    assert (model.step, model.num_samples, model.num_tokens) == (1, 4, 256)
    assert isinstance(first, Tensor)
    passes = model.passes
    assert isinstance(passes, AutogradPasses)
    for old, new, used in zip(
        before, model.master.parameters(), passes.working.parameters(), strict=True
    ):
        torch.testing.assert_close(used, new.bfloat16())
        assert used.grad is None
        if new.ndim == 2:
            assert not torch.equal(old, new)
    for _ in range(20):
        last = model.update([batch], 1.0)
    assert last < 0.7 * first


def test_the_mean_of_weights_follows_slowly_and_is_what_a_run_saves(tmp_path: Path) -> None:
    preset = Preset(SMALL, steps=5, part_tokens=512, parts_per_step=1, average=0.5)
    model = Trainer(preset, torch.device("cpu"), 0, compiled=False)
    assert model.mean is not None
    [first, *_] = [parameter.clone() for parameter in model.master.parameters()]
    model.update([two_rows()], 1.0)
    [mean, *_], [master, *_] = model.mean.parameters(), model.master.parameters()
    # In its first steps the mean moves fast: by nine tenths in the first one.
    torch.testing.assert_close(mean, first + 0.9 * (master - first))
    model.save(tmp_path / "last.pt")
    again = Trainer(preset, torch.device("cpu"), 1, compiled=False)
    again.resume(tmp_path / "last.pt")
    assert again.mean is not None
    [kept, *_] = again.mean.parameters()
    torch.testing.assert_close(kept, mean)
    weights = load_file(export(tmp_path / "last.pt", tmp_path / "out") / "model.safetensors")
    torch.testing.assert_close(weights["model.embed_tokens.weight"], mean.bfloat16())


def job_for(model: Trainer, out: Path, schedule: Schedule, report_every: int = 100) -> Job:
    return Job(
        out=out,
        preset=model.preset,
        schedule=schedule,
        threads=None,
        resume=None,
        init=None,
        seed=0,
        report_every=report_every,
    )


@pytest.fixture
def one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs train and validate on the same two rows, and take no signals."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(train, "held_out_batches", lambda part_tokens: [two_rows()])
    monkeypatch.setattr(train, "batches", lambda *args: repeat([two_rows()]))


@pytest.mark.usefixtures("one_batch")
def test_a_signal_while_a_step_is_reported_loses_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trainer()

    def validate(held_out: list[data.Batch]) -> float:
        model.asked_to_stop = True
        return 0.0

    monkeypatch.setattr(model, "validate", validate)
    train.run(model, job_for(model, tmp_path, Schedule(steps=9), report_every=2))
    again = trainer()
    again.resume(tmp_path / "last.pt")
    assert again.step == model.step == 3


@pytest.mark.usefixtures("one_batch")
def test_a_run_whose_time_is_over_saves_its_last_step(tmp_path: Path) -> None:
    model = trainer()
    train.run(model, job_for(model, tmp_path, Schedule(steps=1, seconds=1e-9)))
    assert model.step == 1
    again = trainer()
    again.resume(tmp_path / "last.pt")
    assert (again.step, again.num_samples) == (1, 2)


@pytest.mark.usefixtures("one_batch")
@pytest.mark.parametrize(("report_every", "step"), [(1, 1), (100, 2)])
def test_a_run_whose_loss_is_no_number_ends_and_keeps_what_was_saved(
    report_every: int, step: int, tmp_path: Path
) -> None:
    model = trainer()
    with torch.no_grad():
        next(model.master.parameters()).fill_(torch.nan)
    model.passes.load(model.master)
    job = job_for(model, tmp_path, Schedule(steps=4, decay_share=0.5), report_every)
    with pytest.raises(SystemExit, match=f"loss is nan at step {step}"):
        train.run(model, job)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("one_batch")
def test_a_run_that_goes_on_from_its_decay_keeps_the_plateau(tmp_path: Path) -> None:
    schedule = Schedule(steps=4, decay_share=0.5)
    model = trainer()
    train.run(model, job_for(model, tmp_path, schedule))
    plateau = (tmp_path / "plateau.pt").read_bytes()
    again = trainer()
    again.step = 3
    train.run(again, job_for(again, tmp_path, schedule))
    assert again.step == 4
    assert (tmp_path / "plateau.pt").read_bytes() == plateau


def test_a_rate_without_a_decay_stays_at_its_peak() -> None:
    schedule = Schedule(steps=100, decay_share=0.0)
    assert [schedule.rate(step, step / 100) for step in (80, 99)] == [1.0, 1.0]


def test_each_sample_is_laid_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "AGAIN_AFTER", 512)
    num_drawn = 256 * 6
    drawn = islice(draw_segments(1), num_drawn)
    seen: dict[bytes, int] = {}
    for segment in drawn:
        prompt = segment.ids[: (segment.blocks == data.NOT_CLEAN).argmax()]
        if len(prompt) > 24:
            key = prompt[:24].tobytes()
            seen[key] = seen.get(key, 0) + 1
    again = sum(count > 1 for count in seen.values())
    assert again > 0.2 * len(seen)


def test_batches_are_full_and_of_few_shapes() -> None:
    tokens = 4608
    for batch in islice(Batches(1, tokens), 6):
        rows, length = batch.ids.shape
        assert length in data.ROW_LENGTHS
        assert rows == tokens // length
        assert len(batch.asked) % ASKED_UNIT == 0
        assert (batch.segments > 0).float().mean() > 0.85


def test_a_signal_to_all_processes_leaves_those_that_draw() -> None:
    """A run could not take its last step, and nothing of its last minute was saved."""
    before = set(multiprocessing.active_children())
    source = data.batches(1, 2304, 1, workers=1)
    next(source)
    [drawing] = set(multiprocessing.active_children()) - before
    assert drawing.pid is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(drawing.pid, number)
    for _ in range(data.PREFETCHED + 2):
        next(source)
    source.close()
    del source
    drawing.join(20)
    assert drawing.exitcode == 0


def test_a_batch_on_a_device_is_the_same() -> None:
    batch = two_rows()
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.asked, batch.asked)
    assert (moved.weight, moved.num_samples) == (batch.weight, 2)


def test_presets_fill_rows_of_each_length() -> None:
    for preset in PRESETS.values():
        assert all(preset.part_tokens % length == 0 for length in data.ROW_LENGTHS)


def test_words_apart_are_the_same_tokens_wherever_they_stand() -> None:
    spaced, apart = (tokenizer.train(words, num_texts=3000) for words in ("spaced", "apart"))
    text = 'pear, an apple\n["apple"] apple'
    for trained in (spaced, apart):
        ids = trained.encode(text, add_special_tokens=False)
        assert trained.decode(ids, clean_up_tokenization_spaces=False) == text
    word = apart.tokenize("apple")
    tokens = apart.tokenize(text)
    found = [i for i in range(len(tokens)) if tokens[i : i + len(word)] == word]
    assert len(found) == text.count("apple")
    assert spaced.tokenize(" apple") != ["\u0120", *spaced.tokenize("apple")]
