"""CPU time of an engine step without the model: `python -m benchmarks.host_step`.

Writes results/host_step_cpu.json: microseconds of this thread's CPU time for scheduling and
building a batch, for filling the static buffers of CUDA graphs, and for applying the result.
Requests are at different steps of their blocks, a step commits 4 tokens, and the next step is
launched before the result of the last one is known. Nothing is computed: a stub in place of the
graphs picks tokens, and its time does not count. Copies to a device are left out. With `--baseline
CHECKOUT`, another version of the repository is measured alternately.
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
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

import unmask
import unmask.engine.run.runner as runner_module
from benchmarks.device.engine import load
from benchmarks.device.families import TINY
from benchmarks.machine import ROOT, describe
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.engine.run.graphs.check import random_decision
from unmask.engine.run.graphs.forward import Captured, ForwardGraphs
from unmask.engine.run.graphs.forward_buffers import ForwardBuffers
from unmask.engine.run.graphs.sampling import Captured as CapturedDecision
from unmask.engine.run.graphs.sampling import SamplingGraphs
from unmask.engine.run.graphs.sampling_buffers import SamplingBuffers, SamplingSize
from unmask.engine.run.graphs.sizes import tile_configs
from unmask.engine.run.runner import Runner
from unmask.metrics import Metrics
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import LayerShape
from unmask.tokenizer import Tokenizer
from unmask.types import MAX_BLOCK_LENGTH, Delta, Request, SamplingParams
from unmask_kernels import dispatch
from unmask_kernels.attention.static_tiles import TileSize
from unmask_kernels.linear.ops import make_linear

Order = Literal["random", "first"]

OUT = ROOT / "benchmarks" / "results" / "host_step_cpu.json"
EMBEDDED = Path(unmask.__file__).parent / "embedded"  # for its tokenizer
SHAPE = TINY["tiny SDAR"]
SEQUENCES = (8, 32, 128)
ORDERS: dict[Order, str] = {
    "random": "tokens are committed anywhere in the block",
    "first": "the first masked tokens are committed: every request gets text in every step",
}
BLOCK, STEPS_PER_BLOCK, CONTEXT, STEPS, WARM_UP = 32, 8, 512, 160, 24
PIECES = ("schedule_us", "fill_us", "apply_us", "total_us")


class Stub:
    """Model shapes without computation: two layers, 32 query heads over 8 key heads."""

    def __init__(self) -> None:
        self.lm_head = make_linear(torch.zeros(SHAPE.raw["vocab_size"], 1))

    @property
    def layers(self) -> Sequence[LayerShape]:
        return (LayerShape(8, 1, 4),) * 2

    def forward(self, step: ForwardInputs) -> Tensor:
        """Zeros as hidden states."""
        return torch.zeros(len(step.token_ids), 1)

    def final_norm(self, hidden: Tensor) -> Tensor:
        """The hidden states."""
        return hidden


class StubGraphs:
    """Stub of the CUDA graphs; `spent_s` is its own time, which does not count."""

    def __init__(self, engine: Engine, order: Order) -> None:
        loaded, config, self.runner = engine.loaded, engine.config, engine.runner
        [(shape, kind)] = tile_configs(loaded).items()
        num_rows = BLOCK * config.max_num_seqs * 5 // 4  # one block in eight is committed
        tiles = {shape: (kind, TileSize(num_rows, num_rows, num_rows, num_rows, num_rows))}
        self.canvas = torch.zeros(config.max_num_seqs + 1, MAX_BLOCK_LENGTH, dtype=torch.int64)
        self.step = ForwardBuffers.empty(loaded.model.layers, tiles, num_rows, self.runner.cache)
        size = SamplingSize(num_rows, config.max_num_seqs, draws=True)
        self.decision = make_static_plan(size, loaded.device)
        self.mask_token_id = loaded.info.mask_token_id or 0
        self.order, self.spent_s = order, 0.0
        self.random = np.random.default_rng(0)

    def installed(self) -> Runner:
        """Runner of the engine with stub graphs."""
        staging, loaded = self.runner.staging, self.runner.loaded
        hidden = torch.zeros(self.step.num_rows, 1)
        graphs = ForwardGraphs(
            [Captured(self.step, Replay(self, self.renew))], hidden, self.canvas, staging
        )
        decided = [CapturedDecision(self.decision, Replay(self, self.decide))]
        decisions = SamplingGraphs(decided, self.canvas, staging, loaded.info.vocab_size)
        return replace(self.runner, graphs=graphs, decisions=decisions, canvas=self.canvas)

    def renew(self) -> None:
        """Sync open tokens, as at the start of a captured forward pass."""
        self.step.renew(self.canvas)

    def decide(self) -> None:
        """Commit as many masked positions of each block as its quota allows."""
        inputs = {name: tensor.numpy() for name, tensor in self.decision.tensors.items()}
        canvas = self.canvas.view(-1).numpy()
        token, confidence, selected = (
            t.numpy() for t in self.decision.results(self.decision.outputs)
        )
        is_masked = canvas[inputs["cells"]] == self.mask_token_id
        rank = np.arange(len(token), dtype=np.float64)
        if self.order == "random":
            rank = self.random.random(len(token))
        rank[~is_masked] = np.inf
        by_span = np.lexsort((rank, inputs["spans"]))
        place = np.arange(len(token)) - inputs["starts"][inputs["spans"][by_span]]
        quota = inputs["quota"][inputs["spans"][by_span]]
        selected[by_span] = is_masked[by_span] & (place < quota)
        token[:] = np.arange(len(token)) % 200 + 20
        confidence[:] = 0.5
        canvas[inputs["cells"][selected]] = token[selected]


def make_static_plan(size: SamplingSize, device: torch.device) -> SamplingBuffers:
    """Static sampling buffers; an older version builds them from arrays."""
    make: Any = SamplingBuffers.empty
    try:
        return cast(SamplingBuffers, make(size, device))
    except TypeError:
        arrays = random_decision(size, size.num_rows, np.random.default_rng(0))
        return cast(SamplingBuffers, make(size, arrays, device))


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
    """Scheduler or runner with timed calls."""

    inner: Any
    name: str
    spent_s: float = field(default=0.0)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.inner, name)
        return self._call if name == self.name else attribute

    def _call(self, *args: Any) -> Any:
        started_s = time.thread_time()
        try:
            return getattr(self.inner, self.name)(*args)
        finally:
            self.spent_s += time.thread_time() - started_s


def measure(num_sequences: int, order: Order) -> dict[str, Any]:
    """CPU time of each step while all sequences denoise a block, at different steps."""
    loaded = load(SHAPE, torch.device("cpu"), 4 * CONTEXT)
    object.__setattr__(loaded, "model", Stub())
    object.__setattr__(loaded, "tokenizer", Tokenizer.from_folder(EMBEDDED))
    # A version before that field always overlaps.
    later: dict[str, Any] = {"overlap_rows": 0} if hasattr(EngineConfig(), "overlap_rows") else {}
    config = EngineConfig(
        max_num_seqs=num_sequences,
        max_batch_tokens=num_sequences * CONTEXT,
        num_pages=num_sequences * 64,
        prefix_cache=False,
        overlap=True,
        **later,
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
    """Make the runner plan attention in tiles; the stub does not run them."""
    plan_layers = runner_module.plan_layers

    def planned(*args: Any, **kwargs: Any) -> Any:
        with dispatch.backend("triton"):
            return plan_layers(*args, **kwargs)

    runner_module.plan_layers = planned


def in_child(checkout: Path, num_sequences: int, order: Order) -> dict[str, Any]:
    """`measure` in a separate process, with the engine of a checkout."""
    paths = [checkout / "server", checkout / "kernels", checkout]
    run = subprocess.run(
        [sys.executable, __file__, "--child", str(num_sequences), order],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=checkout,
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(json.loads(run.stdout))


def _summary(values: list[float]) -> dict[str, float]:
    tenths = statistics.quantiles(values, n=10)
    summary = {"median": statistics.median(values), "mean": statistics.fmean(values)}
    summary |= {"p10": tenths[0], "p90": tenths[-1]}
    return {name: round(value, 1) for name, value in summary.items()}


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
        plan_as_on_a_gpu()
        print(json.dumps(measure(int(options.child[0]), options.child[1])))
        return
    versions = {"now": ROOT}
    if options.baseline is not None:
        versions = {"baseline": options.baseline.resolve(), **versions}
    orders: dict[str, Any] = {}
    for order, meaning in ORDERS.items():
        levels: dict[str, Any] = {}
        for count in SEQUENCES:
            runs: dict[str, list[dict[str, Any]]] = {name: [] for name in versions}
            for _ in range(options.rounds):
                for name, checkout in versions.items():
                    runs[name].append(in_child(checkout, count, order))
            level = {name: _joined(level_runs) for name, level_runs in runs.items()}
            if "baseline" in level:
                before, after = (level[name]["total_us"]["median"] for name in versions)
                level["ratio"] = round(after / before, 3)
            levels[str(count)] = level
            _print(order, count, level)
        orders[order] = {"meaning": meaning, "sequences": levels}
    if not options.print_only:
        head = describe() | {"clock": "time.thread_time"}
        if options.baseline is not None:
            head["baseline"] = _commit(options.baseline)
        OUT.write_text(json.dumps(head | {"orders": orders}, indent=2) + "\n", "utf-8")


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.check_output(command, text=True).strip()


def _print(order: Order, count: int, level: dict[str, Any]) -> None:
    for name in ("baseline", "now"):
        if name in level:
            times = level[name]
            parts = [f"{p.removesuffix('_us')} {times[p]['median']:.0f}" for p in PIECES]
            print(f"{order:>6} {count:>4} {name:>8}: {', '.join(parts)} us")
    if "ratio" in level:
        print(f"{order:>6} {count:>4}    ratio: {level['ratio']}")


if __name__ == "__main__":
    main()
