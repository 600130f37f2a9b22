"""Train the embedded model: `python -m training.train --out RUN [--preset gpu]`, resumable."""

import argparse
import copy
import json
import os
import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from training.data import (
    ROW_LENGTHS,
    Batch,
    batches,
    collate,
    lay_out,
    pack,
    validation_samples,
)
from training.growth import grown
from training.model import Model, Shape
from training.muon import Muon
from training.passes import passes_of
from training.tokenizer import load


@dataclass(frozen=True, slots=True)
class Preset:
    """Model size and training length for one kind of machine."""

    shape: Shape
    steps: int
    part_tokens: int  # rows x length of a forward pass
    parts_per_step: int
    workers: int = 0  # processes that draw samples
    rate: float = 3e-3
    # Share that a step leaves of the running mean of weights; 0: there is none.
    average: float = 0.0


PRESETS = {
    "cpu": Preset(Shape(), 40_000, 2304, 4),
    "gpu": Preset(
        Shape(hidden=384, layers=9, heads=6, intermediate=896),
        steps=4_000,
        part_tokens=32 * 2304,
        parts_per_step=2,
        workers=14,
        rate=5e-3,
    ),
}
WARMUP_STEPS = 60
DECAY_SHARE = 0.3
SAVE_EVERY_S = 60.0
REPORT_EVERY = 100
LEAST_HELD_OUT, LEAST_HELD_OUT_A_ROW = 512, 8  # samples


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rate as a share of its peak: warm-up, plateau and linear decay to zero (WSD).

    It ends after `steps`, or after `seconds` if there are any.
    """

    steps: int
    decay_share: float = DECAY_SHARE
    seconds: float | None = None

    def progress(self, step: int, elapsed_s: float) -> float:
        """The part of the run that is over."""
        return step / self.steps if self.seconds is None else elapsed_s / self.seconds

    def rate(self, step: int, progress: float) -> float:
        """The rate of the next step."""
        falling = max(0.0, (1.0 - progress) / max(self.decay_share, 1e-9))
        return min(1.0, (step + 1) / WARMUP_STEPS, falling)


class Trainer:
    """Float32 master weights, which passes with a bfloat16 copy give their gradients."""

    def __init__(
        self, preset: Preset, device: torch.device, seed: int, *, compiled: bool = True
    ) -> None:
        torch.manual_seed(seed)
        self.preset, self.device = preset, device
        self.master = Model(preset.shape).to(device)
        self.passes = passes_of(
            self.master, preset.part_tokens, preset.parts_per_step, device, compiled=compiled
        )
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in self.master.named_parameters():
            is_matrix = parameter.ndim == 2 and "embed" not in name
            (matrices if is_matrix else others).append(parameter)
        self.mean = copy.deepcopy(self.master) if preset.average else None
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=1.0, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=1.0, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.asked_to_stop = False  # by a signal, after the next step
        self.step = 0
        self.num_samples = 0
        self.num_tokens = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []

    def update(self, parts: list[Batch], rate: float) -> Tensor:
        """One optimizer step over several batches; returns the loss."""
        total = self.passes.learn(self.master, parts)
        nn.utils.clip_grad_norm_(self.master.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.preset.rate * rate
            optimizer.step()
        self.passes.load(self.master)
        self._average()
        self.step += 1
        self.num_samples += sum(batch.num_samples for batch in parts)
        self.num_tokens += sum(batch.ids.numel() for batch in parts)
        return total

    @torch.no_grad()
    def _average(self) -> None:
        """Move the mean of weights towards the master's, faster in its first steps."""
        if self.mean is not None:
            share = min(self.preset.average, (1 + self.step) / (10 + self.step))
            mean, master = list(self.mean.parameters()), list(self.master.parameters())
            torch._foreach_lerp_(mean, master, 1 - share)

    def validate(self, held_out: list[Batch]) -> float:
        """Loss on held-out rows, of the mean of weights if there is one."""
        self.passes.load(self.mean or self.master)
        loss = self.passes.loss(held_out)
        self.passes.load(self.master)
        return loss

    def save(self, path: Path) -> None:
        """Save the state for `resume`."""
        state = {
            "preset": asdict(self.preset),
            "master": self.master.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "num_samples": self.num_samples,
            "num_tokens": self.num_tokens,
            "seconds": self.seconds,
            "history": self.history,
            "mean": None if self.mean is None else self.mean.state_dict(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def resume(self, path: Path) -> None:
        """Load a saved state."""
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self._load(state["master"], state.get("mean"))
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for name in ("step", "num_samples", "num_tokens", "seconds", "history"):
            setattr(self, name, state[name])

    def start_from(self, folder: Path) -> None:
        """Begin with the weights of an exported checkpoint, which may be smaller."""
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        old = load_file(folder / "model.safetensors")
        weights = grown(self.master.state_dict(), old, load(), tokenizer)
        self._load(weights)

    def _load(self, weights: dict[str, Tensor], mean: dict[str, Tensor] | None = None) -> None:
        """Give every copy of the weights its own."""
        self.master.load_state_dict(weights)
        self.passes.load(self.master)
        if self.mean is not None:
            self.mean.load_state_dict(mean or weights)


def held_out_batches(part_tokens: int, block_len: int = 16) -> list[Batch]:
    """Validation batches of a shape of the training's, with the same masks at each call."""
    rng, length = np.random.default_rng(5), ROW_LENGTHS[-1]
    num_rows = part_tokens // length
    samples = validation_samples(load(), max(LEAST_HELD_OUT, LEAST_HELD_OUT_A_ROW * num_rows))
    rows = list(pack([lay_out(sample, block_len, rng) for sample in samples], (length,)))
    starts = range(0, len(rows) - num_rows + 1, num_rows)
    return [collate(rows[i : i + num_rows], length) for i in starts]


def check_finite(loss: Tensor | None, step: int) -> None:
    """End a run whose loss is no number, with nothing saved since the last check."""
    if loss is not None and not loss.isfinite():
        raise SystemExit(f"the loss is {loss.item()} at step {step}: not saved")


def run(trainer: Trainer, job: "Job") -> None:
    """Train to the end of the schedule or SIGTERM, and save and report on the way."""
    preset = trainer.preset
    held_out = held_out_batches(preset.part_tokens)
    signal.signal(signal.SIGTERM, lambda *_: setattr(trainer, "asked_to_stop", True))
    average_loss: Tensor | None = None
    # A run that goes on from its decay keeps the plateau's checkpoint.
    has_plateau = job.schedule.progress(trainer.step, 0.0) > 1.0 - job.schedule.decay_share
    started_s = saved_s = time.monotonic()
    before_s, first_tokens = trainer.seconds, trainer.num_tokens
    # The data depends on the step that a run starts from, so a resumed run sees new samples.
    seed = 1000 + trainer.step
    source = batches(seed, preset.part_tokens, preset.parts_per_step, preset.workers)
    waited_s = 0.0
    ends = False
    while not ends:
        asked_s = time.monotonic()
        parts = next(source)
        waited_s += time.monotonic() - asked_s
        elapsed_s = time.monotonic() - started_s
        progress = job.schedule.progress(trainer.step, elapsed_s)
        if progress >= 1.0 - job.schedule.decay_share and not has_plateau:
            check_finite(average_loss, trainer.step)
            trainer.save(job.out / "plateau.pt")
            has_plateau = True
        # Only now: a signal that comes later, while this step is saved, ends the next one.
        ends = trainer.asked_to_stop or job.schedule.progress(trainer.step + 1, elapsed_s) >= 1.0
        value = trainer.update(parts, job.schedule.rate(trainer.step, progress))
        average_loss = value if average_loss is None else 0.98 * average_loss + 0.02 * value
        now_s = time.monotonic()
        trainer.seconds = before_s + now_s - started_s
        reports = trainer.step % job.report_every == 0 or ends
        saves = now_s - saved_s > SAVE_EVERY_S or ends
        if reports or saves:
            check_finite(average_loss, trainer.step)
        if reports:
            speed = (trainer.num_tokens - first_tokens) / (now_s - started_s)
            entry = {
                "step": trainer.step,
                "samples": trainer.num_samples,
                "tokens": trainer.num_tokens,
                "seconds": round(trainer.seconds, 1),
                "tokens_per_s": round(speed),
                "waited_for_data_s": round(waited_s, 1),
                "train_loss": round(average_loss.item(), 4),
                "validation_loss": round(trainer.validate(held_out), 4),
            }
            trainer.history.append(entry)
            print(json.dumps(entry), flush=True)
        if saves:
            trainer.save(job.out / "last.pt")
            saved_s = now_s


@dataclass(frozen=True, slots=True)
class Job:
    """Parsed arguments of the command line."""

    out: Path
    preset: Preset
    schedule: Schedule
    threads: int | None
    resume: Path | None
    init: Path | None
    seed: int
    report_every: int  # steps

    def __call__(self) -> None:
        """Train in this process."""
        if self.threads:
            torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        trainer = Trainer(self.preset, device, self.seed)
        if self.init:
            trainer.start_from(self.init)
        if self.resume:
            trainer.resume(self.resume)
        size = sum(parameter.numel() for parameter in trainer.master.parameters())
        passes = type(trainer.passes).__name__
        print(
            json.dumps({"parameters": size, "passes": passes, **asdict(self.schedule)}), flush=True
        )
        run(trainer, self)


def _preset(options: argparse.Namespace) -> Preset:
    """The chosen preset with what the command line changes; a CPU has its own passes and steps."""
    preset, on_cpu = PRESETS[options.preset], PRESETS["cpu"]
    if not torch.cuda.is_available():
        preset = replace(
            preset,
            part_tokens=on_cpu.part_tokens,
            parts_per_step=on_cpu.parts_per_step,
            workers=on_cpu.workers,
        )
    given = {
        "workers": options.workers,
        "rate": options.rate,
        "parts_per_step": options.parts,
        "average": options.average,
    }
    return replace(preset, **{k: value for k, value in given.items() if value is not None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--steps", type=int, help="optimizer steps in all")
    parser.add_argument("--minutes", type=float, help="end after these instead of after steps")
    parser.add_argument("--decay-share", type=float, default=DECAY_SHARE, help="of falling rate")
    parser.add_argument("--rate", type=float, help="at its peak; if unset, the preset's")
    parser.add_argument("--average", type=float, help="share of the mean of weights that stays")
    parser.add_argument("--parts", type=int, help="forward passes a step; if unset, the preset's")
    parser.add_argument("--threads", type=int, help="on a CPU; if unset, torch's")
    parser.add_argument("--workers", type=int, help="processes that draw samples")
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    parser.add_argument("--init", type=Path, help="exported checkpoint whose weights to begin with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report-every", type=int, default=REPORT_EVERY, help="steps")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    preset = _preset(options)
    job = Job(
        out=options.out,
        preset=preset,
        schedule=Schedule(
            steps=options.steps or preset.steps,
            decay_share=options.decay_share,
            seconds=options.minutes and 60.0 * options.minutes,
        ),
        threads=options.threads,
        resume=options.resume,
        init=options.init,
        seed=options.seed,
        report_every=options.report_every,
    )
    job()


if __name__ == "__main__":
    main()
