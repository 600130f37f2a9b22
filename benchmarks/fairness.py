"""Latency of one client's single requests beside another client's thousand, over HTTP.

    python -m benchmarks.fairness --out benchmarks/results/fairness_cpu.json

One client sends request after request, alone and while another has 1,000 requests open, in rounds.
The bar is a p95 beside the flood of at most 3 times that of an idle server plus a step of the
flood's. With `--same-client` both have the same key, as a comparison.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.machine import describe
from benchmarks.server import Server, serving
from unmask.api.key_file import entry

PATH = "/v1/completions"
FLOOD_KEY, ONE_KEY = "flood-key", "one-key"
FACTOR = 3.0
ONE = {"prompt": "Q: What is 12 + 30?\nA:", "max_tokens": 32, "ignore_eos": True}
MANY = {"prompt": "Q: Count from 1 to 20.\nA:", "max_tokens": 128, "ignore_eos": True}
SETTLE_S = 2.0
FLOOD_S = 120.0  # in which the requests of a flood are queued
CONNECT_S = 0.003  # between two requests of the flood at its start


async def exchange(url: str, content: bytes, key: str) -> int | None:
    """Send one request on a connection of its own; returns the status, None if it is cut."""
    host = urlsplit(url)
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: {host.netloc}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
        "connection: close\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
    except OSError:
        return None
    try:
        writer.write(head.encode() + content)
        words = (await reader.read()).split(b" ", 2)
    except OSError:
        return None
    finally:
        writer.close()
    return int(words[1]) if len(words) == 3 else None


async def _flood(url: str, num: int) -> None:
    """Keep so many requests open until this process ends."""

    async def one_after_another(number: int) -> None:
        await asyncio.sleep(number * CONNECT_S)
        while True:
            if await exchange(url, json.dumps(MANY).encode(), FLOOD_KEY) != 200:
                await asyncio.sleep(0.5)

    await asyncio.gather(*(one_after_another(number) for number in range(num)))


def flood(url: str, num: int) -> None:
    """The process of the client with many requests."""
    asyncio.run(_flood(url, num))


def latencies_s(url: str, key: str, seconds: float) -> list[float]:
    """Latencies of single requests, one after another."""
    times: list[float] = []
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, timeout=600, headers=headers) as client:
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            started_s = time.perf_counter()
            client.post(PATH, json=ONE).raise_for_status()
            times.append(time.perf_counter() - started_s)
    return times


def wait_for_flood(server: Server, num: int, sender: multiprocessing.Process) -> None:
    """Wait until most requests of a flood are in the queue; raises if they do not come."""
    end_s = time.monotonic() + FLOOD_S
    while sender.is_alive() and time.monotonic() < end_s:
        with contextlib.suppress(httpx.TimeoutException):  # of a server that accepts it
            if server.metrics()["unmask_requests_waiting"] > num // 2:
                return
        time.sleep(0.1)
    raise RuntimeError("the flood has ended" if not sender.is_alive() else "the queue is not full")


def step_s(server: Server, seconds: float) -> float:
    """Mean time of a step in the next seconds."""
    before = server.metrics()
    time.sleep(seconds)
    after = server.metrics()
    total, count = (
        after[f"unmask_step_seconds_{name}"] - before[f"unmask_step_seconds_{name}"]
        for name in ("sum", "count")
    )
    return total / max(count, 1)


def p95(times: list[float]) -> float:
    return sorted(times)[min(int(0.95 * len(times)), len(times) - 1)]


def round_of(server: Server, num: int, seconds: float, key: str) -> dict[str, float]:
    """Latencies of an idle server, then beside a flood."""
    idle = latencies_s(server.url, key, seconds)
    sender = multiprocessing.Process(target=flood, args=(server.url, num))
    sender.start()
    try:
        wait_for_flood(server, num, sender)
        step = step_s(server, SETTLE_S)
        beside = latencies_s(server.url, key, seconds)
    finally:
        sender.terminate()
        sender.join()
    while server.metrics()["unmask_requests_running"]:
        time.sleep(0.1)
    row = {
        "idle_p95_ms": p95(idle) * 1e3,
        "idle_median_ms": statistics.median(idle) * 1e3,
        "beside_p95_ms": p95(beside) * 1e3,
        "beside_median_ms": statistics.median(beside) * 1e3,
        "flood_step_ms": step * 1e3,
        "num_idle": len(idle),
        "num_beside": len(beside),
    }
    row["ratio_p95"] = row["beside_p95_ms"] / row["idle_p95_ms"]
    row["ratio_to_bar"] = row["beside_p95_ms"] / (
        FACTOR * row["idle_p95_ms"] + row["flood_step_ms"]
    )
    return {name: round(value, 3) for name, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each half of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=1000, help="that the flood has open")
    parser.add_argument("--same-client", action="store_true", help="both have one key")
    parser.add_argument("--out", type=Path)
    parser.add_argument("args", nargs="*", help="flags of `unmask serve`, behind --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        pairs = (("flood", FLOOD_KEY), ("one", ONE_KEY))
        entries = [entry(name, secret, ["inference"]) for name, secret in pairs]
        keys.write_text("".join(entries), encoding="utf-8")
        key = FLOOD_KEY if options.same_client else ONE_KEY
        with serving(["--api-key-file", str(keys), *options.args]) as server:
            latencies_s(server.url, key, 1.0)
            rows = []
            for _ in range(options.rounds):
                rows.append(round_of(server, options.requests, options.seconds, key))
                print(rows[-1], flush=True)
            settings = server.settings
    medians = {name: round(statistics.median(r[name] for r in rows), 3) for name in rows[0]}
    report = {
        **describe(),
        "settings": settings,
        "requests": options.requests,
        "same_client": options.same_client,
        "rounds": rows,
        "medians": medians,
        "meets_bar": medians["ratio_to_bar"] <= 1.0,
    }
    print(medians)
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
