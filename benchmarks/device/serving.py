"""HTTP server compared with the engine alone, on one model with random weights.

    python -m benchmarks.device.serving --out FILE [--tiny]

An engine first runs closed loops of fixed work alone. Then the same engine, behind the application
and the HTTP server of `unmask serve`, answers the same loads on localhost; `unmask bench` sends
them as token ids from a subprocess and reads streams.
"""

import argparse
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.device import engine as engines
from benchmarks.device.families import SHAPES, Shape
from benchmarks.device.families import TINY as TINY_SHAPES
from benchmarks.device.fixed_work import LOADS, TINY, Arrival, Work, summarise
from benchmarks.device.random_tokenizer import random_tokenizer
from benchmarks.machine import describe
from unmask.api.app import create_app
from unmask.cli.http import bind, run
from unmask.config import Config, EngineConfig, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, Request, SamplingParams

GOAL = 0.9  # of the engine's tokens a second, at the most requests
MAX_ROWS = 8192  # of a step
CLIENT_S = 240.0  # for one load
HTTP_SEED = 1  # prompts not prefilled yet
MAX_ERROR = 2000  # characters


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="result file")
    parser.add_argument("--tiny", action="store_true", help="a small shape and little work")
    parser.add_argument("--only", type=int, nargs="*", help="these numbers of requests at a time")
    options = parser.parse_args()
    name, shape, loads = "SDAR-8B", SHAPES["SDAR-8B"], LOADS
    if options.tiny:
        name, shape, loads = "tiny SDAR", TINY_SHAPES["tiny SDAR"], TINY
    asked = [work for work in loads if not options.only or work.concurrency in options.only]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result = describe() | {"model": name, "loads": [], "problems": []}

    def save() -> None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    measure(shape, asked, device, result, save)
    save()
    print("\n".join(table(result)))
    return 1 if result["problems"] else 0


def measure(
    shape: Shape,
    loads: Sequence[Work],
    device: torch.device,
    result: dict[str, Any],
    save: Callable[[], None],
) -> None:
    """Every load on the engine alone, then every load over HTTP; saves rows as they come."""
    longest = max(work.context + work.num_tokens for work in loads)
    loaded = engines.load(shape, device, longest + 256)
    tokenizer = Tokenizer(random_tokenizer(loaded.info.vocab_size))
    most = max(loads, key=lambda work: work.concurrency)
    config = Config(engine=EngineConfig(max_num_seqs=most.concurrency, max_batch_tokens=MAX_ROWS))
    metrics = Metrics()
    engine = Engine(config, replace(loaded, tokenizer=tokenizer), metrics)
    result["settings"] = asdict(config)
    warm = replace(most, num_requests=most.concurrency, num_tokens=most.block)
    alone(engine, warm, seed=-1)
    for work in loads:
        result["loads"].append({"concurrency": work.concurrency, "engine": alone(engine, work)})
        save()
    result["problems"] += over_http(
        AsyncEngine(engine), metrics, config.server, loads, result["loads"], save
    )


def alone(engine: Engine, work: Work, seed: int = 0) -> dict[str, Any]:
    """Closed loop of engine steps, without event loop and other threads."""
    params = SamplingParams(**_fields(work))
    prompts = work.prompts(engine.loaded.info.vocab_size - 1, seed)
    started_s: list[float] = []
    arrivals: list[Arrival] = []
    began_s = time.perf_counter()

    def add() -> None:
        number = len(started_s)
        started_s.append(time.perf_counter() - began_s)
        engine.add(Request(f"alone-{number}", prompts[number], params))

    for _ in range(min(work.concurrency, work.num_requests)):
        add()
    while engine.has_work:
        events = engine.step()
        at_s = time.perf_counter() - began_s
        for event in events:
            assert isinstance(event, Delta), event
            number = int(event.request_id.removeprefix("alone-"))
            final = event.finish is not None
            if event.token_ids or final:
                arrivals.append(Arrival(at_s, number, len(event.token_ids), final))
            if final and len(started_s) < work.num_requests:
                add()
    return summarise(work, started_s, arrivals)


def over_http(
    engine: AsyncEngine,
    metrics: Metrics,
    config: ServerConfig,
    loads: Sequence[Work],
    rows: Sequence[dict[str, Any]],
    save: Callable[[], None],
) -> list[str]:
    """Serve until a client has sent all loads, and add its results to each row.

    Takes the process' signals, like a server. Returns errors.
    """
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    problems: list[str] = []

    def client() -> None:
        try:
            for work, row in zip(loads, rows, strict=True):
                before_s = _cpu_s()
                row["http"] = summary = send(url, work, engine.model.vocab_size - 1)
                row["cpu_us_a_token"] = {
                    name: 1e6 * (after_s - before_s.get(name, 0.0)) / work.all_tokens
                    for name, after_s in _cpu_s().items()
                }
                row["share_of_engine"] = (
                    summary["output_tokens_per_s"] / row["engine"]["overall_tokens_per_s"]
                )
                save()
                if summary["num_failed"] or summary["output_tokens"] != work.all_tokens:
                    raise RuntimeError(f"requests failed: {summary['errors']}")
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            problems.append(f"HTTP, {work.concurrency} requests: {said}"[-MAX_ERROR:])
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=client, name="client")
    app = create_app(engine, metrics, config)
    gc.collect()
    gc.freeze()  # like a server after loading
    run(app, listener, engine, config, metrics, on_listening=lambda server: thread.start())
    thread.join()
    return problems


def send(url: str, work: Work, vocab_size: int) -> dict[str, Any]:
    """Send a load from another process; returns the summary of `unmask bench`."""
    options = [
        *("--url", url, "--endpoint", "completions", "--warmup", "0"),
        *("--num-requests", str(work.num_requests), "--concurrency", str(work.concurrency)),
        *("--random-len", str(work.context), "--token-range", "0", str(vocab_size)),
        *("--order", str(1000 * HTTP_SEED + work.concurrency), "--json", "-"),
        *("--extra", json.dumps(_fields(work))),
    ]
    command = [sys.executable, "-m", "unmask", "bench", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=CLIENT_S)
    summary: dict[str, Any] = json.loads(done.stdout)["summary"]
    return summary


def _cpu_s() -> dict[str, float]:
    """CPU seconds of this process's threads by name.

    The event loop is `MainThread`; waiting for a device may count as CPU time.
    """
    taken_s = {one.id: one.user_time + one.system_time for one in psutil.Process().threads()}
    threads = [one for one in threading.enumerate() if one.native_id in taken_s]
    return {one.name: taken_s[one.native_id] for one in threads if one.native_id}


def _fields(work: Work) -> dict[str, Any]:
    """Parameters of all requests."""
    return {
        "max_tokens": work.num_tokens,
        "block_length": work.block,
        "steps": work.steps,
        "policy": "low_confidence",
        "temperature": 0.0,
        "ignore_eos": True,
    }


def table(result: dict[str, Any]) -> Iterator[str]:
    """Printable result with the verdict."""
    for row in result["loads"]:
        engine, http = row["engine"], row.get("http")
        line = (
            f"{result['model']}, {row['concurrency']:3} requests: engine "
            f"{engine['overall_tokens_per_s']:.0f} tokens/s, "
            f"first tokens {engine['ttft_ms']['p50']:.0f} ms"
        )
        if http is not None:
            line += (
                f"; HTTP {http['output_tokens_per_s']:.0f} ({row['share_of_engine']:.1%}), "
                f"first text {http['ttft_ms']['p50']:.0f} ms"
            )
        yield line
    shares = [row["share_of_engine"] for row in result["loads"] if "share_of_engine" in row]
    if shares:
        verdict = "met" if shares[-1] >= GOAL else "missed"
        yield f"HTTP keeps {GOAL:.0%} at the most requests: {verdict} ({shares[-1]:.1%})"
    for problem in result["problems"]:
        yield f"PROBLEM {problem}"


if __name__ == "__main__":
    sys.exit(main())
