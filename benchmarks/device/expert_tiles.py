"""Tiles of the grouped products: which are fastest, and whether all give the same bits.

Run by `python -m benchmarks.device.experts --sweep`. Both products are timed apart, on both
published shapes, in e4m3 and in bfloat16, for tiles of as many rows as an expert may get. Compiling
comes first, on all cores. `unmask_kernels.moe.gpu.grouped.grouped_config` has what came out of it.
"""

import contextlib
import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.device import experts
from benchmarks.device.experts import Shape
from benchmarks.device.timing import Ceilings, timed
from benchmarks.machine import describe
from unmask_kernels import dispatch
from unmask_kernels.moe.gpu import experts as gpu
from unmask_kernels.moe.gpu import grouped, routing
from unmask_kernels.moe.gpu.grouped import GROUP, GroupedConfig, Inner, Pairs, Tile
from unmask_kernels.moe.types import Stacked
from unmask_kernels.quantization.ops import quantize_rows
from unmask_kernels.quantization.types import DTYPES, QuantizedRows

ROWS = (32, 256, 2048, 4096)
TILE_ROWS = {32: (16,), 256: (16, 32), 2048: (32, 64, 128), 4096: (64, 128)}
SHARED_BYTES = 220_000
NUM_ACCUMULATORS = {"fp8": 64, None: 128}  # of a thread; partial sums take as many again
SMALL_EXPERTS, SMALL_ROWS = 8, 32  # to compile with: sizes that are divided as the real ones are
SCORE_TILES = (
    routing.RouterTile(16),
    routing.RouterTile(16, num_stages=4),
    routing.RouterTile(32),
    routing.RouterTile(64),
    routing.RouterTile(64, num_warps=8),
    routing.RouterTile(128, num_warps=8),
    routing.RouterTile(128, experts=128, num_warps=8),
)
MOST_COMPILERS = 16
COMPILE_SHARE = 0.5  # of all time
TIMED_S = 0.012  # of a candidate


@dataclass(frozen=True)
class Job:
    """A configuration to compile, and for what."""

    shape: Shape
    config: GroupedConfig


def tiles(held: str | None, rows: int, *, gate_up: bool) -> Iterator[Tile]:
    """Tiles of one product that fit into shared memory and registers."""
    item = 1 if held == "fp8" else 2
    inputs = (128 if gate_up else GROUP.value) if held == "fp8" else 64
    stages = (3, 4) if gate_up else (4, 8)
    parts = 2 if gate_up else 1
    outputs = (64,) if gate_up else (64, 128)
    cuts = itertools.product(outputs, (4, 8), stages, (False, True))
    for width, warps, depth, experts_first in cuts:
        shared = (parts * width + rows) * inputs * item * depth
        accumulators = parts * width * rows // (32 * warps)
        if shared <= SHARED_BYTES and 8 <= accumulators <= NUM_ACCUMULATORS[held]:
            yield Tile(width, inputs, warps, depth, experts_first)


def candidates(shape: Shape) -> Iterator[GroupedConfig]:
    """Every tile of each product at least once, the other one as it is now."""
    for rows in TILE_ROWS[shape.rows]:
        usual = replace(current(shape), rows=rows)
        gate_up = list(tiles(shape.held, rows, gate_up=True))
        down = list(tiles(shape.held, rows, gate_up=False))
        for one, other in itertools.zip_longest(gate_up, down):
            yield replace(usual, gate_up=one or gate_up[0], down=other or down[0])


def current(shape: Shape) -> GroupedConfig:
    """The configurations in use on this chip."""
    rows = DTYPES["fp8"] if shape.held == "fp8" else torch.bfloat16
    load = shape.rows * shape.top / shape.num_experts
    chip = dispatch.capability(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return grouped.grouped_config(rows, chip, load)


def compile_all(jobs: Sequence[Job]) -> None:
    """Put kernels into Triton's cache, so that later only time is measured."""
    device = torch.device("cuda")
    built: dict[Shape, tuple[Stacked, tuple[Tensor, ...]]] = {}
    for job in jobs:
        few = job.shape
        if few not in built:
            built[few] = experts.build(few, device), experts.draw(few, device)
        with contextlib.suppress(Exception):  # told of when it is timed
            run(few, *built[few], job.config)
            torch.cuda.synchronize()


def run(
    shape: Shape, held: Stacked, drawn: tuple[Tensor, ...], config: GroupedConfig | None
) -> Tensor:
    """All of a mixture, cut as told."""
    x, ids, shares = drawn
    scales = held.gate_up_scales, held.down_scales
    chip = dispatch.capability(x.device)
    weights = held.gate_up, held.down
    rows = quantize_rows(x) if shape.held == "fp8" else x
    return gpu.experts(rows, *weights, ids, shares, *scales, shape.activation, chip, None, config)


class Stage:
    """The two products of a shape, one at a time."""

    def __init__(self, shape: Shape, held: Stacked, drawn: tuple[Tensor, ...]) -> None:
        self.shape, self.held = shape, held
        x, self.ids, _ = drawn
        self.x: Tensor | QuantizedRows = quantize_rows(x) if shape.held == "fp8" else x

    def pairs(self, config: GroupedConfig) -> Pairs:
        placed = routing.align_block_size(self.ids, self.shape.num_experts, config.rows)
        return Pairs(*placed, self.ids.numel(), self.shape.top)

    def gate_up(self, pairs: Pairs, config: GroupedConfig) -> Inner:
        scales, activation = self.held.gate_up_scales, self.shape.activation
        return grouped.multiply_gate_up(
            self.x, self.held.gate_up, scales, pairs, activation, config
        )

    def down(self, inner: Inner, pairs: Pairs, config: GroupedConfig) -> Tensor:
        scales, dtype = self.held.down_scales, torch.bfloat16
        return grouped.multiply_down(inner, self.held.down, scales, pairs, dtype, config)


def in_order(inner: Inner, pairs: Pairs) -> list[Tensor]:
    """Bytes of what a product made of each pair, in the order of pairs, scales apart."""
    rows = [inner.values]
    if inner.scales is not None:
        scales = inner.scales.T
        rows.append(scales.new_empty(scales.shape).copy_(scales))
    places = (pairs.row_of < pairs.num_pairs).nonzero()[:, 0]
    found = []
    for part in rows:
        raw = part.view(torch.uint8)
        own = torch.empty((pairs.num_pairs, raw.shape[1]), dtype=torch.uint8, device=raw.device)
        own[pairs.row_of[places].long()] = raw[places]
        found.append(own)
    return found


def measure(
    shape: Shape, configs: Sequence[GroupedConfig], device: torch.device, deadline_s: float
) -> dict[str, Any]:
    """Both products of a shape by every configuration, each the fastest first."""
    held, drawn = experts.build(shape, device), experts.draw(shape, device)
    stage, usual = Stage(shape, held, drawn), current(shape)
    pairs = stage.pairs(usual)
    inner = stage.gate_up(pairs, usual)
    expected = in_order(inner, pairs), [stage.down(inner, pairs, usual)]
    found: dict[str, list[dict[str, Any]]] = {"gate_up": [], "down": []}
    failed: list[str] = []
    tried: set[tuple[object, ...]] = set()
    for config in [usual, *configs]:
        pairs = stage.pairs(config)
        try:
            inner = stage.gate_up(pairs, replace(usual, rows=config.rows))
        except Exception as error:
            failed.append(f"{config}: {error}"[:200])
            continue
        gate_up, down = partial(stage.gate_up, pairs), partial(stage.down, inner, pairs)
        calls: dict[str, tuple[Tile, Callable[[GroupedConfig], Any], list[Tensor]]] = {
            "gate_up": (config.gate_up, gate_up, expected[0]),
            "down": (config.down, down, expected[1]),
        }
        for name, (tile, call, bits) in calls.items():
            key = name, tile, config.rows
            if key in tried or time.monotonic() > deadline_s:
                continue
            tried.add(key)
            try:
                made = call(config)
                made = in_order(made, pairs) if name == "gate_up" else [made]
                same = all(torch.equal(a, b) for a, b in zip(made, bits, strict=True))
                row = {"rows": config.rows}
                row |= asdict(tile) | {
                    "us": timed(partial(call, config), budget_s=TIMED_S).median_us
                }
                found[name].append(row | {"same_bits": same})
            except Exception as error:
                failed.append(f"{name} {tile}: {error}"[:200])
    for rows in found.values():
        rows.sort(key=lambda row: row["us"])
    found["gate_up in hardware sums"] = []
    if shape.held == "fp8" and time.monotonic() < deadline_s:
        found["gate_up in hardware sums"].append(_without_promotion(stage, usual))
    call = partial(run, shape, held, drawn, usual)
    whole_us = timed(call, budget_s=0.05, graph=True).median_us
    return {"shape": asdict(shape), "whole_us": whole_us, "failed": failed, **found}


def _without_promotion(stage: Stage, usual: GroupedConfig) -> dict[str, Any]:
    """Time of gates whose sums stay in the matrix units, and how far they are from the others."""
    pairs, other = stage.pairs(usual), replace(usual, promotes=False)
    made = [stage.gate_up(pairs, config) for config in (usual, other)]
    wide = []
    for inner in made:
        assert inner.scales is not None
        scales = inner.scales.T.repeat_interleave(GROUP.value, 1)[:, : inner.values.shape[1]]
        wide.append((inner.values.float() * scales)[pairs.row_of < pairs.num_pairs])
    away = float((wide[1] - wide[0]).norm() / wide[0].norm())
    time_us = timed(partial(stage.gate_up, pairs, other), budget_s=TIMED_S).median_us
    return {"rows": usual.rows, "us": time_us, "relative_difference": away}


def best(row: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, Any]] | None:
    """Rows of a tile, and the fastest pair of products with tiles of so many rows."""
    pairs = []
    for rows in {own["rows"] for own in row["gate_up"]}:
        firsts = [next((o for o in row[k] if o["rows"] == rows), None) for k in ("gate_up", "down")]
        if firsts[0] is not None and firsts[1] is not None:
            pairs.append((rows, firsts[0], firsts[1]))
    return min(pairs, key=lambda pair: pair[1]["us"] + pair[2]["us"], default=None)


def sweep(ceilings: Ceilings, device: torch.device, seconds: float, out: Path | None) -> None:
    """Compile, time, print the best, and write all of it, however far the time goes."""
    started_s = time.monotonic()
    shapes = [
        replace(shape, rows=rows, held=held)
        for held in ("fp8", None)
        for shape in experts.SHAPES
        for rows in ROWS
    ]
    few = {"rows": SMALL_ROWS, "num_experts": SMALL_EXPERTS}
    each = (Job(replace(own, **few), config) for own in shapes for config in candidates(own))
    jobs = list(dict.fromkeys(each))  # those of 32 rows are among those of 256
    compile_apart(jobs, COMPILE_SHARE * seconds)
    result = describe() | {"ceilings": asdict(ceilings), "rows": []}
    result["routing"] = [measure_routing(rows, device) for rows in (128, 2048)]
    for row in result["routing"]:
        each = "; ".join(f"{name} {time_us:.1f} us" for name, time_us in row["us"].items())
        bits = "the same bits" if row["same_bits"] else "OTHER BITS"
        print(f"routing of {row['rows']} rows, {bits}: {each}", flush=True)
    for shape in shapes:
        if time.monotonic() > started_s + seconds:
            print(f"no time left for {shape}")
            continue
        deadline_s = started_s + seconds
        row = measure(shape, list(candidates(shape)), device, deadline_s)
        result["rows"].append(row)
        print("\n".join(table(row, ceilings)), flush=True)
        if out is not None:
            out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        if device.type == "cuda":
            torch.cuda.empty_cache()


def measure_routing(rows: int, device: torch.device) -> dict[str, Any]:
    """Time of LLaDA2.0-mini's routing: a router in float32, the choice, tiles."""
    shape = replace(experts.SHAPES[0], rows=rows)
    x, ids, _ = experts.draw(shape, device)
    router = torch.randn(shape.num_experts, shape.hidden, device=device) / shape.hidden**0.5
    bias = torch.rand(shape.num_experts, device=device)
    logits = routing.router_logits(x, router)
    choose = partial(
        routing.route_sigmoid, logits, bias, shape.top,
        groups=8, top_groups=4, scale=2.5, renormalise=True,
    )  # fmt: skip
    load = rows * shape.top / shape.num_experts
    config = grouped.grouped_config(DTYPES["fp8"], 90, load)
    calls: dict[str, Callable[[], Any]] = {
        "choose": choose,
        "align": partial(routing.align_block_size, ids, shape.num_experts, config.rows),
        "quantize": partial(quantize_rows, x),
    }
    same = True
    for tile in SCORE_TILES:
        cut = f"{tile.experts} experts, {tile.rows} rows"
        name = f"score by {cut}, {tile.num_warps} warps, {tile.num_stages} stages"
        calls[name] = partial(routing.router_logits, x, router, tile)
        same = same and torch.equal(logits, calls[name]())
    times = {
        name: timed(call, budget_s=TIMED_S, graph=True).median_us for name, call in calls.items()
    }
    return {"rows": rows, "us": times, "same_bits": same}


def compile_apart(jobs: Sequence[Job], most_s: float) -> None:
    """Compile in processes of their own, and end them once their time is over."""
    num = min(os.cpu_count() or 1, MOST_COMPILERS)
    spawn = multiprocessing.get_context("spawn")
    running = [spawn.Process(target=compile_all, args=(jobs[i::num],)) for i in range(num)]
    for process in running:
        process.start()
    deadline_s = time.monotonic() + most_s
    for process in running:
        process.join(max(0.0, deadline_s - time.monotonic()))
    late = [process for process in running if process.is_alive()]
    for process in late:  # what they have not compiled is compiled as it is timed
        process.terminate()
    print(f"compiled {len(jobs)} pairs, {len(late)} of {num} processes ended early", flush=True)


def table(row: dict[str, Any], ceilings: Ceilings) -> Iterator[str]:
    """A few lines: what is used now, the best, and who has other bits."""
    shape = Shape(**row["shape"])
    name = f"{shape.name}, {shape.rows} rows, {shape.held or 'bf16'}"
    yield f"{name}: {row['whole_us']:.0f} us with tiles as they are"
    if (fastest := best(row)) is not None:
        rows, gate_up, down = fastest
        yield f"  best: tiles of {rows} rows, {gate_up['us']:.0f} + {down['us']:.0f} us"
    bandwidth = ceilings.bytes_per_s / 1e6
    share = {"gate_up": 2 / 3, "down": 1 / 3}
    weights = shape.num_experts * 3 * shape.hidden * shape.inner * (1 if shape.held else 2)
    reached = 1 - (1 - shape.top / shape.num_experts) ** shape.rows
    for name, part in share.items():
        floor_us = weights * reached * part / bandwidth
        for own in row[name][:4]:
            cut = ", ".join(f"{key} {value}" for key, value in own.items() if key != "us")
            yield f"  {name:8} {own['us']:6.0f} us, bytes alone {floor_us:4.0f}: {cut}"
        if others := [own for own in row[name] if not own["same_bits"]]:
            yield f"  {name}: OTHER BITS in {len(others)} of {len(row[name])}, such as {others[0]}"
    for own in row["gate_up in hardware sums"]:
        away = own["relative_difference"]
        yield f"  gate_up summed in the matrix units: {own['us']:.0f} us, {away:.1e} away"
    if row["failed"]:
        yield f"  failed: {len(row['failed'])}, such as {row['failed'][0]}"
