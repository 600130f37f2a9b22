"""Tokens per second of each mode over the load, on one CPU thread.

    python -m benchmarks.mode_crossover --nemotron modeling_nemotron_labs_diffusion.py

The models and the work of `benchmarks.modes`, without the authors' loops, whose file is needed for
the names of the weights. Random weights have nearly every draft wrong and peaked ones have every
draft right, so a checkpoint lies between their two lines. Rounds go over all modes and loads in
turn. Writes results/modes_crossover_cpu.json and docs/pictures/modes.svg.
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from benchmarks.family_shapes import MASK_ID
from benchmarks.machine import ROOT, describe
from benchmarks.mode_models import SHAPES, Kind, ModeShape, draw_weights
from benchmarks.modes import (
    PROMPT,
    Work,
    load,
    make_engine,
    open_published,
    params_of,
    run_ours,
    works,
)
from unmask.models.host_memory import keep_freed_memory

OUT = ROOT / "benchmarks" / "results" / "modes_crossover_cpu.json"
PICTURE = ROOT / "docs" / "pictures" / "modes.svg"
COLORS = {"ar": "#0969da", "diffusion": "#0b6e4f", "self_speculation": "#bc4c00"}


def measure_shape(
    shape: ModeShape, options: argparse.Namespace, rates: dict[tuple[str, Work], list[float]]
) -> None:
    """Add a rate for each mode, load and kind of weights in every round."""
    module = open_published(shape, options).module
    for kind in get_args(Kind):
        loaded = load(shape, draw_weights(module, shape, kind))
        engines = {batch: make_engine(loaded, batch) for batch in options.loads}
        chosen = list(works(shape, kind, options.loads, options.new))
        generator = torch.Generator().manual_seed(1)
        prompts = torch.randint(0, MASK_ID, (max(options.loads), PROMPT), generator=generator)
        for index in range(-1, options.rounds):
            for work in chosen:
                asked = replace(work, new=8) if index < 0 else work  # the first round warms up
                params = params_of(shape, asked)
                run = run_ours(engines[work.batch], prompts[: work.batch], params)
                if index >= 0:
                    rate = work.batch * work.new / run.elapsed.cpu_s
                    rates.setdefault((shape.name, work), []).append(rate)
                    print(f"{shape.name} {work}: {rate:.1f} tokens/s", flush=True)


def row_of(shape: ModeShape, work: Work, rates: list[float]) -> dict[str, Any]:
    """Median and spread of a mode at a load."""
    return {
        "family": shape.name,
        "mode": work.mode,
        "weights": work.kind if work.mode == shape.guessing else None,
        "requests": work.batch,
        "tokens_per_s": round(statistics.median(rates), 1),
        "least": round(min(rates), 1),
        "most": round(max(rates), 1),
    }


def picture(rows: list[dict[str, Any]]) -> Figure:
    """A panel for each family: tokens/s over requests at a time."""
    families = list(dict.fromkeys(row["family"] for row in rows))
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    panels = figure.subplots(1, len(families), squeeze=False, sharey=True)[0]
    for axes, family in zip(panels, families, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        lines: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
        for row in rows:
            if row["family"] == family:
                lines.setdefault((row["mode"], row["weights"]), []).append(row)
        for (mode, weights), points in lines.items():
            drafts = {None: "", "random": ", drafts wrong", "peaked": ", drafts right"}[weights]
            axes.plot(
                [point["requests"] for point in points],
                [point["tokens_per_s"] for point in points],
                ":" if weights == "random" else "-",
                marker=".",
                color=COLORS[mode],
                label=mode + drafts,
            )
        levels = [point["requests"] for point in next(iter(lines.values()))]
        axes.set_xscale("log", base=2)
        axes.set(title=family, xlabel="requests at a time", ylim=(0, None))
        axes.set_xticks(levels, [str(level) for level in levels])
        axes.legend(frameon=False, fontsize=7)
    panels[0].set_ylabel("tokens/s of one core")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nemotron", type=Path, help="modeling_nemotron_labs_diffusion.py")
    parser.add_argument("--families", nargs="+", default=["nemotron", "idlm"])
    parser.add_argument("--loads", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--new", type=int, default=64, help="tokens of an answer")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    options = parser.parse_args()
    head = describe()
    torch.set_num_threads(1)
    keep_freed_memory()
    rates: dict[tuple[str, Work], list[float]] = {}
    shapes = {shape.name: shape for shape in SHAPES if shape.name in options.families}
    for shape in shapes.values():
        measure_shape(shape, options, rates)
    rows = [row_of(shapes[name], work, found) for (name, work), found in rates.items()]
    setting = {"threads": 1, "dtype": "float32", "prompt": PROMPT, "rounds": options.rounds}
    options.out.write_text(json.dumps(head | setting | {"rows": rows}, indent=2) + "\n", "utf-8")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "unmask", "font.size": 9}
    options.picture.parent.mkdir(exist_ok=True)
    picture(rows).savefig(options.picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
