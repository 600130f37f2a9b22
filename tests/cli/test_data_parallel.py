"""A server of two engines, one of which is killed under streams."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.cli.running import serving, unmask_here

pytestmark = pytest.mark.slow
NUM_STREAMS = 8


def body(i: int) -> dict[str, Any]:
    params = {"max_tokens": 200, "ignore_eos": True, "seed": i, "temperature": 0.8}
    return {"prompt": f"prompt {i}", **params}


def text_of(url: str, i: int, began: threading.Barrier) -> str:
    """Text of a stream, all of which have begun before any goes on."""
    text, is_first = "", True
    fields = body(i) | {"stream": True}
    with httpx.stream("POST", f"{url}/v1/completions", json=fields, timeout=120) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                choice = json.loads(line[6:])["choices"][0]
                text += choice["text"]
                if is_first:
                    began.wait(100)
                    is_first = False
    assert choice["finish_reason"] == "length"
    return text


@pytest.mark.exhaustive
def test_streams_over_http_survive_an_engine(tiny_folder: Path) -> None:
    args = ("--data-parallel", "2", "--threads", "1", "--num-pages", "400")
    with serving(str(tiny_folder), *args) as server:
        health = httpx.get(f"{server.url}/health/ready").json()
        assert (health["engines"], health["engines_up"]) == (2, 2)
        began = threading.Barrier(NUM_STREAMS + 1)
        engines = psutil.Process(server.process.pid).children()
        assert len(engines) == 2
        with ThreadPoolExecutor(NUM_STREAMS) as pool:
            texts = pool.map(lambda i: text_of(server.url, i, began), range(NUM_STREAMS))
            began.wait(100)
            engines[0].kill()
            streamed = list(texts)
        for i, text in enumerate(streamed):
            whole = httpx.post(f"{server.url}/v1/completions", json=body(i), timeout=120).json()
            assert whole["choices"][0]["text"] == text
        assert httpx.get(f"{server.url}/health/ready").json()["state"] == "ready"
        metrics = httpx.get(f"{server.url}/metrics").text
        assert 'unmask_requests_running{engine="1",model_name=' in metrics
        assert any(
            "engine 0 was lost" in line or "engine 1 was lost" in line for line in server.log
        )


def test_an_engine_on_a_thread_is_alone(tiny_folder: Path) -> None:
    run = unmask_here("serve", str(tiny_folder), "--engine", "thread", "--data-parallel", "2")
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == (
        "unmask: an engine on a thread is alone: set server.data_parallel to 1"
    )
