"""Bits and time of the library's products for any number of rows.

    python -m benchmarks.device.products --out FILE

A row is to have the same bits among any number of others. Rows are padded to multiples of
`GPU_ROW_UNIT` for that. The command looks for smaller units that keep bits too, with cuBLAS as it
is and with the workspaces that rule out split-K, which vLLM's batch-invariant mode sets.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.device.timing import timed
from unmask_kernels.linear.padding import GPU_ROW_UNIT

ROWS = [*range(GPU_ROW_UNIT, 2048 + 1, GPU_ROW_UNIT), 3072, 4096, 8192]
# Outputs, inputs, and whether the result is added to what is there, of the layers of each model.
Product = tuple[int, int, bool]
PRODUCTS: dict[str, tuple[Product, ...]] = {
    "SDAR-8B": (
        (6144, 4096, False),
        (4096, 4096, True),
        (24_576, 4096, False),
        (4096, 12_288, True),
        (8192, 4096, False),  # a slice of the head
    ),
    "LLaDA-8B": ((12_288, 4096, False),),  # the others as above
    "LLaDA2.0-mini": (
        (3072, 2048, False),
        (2048, 2048, True),
        (10_240, 2048, False),
        (2048, 5120, True),
        (1024, 2048, False),
        (2048, 512, True),
    ),
    "DiffusionGemma": (
        (8192, 2816, False),
        (9216, 2816, False),
        (2816, 4096, False),
        (2816, 8192, False),
        (4224, 2816, False),
        (2816, 2112, False),
        (16_384, 2816, False),  # a slice of the head
    ),
    "SDAR-1.7B": (
        (4096, 2048, False),
        (12_288, 2048, False),
        (2048, 6144, True),
    ),
}
TINY: dict[str, tuple[Product, ...]] = {"tiny": ((8, 16, False), (8, 16, True))}


UNITS = (8, 16, 32, 64)
FEW = 512  # rows up to which smaller units are looked at one by one
NO_SPLIT_K = {"CUBLASLT_WORKSPACE_SIZE": "1", "CUBLAS_WORKSPACE_CONFIG": ":16:8"}
TIMED_ROWS = (32, 64, 96, 128, 192, 256, 384, 1024)


def differing(
    products: dict[str, tuple[Product, ...]],
    device: torch.device,
    counts: Sequence[int] = tuple(ROWS),
) -> dict[str, object]:
    """Numbers of rows whose first have other bits than among the most, by model and product."""
    found = {}
    for model, shapes in products.items():
        for outputs, inputs, added in shapes:
            weight = torch.randn(outputs, inputs, device=device).bfloat16() / inputs**0.5
            x = torch.randn(ROWS[-1], inputs, device=device).bfloat16()
            base = torch.randn(ROWS[-1], outputs, device=device).bfloat16() if added else None
            whole = _product(x, weight, base)
            rows = [n for n in counts if not torch.equal(_product(x[:n], weight, base), whole[:n])]
            if rows:
                found[f"{model} {outputs} x {inputs}"] = rows
    return {"rows": list(counts), "differ": found}


def _product(x: Tensor, weight: Tensor, base: Tensor | None) -> Tensor:
    if base is None:
        return F.linear(x, weight)
    return base[: len(x)].clone().addmm_(x, weight.T)


def units(products: dict[str, tuple[Product, ...]], device: torch.device) -> dict[str, object]:
    """Numbers of rows that differ, by unit, and microseconds of each product for few rows."""
    differ = {
        unit: differing(products, device, [*range(unit, FEW + 1, unit), *ROWS])["differ"]
        for unit in UNITS
    }
    times = {}
    for outputs, inputs, _ in products["SDAR-8B" if "SDAR-8B" in products else "tiny"]:
        weight = torch.randn(outputs, inputs, device=device).bfloat16() / inputs**0.5
        for rows in TIMED_ROWS:
            x = torch.randn(rows, inputs, device=device).bfloat16()
            took = timed(partial(F.linear, x, weight), budget_s=0.03, graph=True)
            times[f"{outputs} x {inputs}, {rows} rows"] = took.median_us
    return {"differ": differ, "us": times}


def main() -> None:
    """Run `units` in processes of their own, with and without limited workspaces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="result file")
    parser.add_argument("--inner", action="store_true", help="measure in this process")
    options = parser.parse_args()
    if options.inner:
        found = units({"SDAR-8B": PRODUCTS["SDAR-8B"]}, torch.device("cuda"))
        print(json.dumps(found))
        return
    command = [sys.executable, "-m", "benchmarks.device.products", "--inner"]
    result = {}
    for name, variables in (("default", {}), ("no split-K", NO_SPLIT_K)):
        done = subprocess.run(
            command, env=os.environ | variables, check=True, stdout=subprocess.PIPE, text=True
        )
        result[name] = json.loads(done.stdout.splitlines()[-1])
    text = json.dumps(result, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
