"""Passes of the training on a CPU: by hand in C, and by autograd with compiled layers.

    python -m benchmarks.training_passes

The embedded model's shape and data; each way learns from the same batches in turn, `--parts` of
2,304 positions a step. Writes results/training_passes_cpu.json.
"""

import argparse
import json
import statistics
import time
from itertools import islice
from typing import Any, get_args

import torch

from benchmarks.machine import ROOT, describe
from training.data import Batch, Batches, Objective
from training.model import Model
from training.passes import AutogradPasses, Passes, PassesByHand
from training.train import PRESETS

RESULT = ROOT / "benchmarks" / "results" / "training_passes_cpu.json"


def measure(passes: Passes, model: Model, parts: list[Batch]) -> float:
    """Positions a second."""
    started_s = time.perf_counter()
    passes.learn(model, parts)
    return sum(batch.ids.numel() for batch in parts) / (time.perf_counter() - started_s)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", type=int, default=8)
    options = parser.parse_args()
    head = describe()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model, part_tokens = Model(PRESETS["gpu"].shape), PRESETS["cpu"].part_tokens
    ways: dict[str, Passes] = {
        "by_hand": PassesByHand(model, part_tokens, options.threads),
        "autograd": AutogradPasses(model, torch.device("cpu"), compiled=True),
    }
    found = list[dict[str, Any]]()
    for objective in get_args(Objective):
        batches = iter(Batches(1, part_tokens, objective))
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for i in range(options.rounds + 2):  # the first rounds compile
            parts = list(islice(batches, options.parts))
            for name, passes in ways.items():
                rate = measure(passes, model, parts)
                if i >= 2:
                    rates[name].append(rate)
        medians = {name: statistics.median(values) for name, values in rates.items()}
        entry = {
            "objective": objective,
            "positions_per_s": {name: round(value) for name, value in medians.items()},
            "spread": {
                name: [round(min(values)), round(max(values))] for name, values in rates.items()
            },
            "ratio": round(medians["by_hand"] / medians["autograd"], 2),
        }
        found.append(entry)
        print(json.dumps(entry), flush=True)
    settings = {"threads": options.threads, "parts": options.parts, "rounds": options.rounds}
    RESULT.write_text(json.dumps({"machine": head, **settings, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
