"""`unmask serve` in a subprocess, observed from outside."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

READY_S = 300.0
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Server:
    """A ready server; `ready_s` is the time since its process was started."""

    url: str
    ready_s: float
    settings: dict[str, Any]
    process: psutil.Process

    def rss_mib(self) -> float:
        """Resident memory of the server and its engine's process."""
        return sum(process.memory_info().rss for process in self._processes()) / 2**20

    def peak_rss_mib(self) -> float:
        """Sum of the peaks of both since the start."""
        return sum(_peak_kib(process.pid) for process in self._processes()) / 2**10

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def metrics(self) -> dict[str, float]:
        """Samples of /metrics that have no label but the model and the engine: sums of engines."""
        families = text_string_to_metric_families(httpx.get(f"{self.url}/metrics").text)
        sums = defaultdict[str, float](float)
        for sample in (sample for family in families for sample in family.samples):
            if not sample.labels.keys() - {"model_name", "engine"}:
                sums[sample.name] += sample.value
        return dict(sums)


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None, "Linux tells the peak"
    return int(match[1])


@contextlib.contextmanager
def serving(args: Sequence[str] = ()) -> Iterator[Server]:
    """Server on a free port with `args`, stopped by a signal at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "unmask", "serve", "--port", str(port), *args]
    with tempfile.TemporaryFile("w+") as log:
        started_s = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--log-format", "json"], stdout=subprocess.DEVNULL, stderr=log
        )
        try:
            ready_s = _wait(url, process, started_s)
            log.seek(0)
            settings = json.loads(json.loads(log.readline())["message"].removeprefix("settings: "))
            yield Server(url, ready_s, settings, psutil.Process(process.pid))
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise
        finally:
            process.send_signal(signal.SIGINT)  # SIGTERM has a delay
            process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes], started_s: float) -> float:
    while (elapsed_s := time.perf_counter() - started_s) < READY_S:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode}")
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200:
                return time.perf_counter() - started_s
        time.sleep(POLL_S)
    raise TimeoutError(f"not ready after {elapsed_s:.0f} s")
