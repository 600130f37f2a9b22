"""Kills and stops engines under streams, and compares every answer with that of an undisturbed run.

    python -m benchmarks.faults [--streams 64] [--kills 5] [--output FILE]

Scenarios: the engine's process is killed again and again; it stands still for longer than a step
may take; the server is told to stop with little time left. Ends with status 1 if an answer is not
as it would have been, or a stream has no end.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import ROOT, describe
from benchmarks.server import Server, serving
from unmask.bench.workload import BUILT_IN

STEP_TIMEOUT_S = 3.0
NUM_TOKENS = 256
STREAM_S = 600.0
CHILD = "unmask.engine.process.child"
Fault = Callable[[Server], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of a stream, and its end: a `finish_reason`, or the code of an error."""

    text: str
    end: str | None


async def stream(client: httpx.AsyncClient, number: int) -> Answer:
    """One answer, all of whose tokens are drawn by its own seed."""
    body = {
        "prompt": f"{number}. {BUILT_IN[number % len(BUILT_IN)]}",
        "max_tokens": NUM_TOKENS,
        "temperature": 1.0,
        "seed": number,
        "ignore_eos": True,
        "stream": True,
    }
    text, end = "", None
    try:
        async with client.stream("POST", "/v1/completions", json=body) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    end = f"error {event['error']['code']}"
                    continue
                for choice in event["choices"]:
                    text += choice["text"]
                    end = choice["finish_reason"] or end
    except httpx.HTTPError as error:
        end = f"broken: {type(error).__name__}"
    return Answer(text, end)


async def streams(server: Server, count: int, fault: Fault | None) -> list[Answer]:
    """Answers of `count` streams that began together, while something happens to their server."""
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(
        base_url=server.url, timeout=STREAM_S, limits=limits, trust_env=False
    ) as client:
        tasks = [asyncio.create_task(stream(client, number)) for number in range(count)]
        if fault is not None:
            await fault(server)
        return list(await asyncio.gather(*tasks))


def engines(server: Server) -> list[int]:
    """Numbers of the processes of a server's engines."""
    children = server.process.children(recursive=True)
    return [child.pid for child in children if CHILD in " ".join(child.cmdline())]


async def wait_for_engine(server: Server) -> None:
    """Wait until the engine runs requests."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        while True:
            health = (await client.get("/health")).json()
            if health["state"] == "ready" and health["running"]:
                return
            await asyncio.sleep(0.1)


def killing(times: int, seconds_between: float) -> Fault:
    """Kills one engine after another, each while it runs requests."""

    async def kill(server: Server) -> None:
        for _ in range(times):
            await wait_for_engine(server)
            await asyncio.sleep(seconds_between)
            for pid in engines(server)[:1]:
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.5)

    return kill


async def hang(server: Server) -> None:
    """Let the engine stand still, as in a step without an end."""
    await wait_for_engine(server)
    await asyncio.sleep(1.0)
    pid, *_ = engines(server)
    os.kill(pid, signal.SIGSTOP)


async def stop(server: Server) -> None:
    """Ask the server to stop."""
    await wait_for_engine(server)
    await asyncio.sleep(0.5)
    server.process.terminate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--kills", type=int, default=5)
    default = ROOT / "benchmarks" / "results" / "faults_cpu.json"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("server_args", nargs="*", help="after --: flags of unmask serve")
    args = parser.parse_args()
    flags = ["--step-timeout-s", str(STEP_TIMEOUT_S), *args.server_args]
    result: dict[str, Any] = describe() | {"streams": args.streams, "max_tokens": NUM_TOKENS}
    with serving(flags) as server:
        expected = asyncio.run(streams(server, args.streams, None))
        assert Counter(answer.end for answer in expected) == {"length": args.streams}, "undisturbed"
        faults = {f"{args.kills} kills": killing(args.kills, 0.3), "a step that hangs": hang}
        for name, fault in faults.items():
            began_s = time.perf_counter()
            answers = asyncio.run(streams(server, args.streams, fault))
            result[name] = told(answers, expected) | {"seconds": time.perf_counter() - began_s}
            print(name, json.dumps(result[name]), flush=True)
        restarts = server.metrics().get("unmask_engine_restarts_total")
    with serving([*flags, "--shutdown-timeout-s", "1"]) as server:
        name = "told to stop, with a second left"
        result[name] = told(asyncio.run(streams(server, args.streams, stop)), expected)
        print(name, json.dumps(result[name]), flush=True)
    result["restarts"] = restarts
    result["checks"] = {
        "every answer is as it would have been": all(
            result[name]["same"] == args.streams for name in faults
        ),
        "every stream has an end": not result[name]["without_end"],
    }
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(result["checks"].values()) else 1


def told(answers: list[Answer], expected: list[Answer]) -> dict[str, Any]:
    """Counts of answers that are the same, of ends, and of streams without one."""
    return {
        "same": sum(a == b for a, b in zip(answers, expected, strict=True)),
        "ends": Counter(answer.end or "none" for answer in answers),
        "without_end": sum(
            answer.end is None or answer.end.startswith("broken") for answer in answers
        ),
    }


if __name__ == "__main__":
    sys.exit(main())
