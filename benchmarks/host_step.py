"""What a step costs the host before the model runs: `python -m benchmarks.host_step`.

Writes results/host_step_cpu.json: microseconds of scheduling and laying a batch out, and of
bringing it and the plan of its attention to the device, with a model that computes nothing; of
filling the rooms that the graphs of a step read; and of telling what came of it. Plans are those of
a GPU. On a CPU nothing is copied in the end, so a GPU's host will see other figures; `copies` is
how many a step without graphs would have queued.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import unmask.engine.runner as runner_module
from benchmarks.device.engine import load
from benchmarks.device.families import TINY
from benchmarks.machine import ROOT, describe
from unmask.config import Config, EngineConfig
from unmask.engine.decision_room import DecisionRoom, DecisionSize, arrays_of
from unmask.engine.engine import Engine
from unmask.engine.graph_sizes import tile_configs
from unmask.engine.staging import Array, Staging, on_host
from unmask.engine.step import StepBatch
from unmask.engine.step_room import StepRoom, host_step, spare_cell
from unmask.engine.trial import random_decision
from unmask.metrics import Metrics
from unmask.models.layers import LayerShape, StepInput
from unmask.types import MAX_BLOCK_LENGTH, Request, SamplingParams
from unmask_kernels import dispatch
from unmask_kernels.linear import make_linear
from unmask_kernels.tile_room import TileSize

OUT = ROOT / "benchmarks" / "results" / "host_step_cpu.json"
SHAPE = TINY["tiny SDAR"]
SEQUENCES = (8, 32, 128)
BLOCK, CONTEXT, STEPS, WARM_UP = 32, 512, 200, 20


class Stub:
    """A model that notes when it is called, and returns zeros."""

    def __init__(self) -> None:
        self.called_s = 0.0
        self.step: StepInput
        self.lm_head = make_linear(torch.zeros(SHAPE.raw["vocab_size"], 1))

    @property
    def layers(self) -> Sequence[LayerShape]:
        """Two layers of one shape: 32 query heads over 8 key heads."""
        return (LayerShape(8, 1, 4),) * 2

    def forward(self, step: StepInput) -> Tensor:
        """Hidden states of nothing."""
        self.called_s, self.step = time.perf_counter(), step
        return torch.zeros(len(step.token_ids), 1)

    def finish(self, hidden: Tensor) -> Tensor:
        """The same."""
        return hidden


def measure(num_sequences: int) -> dict[str, Any]:
    """Medians over steps in which every sequence denoises a block."""
    loaded = load(SHAPE, torch.device("cpu"), 4 * CONTEXT)
    stub = Stub()
    object.__setattr__(loaded, "model", stub)
    config = EngineConfig(
        max_num_seqs=num_sequences,
        max_batch_tokens=num_sequences * CONTEXT,
        num_pages=num_sequences * 64,
        prefix_cache=False,
    )
    engine = Engine(Config(engine=config), loaded, Metrics())
    params = SamplingParams(max_tokens=1024, block_length=BLOCK, steps=BLOCK, ignore_eos=True)
    for i in range(num_sequences):
        engine.add(Request(str(i), tuple(range(CONTEXT)), params))
    scheduling, staging, filling, applying = [], [], [], []
    rooms = Rooms(engine)
    copies = count_copies(engine)
    for step in range(WARM_UP + STEPS):
        started_s = time.perf_counter()
        batch = engine.scheduler.schedule()
        scheduled_s = time.perf_counter()
        assert batch is not None
        launched = engine.runner.launch(batch)
        fill_s = rooms.seconds_to_fill(batch) if step >= WARM_UP else 0.0
        result = launched.wait()
        applied_s = time.perf_counter()
        for span in batch.spans:
            engine.scheduler.advance(span)
        engine._apply(batch, result)
        if step >= WARM_UP:
            applying.append(time.perf_counter() - applied_s)
            scheduling.append(scheduled_s - started_s)
            staging.append(stub.called_s - scheduled_s)
            filling.append(fill_s)
    return {
        "schedule_us": _summary(scheduling),
        "staging_us": _summary(staging),
        "fill_us": _summary(filling),
        "apply_us": _summary(applying),
        "copies": len(copies) / (WARM_UP + STEPS),
    }


class Rooms:
    """Room for the steps and decisions of all sequences of an engine."""

    def __init__(self, engine: Engine) -> None:
        loaded, config = engine.loaded, engine.config
        [(shape, kind)] = tile_configs(loaded).items()
        num_rows = 2 * BLOCK * config.max_num_seqs
        size = TileSize(num_rows, num_rows, num_rows, num_rows, num_rows)
        self.runner, cache = engine.runner, engine.runner.cache
        self.staging = Staging(loaded.device)
        self.step = StepRoom.empty(loaded.model.layers, {shape: (kind, size)}, num_rows, cache)
        self.canvas = torch.zeros(config.max_num_seqs + 1, MAX_BLOCK_LENGTH, dtype=torch.int64)
        self.size = DecisionSize(num_rows, config.max_num_seqs, draws=True)
        cell = spare_cell(self.canvas)
        arrays = random_decision(self.size, cell, np.random.default_rng(0))
        self.decision = DecisionRoom.empty(self.size, arrays, loaded.device)

    def seconds_to_fill(self, batch: StepBatch) -> float:
        """Of planning attention, of looking whether there is room, and of filling it."""
        started_s, cell = time.perf_counter(), spare_cell(self.canvas)
        step = host_step(batch, self.canvas, self.runner.plans(batch, on_host), self.runner.cache)
        assert self.step.fits(step.given), "there is plenty of room"
        self.step.fill(step, cell, self.staging)
        self.decision.fill(arrays_of(batch, self.size, cell), self.staging)
        return time.perf_counter() - started_s


def count_copies(engine: Engine) -> list[None]:
    """One entry a copy to the device from now on."""
    copies: list[None] = []
    put = engine.runner.staging.put

    class Counted:
        def put(self, arrays: Sequence[Array]) -> list[Tensor]:
            copies.append(None)
            return put(arrays)

    object.__setattr__(engine.runner, "staging", Counted())
    return copies


def _summary(seconds: list[float]) -> dict[str, float]:
    tenths = statistics.quantiles(seconds, n=10)
    return {
        name: round(1e6 * value, 1)
        for name, value in (
            ("median", statistics.median(seconds)),
            ("p10", tenths[0]),
            ("p90", tenths[-1]),
        )
    }


def plan_as_on_a_gpu() -> None:
    """Have the runner plan attention in tiles; the stub does not run them."""
    plan_layers = runner_module.plan_layers

    def planned(*args: Any, **kwargs: Any) -> Any:
        with dispatch.backend("triton"):
            return plan_layers(*args, **kwargs)

    runner_module.plan_layers = planned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print-only", action="store_true", help="write no file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan_as_on_a_gpu()
    levels = {str(count): measure(count) for count in SEQUENCES}
    for count, level in levels.items():
        schedule, staging = level["schedule_us"]["median"], level["staging_us"]["median"]
        fill, apply = level["fill_us"]["median"], level["apply_us"]["median"]
        print(
            f"{count:>3} sequences: schedule {schedule:.0f} us, staging {staging:.0f} us in "
            f"{level['copies']:g} copies, fill {fill:.0f} us, apply {apply:.0f} us"
        )
    if not options.print_only:
        OUT.write_text(json.dumps(describe() | {"sequences": levels}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
