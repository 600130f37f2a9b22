"""Products of few rows with a weight, by this project's kernels and by torch's libraries.

    python -m benchmarks.products
    python -m benchmarks.products --int8     bfloat16, and W8A8 where the CPU has AVX512_VNNI

The weights of twelve layers of `family_shapes.SDAR` in turn, 300 MB that no cache holds, float32.
Each way multiplies all of them once a round, ways in turn. Writes results/products_cpu.json, or
products_int8_cpu.json.
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
from unmask_kernels.quantization.ops import quantize

RESULTS = ROOT / "benchmarks" / "results"
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


def make_int8_ways() -> dict[str, list[Product]]:
    """The weights of a model in bfloat16, and in int8 with rows that are quantized as they come."""
    torch.manual_seed(0)
    drawn = [torch.randn(shape) / shape[1] ** 0.5 for _ in range(NUM_LAYERS) for shape in WEIGHTS]
    with huge_pages():
        small = [make_linear(quantize(weight, "int8"), None, torch.bfloat16) for weight in drawn]
        whole = [make_linear(weight.bfloat16()) for weight in drawn]
    if any(linear.packed is None for linear in small):
        raise SystemExit("this CPU has no AVX512_VNNI, or there is no C compiler")
    return {"bfloat16": list[Product](whole), "int8": list[Product](small)}


def measure(products: list[Product], num_rows: int, dtype: torch.dtype) -> float:
    """Billions of operations a second."""
    rows = {inputs: torch.randn(num_rows, inputs).to(dtype) for _, inputs in WEIGHTS}
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
    parser.add_argument("--int8", action="store_true", help="int8 beside bfloat16")
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    head = describe()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    ways, found = make_int8_ways() if options.int8 else make_ways(), list[dict[str, Any]]()
    dtype = torch.bfloat16 if options.int8 else torch.float32
    usual = RESULTS / ("products_int8_cpu.json" if options.int8 else "products_cpu.json")
    for num_rows in ROWS:
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds + 1):  # the first round is not counted
            for name, products in ways.items():
                rates[name].append(measure(products, num_rows, dtype))
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
        "unit": f"billions of operations a second, {'bfloat16' if options.int8 else 'float32'}",
        "capability": torch.backends.cpu.get_cpu_capability(),
        "rows": found,
    }
    (options.out or usual).write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
