"""Compares two engines of one thread with one engine of one thread and of two.

    python -m benchmarks.data_parallel [--rounds 7] [--output FILE]

Clients share this process and send 64 requests at a time. All engines are loaded all the time and
one setting after another has work, so that a machine which is slower from minute to minute is
slower for all. A ratio is of the runs of one round; on more than two cores it says less. Beside
other programs, CPU times tell more than speeds: `cpu_us_a_token` is the engines' own, and
`client_cpu_us_a_token` that of this process, which shares the cores.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import ROOT, describe
from benchmarks.rounds import ratios
from benchmarks.serve_bench import HELD_OUT, MAX_TOKENS
from unmask.bench.workload import Conversation, pick, read_prompts
from unmask.config import Config, EngineConfig, ServerConfig
from unmask.engine.process.client import ProcessEngine
from unmask.types import Delta, Request, SamplingParams

AT_A_TIME = 64
NUM_REQUESTS = 512  # of a run
TWO, ONE, WIDE = "two engines of a thread", "one engine of a thread", "one engine of two threads"
SETTINGS = {TWO: (2, 1), ONE: (1, 1), WIDE: (1, 2)}  # engines, threads of each
LEAST_RATIO = 1.7


@dataclass(frozen=True, slots=True)
class Run:
    """Speed of a run, and CPU time of the engines and of this process."""

    tokens_per_s: float
    cpu_us_a_token: float
    client_cpu_us_a_token: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer requests")
    default = ROOT / "benchmarks" / "results" / "data_parallel_cpu.json"
    parser.add_argument("--output", type=Path, default=default)
    args = parser.parse_args()
    num_requests = max(AT_A_TIME, round(NUM_REQUESTS * args.scale))
    runs: dict[str, list[Run]] = {name: [] for name in SETTINGS}
    with ExitStack() as stack:
        engines = {name: start(*sizes) for name, sizes in SETTINGS.items()}
        for engine in engines.values():
            stack.callback(engine.shutdown)
            measure(engine, AT_A_TIME, -1)
        for number in range(args.rounds):
            for name, engine in engines.items():
                runs[name].append(measure(engine, num_requests, number))
                print(f"round {number}, {name}: {runs[name][-1]}", flush=True)
    result = describe() | {"requests": num_requests, "at_a_time": AT_A_TIME} | report(runs)
    each = {name: [asdict(one) for one in own] for name, own in runs.items()}
    args.output.write_text(json.dumps(result | {"runs": each}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("ratios", "checks")}, indent=1))
    return 0 if all(result["checks"].values()) else 1


def report(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Medians, ratios of each round's tokens/s, and whether they are as large as they should be."""
    speeds = {name: [one.tokens_per_s for one in own] for name, own in runs.items()}
    found = {f"{TWO} to {other}": ratios(speeds[TWO], speeds[other]) for other in (ONE, WIDE)}

    def medians(field: str) -> dict[str, float]:
        return {
            name: statistics.median(getattr(one, field) for one in own)
            for name, own in runs.items()
        }

    return {field.name: medians(field.name) for field in fields(Run)} | {
        "ratios": found,
        "checks": {
            f"{name} at least {LEAST_RATIO}": ratio["median"] >= LEAST_RATIO
            for name, ratio in found.items()
        },
    }


def start(count: int, threads: int) -> ProcessEngine:
    """Engines of the embedded model, each with so many threads."""
    engine, server = EngineConfig(threads=threads), ServerConfig(data_parallel=count)
    return ProcessEngine.start(Config(engine=engine, server=server))


def cpu_s(engine: ProcessEngine) -> float:
    """CPU time of the engines' processes so far."""
    times = (psutil.Process(pid).cpu_times() for pid in engine.pids)
    return sum(time.user + time.system for time in times)


def measure(engine: ProcessEngine, num_requests: int, seed: int) -> Run:
    """A closed loop of clients."""
    params = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0)
    requests = list[Request]()
    for i, prompt in enumerate(pick(read_prompts(HELD_OUT), num_requests, seed)):
        assert isinstance(prompt, Conversation)
        ids = engine.tokenizer.apply_chat(prompt.messages)
        requests.append(Request(f"{seed}-{i}", tuple(ids), params))
    own_cpu_s, engine_cpu_s, began_s = time.process_time(), cpu_s(engine), time.perf_counter()
    num_tokens = asyncio.run(send(engine, requests))
    elapsed_s = time.perf_counter() - began_s
    return Run(
        num_tokens / elapsed_s,
        1e6 * (cpu_s(engine) - engine_cpu_s) / num_tokens,
        1e6 * (time.process_time() - own_cpu_s) / num_tokens,
    )


async def send(engine: ProcessEngine, requests: Sequence[Request]) -> int:
    """Tokens of all answers."""
    waiting, num_tokens = iter(requests), 0

    async def client() -> None:
        nonlocal num_tokens
        for request in waiting:
            async with aclosing(engine.submit(request)) as stream:
                async for event in stream:
                    assert isinstance(event, Delta), event
                    num_tokens += len(event.token_ids)

    await asyncio.gather(*(client() for _ in range(AT_A_TIME)))
    return num_tokens


if __name__ == "__main__":
    sys.exit(main())
