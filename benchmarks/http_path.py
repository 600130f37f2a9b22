"""CPU time of the HTTP side beside bare FastAPI routes: `python -m benchmarks.http_path`.

Writes results/http_path_cpu.json. The application runs around an engine that answers at once
(`benchmarks.http_stub`), under uvicorn as `unmask serve` sets it up; the clients are a process of
their own. Whole answers are to chats that are all the same, and to fresh ones. The bare route reads
the body's JSON and the typed one has a pydantic model for it; both return prepared bytes. All
servers run all the time and have work in turn. A ratio is of two runs of one round; of several
rounds the median counts. The exit status is 1 if a limit is not kept.
"""

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.http_stub import CHUNKS
from benchmarks.machine import ROOT, describe
from benchmarks.rounds import ratios

OUT = ROOT / "benchmarks" / "results" / "http_path_cpu.json"
CONNECTIONS, OPEN_STREAMS = 16, 1000
REQUESTS = {"whole": 2000, "fresh": 2000, "stream": 400}
MIN_RATIO, MAX_US_A_CHUNK, MAX_OPEN_MIB = 0.5, 60.0, 150.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server in a process of its own."""

    port: int
    process: psutil.Process

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def rss_mib(self) -> float:
        return float(self.process.memory_info().rss) / 2**20


@contextlib.contextmanager
def serving(kind: str, *args: str) -> Iterator[Server]:
    """A server of `benchmarks.http_stub` on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.http_stub", kind, str(port), *args]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        while True:
            assert process.poll() is None, "the server ended"
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
                break
            time.sleep(0.05)
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(60)


def load(server: Server, kind: str, num_requests: int) -> dict[str, float]:
    """Requests a second, and CPU time of the server for each."""
    before_s = server.cpu_s()
    command = [sys.executable, "-m", "benchmarks.http_load", str(server.port), kind]
    run = subprocess.run(
        [*command, str(num_requests), str(CONNECTIONS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    cpu_s = server.cpu_s() - before_s
    elapsed_s = json.loads(run.stdout)["elapsed_s"]
    return {"per_s": num_requests / elapsed_s, "cpu_us": 1e6 * cpu_s / num_requests}


def open_streams() -> dict[str, float]:
    """Memory of many streams that are open at once, with a chunk a second."""
    with serving("unmask", "--chunk-every-s", "1") as server:
        load(server, "stream", CONNECTIONS)
        before_mib, peak_mib = server.rss_mib(), 0.0
        command = [sys.executable, "-m", "benchmarks.http_load", str(server.port), "stream"]
        number = str(OPEN_STREAMS)
        with subprocess.Popen([*command, number, number], cwd=ROOT, stdout=subprocess.DEVNULL) as p:
            while p.poll() is None:
                peak_mib = max(peak_mib, server.rss_mib())
                time.sleep(0.2)
        assert p.returncode == 0, "every stream ended well"
    return {"before_mib": before_mib, "peak_mib": peak_mib, "taken_mib": peak_mib - before_mib}


def report(runs: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, Any]:
    """Medians, ratios of each round, and CPU time a chunk, with its share of the request."""
    medians = {
        kind: {
            name: {key: statistics.median(run[key] for run in own) for key in own[0]}
            for name, own in by_name.items()
        }
        for kind, by_name in runs.items()
    }
    found: dict[str, dict[str, Any]] = {}
    for kind, by_name in runs.items():
        series = {
            name: {key: [run[key] for run in own] for key in ("per_s", "cpu_us")}
            for name, own in by_name.items()
        }
        ours = series.pop("unmask")
        for name, other in series.items():
            found.setdefault(f"ratios_to_{name}", {}).update(
                {
                    f"{kind}_per_s": ratios(ours["per_s"], other["per_s"]),
                    f"{kind}_cpu": ratios(other["cpu_us"], ours["cpu_us"]),
                }
            )
    us_a_chunk = {name: run["cpu_us"] / CHUNKS for name, run in medians["stream"].items()}
    return {"medians": medians, **found, "stream_us_a_chunk": us_a_chunk}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer requests")
    parser.add_argument("--output", type=Path, default=OUT)
    args = parser.parse_args()
    runs: dict[str, dict[str, list[dict[str, float]]]] = {}
    with serving("unmask") as ours, serving("bare") as bare, serving("typed") as typed:
        servers = {"unmask": ours, "bare": bare, "typed": typed}
        for server in servers.values():
            for kind in REQUESTS:
                load(server, kind, REQUESTS[kind] // 8)
        for number in range(args.rounds):
            for kind, usual in REQUESTS.items():
                for name, server in servers.items():
                    run = load(server, kind, max(CONNECTIONS, round(usual * args.scale)))
                    runs.setdefault(kind, {}).setdefault(name, []).append(run)
                    shown = ", ".join(f"{key} {value:.0f}" for key, value in run.items())
                    print(f"round {number}, {kind:6}, {name:6}: {shown}", flush=True)
    result = describe() | {"connections": CONNECTIONS, "chunks": CHUNKS} | report(runs)
    result |= {"open_streams": open_streams()}
    to_bare = result["ratios_to_bare"]
    result["checks"] = {
        f"whole answers at least {MIN_RATIO} of bare": to_bare["whole_per_s"]["median"]
        >= MIN_RATIO,
        f"at most {MAX_US_A_CHUNK} us a chunk": result["stream_us_a_chunk"]["unmask"]
        <= MAX_US_A_CHUNK,
        f"{OPEN_STREAMS} streams in {MAX_OPEN_MIB} MiB": result["open_streams"]["taken_mib"]
        <= MAX_OPEN_MIB,
    }
    args.output.write_text(json.dumps(result | {"runs": runs}, indent=1) + "\n", encoding="utf-8")
    shown = (
        "medians",
        "ratios_to_bare",
        "ratios_to_typed",
        "stream_us_a_chunk",
        "open_streams",
        "checks",
    )
    print(json.dumps({name: result[name] for name in shown}, indent=1))
    return 0 if all(result["checks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
