"""Latency of `/health` while the most expensive request bodies are prepared.

    python -m benchmarks.hostile_bodies --out benchmarks/results/hostile_bodies_cpu.json

Serves the embedded model in one process, sends each body repeatedly from another, and requests
`/health` meanwhile. The result is the ratio of the median to that of an idle server: times depend
on the machine.
"""

import argparse
import json
import multiprocessing
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import httpx

from benchmarks.machine import describe

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
SIZE = 4 * 2**20 - 100  # bytes, just below the longest body
HEADERS = {"content-type": "application/json"}


def many(start: str, item: str, end: str) -> str:
    """Body with as many items as fit."""
    return start + ",".join([item] * ((SIZE - len(start) - len(end)) // (len(item) + 1))) + end


def chat(content: str) -> str:
    """Body with one message."""
    return json.dumps({"messages": [{"role": "user", "content": content}]})


EMPTY = '{"role":"user","content":""}'
BODIES: dict[str, tuple[str, str]] = {
    "empty prompts": (COMPLETIONS, many('{"prompt":[', '""', "]}")),
    "one-letter prompts": (COMPLETIONS, many('{"prompt":[', '"a"', "]}")),
    "lists of one id": (COMPLETIONS, many('{"prompt":[', "[1]", "]}")),
    "ids": (COMPLETIONS, many('{"prompt":[', "1", "]}")),
    "empty messages": (CHAT, many('{"messages":[', EMPTY, "]}")),
    "as many messages as are taken": (CHAT, '{"messages":[' + ",".join([EMPTY] * 4096) + "]}"),
    "empty parts": (
        CHAT,
        many('{"messages":[{"role":"user","content":[', '{"type":"text","text":""}', "]}]}"),
    ),
    "messages to tokenize": ("/tokenize", many('{"messages":[', EMPTY, "]}")),
    "ids to detokenize": ("/detokenize", many('{"tokens":[', "1", "]}")),
    "a letter": (COMPLETIONS, json.dumps({"prompt": "a" * (SIZE - 100)})),
    "combining marks": (COMPLETIONS, json.dumps({"prompt": "e\u0301" * (SIZE // 8)})),
    "control tokens": (CHAT, chat("<|end|>" * (SIZE // 8))),
    "prompts that fit": (
        COMPLETIONS,
        json.dumps({"prompt": ["hello " * 300] * 1024, "max_tokens": 1}),
    ),
    "lists in a field": (COMPLETIONS, many('{"prompt":"a","tools":[', "[]", "]}")),
    "allowed ids": (COMPLETIONS, many('{"prompt":"a","allowed_token_ids":[', "1", "]}")),
}


@contextmanager
def serving() -> Iterator[str]:
    """URL of a running server of the embedded model."""
    command = [sys.executable, "-m", "unmask", "serve", "--port", "0", "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        match = re.search(r"http://[\d.:]+", process.stdout.readline())
        assert match is not None, "the server did not start"
        try:
            yield match[0]
        finally:
            process.terminate()


def send(url: str, path: str, body: str, counter: "Synchronized[int]") -> None:
    """Send a body until this process ends; counts responses."""
    with httpx.Client(base_url=url, timeout=120) as client:
        while True:
            client.post(path, content=body, headers=HEADERS)
            counter.value += 1


def health_s(url: str, seconds: float) -> list[float]:
    """Latencies of consecutive `/health` requests."""
    times: list[float] = []
    with httpx.Client(base_url=url, timeout=120) as client:
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            started_s = time.perf_counter()
            client.get("/health").raise_for_status()
            times.append(time.perf_counter() - started_s)
            time.sleep(0.005)
    return times


def summary(times: list[float]) -> dict[str, float]:
    """Median and maximum, in milliseconds."""
    return {
        "median_ms": round(statistics.median(times) * 1e3, 2),
        "max_ms": round(max(times) * 1e3, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each body")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with serving() as url:
        health_s(url, 0.2)
        idle = summary(health_s(url, options.seconds))
        print(f"{'idle':32}{idle}")
        results = {}
        for name, (path, body) in BODIES.items():
            counter = multiprocessing.Value("i", 0)
            sender = multiprocessing.Process(target=send, args=(url, path, body, counter))
            sender.start()
            time.sleep(0.3)
            times = summary(health_s(url, options.seconds))
            sender.terminate()
            sender.join()
            ratio = round(times["median_ms"] / idle["median_ms"], 1)
            results[name] = {**times, "ratio": ratio, "answers": counter.value, "bytes": len(body)}
            print(f"{name:32}{results[name]}")
    report = {**describe(), "idle": idle, "bodies": results}
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
