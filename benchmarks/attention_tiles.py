"""Which tiles of attention are fastest on this GPU: `python -m benchmarks.attention_tiles`.

Times every configuration with chunks as usual, then the best with other chunks, on the shapes that
have a target and on a few rows, and whether each gives the same bits. Prints the best, and writes
results/gpu_tiles_NAME.json. What `unmask_kernels.tiles` has is what came out of it.
"""

import argparse
import itertools
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.device import attention
from benchmarks.device.attention import Shape
from benchmarks.device.timing import Ceilings, measure_ceilings, timed
from benchmarks.machine import ROOT, describe
from unmask_kernels.tiles import TileConfig

SHAPES = (
    *attention.TARGETS,
    Shape(rows=8, context=1100),
    Shape(rows=8, context=1100, kv_heads=32),
    Shape(rows=8, context=8192),
)
USUAL_CHUNK, OTHER_CHUNKS = 1024, (512, 2048, 4096)
NUM_BEST = 3  # that are tried with other chunks
SHARED_BYTES = 220_000
NUM_COMPILERS = 8


def configs() -> Iterator[TileConfig]:
    """Those that fit into shared memory, and whose accumulators fit into registers."""
    kinds = itertools.product(((64, 4), (128, 8)), (64, 128), (2, 3, 4), (False, True))
    for (rows, warps), keys, stages, tma in kinds:
        held = 512 * keys * stages + 256 * rows
        if held <= SHARED_BYTES and (keys == 64 or (rows == 64 and not tma)):
            yield TileConfig(rows, keys, 256, USUAL_CHUNK, warps, stages, tma)


def compile_all(jobs: Sequence[tuple[TileConfig, int]]) -> None:
    """Put kernels into Triton's cache, so that later only time is measured."""
    device = torch.device("cuda")
    for config, kv_heads in jobs:
        shape = Shape(rows=2, context=256, kv_heads=kv_heads)
        attention.run(shape, attention.build(shape, device, config))
    torch.cuda.synchronize()


def compile_apart(tiles: Sequence[TileConfig]) -> None:
    jobs = [(config, kv_heads) for config in tiles for kv_heads in {s.kv_heads for s in SHAPES}]
    parts = [jobs[i::NUM_COMPILERS] for i in range(NUM_COMPILERS)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(NUM_COMPILERS, mp_context=spawn) as pool:
        list(pool.map(compile_all, parts))


def measure(
    shape: Shape, tiles: Sequence[TileConfig], ceilings: Ceilings, device: torch.device
) -> list[dict[str, Any]]:
    """Every configuration on one shape, the fastest first."""
    inputs = attention.build(shape, device)
    usual = attention.run(shape, inputs)
    floor_s = ceilings.floor_s(shape.num_bytes, shape.flops)
    found = []
    for config in tiles:
        plan = attention.make(shape, inputs.pages, device, config)
        own = replace(inputs, plan=plan)
        out = attention.run(shape, own)
        time = timed(lambda own=own: attention.run(shape, own), budget_s=0.05, graph=True)
        row = asdict(config) | {"us": time.median_us, "share_of_floor": floor_s / time.median_s}
        found.append(row | {"same_bits": bool(torch.equal(out, usual))})
    return sorted(found, key=lambda row: row["us"])


def overall(results: Sequence[list[dict[str, Any]]], tiles: Sequence[TileConfig]) -> list[Any]:
    """Configurations by their time over the best one's, summed over all shapes."""

    def cost(config: TileConfig) -> float:
        own = asdict(config).items()
        return sum(
            next(row["us"] for row in rows if own <= row.items()) / rows[0]["us"]
            for rows in results
        )

    return sorted(tiles, key=cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="gpu", help="part of the result's file name")
    options = parser.parse_args()
    device = torch.device("cuda")
    ceilings = measure_ceilings(device, small=False)
    tiles = list(configs())
    compile_apart(tiles)
    first = [measure(shape, tiles, ceilings, device) for shape in SHAPES]
    best = overall(first, tiles)[:NUM_BEST]
    more = [replace(config, chunk=chunk) for config in best for chunk in OTHER_CHUNKS]
    compile_apart(more)
    rows = []
    for shape, own in zip(SHAPES, first, strict=True):
        both = sorted(own + measure(shape, more, ceilings, device), key=lambda row: row["us"])
        rows.append({"shape": asdict(shape), "tiles": both})
        print(f"{shape.rows} rows, {shape.context} keys, {shape.kv_heads} key heads")
        for row in both[:6]:
            print(f"  {row['us']:7.0f} us, {row['share_of_floor']:.0%} of the floor: {row}")
    out: Path = ROOT / "benchmarks" / "results" / f"gpu_tiles_{options.name}.json"
    result = describe() | {"ceilings": asdict(ceilings), "rows": rows}
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main()
