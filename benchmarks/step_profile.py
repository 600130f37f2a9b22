"""Profile of an engine step on this CPU: `python -m benchmarks.step_profile`.

Writes results/step_profile_cpu.json.

The model's forward, scoring and selection are torch; what is left of `Engine.step` is the engine's
own Python: scheduling, laying the batch out, planning attention, applying the result, text.

With `--baseline CHECKOUT`, another version of the repository is measured in turn with this one.
"""

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.machine import ROOT, describe
from unmask.config import Config, EngineConfig, ModelConfig
from unmask.engine.engine import Engine
from unmask.evaluation.suite import load_suite
from unmask.types import Request, SamplingParams

OUT = ROOT / "benchmarks" / "results" / "step_profile_cpu.json"
CONCURRENCIES = (1, 4, 16, 64)
NUM_REQUESTS, ROUNDS = 128, 3


class Clock:
    """Seconds spent in functions that were wrapped, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Count the time of `owner.attribute` under `name`."""
        inner: Callable[..., Any] = getattr(owner, attribute)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started_s = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - started_s

        setattr(owner, attribute, timed)


def sampling_module() -> ModuleType:
    """The module that scores rows and applies policies; an older version has another name."""
    names = ("unmask.engine.run", "unmask.engine.run.sampling"), ("", "unmask.engine.deciding")
    for parent, name in names:
        if not parent or importlib.util.find_spec(parent) is not None:
            return importlib.import_module(name)
    raise ImportError("no version of unmask is known that has neither")


def measure(model: str | None, concurrency: int) -> dict[str, float]:
    """Shares of the time in steps while `concurrency` requests run together."""
    config = Config(ModelConfig(path=model), EngineConfig(max_num_seqs=concurrency))
    engine = Engine.load(config)
    problems = load_suite()[:: max(1, len(load_suite()) // NUM_REQUESTS)][:NUM_REQUESTS]
    prompts = [engine.loaded.tokenizer.apply_chat(problem.messages) for problem in problems]

    def run(tag: str) -> int:
        for i, prompt in enumerate(prompts):
            engine.add(Request(f"{tag}{i}", tuple(prompt), SamplingParams(max_tokens=128)))
        steps = 0
        while engine.has_work:
            engine.step()
            steps += 1
        return steps

    run("warm")
    clock, module, network = Clock(), sampling_module(), engine.loaded.model
    clock.wrap(network, "forward", "forward")
    clock.wrap(network, "final_norm" if hasattr(network, "final_norm") else "finish", "score")
    clock.wrap(module, "score_rows", "score")
    clock.wrap(module, "select", "select")
    clock.wrap(engine.scheduler, "schedule", "schedule")
    started_s = time.perf_counter()
    steps = run("timed")
    elapsed_s = time.perf_counter() - started_s
    torch_s = sum(clock.seconds[name] for name in ("forward", "score", "select"))
    return {
        "step_ms": 1000 * elapsed_s / steps,
        "python_share": 1 - torch_s / elapsed_s,
        **{f"{name}_share": s / elapsed_s for name, s in clock.seconds.items()},
    }


def in_child(checkout: Path, model: str | None, concurrency: int) -> dict[str, float]:
    """`measure` in a process of its own, with the engine of a checkout."""
    paths = [checkout / "server", checkout / "kernels", checkout]
    run = subprocess.run(
        [sys.executable, __file__, "--child", str(concurrency), *([model] if model else [])],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=checkout,
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(json.loads(run.stdout))


def _summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    return {
        name: {
            "median": round(statistics.median(run[name] for run in runs), 4),
            "min": round(min(run[name] for run in runs), 4),
            "max": round(max(run[name] for run in runs), 4),
        }
        for name in runs[0]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="checkpoint folder; the embedded model if unset")
    parser.add_argument("--baseline", type=Path, help="checkout of the version to compare with")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        concurrency, *model = options.child
        print(json.dumps(measure(model[0] if model else None, int(concurrency))))
        return
    versions = {"now": ROOT}
    if options.baseline is not None:
        versions = {"baseline": options.baseline.resolve(), **versions}
    levels: dict[str, Any] = {}
    for concurrency in CONCURRENCIES:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in versions}
        for _ in range(ROUNDS):
            for name, checkout in versions.items():
                runs[name].append(in_child(checkout, options.model, concurrency))
        level: dict[str, Any] = {name: _summary(samples) for name, samples in runs.items()}
        for name, summary in level.items():
            step, share = summary["step_ms"]["median"], summary["python_share"]["median"]
            print(f"{concurrency:3} at a time, {name}: step {step:.2f} ms, Python {share:.1%}")
        if "baseline" in level:
            before, after = (level[name]["step_ms"]["median"] for name in versions)
            level["ratio"] = round(after / before, 3)
        levels[str(concurrency)] = level
    head = describe()
    if options.baseline is not None:
        command = ["git", "-C", str(options.baseline), "rev-parse", "HEAD"]
        head["baseline"] = subprocess.check_output(command, text=True).strip()
    OUT.write_text(json.dumps(head | {"concurrency": levels}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
