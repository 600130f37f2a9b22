"""Products of few rows with a weight, by this project's kernels and by torch's libraries.

    python -m benchmarks.products

The weights of twelve layers of `family_shapes.SDAR` in turn, 300 MB that no cache holds, float32.
Each way multiplies all of them once a round, ways in turn. Writes results/products_cpu.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import ROOT, describe
from unmask.models.host_memory import huge_pages, keep_freed_memory
from unmask_kernels.dispatch import backend
from unmask_kernels.linear.ops import Linear, make_linear

OUT = ROOT / "benchmarks" / "results" / "products_cpu.json"
NUM_LAYERS = 12
WEIGHTS = ((1152, 768), (768, 768), (2048, 768), (2048, 768), (768, 2048))  # outputs, inputs
ROWS = (4, 8, 16, 32, 64, 128, 256)

Product = Callable[[Tensor], Tensor]


def make_ways() -> dict[str, list[Product]]:
    """The same weights for each way to multiply them."""
    torch.manual_seed(0)
    drawn = [torch.randn(shape) / shape[1] ** 0.5 for _ in range(NUM_LAYERS) for shape in WEIGHTS]
    with huge_pages():
        ways: dict[str, list[Product]] = {
            "own": [make_linear(weight) for weight in drawn],
            "mkl": [Linear(weight.clone()) for weight in drawn],
        }
        with backend("torch"):
            ways["onednn"] = [make_linear(weight) for weight in drawn]
    return ways


def measure(products: list[Product], num_rows: int) -> float:
    """Billions of operations a second."""
    rows = {inputs: torch.randn(num_rows, inputs) for _, inputs in WEIGHTS}
    started_s = time.perf_counter()
    for i, product in enumerate(products):
        product(rows[WEIGHTS[i % len(WEIGHTS)][1]])
    elapsed_s = time.perf_counter() - started_s
    return 2e-9 * num_rows * NUM_LAYERS * sum(n * k for n, k in WEIGHTS) / elapsed_s


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT, help="result file")
    options = parser.parse_args()
    head = describe()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    ways, found = make_ways(), list[dict[str, Any]]()
    for num_rows in ROWS:
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds + 1):  # the first round is not counted
            for name, products in ways.items():
                rates[name].append(measure(products, num_rows))
        row: dict[str, Any] = {"rows": num_rows}
        for name, own in rates.items():
            counted = own[1:]
            row[name] = {
                "median": round(statistics.median(counted), 1),
                "min": round(min(counted), 1),
                "max": round(max(counted), 1),
            }
        print(f"{num_rows:4} rows", *(f"{n} {row[n]['median']:6.1f}" for n in ways), "GFLOP/s")
        found.append(row)
    result = head | {
        "threads": options.threads,
        "rounds": options.rounds,
        "unit": "billions of operations a second, float32",
        "capability": torch.backends.cpu.get_cpu_capability(),
        "rows": found,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
