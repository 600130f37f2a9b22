"""What a step costs the host before the model runs: `python -m benchmarks.host_step`.

Writes results/host_step_cpu.json: microseconds of scheduling and laying a batch out, and of
bringing it and the plan of its attention to the device, with a model that computes nothing; and of
filling the room that a graph reads. Plans are those of a GPU. On a CPU staging copies nothing, and
a room is filled by one copy after another, so a GPU's host will see other figures; `copies` is how
many it would have queued for staging.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import unmask.engine.runner as runner_module
from benchmarks.device.engine import load
from benchmarks.device.families import TINY
from benchmarks.machine import ROOT, describe
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.engine.graph_sizes import tile_configs
from unmask.engine.staging import Array
from unmask.engine.step_room import StepRoom
from unmask.metrics import Metrics
from unmask.models.layers import LayerShape, StepInput
from unmask.types import Request, SamplingParams
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
    scheduling, staging, filling = [], [], []
    room = make_step_room(engine)
    copies = count_copies(engine)
    for step in range(WARM_UP + STEPS):
        started_s = time.perf_counter()
        batch = engine.scheduler.schedule()
        scheduled_s = time.perf_counter()
        assert batch is not None
        launched = engine.runner.launch(batch)
        for span in batch.spans:
            engine.scheduler.advance(span)
        engine._apply(batch, launched.wait())
        if step >= WARM_UP:
            scheduling.append(scheduled_s - started_s)
            staging.append(stub.called_s - scheduled_s)
            filling.append(seconds_to_fill(room, stub.step))
    return {
        "schedule_us": _summary(scheduling),
        "staging_us": _summary(staging),
        "fill_us": _summary(filling),
        "copies": len(copies) / (WARM_UP + STEPS),
    }


def make_step_room(engine: Engine) -> StepRoom:
    """Room for the steps of all sequences."""
    loaded = engine.loaded
    [(shape, config)] = tile_configs(loaded).items()
    num_rows = 2 * BLOCK * engine.config.max_num_seqs
    size = TileSize(num_rows, num_rows, num_rows, num_rows, num_rows)
    cache = engine.runner.cache
    return StepRoom.empty(loaded.model.layers, {shape: (config, size)}, num_rows, cache)


def seconds_to_fill(room: StepRoom, step: StepInput) -> float:
    """Of looking whether there is room, and of filling it."""
    started_s = time.perf_counter()
    assert room.fits(step), "there is plenty of room"
    room.fill(step)
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
        fill, copies = level["fill_us"]["median"], level["copies"]
        print(
            f"{count:>3} sequences: schedule {schedule:.0f} us, staging {staging:.0f} us "
            f"in {copies:g} copies, fill {fill:.0f} us"
        )
    if not options.print_only:
        OUT.write_text(json.dumps(describe() | {"sequences": levels}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
