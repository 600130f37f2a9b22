"""Attention's configurations on this GPU: `python -m benchmarks.attention_tiles --name h100`.

Times candidates on the shapes that have a target, from one request to many, and checks each against
float64 and that its bits do not depend on how grains are dealt. Prints a table, and writes
results/gpu_tiles_NAME.json. What `unmask_kernels.attention.tiles` has is what came out of it.
"""

import argparse
import itertools
import json
import multiprocessing
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.device import attention
from benchmarks.device.attention import Inputs, Shape
from benchmarks.device.timing import Ceilings, measure_ceilings, timed
from benchmarks.machine import ROOT, describe
from unmask_kernels.attention.tiles import TileConfig, TilePlan, tile_config

HOPPER = 90
NUM_COMPILERS = 12
MEASURE_S = 0.04  # of a configuration on a shape
TOLERANCE = 6e-3  # of results in bfloat16, relative to float64
PROGRAMS = (1, 64, 4096)  # among which grains are dealt to compare bits


@dataclass(frozen=True)
class Group:
    """Shapes that the same kernels serve, and what is tried on them, today's choice first."""

    name: str
    shapes: tuple[Shape, ...]
    configs: Mapping[str, TileConfig]


def groups() -> list[Group]:
    """By importance: the time may not do for all."""
    usual = tile_config(128, torch.bfloat16, HOPPER)
    wide = tile_config(256, torch.bfloat16, HOPPER)
    widest = tile_config(512, torch.bfloat16, HOPPER)
    half = replace(wide, rows=64, num_warps=4, programs=264)
    few, many = (1, 8, 32, 64), (1, 32)
    canvas = Shape(rows=8, queries=256, heads=16, head_dim=256, context=1280)
    full = replace(canvas, kv_heads=2, head_dim=512)
    return [
        Group(
            "heads of 128",
            (
                *(Shape(rows=rows, context=1024) for rows in few),
                *(Shape(rows=rows, context=8192) for rows in many),
            ),
            {
                "usual": usual,
                "grain 256": replace(usual, grain=256),
                "grain 1024": replace(usual, grain=1024),
                "merged from memory only": replace(usual, chunk=1024, grain=1024),
                "2 buffers": replace(usual, num_stages=3),
                "4 buffers": replace(usual, num_stages=7, programs=132),
                "pointers": replace(usual, tma=False, num_stages=3),
                "128 rows": replace(usual, rows=128, num_warps=8, programs=132),
                "half the programs": replace(usual, programs=132),
            },
        ),
        Group(
            "8 bits",
            tuple(Shape(rows=rows, context=1024, held="fp8") for rows in (8, 64)),
            {
                "usual": usual,
                "pointers": replace(usual, fp8_tma=False),
                "widened keys": replace(usual, fp8_scores=False),
                "4 buffers": replace(usual, num_stages=7),
                "merged from memory only": replace(usual, chunk=1024, grain=1024),
                "128 rows": replace(usual, rows=128, num_warps=8, programs=132),
            },
        ),
        Group(
            "heads of 256",
            tuple(replace(canvas, rows=rows) for rows in (8, 1, 4)),
            {
                "usual": wide,
                "pointers": replace(wide, tma=False),
                "4 buffers": replace(wide, num_stages=7),
                "chunks of 1,024": replace(wide, chunk=1024, grain=1024),
                "64 keys": replace(wide, keys=64, num_stages=2),
                "64 keys, 2 buffers": replace(wide, keys=64, num_stages=3),
                "64 keys, chunks of 1,024": replace(
                    wide, chunk=1024, grain=1024, keys=64, num_stages=3
                ),
                "64 rows": replace(half, num_stages=2),
                "64 rows, 2 buffers": replace(half, num_stages=3),
                "64 rows, chunks of 1,024": replace(half, num_stages=2, chunk=1024, grain=1024),
                "64 rows, 16 keys, 3 buffers": replace(half, keys=16),
                "64 rows, pointers": replace(half, tma=False, num_stages=3),
            },
        ),
        Group(
            "heads of 512",
            tuple(replace(full, rows=rows) for rows in (8, 1)),
            {
                "usual": widest,
                "64 rows, 512 columns": replace(widest, rows=64, columns=512),
                "chunks of 512": replace(widest, chunk=512, grain=512),
            },
        ),
    ]


def compile_apart(groups: Sequence[Group]) -> None:
    """Put kernels into Triton's cache, so that later only time is measured."""
    jobs = [
        (replace(group.shapes[0], rows=1, context=2048), config)
        for group in groups
        for config in group.configs.values()
    ]
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(NUM_COMPILERS, mp_context=spawn) as pool:
            list(pool.map(compile_one, *zip(*jobs, strict=True)))
    except BrokenProcessPool as error:
        print(f"compiled one by one: {error}", flush=True)


def compile_one(shape: Shape, config: TileConfig) -> None:
    """Run once, with grains to merge; one that does not compile says so when it is measured."""
    device = torch.device("cuda")
    try:
        attention.run(shape, attention.build(shape, device, config))
        torch.cuda.synchronize()
    except Exception as error:
        print(f"{config}: {type(error).__name__}", flush=True)


def measure(
    shape: Shape, configs: Mapping[str, TileConfig], ceilings: Ceilings, device: torch.device
) -> list[dict[str, Any]]:
    """Every configuration on one shape, the fastest first and those that fail last."""
    inputs = attention.build(shape, device)
    floor_s = ceilings.floor_s(shape.num_bytes, shape.flops)
    found = []
    for name, config in configs.items():
        row: dict[str, Any] = {"name": name} | asdict(config)
        try:
            row |= _measured(shape, inputs, config, floor_s, device)
        except Exception as error:
            row |= {"us": None, "problem": f"{type(error).__name__}: {error}"[:300]}
        found.append(row)
    return sorted(found, key=lambda row: (row["us"] is None, row["us"]))


def _measured(
    shape: Shape, inputs: Inputs, config: TileConfig, floor_s: float, device: torch.device
) -> dict[str, Any]:
    own = replace(inputs, plan=attention.make(shape, inputs.pages, device, config))
    out = attention.run(shape, own)
    slots, same = set(), True
    for programs in PROGRAMS:
        dealt = replace(config, programs=programs)
        other = replace(inputs, plan=attention.make(shape, inputs.pages, device, dealt))
        assert isinstance(other.plan, TilePlan)
        slots.add(other.plan.num_slots)
        same = same and bool(torch.equal(attention.run(shape, other), out))
    time = timed(lambda: attention.run(shape, own), budget_s=MEASURE_S, graph=True)
    error = attention.relative_error(shape, own)
    return {
        "us": time.median_us,
        "share_of_floor": floor_s / time.median_s,
        "relative_error": error,
        "is_right": error < TOLERANCE,
        "same_bits": same,
        "dealings": len(slots),
    }


def table(group: str, shape: Shape, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One shape, the fastest first."""
    window = f", window {shape.window}" if shape.window else ""
    yield f"{group}: {shape.rows} x {shape.queries} queries, {shape.context} keys{window}"
    for row in rows:
        if row["us"] is None:
            yield f"  {row['name']:32} FAILED {row['problem'][:90]}"
            continue
        marks = [] if row["is_right"] else ["WRONG"]
        marks += [] if row["same_bits"] else ["OTHER BITS BY DEALING"]
        yield (
            f"  {row['name']:32} {row['us']:8.1f} us {row['share_of_floor']:5.0%} of the floor"
            f"  error {row['relative_error']:.1e}, {row['dealings']} dealings {' '.join(marks)}"
        )


def best_of(measured: Iterable[Sequence[dict[str, Any]]]) -> list[tuple[str, float]]:
    """Candidates by the mean of their time over the best one's, of those that are right."""
    ratios: dict[str, list[float]] = {}
    count = 0
    for rows in measured:
        good = [row for row in rows if row["us"] and row["is_right"] and row["same_bits"]]
        count += 1
        for row in good:
            ratios.setdefault(row["name"], []).append(row["us"] / good[0]["us"])
    means = [(name, sum(own) / count) for name, own in ratios.items() if len(own) == count]
    return sorted(means, key=lambda pair: pair[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="gpu", help="part of the result's file name")
    parser.add_argument("--only", default="", help="groups whose name has this in it")
    parser.add_argument("--seconds", type=float, default=75.0, help="after which no shape is begun")
    options = parser.parse_args()
    started_s = time.monotonic()
    device = torch.device("cuda")
    tried = [group for group in groups() if re.search(options.only, group.name)]
    compile_apart(tried)
    print(f"compiled in {time.monotonic() - started_s:.0f} s", flush=True)
    ceilings = measure_ceilings(device, small=False)
    out: Path = ROOT / "benchmarks" / "results" / f"gpu_tiles_{options.name}.json"
    results: list[dict[str, Any]] = []
    # The first shapes of all groups first.
    order = [
        (group, shape)
        for shapes in itertools.zip_longest(*(group.shapes for group in tried))
        for group, shape in zip(tried, shapes, strict=True)
        if shape is not None
    ]
    for group, shape in order:
        if time.monotonic() - started_s > options.seconds:
            print(f"no time for {group.name}, {shape}")
            continue
        rows = measure(shape, group.configs, ceilings, device)
        results.append({"group": group.name, "shape": asdict(shape), "tiles": rows})
        print("\n".join(table(group.name, shape, rows)), flush=True)
        result = describe() | {"ceilings": asdict(ceilings), "rows": results}
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for group in tried:
        own = [result["tiles"] for result in results if result["group"] == group.name]
        for name, ratio in best_of(own)[:3]:
            print(f"{group.name}: {name}, {ratio:.2f} of the best one's time on average")
    print(f"{out}, {time.monotonic() - started_s:.0f} s")


if __name__ == "__main__":
    main()
