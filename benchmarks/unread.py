"""Memory and latency of a server with streams that are never read, beside streams that are.

    python -m benchmarks.unread --out benchmarks/results/unread_cpu.json

Many clients ask for long streams, full of refinements and log-probabilities, and read either all
or nothing, in turn; a stream that is ended is opened again. Another client sends small requests,
one after another: their 95th percentile beside unread streams may be at most 1.3 times that beside
streams that are read, and memory may grow by no more than unread events may hold. Ends with status
1 otherwise.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import describe
from benchmarks.rounds import ratios, spread
from benchmarks.server import Server, serving
from benchmarks.soak import request, small_requests, summary

BAR = 1.3
SEGMENT = 1460  # bytes, as on Ethernet; those of loopback let the system hold megabytes
RECEIVE_BUFFER = 4096  # bytes, of clients that do not read
SAMPLE_S = 0.5  # between two looks at memory
POLL_S = 0.5
BLOCK = 4  # positions: steps are quick, and a stream has many
LONG = {
    "messages": [{"role": "user", "content": "Count."}],
    "max_tokens": 2000,
    "ignore_eos": True,
    "stream": True,
    "block_length": BLOCK,
    "steps": BLOCK // 2,  # two tokens a step: streams last for most of a round
    "policy": "low_confidence",
    "logprobs": True,
    "top_logprobs": 20,  # some 2 kB a token, so that the system's buffers are full soon
    "stream_refinements": {"tokens": True},
}


def is_closed(connection: socket.socket) -> bool:
    """True if the other side has reset a connection whose data nobody reads."""
    poll = select.poll()
    poll.register(connection, 0)
    return bool(poll.poll(0))


async def hold(port: int, *, reads: bool) -> None:
    """A long stream that is read at once or never, opened again whenever it is ended."""
    sent = request(LONG, "/v1/chat/completions")
    while True:
        connection = socket.socket()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        if not reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        connection.connect(("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(
            sock=connection, limit=2**16 if reads else RECEIVE_BUFFER
        )
        with contextlib.suppress(ConnectionError):
            writer.write(sent)
            while reads and await reader.read(2**16):
                pass
            while not reads and not is_closed(connection):
                await asyncio.sleep(POLL_S)
        writer.transport.abort()


def hold_streams(port: int, number: int, reads: bool) -> None:
    """Hold streams until this process is ended."""

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(number):
                group.create_task(hold(port, reads=reads))

    asyncio.run(run())


@contextlib.contextmanager
def highest_memory(server: Server) -> Iterator[list[float]]:
    """Memory of a server in MiB, sampled meanwhile."""
    samples, stop = [server.rss_mib()], threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_S):
            samples.append(server.rss_mib())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def beside(server: Server, options: argparse.Namespace, *, reads: bool) -> dict[str, Any]:
    """Latencies of small requests and memory of the server beside streams of one kind."""
    port = int(server.url.rsplit(":", 1)[1])
    holder = multiprocessing.Process(target=hold_streams, args=(port, options.streams, reads))
    before = server.metrics()
    with highest_memory(server) as memory:
        holder.start()
        try:
            time.sleep(options.settle_seconds)
            times = small_requests(server.url, options.seconds)
            running = server.metrics()["unmask_requests_running"]
        finally:
            holder.kill()
            holder.join()
    after = server.metrics()
    while server.metrics()["unmask_requests_running"]:
        time.sleep(0.2)
    tokens = "unmask_generated_tokens_total"
    return {
        **summary(times),
        "streams_running_at_the_end": running,
        "tokens": after[tokens] - before[tokens],
        "rss_mib": {
            "before": round(memory[0], 1),
            "most": round(max(memory), 1),
            "after": round(server.rss_mib(), 1),
        },
    }


def ended(url: str) -> dict[str, float]:
    """Streams and connections that the server has ended, by reason, since its start."""
    found = {}
    for line in httpx.get(f"{url}/metrics", trust_env=False).text.splitlines():
        if "slow_reader" in line:
            name, _, number = line.rpartition(" ")
            found[name.partition("{")[0]] = float(number)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=120.0, help="of each half of a round")
    parser.add_argument("--settle-seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("args", nargs="*", help="flags of `unmask serve`, behind --")
    options = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {"read": [], "unread": []}
    with serving(["--max-num-seqs", str(options.streams + 1), *options.args]) as server:
        small_requests(server.url, 2)  # the first steps are slower
        for _ in range(options.rounds):
            for kind in rows:
                rows[kind].append(beside(server, options, reads=kind == "read"))
                print(kind, json.dumps(rows[kind][-1]), flush=True)
        reasons, settings = ended(server.url), server.settings
    p95 = {kind: [row["p95_ms"] for row in taken] for kind, taken in rows.items()}
    growth = [row["rss_mib"]["most"] - row["rss_mib"]["before"] for row in rows["unread"]]
    bound_mib = options.streams * settings["server"]["max_unread_mib"]
    ratio = ratios(p95["unread"], p95["read"])
    report = {
        **describe(),
        "settings": settings,
        "streams": options.streams,
        "seconds": options.seconds,
        "rounds": rows,
        "p95_ratio": ratio,
        "growth_mib": spread(growth),
        "ended_since_the_start": reasons,
        "checks": {
            f"p95 within {BAR} times": ratio["median"] <= BAR,
            f"memory grows by less than {bound_mib} MiB": max(growth) < bound_mib,
        },
    }
    print(json.dumps({name: report[name] for name in ("p95_ratio", "growth_mib", "checks")}))
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if all(report["checks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
