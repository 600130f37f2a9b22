"""Products with weights of 4 bits: right, the same bits in any company, and beside cuBLAS.

python -m benchmarks.device.int4 --out FILE
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.device.products import PRODUCTS
from benchmarks.device.timing import Ceilings, measure_ceilings, timed
from unmask_kernels.int4 import dequantize_int4, int4_product, quantize_int4

ROWS = (16, 32, 64, 128, 256, 1024)
BUDGET_S = 0.04


def compare(
    outputs: int, inputs: int, ceilings: Ceilings, device: torch.device, counts: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Time, floor and error of one weight [outputs, inputs] for each number of rows."""
    held = quantize_int4(torch.randn(outputs, inputs, device=device) / inputs**0.5)
    whole = dequantize_int4(held, torch.bfloat16)
    every = torch.randn(max(counts), inputs, device=device).bfloat16()
    most = int4_product(every, held)
    found = []
    for rows in counts:
        x = every[:rows]
        moved = held.packed.numel() + 4 * held.scales.numel() + 2 * rows * (inputs + outputs)
        floor_s = ceilings.floor_s(moved, 2 * rows * inputs * outputs)
        ours = timed(partial(int4_product, x, held), budget_s=BUDGET_S, graph=True)
        theirs = timed(partial(F.linear, x, whole), budget_s=BUDGET_S, graph=True)
        expected = x[:16].double() @ dequantize_int4(held, torch.float64).T
        got = int4_product(x, held)
        found.append(
            {
                "outputs": outputs,
                "inputs": inputs,
                "rows": rows,
                "us": ours.median_us,
                "floor_us": 1e6 * floor_s,
                "share_of_floor": floor_s / ours.median_s,
                "cublas_bf16_us": theirs.median_us,
                "relative_error": float((got[:16] - expected).norm() / expected.norm()),
                "same_bits": torch.equal(got, most[:rows]),
            }
        )
    return found


def main() -> None:
    """Measure SDAR-8B's weights and print a line for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    device = torch.device("cuda")
    ceilings = measure_ceilings(device, small=False)
    result = []
    for outputs, inputs, _ in PRODUCTS["SDAR-8B"][:4]:
        result += compare(outputs, inputs, ceilings, device, ROWS)
    for row in result:
        print(
            f"int4 {row['outputs']} x {row['inputs']}, {row['rows']} rows: {row['us']:.1f} us, "
            f"floor {row['floor_us']:.1f} ({row['share_of_floor']:.0%}), cuBLAS bf16 "
            f"{row['cublas_bf16_us']:.1f}, error {row['relative_error']:.1e}, "
            f"same bits {row['same_bits']}"
        )
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
