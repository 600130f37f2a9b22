"""The fastest configuration of the W8A8 product for every shape and number of rows."""

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.device.fp8_inputs import (
    CHECKED_ROWS,
    NUM_REPLAYS,
    Inputs,
    Shape,
    build,
    floor_s,
    fp8_ceilings,
    library,
    library_times,
    num_copies,
    relative_error,
    seconds,
)
from benchmarks.device.timing import Ceilings
from unmask_kernels.linear.gpu.fp8 import Tile, grain_inputs, pick_tile
from unmask_kernels.quantization.ops import quantize, quantize_rows

ROWS = (32, 4096, 128, 1024, 256, 512, 64, 2048)  # those that decide most first
NUM_COMPILERS = 8
FEWEST_REPLAYS = 3


def candidates(num_rows: int, shape: Shape) -> Iterator[Tile]:
    """At most a dozen configurations, the one in use first."""
    yield pick_tile(num_rows, shape.outputs, shape.inputs, 90)
    several = grain_inputs(shape.inputs) < shape.inputs
    if num_rows <= 64:
        yield Tile(64, 16, 256, 4, 8)
        for outputs in (32, 64, 128):
            for stages in ((8, 12), (8,), (6,))[(32, 64, 128).index(outputs)]:
                yield Tile(64, outputs, 128, 4, stages)
            if several:
                yield Tile(64, outputs, 128, 4, 8 if outputs < 128 else 6, split=True)
        yield Tile(64, 32, 256, 4, 6)
        yield Tile(64, 64, 256, 4, 5, split=several)
        yield Tile(64, 128, 256, 4, 3, split=several)
    elif num_rows <= 256:
        yield Tile(64, 64, 256, 4, 5, split=several)
        yield Tile(128, 64, 256, 4, 4, split=several)
        yield Tile(128, 32, 256, 4, 4, split=several)
        yield Tile(128, 64, 128, 4, 6, split=several)
        yield Tile(128, 64, 128, 8, 6, split=several)
        yield Tile(128, 64, 128, 8, 4, 2)
        yield Tile(128, 64, 128, 8, 6)
        yield Tile(128, 128, 128, 8, 4, split=several)
        yield Tile(128, 128, 128, 8, 5)
        yield Tile(256, 64, 128, 8, 4, split=several)
    else:
        yield Tile(128, 128, 128, 8, 5, 1)
        yield Tile(128, 128, 128, 8, 5)
        yield Tile(128, 128, 64, 8, 5, 2)
        if num_rows <= 1024:
            yield Tile(128, 64, 128, 8, 4, 2)
            yield Tile(256, 64, 128, 8, 4, 1)
        yield Tile(128, 128, 128, 4, 3, 2)
        yield Tile(128, 256, 128, 8, 4, 1)
        yield Tile(128, 256, 128, 8, 3, 1)
        yield Tile(128, 256, 128, 8, 4)
        yield Tile(128, 256, 128, 8, 4, 1, group=16)
        yield Tile(256, 128, 128, 8, 4, 1, group=4)


def compile_all(jobs: Sequence[tuple[Shape, Tile]]) -> None:
    """Put kernels into Triton's cache; what fails to compile fails again where it is timed."""
    device = torch.device("cuda")
    for shape, tile in jobs:
        small = replace(shape, outputs=tile.outputs)
        values = torch.zeros(tile.outputs, shape.inputs, device=device)
        x = torch.zeros(16, shape.inputs, device=device, dtype=torch.bfloat16)
        inputs = Inputs(quantize_rows(x), [quantize(values, "fp8")], None)
        if small.added:
            residual = torch.zeros(16, tile.outputs, device=device, dtype=torch.bfloat16)
            inputs = replace(inputs, residual=residual)
        try:
            inputs.run(16, tile, None)
        except Exception:
            continue
    torch.cuda.synchronize()


def compile_apart(cases: dict[tuple[Shape, int], list[Tile]]) -> None:
    """Compile in several processes, the slowest kernels spread among them."""
    jobs = {(s, replace(t, per_sm=None)) for (s, _), tiles in cases.items() for t in tiles}
    order = sorted(jobs, key=lambda job: (-job[1].rows * job[1].outputs, str(job)))
    parts = [order[i::NUM_COMPILERS] for i in range(NUM_COMPILERS)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(NUM_COMPILERS, mp_context=spawn) as pool:
        list(pool.map(compile_all, parts))


def sweep(
    budget_s: float, device: torch.device, shapes: Sequence[Shape], counts: Sequence[int] = ROWS
) -> dict[str, Any]:
    """Time every candidate on every shape and number of rows, compare bits, and print the best.

    What the time does not allow is skipped.
    """
    deadline_s = time.perf_counter() + budget_s
    real, most = device.type == "cuda", max(counts)
    ceilings = fp8_ceilings(device)
    cases = {(s, n): list(dict.fromkeys(candidates(n, s))) for s in shapes for n in counts}
    if real:
        compile_apart(cases)
    print(f"compiled, {deadline_s - time.perf_counter():.0f} s left", flush=True)
    found, sums, skipped = [], [], []
    for index, shape in enumerate(shapes):
        inputs = build(shape, most, device, num_copies(shape) if real else 1)
        usual = inputs.run(most, None, None)
        sums.append({"shape": shape.name} | _accumulation(shape, inputs, usual))
        print(json.dumps(sums[-1]), flush=True)
        now_s = time.perf_counter()
        until_s = now_s + (deadline_s - now_s) / (len(shapes) - index)
        for num_rows in counts:
            if time.perf_counter() > until_s:
                skipped.append((shape.name, num_rows))
                continue
            case = _timed(shape, num_rows, inputs, usual, cases[shape, num_rows], ceilings)
            found.append(case)
            _print_case(case)
        del inputs, usual
    print(*_table(found), sep="\n")
    print("skipped:", skipped)
    result = {"ceilings": asdict(ceilings), "accumulation": sums, "cases": found}
    return result | {"skipped": skipped}


def _timed(
    shape: Shape,
    num_rows: int,
    inputs: Inputs,
    usual: Tensor,
    tiles: Sequence[Tile],
    ceilings: Ceilings,
) -> dict[str, Any]:
    least_s, timed = floor_s(shape, num_rows, ceilings), []
    replays = NUM_REPLAYS if num_rows <= 512 else FEWEST_REPLAYS
    for tile in tiles:
        row: dict[str, Any] = {"tile": repr(tile)}
        try:
            row["same_bits"] = torch.equal(inputs.run(num_rows, tile, None), usual[:num_rows])
            row["us"] = 1e6 * seconds(inputs.calls(num_rows, tile, None), replays)
            row["share_of_floor"] = 1e6 * least_s / row["us"]
            row["tflops"] = 2e-6 * num_rows * shape.outputs * shape.inputs / row["us"]
        except Exception as error:
            row["problem"] = f"{type(error).__name__}: {error}".splitlines()[0][:160]
        timed.append(row)
    result = {"shape": shape.name, "rows": num_rows, "floor_us": 1e6 * least_s}
    result["in_use"] = timed[0]
    result["tiles"] = sorted(timed, key=lambda row: row.get("us", float("inf")))
    if inputs.rows.values.is_cuda:
        result |= library_times(inputs, num_rows)
    return result


def _accumulation(shape: Shape, inputs: Inputs, usual: Tensor) -> dict[str, Any]:
    """Errors of products, and of their sums by the length of a grain, without the last rounding."""
    few = inputs.rows[:CHECKED_ROWS]
    wide = replace(inputs, rows=replace(few, dtype=torch.float32), residual=None)
    result: dict[str, Any] = {"relative_error": relative_error(inputs, usual)}
    for grain in (256, 2048, 4096, 16_384):
        if grain < 2 * shape.inputs:
            tile, length = Tile(64, 64, num_stages=8), min(grain, grain_whole(shape.inputs))
            result[f"grain {length}"] = relative_error(wide, wide.run(len(few), tile, length))
    for fast in (True, False) if few.values.is_cuda else ():
        try:
            out = library(wide, len(few), fast=fast)[0]()
            result[f"library, fast {fast}"] = relative_error(wide, out)
        except RuntimeError as error:
            result[f"library, fast {fast}"] = str(error).splitlines()[0][:120]
    return result


def grain_whole(num_inputs: int) -> int:
    """The shortest grain that has all inputs."""
    return -(-num_inputs // 256) * 256


def _print_case(case: dict[str, Any]) -> None:
    print(
        f"{case['shape']} {case['rows']} rows, floor {case['floor_us']:.1f} us, "
        f"library {case.get('library_us', float('nan')):.1f}"
    )
    for row in case["tiles"]:
        print("  ", _line(row))
    print(end="", flush=True)


def _line(row: dict[str, Any]) -> str:
    if "problem" in row:
        return f"{row['tile']}: {row['problem']}"
    bits = "" if row["same_bits"] else " OTHER BITS"
    return (
        f"{row['us']:7.1f} us {row['share_of_floor']:4.0%} {row['tflops']:5.0f} TFLOP/s "
        f"{row['tile']}{bits}"
    )


def _table(cases: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The best of every case, and what the configuration in use takes."""
    yield "BEST"
    for case in sorted(cases, key=lambda case: (case["shape"], case["rows"])):
        best, used = case["tiles"][0], case["in_use"]
        lost = used.get("us", float("nan")) / best.get("us", float("nan"))
        library_us = case.get("library_us", float("nan"))
        yield (
            f"{case['shape']:8} {case['rows']:5} {_line(best)} (in use {lost:.2f} times, "
            f"library {library_us:.1f} us)"
        )
