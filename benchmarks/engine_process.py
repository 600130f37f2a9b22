"""Compares an engine in a process of its own with one in a thread, and both with the engine alone.

    python -m benchmarks.engine_process [--rounds 7] [--output FILE]

The servers run all the time and one after another has work, so that a machine which is slower from
minute to minute is slower for all. A ratio is of the two runs of one round.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, describe
from benchmarks.rounds import ratios
from benchmarks.serve_bench import HELD_OUT, MAX_TOKENS, run
from benchmarks.server import Server, serving
from unmask.bench.load import Load
from unmask.bench.summary import Slo, summarise
from unmask.bench.workload import Conversation, Prompt, pick, read_prompts
from unmask.config import Config
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.types import Delta, Request, SamplingParams

LEVELS = {1: 96, 16: 256, 64: 512}  # requests at a time: requests of a run
SERVERS = {"process": ("--engine", "process"), "thread": ("--engine", "thread")}
PROCESS_AT_ONE, PROCESS_AT_64, HTTP_AT_64 = 0.95, 1.0, 0.9
Measure = Callable[[int, int], float]  # requests at a time, round -> tokens/s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer requests")
    default = ROOT / "benchmarks" / "results" / "engine_process_cpu.json"
    parser.add_argument("--output", type=Path, default=default)
    args = parser.parse_args()
    prompts = read_prompts(HELD_OUT)
    runs: dict[str, dict[int, list[float]]] = {}
    with ExitStack() as stack:
        measures: dict[str, Measure] = {
            name: partial(over_http, stack.enter_context(serving(flags)), prompts, args.scale)
            for name, flags in SERVERS.items()
        }
        measures["engine"] = partial(alone, Engine.load(Config(), Metrics()), prompts, args.scale)
        for number in range(args.rounds):
            for level in LEVELS:
                for name, measure in measures.items():
                    tokens_per_s = measure(level, number)
                    runs.setdefault(name, {}).setdefault(level, []).append(tokens_per_s)
                    print(f"round {number}, {level:2} at a time, {name}: {tokens_per_s:.0f}")
    result = describe() | report(runs) | {"runs": runs}
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("ratios", "checks")}, indent=1))
    return 0 if all(result["checks"].values()) else 1


def report(runs: dict[str, dict[int, list[float]]]) -> dict[str, Any]:
    """Median tokens/s, ratios of each round, and whether they are as large as they should be."""
    process = runs["process"]
    found = {
        "process_to_thread": {n: ratios(process[n], runs["thread"][n]) for n in process},
        "http_to_engine": {n: ratios(process[n], runs["engine"][n]) for n in process},
    }
    at = {name: {level: one["median"] for level, one in r.items()} for name, r in found.items()}
    return {
        "tokens_per_s": {
            name: {level: statistics.median(values) for level, values in own.items()}
            for name, own in runs.items()
        },
        "ratios": found,
        "checks": {
            "process within 5% of a thread at 1": at["process_to_thread"][1] >= PROCESS_AT_ONE,
            "process better than a thread at 64": at["process_to_thread"][64] > PROCESS_AT_64,
            "HTTP at least 90% of the engine at 64": at["http_to_engine"][64] >= HTTP_AT_64,
        },
    }


def over_http(
    server: Server, prompts: Sequence[Prompt], scale: float, level: int, number: int
) -> float:
    """Output tokens/s of a closed loop of clients."""
    load = Load(max(level, round(LEVELS[level] * scale)), level, warmup=level, seed=number)
    sent = run(server, prompts, load, {"max_tokens": MAX_TOKENS, "temperature": 0})
    return summarise(sent, Slo()).output_tokens_per_s


def alone(
    engine: Engine, prompts: Sequence[Prompt], scale: float, level: int, number: int
) -> float:
    """Output tokens/s of a closed loop of the engine's steps, without threads and clients."""
    num_requests = max(level, round(LEVELS[level] * scale))
    params = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0)
    waiting: list[Request] = []
    for i, prompt in enumerate(pick(prompts, level + num_requests, number)[level:]):
        assert isinstance(prompt, Conversation)
        ids = engine.loaded.tokenizer.apply_chat(prompt.messages)
        waiting.append(Request(f"alone-{i}", tuple(ids), params))
    waiting.reverse()
    num_tokens, began_s = 0, time.perf_counter()
    for _ in range(min(level, len(waiting))):
        engine.add(waiting.pop())
    while engine.has_work:
        for event in engine.step():
            assert isinstance(event, Delta), event
            if event.finish is not None:
                num_tokens += event.finish.usage.completion_tokens
                if waiting:
                    engine.add(waiting.pop())
    return num_tokens / (time.perf_counter() - began_s)


if __name__ == "__main__":
    sys.exit(main())
