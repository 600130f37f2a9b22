"""CPU time of the event loop for each event of a stream: `python -m benchmarks.stream_writers`.

Writes results/stream_writers_cpu.json. Deltas of 128 requests are pushed as by an engine's thread,
all of a step in one call, and go through each response's writer to a transport that drops them.
Sockets and HTTP framing are not included. `benchmarks.host_step` measures the engine's thread. With
`--baseline CHECKOUT`, another version is measured alternately.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, describe
from unmask.api.completions import COMPLETIONS
from unmask.api.job import Job
from unmask.api.logprobs import TokenTexts
from unmask.api.requests import CompletionBody
from unmask.api.sse import EventStreamResponse
from unmask.engine.async_engine import RequestStream
from unmask.tokenizer import IdTokenizer, Tokenizer
from unmask.types import Delta, Finish, FinishReason, Request, Usage

OUT = ROOT / "benchmarks" / "results" / "stream_writers_cpu.json"
NUM_REQUESTS, STEPS, WARM_UP = 128, 200, 20
TOKENS = (11, 22, 33, 44)
PING_S = 15.0
MAX_UNREAD_BYTES = 4 * 2**20


async def serve() -> list[float]:
    """Microseconds per event, of each step."""
    loop = asyncio.get_running_loop()
    body, tokenizer = CompletionBody(prompt=["x"], stream=True), Tokenizer(IdTokenizer())
    streams, tasks = [], []
    for i in range(NUM_REQUESTS):
        request = Request(f"cmpl-{i:032x}-0", (1, 2, 3))
        job = Job(f"cmpl-{i:032x}", 1_700_000_000, "model", (request,), 1, 1, ("",))
        writer = COMPLETIONS.writer(job, body, tokenizer, TokenTexts(tokenizer.token_text))
        stream = RequestStream(loop, lambda: None)
        streams.append(stream)
        response = EventStreamResponse(writer, [stream], PING_S, MAX_UNREAD_BYTES)
        tasks.append(asyncio.create_task(response({"type": "http"}, wait_forever, drop)))
    await settle()
    spent: list[float] = []
    for step in range(STEPS):
        deltas = [Delta(str(i), TOKENS, f" word {step} {i}") for i in range(NUM_REQUESTS)]
        started_s = time.thread_time()
        loop.call_soon(push, streams, deltas)
        await settle()
        spent.append(1e6 * (time.thread_time() - started_s) / NUM_REQUESTS)
    end = Finish(FinishReason.LENGTH, Usage(*(1 for _ in Usage.__dataclass_fields__)), None)
    push(streams, [Delta(str(i), (), "", finish=end) for i in range(NUM_REQUESTS)])
    await asyncio.gather(*tasks)
    return spent[WARM_UP:]


async def settle() -> None:
    """Run the loop until everything pushed is written."""
    for _ in range(12):
        await asyncio.sleep(0)


def push(streams: list[RequestStream], deltas: list[Delta]) -> None:
    """Push the deltas of a step on the event loop."""
    for stream, delta in zip(streams, deltas, strict=True):
        stream.push(delta)


async def wait_forever() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError("nobody goes away")


WRITTEN = [0]


async def drop(message: Any) -> None:
    WRITTEN[0] += len(message.get("body", b"")) > 0


def in_child(checkout: Path) -> list[float]:
    """`serve` in a separate process, with the server of a checkout."""
    paths = [checkout / "server", checkout / "kernels", checkout]
    run = subprocess.run(
        [sys.executable, __file__, "--child"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=checkout,
        stdout=subprocess.PIPE,
        check=True,
    )
    return list(json.loads(run.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print-only", action="store_true", help="write no file")
    parser.add_argument("--baseline", type=Path, help="checkout of the version to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        spent = asyncio.run(serve())
        assert WRITTEN[0] >= NUM_REQUESTS * STEPS, "every event was written by itself"
        print(json.dumps(spent))
        return
    versions = {"now": ROOT}
    if options.baseline is not None:
        versions = {"baseline": options.baseline.resolve(), **versions}
    runs: dict[str, list[float]] = {name: [] for name in versions}
    for _ in range(options.rounds):
        for name, checkout in versions.items():
            runs[name] += in_child(checkout)
    results = {}
    for name, values in runs.items():
        tenths = statistics.quantiles(values, n=10)
        numbers = {"median": statistics.median(values), "p10": tenths[0], "p90": tenths[-1]}
        results[name] = {key: round(value, 2) for key, value in numbers.items()}
        print(f"{name:>8}: {results[name]['median']} us an event")
    if not options.print_only:
        head = describe() | {"clock": "time.thread_time", "requests": NUM_REQUESTS}
        OUT.write_text(json.dumps(head | {"us_an_event": results}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
