"""Passes of the training on a CPU: by hand in C, and by autograd with compiled layers.

    python -m benchmarks.training_passes

The embedded model's shape and data; each way learns from the same batches in turn, `--parts` of
2,304 positions a step. Writes results/training_passes_cpu.json.
"""

import argparse
import json
import os
import statistics
import time
from itertools import islice

import torch
from torch import Tensor

from benchmarks.machine import ROOT, describe
from training.data import Batch, Batches
from training.model import Model
from training.native.library import library
from training.passes import AutogradPasses, Passes, PassesByHand
from training.train import PRESETS

RESULT = ROOT / "benchmarks" / "results" / "training_passes_cpu.json"


def measure(passes: Passes, model: Model, parts: list[Batch]) -> tuple[float, Tensor]:
    """Positions a second, and the loss."""
    started_s = time.perf_counter()
    loss = passes.learn(model, parts)
    rate = sum(batch.ids.numel() for batch in parts) / (time.perf_counter() - started_s)
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    assert all(norm.isfinite() for norm in norms)
    return rate, loss


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", type=int, default=8)
    options = parser.parse_args()
    head, in_c = describe(), library()
    if in_c is None:
        raise SystemExit("this CPU has no AMX, or there is no C compiler")
    # GCC 12 makes NaN of gradients that are compiled for Sapphire Rapids itself.
    os.environ.setdefault("TORCHINDUCTOR_CPP_MARCH", "cooperlake")
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model, part_tokens = Model(PRESETS["gpu"].shape), PRESETS["cpu"].part_tokens
    ways: dict[str, Passes] = {
        "by_hand": PassesByHand(in_c, model, part_tokens, options.threads),
        "autograd": AutogradPasses(model, torch.device("cpu"), compiled=True),
    }
    batches = iter(Batches(1, part_tokens))
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(options.rounds + 2):  # the first rounds compile
        parts = list(islice(batches, options.parts))
        losses = list[Tensor]()
        for name, passes in ways.items():
            rate, loss = measure(passes, model, parts)
            losses.append(loss)
            if i >= 2:
                rates[name].append(rate)
        torch.testing.assert_close(*losses, rtol=1e-3, atol=0.0)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    found = {
        "positions_per_s": {name: round(value) for name, value in medians.items()},
        "spread": {
            name: [round(min(values)), round(max(values))] for name, values in rates.items()
        },
        "ratio": round(medians["by_hand"] / medians["autograd"], 2),
    }
    print(json.dumps(found))
    result = head | {
        "threads": options.threads,
        "parts": options.parts,
        "rounds": options.rounds,
        "inductor_march": os.environ["TORCHINDUCTOR_CPP_MARCH"],
    }
    RESULT.write_text(json.dumps(result | found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
