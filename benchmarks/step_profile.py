"""Time of each part of a step: `python -m benchmarks.step_profile`.

Writes results/step_profile_cpu.json. Forward, scoring and selection are torch; the rest of
`Engine.step` is the engine's own Python: scheduling, building the batch, planning attention,
applying the result, text.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import unmask.engine.run.runner as runner_module
from benchmarks.machine import ROOT, describe
from unmask.config import Config, EngineConfig, ModelConfig
from unmask.engine.engine import Engine
from unmask.evaluation.suite import load_suite
from unmask.types import Request, SamplingParams

OUT = ROOT / "benchmarks" / "results" / "step_profile_cpu.json"
CONCURRENCIES = (1, 4, 16, 64)
NUM_REQUESTS, ROUNDS = 128, 3


class Clock:
    """Seconds spent in wrapped functions, by name."""

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


def measure(model: str | None, concurrency: int) -> dict[str, float]:
    """Shares of step time while `concurrency` requests run together."""
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
    clock = Clock()
    clock.wrap(engine.runner.loaded.model, "forward", "forward")
    clock.wrap(engine.runner.loaded.model, "finish", "score")
    score_rows, select = runner_module.score_rows, runner_module.select
    clock.wrap(runner_module, "score_rows", "score")
    clock.wrap(runner_module, "select", "select")
    clock.wrap(engine.scheduler, "schedule", "schedule")
    started_s = time.perf_counter()
    steps = run("timed")
    elapsed_s = time.perf_counter() - started_s
    runner_module.score_rows, runner_module.select = score_rows, select
    torch_s = sum(clock.seconds[name] for name in ("forward", "score", "select"))
    return {
        "step_ms": 1000 * elapsed_s / steps,
        "python_share": 1 - torch_s / elapsed_s,
        **{f"{name}_share": s / elapsed_s for name, s in clock.seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="checkpoint folder; the embedded model if unset")
    options = parser.parse_args()
    levels = {}
    for concurrency in CONCURRENCIES:
        runs = [measure(options.model, concurrency) for _ in range(ROUNDS)]
        levels[str(concurrency)] = {
            name: {
                "median": round(statistics.median(run[name] for run in runs), 4),
                "min": round(min(run[name] for run in runs), 4),
                "max": round(max(run[name] for run in runs), 4),
            }
            for name in runs[0]
        }
        share, step = levels[str(concurrency)]["python_share"], levels[str(concurrency)]["step_ms"]
        print(
            f"{concurrency:3} at a time: step {step['median']:.2f} ms, Python {share['median']:.1%}"
        )
    OUT.write_text(json.dumps(describe() | {"concurrency": levels}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
