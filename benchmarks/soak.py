"""Storms of clients that come and go, one after another, against a whole server.

    python -m benchmarks.soak --clients 200 --seconds 20 --out benchmarks/results/soak_cpu.json

Clients connect, stream, leave at random, or send half a request. Latencies of `/health/live` are
taken meanwhile on the server's port and on its own. After a storm all gauges, pages and descriptors
must return, and memory must level off from storm to storm.
"""

import argparse
import asyncio
import contextlib
import http.client
import itertools
import json
import multiprocessing
import random
import socket
import statistics
import time
from collections import Counter
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import describe
from benchmarks.server import Server, serving

FAILED_S = 10.0  # the time of a probe that fails
PROBE_S = 0.05  # between two probes
SETTLE_S = 30.0  # for gauges to return
GAUGES = (
    *("unmask_requests_running", "unmask_requests_waiting", "unmask_kv_pages_used"),
    "unmask_http_connections",
)
SMALL = {"prompt": "2 + 2 =", "max_tokens": 4, "ignore_eos": True}
Counts = Counter[str]


def request(body: dict[str, Any], path: str = "/v1/completions") -> bytes:
    """A POST as bytes."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content


def random_body(rng: random.Random) -> dict[str, Any]:
    """A small request, one in three with refinements or log-probabilities."""
    fields: dict[str, Any] = {
        "prompt": "Tell me of " + "words " * rng.randrange(20),
        "max_tokens": rng.choice((4, 16, 64)),
        "n": rng.choice((1, 1, 1, 3)),
        "stream": rng.random() < 0.7,
    }
    if fields["stream"] and rng.random() < 0.2:
        fields["stream_refinements"] = True
    if rng.random() < 0.2:
        fields["logprobs"] = 3
    return fields


async def visit(port: int, rng: random.Random) -> str:
    """One connection of a random kind; returns its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        kind = rng.random()
        if kind < 0.05:
            return "nothing sent"
        sent = request(random_body(rng))
        if kind < 0.15:
            writer.write(sent[: rng.randrange(len(sent))])
            await asyncio.sleep(rng.random() * 0.2)
            return "half sent"
        writer.write(sent)
        if kind < 0.45:  # leave at some time
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), rng.random())
            return "left"
        answer = await asyncio.wait_for(reader.read(), 120)
        return answer[9:12].decode() or "no answer"
    finally:
        writer.transport.abort()


def storm(port: int, num_clients: int, seconds: float, seed: int, ends: "Queue[Counts]") -> None:
    """Clients of one process, each one connection after another."""
    counts: Counts = Counter()

    async def client(number: int, end_s: float) -> None:
        rng = random.Random(seed * 100_000 + number)
        while time.monotonic() < end_s:
            try:
                counts[await visit(port, rng)] += 1
            except (OSError, TimeoutError) as error:
                counts[type(error).__name__] += 1

    async def run() -> None:
        end_s = time.monotonic() + seconds
        await asyncio.gather(*(client(i, end_s) for i in range(num_clients)))

    asyncio.run(run())
    ends.put(counts)


def probe(ports: dict[str, int], stop: Event, latencies: "Queue[dict[str, list[float]]]") -> None:
    """Times of `/health/live` on each port until `stop`, connecting anew; a failure counts 10 s."""
    times: dict[str, list[float]] = {name: [] for name in ports}
    while not stop.is_set():
        for name, port in ports.items():
            began_s = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=FAILED_S)
            try:
                connection.request("GET", "/health/live")
                is_live = connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                is_live = False
            connection.close()
            times[name].append(time.perf_counter() - began_s if is_live else FAILED_S)
        time.sleep(PROBE_S)
    latencies.put(times)


def summary(times_s: list[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum, in milliseconds."""
    cuts = statistics.quantiles(times_s, n=20) if len(times_s) > 1 else times_s * 20
    return {
        "number": len(times_s),
        "median_ms": round(1e3 * statistics.median(times_s), 2),
        "p95_ms": round(1e3 * cuts[18], 2),
        "max_ms": round(1e3 * max(times_s), 1),
    }


def state(server: Server) -> dict[str, float]:
    """Gauges, descriptors, threads and memory of the server."""
    gauges = server.metrics()
    return {
        **{name: gauges[name] for name in GAUGES},
        "descriptors": server.process.num_fds(),
        "threads": server.process.num_threads(),
        "rss_mib": round(server.rss_mib(), 1),
    }


def has_returned(server: Server, before: dict[str, float]) -> bool:
    """True once all but memory and threads is as before."""
    now = state(server)
    return all(now[name] <= before[name] for name in (*GAUGES, "descriptors"))


def run_storm(server: Server, ports: dict[str, int], options: argparse.Namespace) -> dict[str, Any]:
    """State before and after a storm, and latencies meanwhile."""
    before = state(server)
    stop, latencies, ends = (
        multiprocessing.Event(),
        multiprocessing.Queue(),
        multiprocessing.Queue(),
    )
    prober = multiprocessing.Process(target=probe, args=(ports, stop, latencies))
    share = options.clients // options.processes
    clients = [
        multiprocessing.Process(target=storm, args=(ports["main"], share, options.seconds, i, ends))
        for i in range(options.processes)
    ]
    for process in (prober, *clients):
        process.start()
    counts = sum((ends.get() for _ in clients), Counts())
    stop.set()
    times = latencies.get()
    ended_s = time.monotonic()
    while not has_returned(server, before) and time.monotonic() - ended_s < SETTLE_S:
        time.sleep(0.2)
    return {
        "ends": dict(counts),
        "requests_per_s": round(counts.total() / options.seconds, 1),
        "health": {name: summary(values) for name, values in times.items()},
        "settled_s": round(time.monotonic() - ended_s, 1),
        "returned": has_returned(server, before),
        "before": before,
        "after": state(server),
    }


def small_requests(url: str, seconds: float) -> list[float]:
    """Latencies of small requests, one after another."""
    times, end_s = list[float](), time.monotonic() + seconds
    with httpx.Client(base_url=url, timeout=120) as client:
        while time.monotonic() < end_s:
            began_s = time.perf_counter()
            client.post("/v1/completions", json=SMALL).raise_for_status()
            times.append(time.perf_counter() - began_s)
    return times


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2, help="that the clients share")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a storm")
    parser.add_argument("--storms", type=int, default=1, help="one after another")
    parser.add_argument("--arg", action="append", default=[], help="of `unmask serve`")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    health = free_port()
    with serving(["--health-port", str(health), *options.arg]) as server:
        ports = {"main": int(server.url.rsplit(":", 1)[1]), "own": health}
        small_requests(server.url, 2)  # the first steps are slower
        report = {**describe(), "options": vars(options) | {"out": str(options.out)}}
        report["storms"] = []
        for _ in range(options.storms):
            report["storms"].append(run_storm(server, ports, options))
            print(json.dumps(report["storms"][-1]), flush=True)
    report["rss_mib"] = [storm["after"]["rss_mib"] for storm in report["storms"]]
    levels = [report["storms"][0]["before"]["rss_mib"], *report["rss_mib"]]
    report["growth_mib"] = [round(b - a, 1) for a, b in itertools.pairwise(levels)]
    print(report["rss_mib"], report["growth_mib"])
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
