"""CPU time of an engine step around the model: `python -m benchmarks.host_step`.

Writes results/host_step_cpu.json: microseconds of this thread's CPU time for scheduling and laying
out a batch, for filling the memory that the graphs of a GPU read, and for applying the result.
Requests are at different steps of their blocks, 4 tokens are committed in a step, and the next step
is launched before the result of the last one is known. Nothing is computed: in place of the graphs
stands a stub that picks tokens, whose time is not counted. Copies to a device are not made.

With `--baseline CHECKOUT`, another version of the repository is measured in turn with this one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

import unmask
from benchmarks.device.engine import load
from benchmarks.device.families import TINY
from benchmarks.machine import ROOT, describe
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.engine.run import device as device_module
from unmask.engine.run.graphs.forward import ForwardGraphs
from unmask.engine.run.graphs.forward_buffers import ForwardBuffers
from unmask.engine.run.graphs.recorder import CapturedGraph
from unmask.engine.run.graphs.sampling import SamplingGraphs
from unmask.engine.run.graphs.sampling_buffers import SamplingBuffers, SamplingSize
from unmask.engine.run.graphs.sizes import tile_configs
from unmask.engine.run.runner import MaskRunner
from unmask.metrics import Metrics
from unmask.models.host_memory import keep_freed_memory
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import LayerShape
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, Request, SamplingParams
from unmask_kernels import dispatch
from unmask_kernels.attention.static_tiles import TileSize
from unmask_kernels.linear.ops import make_linear

Order = Literal["random", "first"]

OUT = ROOT / "benchmarks" / "results" / "host_step_cpu.json"
EMBEDDED = Path(unmask.__file__).parent / "embedded"  # whose tokenizer decodes answers
SHAPE = TINY["tiny SDAR"]
SEQUENCES = (8, 32, 128)
ORDERS: dict[Order, str] = {
    "random": "tokens are committed anywhere in the block",
    "first": "the first masked tokens are committed: every request gets text in every step",
}
BLOCK, STEPS_PER_BLOCK, CONTEXT, STEPS, WARM_UP = 32, 8, 512, 160, 24
PIECES = ("schedule_us", "fill_us", "apply_us", "total_us")


class Stub:
    """The shapes of a model: two layers, 32 query heads over 8 key heads. Prompts cost nothing."""

    def __init__(self) -> None:
        self.lm_head = make_linear(torch.zeros(SHAPE.raw["vocab_size"], 1))

    state_sizes: Sequence[int] = ()

    @property
    def layers(self) -> Sequence[LayerShape]:
        """Both layers."""
        return (LayerShape(8, 1, 4),) * 2

    def forward(self, step: ForwardInputs) -> Tensor:
        """Zeros in place of hidden states."""
        return torch.zeros(len(step.token_ids), 1)

    def final_norm(self, hidden: Tensor) -> Tensor:
        """The hidden states."""
        return hidden


class StubGraphs:
    """Replays in place of those of a GPU; `spent_s` is their own time, which nobody counts."""

    def __init__(self, engine: Engine, order: Order) -> None:
        assert isinstance(engine.runner, MaskRunner)
        loaded, limits, self.runner = engine.loaded, engine.limits, engine.runner
        [(shape, kind)] = tile_configs(loaded).items()
        num_rows = BLOCK * limits.max_num_seqs * 5 // 4  # one block in eight is committed
        tiles = {shape: (kind, TileSize(num_rows, num_rows, num_rows, num_rows, num_rows))}
        cache = self.runner.device.cache
        self.forward = ForwardBuffers.empty(loaded.model.layers, tiles, num_rows, cache)
        size = SamplingSize(num_rows, limits.max_num_seqs, draws=True)
        self.sampling = SamplingBuffers(size, loaded.device)
        self.order, self.spent_s = order, 0.0
        self.random = np.random.default_rng(0)

    def installed(self) -> MaskRunner:
        """The engine's runner with graphs."""
        runner, open_tokens = self.runner, self.runner.open_tokens
        staging = runner.device.staging
        hidden = torch.zeros(self.forward.num_rows, 1)
        forward = ForwardGraphs(
            [CapturedGraph(self.forward, Replay(self, self.sync))], hidden, open_tokens, staging
        )
        sampling = SamplingGraphs(
            [CapturedGraph(self.sampling, Replay(self, self.sample))],
            open_tokens,
            staging,
            runner.device.loaded.info.vocab_size,
        )
        return replace(runner, forward_graphs=forward, sampling_graphs=sampling)

    def sync(self) -> None:
        """Bring open blocks up to date, as a captured forward pass begins."""
        self.forward.rows.sync_open_tokens(self.runner.open_tokens)

    def sample(self) -> None:
        """Commit as many masked positions of each block as its quota says."""
        inputs, open_tokens = self.sampling.inputs, self.runner.open_tokens.view(-1).numpy()
        slots, spans = inputs.token_slots.numpy(), inputs.spans.numpy()
        results = self.sampling.outputs.tensors()
        token, selected = results.tokens.numpy(), results.selected.numpy()
        is_masked = open_tokens[slots] == self.runner.mask_token_id
        rank = np.arange(len(token), dtype=np.float64)
        if self.order == "random":
            rank = self.random.random(len(token))
        rank[~is_masked] = np.inf
        by_span = np.lexsort((rank, spans))
        place = np.arange(len(token)) - inputs.starts.numpy()[spans[by_span]]
        quota = inputs.quota.numpy()[spans[by_span]]
        selected[by_span] = is_masked[by_span] & (place < quota)
        token[:] = np.arange(len(token)) % 200 + 20
        results.confidence.fill_(0.5)
        open_tokens[slots[selected]] = token[selected]


@dataclass(frozen=True)
class Replay:
    """One of the graphs."""

    graphs: StubGraphs
    run: Any

    def replay(self) -> None:
        started_s = time.thread_time()
        self.run()
        self.graphs.spent_s += time.thread_time() - started_s


@dataclass
class Clocked:
    """A scheduler or runner whose calls are clocked."""

    inner: Any
    name: str
    spent_s: float = field(default=0.0)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        return self._call if name == self.name else found

    def _call(self, *args: Any) -> Any:
        started_s = time.thread_time()
        try:
            return getattr(self.inner, self.name)(*args)
        finally:
            self.spent_s += time.thread_time() - started_s


def measure(num_sequences: int, order: Order) -> dict[str, Any]:
    """Every step's CPU time while all sequences denoise a block, at different steps of it."""
    loaded = load(SHAPE, torch.device("cpu"), 4 * CONTEXT)
    object.__setattr__(loaded, "model", Stub())
    object.__setattr__(loaded, "tokenizer", Tokenizer.from_folder(EMBEDDED))
    config = EngineConfig(
        max_num_seqs=num_sequences,
        max_batch_tokens=num_sequences * CONTEXT,
        num_pages=num_sequences * 64,
        prefix_cache=False,
        overlap=True,
        overlap_rows=0,
    )
    engine = Engine(Config(engine=config), loaded, Metrics())
    graphs = StubGraphs(engine, order)
    runner = Clocked(graphs.installed(), "launch")
    scheduler = Clocked(engine.scheduler, "schedule")
    engine.runner, engine.scheduler = runner, scheduler  # type: ignore[assignment]
    params = SamplingParams(
        max_tokens=1024, block_length=BLOCK, steps=STEPS_PER_BLOCK, ignore_eos=True
    )
    requests = [Request(str(i), tuple(range(CONTEXT)), params) for i in range(num_sequences)]
    for phase in range(STEPS_PER_BLOCK):
        for request in requests[phase::STEPS_PER_BLOCK]:
            engine.add(request)
        engine.step()
    samples: dict[str, list[float]] = {name: [] for name in PIECES}
    num_tokens = 0
    for step in range(WARM_UP + STEPS):
        runner.spent_s = scheduler.spent_s = graphs.spent_s = 0.0
        started_s = time.thread_time()
        events = engine.step()
        total_s = time.thread_time() - started_s - graphs.spent_s
        if step < WARM_UP:
            continue
        num_tokens += sum(len(e.token_ids) for e in events if isinstance(e, Delta))
        fill_s = runner.spent_s - graphs.spent_s
        seconds = scheduler.spent_s, fill_s, total_s - scheduler.spent_s - fill_s, total_s
        for name, spent_s in zip(PIECES, seconds, strict=True):
            samples[name].append(1e6 * spent_s)
    assert engine.scheduler.num_running == num_sequences, "nobody ended, nobody waited"
    return {"samples": samples, "tokens_per_step": num_tokens / STEPS}


def plan_as_on_a_gpu() -> None:
    """Have the runner plan attention in tiles; the stub does not run them."""
    plan_layers = device_module.plan_layers

    def planned(*args: Any, **kwargs: Any) -> Any:
        with dispatch.backend("triton"):
            return plan_layers(*args, **kwargs)

    device_module.plan_layers = planned


def in_child(checkout: Path, num_sequences: int, order: Order) -> dict[str, Any]:
    """`measure` of a checkout, by its own script in a process of its own."""
    paths = [checkout / "server", checkout / "kernels", checkout]
    run = subprocess.run(
        [
            sys.executable,
            checkout / "benchmarks" / "host_step.py",
            "--child",
            str(num_sequences),
            order,
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=checkout,
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(json.loads(run.stdout))


def _summary(values: list[float]) -> dict[str, float]:
    tenths = statistics.quantiles(values, n=10)
    found = {"median": statistics.median(values), "mean": statistics.fmean(values)}
    found |= {"p10": tenths[0], "p90": tenths[-1]}
    return {name: round(value, 1) for name, value in found.items()}


def _joined(runs: list[dict[str, Any]]) -> dict[str, Any]:
    pieces = {
        name: _summary([value for run in runs for value in run["samples"][name]]) for name in PIECES
    }
    tokens = statistics.fmean(run["tokens_per_step"] for run in runs)
    return pieces | {"tokens_per_step": round(tokens, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print-only", action="store_true", help="write no file")
    parser.add_argument("--baseline", type=Path, help="checkout of the version to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        torch.set_num_threads(1)
        keep_freed_memory()  # as the engine does when it loads a model
        plan_as_on_a_gpu()
        print(json.dumps(measure(int(options.child[0]), options.child[1])))
        return
    versions = {"now": ROOT}
    if options.baseline is not None:
        versions = {"baseline": options.baseline.resolve(), **versions}
    found: dict[str, Any] = {}
    for order, meaning in ORDERS.items():
        levels: dict[str, Any] = {}
        for count in SEQUENCES:
            runs: dict[str, list[dict[str, Any]]] = {name: [] for name in versions}
            for _ in range(options.rounds):
                for name, checkout in versions.items():
                    runs[name].append(in_child(checkout, count, order))
            level = {name: _joined(own) for name, own in runs.items()}
            if "baseline" in level:
                before, after = (level[name]["total_us"]["median"] for name in versions)
                level["ratio"] = round(after / before, 3)
            levels[str(count)] = level
            _print(order, count, level)
        found[order] = {"meaning": meaning, "sequences": levels}
    if not options.print_only:
        head = describe() | {"clock": "time.thread_time"}
        if options.baseline is not None:
            head["baseline"] = _commit(options.baseline)
        OUT.write_text(json.dumps(head | {"orders": found}, indent=2) + "\n", "utf-8")


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.check_output(command, text=True).strip()


def _print(order: Order, count: int, level: dict[str, Any]) -> None:
    for name in ("baseline", "now"):
        if name in level:
            own = level[name]
            parts = [f"{p.removesuffix('_us')} {own[p]['median']:.0f}" for p in PIECES]
            print(f"{order:>6} {count:>4} {name:>8}: {', '.join(parts)} us")
    if "ratio" in level:
        print(f"{order:>6} {count:>4}    ratio: {level['ratio']}")


if __name__ == "__main__":
    main()
