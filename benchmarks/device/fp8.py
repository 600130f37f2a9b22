"""W8A8 products on a GPU: right, the same bits for every configuration, and which is fastest.

python -m benchmarks.device.fp8 --sweep --seconds 60 --out FILE    every candidate, and the best
python -m benchmarks.device.fp8 --sweep --shapes down --out FILE   of one weight
python -m benchmarks.device.fp8 --out FILE                         the configurations in use

For `gpu.py`: `compare(shape, counts, ceilings, device)` measures a weight at some numbers of rows;
`SHAPES` are SDAR-8B's, `GROUPED` some of them with scales for every 128 inputs, `ROWS` the numbers
of rows, and `TINY` is for a dry run.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.device.fp8_inputs import (
    Shape,
    build,
    floor_s,
    library_times,
    num_copies,
    relative_error,
    seconds,
    with_fp8_rate,
)
from benchmarks.device.fp8_sweep import sweep
from benchmarks.device.timing import Ceilings, measure_ceilings
from unmask_kernels.quantization.ops import dequantize, dequantize_rows

ROWS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
SHAPES = (
    Shape("qkv", 6144, 4096),
    Shape("out", 4096, 4096, True),
    Shape("gate+up", 24_576, 4096),
    Shape("down", 4096, 12_288, True),
)
GROUPED = (
    Shape("gate+up in groups", 24_576, 4096, grouped=True),
    Shape("down in groups", 4096, 12_288, True, grouped=True),
)
TINY = Shape("tiny", 48, 64, True)


def compare(
    shape: Shape, counts: Sequence[int], ceilings: Ceilings, device: torch.device
) -> list[dict[str, Any]]:
    """Time, floor, error and bits of a weight at some numbers of rows, beside the library's.

    `ceilings.flops_per_s` is of bfloat16; floors take the rate of the library's FP8 product.
    """
    real = device.type == "cuda"
    if real:
        ceilings = with_fp8_rate(ceilings, device)
    inputs = build(shape, max(counts), device, num_copies(shape) if real else 1)
    whole = inputs.run(max(counts), None, None)
    found = []
    for num_rows in counts:
        out = inputs.run(num_rows, None, None)
        least_s, ours_s = (
            floor_s(shape, num_rows, ceilings),
            seconds(inputs.calls(num_rows, None, None)),
        )
        row = {
            "shape": asdict(shape),
            "rows": num_rows,
            "us": 1e6 * ours_s,
            "floor_us": 1e6 * least_s,
            "share_of_floor": least_s / ours_s,
            "tflops": 2e-12 * num_rows * shape.outputs * shape.inputs / ours_s,
            "relative_error": relative_error(inputs, out),
            "same_bits": torch.equal(out, whole[:num_rows]),
        }
        if real and not shape.grouped:
            wide = [dequantize(w, torch.bfloat16) for w in inputs.weights[:4]]
            x = dequantize_rows(inputs.rows[:num_rows], torch.bfloat16)
            row["bf16_us"] = 1e6 * seconds([partial(F.linear, x, w) for w in wide])
            row |= library_times(inputs, num_rows)
        found.append(row)
    return found


def _named(shapes: Sequence[Shape], names: Sequence[str] | None) -> list[Shape]:
    return [shape for shape in shapes if names is None or shape.name in names]


def main() -> None:
    """Sweep, or measure what is in use."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="time every candidate")
    parser.add_argument("--seconds", type=float, default=60, help="time of a sweep")
    names = [shape.name for shape in (*SHAPES, *GROUPED)]
    parser.add_argument("--shapes", nargs="+", choices=names, help="weights; all if not given")
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    if options.sweep:
        result: Any = sweep(options.seconds, device, _named(SHAPES, options.shapes))
    else:
        ceilings = measure_ceilings(device, small=False)
        shapes = _named((*SHAPES, *GROUPED), options.shapes)
        result = [row for shape in shapes for row in compare(shape, ROWS, ceilings, device)]
        for row in result:
            print(json.dumps(row))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
