"""Callers of the real engine that hang up, at any endpoint and at any moment: pages come back."""

import json
import random
import socket
import time
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.conftest import running
from tests.support.engines import ROOMY
from tests.support.tiny import EOS_ID
from tests.support.tool_chats import TOOLS, tool_tokenizer
from unmask.api import create_app
from unmask.config import Config
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics

HI = [{"role": "user", "content": "hi"}]
LONG = {"max_tokens": 200, "ignore_eos": True, "block_length": 4}
HOLES = ["a", {"hole": {"max_tokens": 90}}, " b ", {"hole": {"max_tokens": 90}}]
BODIES = [
    ("/v1/completions", {"prompt": "hi " * 40, **LONG, "echo": True, "logprobs": 1}),
    ("/v1/completions", {"prompt": "hi", **LONG, "n": 2, "best_of": 3}),
    ("/v1/completions", {"template": HOLES, "block_length": 4}),
    ("/v1/completions", {"prompt": "hi", **LONG, "bad_words": ["a", "b"]}),
    ("/v1/chat/completions", {"messages": HI, "tools": TOOLS, "tool_choice": "required", "n": 2}),
    ("/v1/chat/completions", {"messages": HI, "response_format": {"type": "json_object"}}),
    ("/v1/messages", {"messages": HI, **LONG}),
    ("/v1/responses", {"input": "hi", "block_length": 4, "ignore_eos": True}),
    ("/v1/fim/completions", {"prompt": "hi", "suffix": "you", **LONG}),
    ("/infill", {"input_prefix": "hi", "input_suffix": "you", "n_predict": 200, "block_length": 4}),
]


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def engine(tiny, metrics):
    info = replace(tiny.info, eos_token_ids=(EOS_ID,), max_model_len=700)
    loaded = replace(tiny, info=info, tokenizer=tool_tokenizer())
    pages = replace(ROOMY, num_pages=200, page_size=8, overlap=True)
    engine = AsyncEngine(Engine(Config(engine=pages), loaded, metrics))
    yield engine
    engine.shutdown()


def hang_up(url, path, body, seconds):
    address = urlsplit(url)
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + content)
        time.sleep(seconds)


def test_pages_come_back_from_callers_that_hang_up(engine, metrics):
    draw = random.Random(0)
    with running(create_app(engine, Metrics(), Config().server)) as url:
        for path, body in BODIES:
            for stream in {False, "best_of" not in body}:
                hang_up(url, path, {**body, "stream": stream}, draw.choice((0.0, 0.02, 0.1)))
        status, deadline_s = engine.status(), time.monotonic() + 30
        while status.num_running or status.num_waiting or status.num_pages_used:
            assert time.monotonic() < deadline_s, status
            time.sleep(0.01)
            status = engine.status()
        answer = httpx.post(f"{url}/v1/completions", json={"prompt": "hi", "max_tokens": 2})
        assert answer.status_code == 200
    count = metrics.registry.get_sample_value
    assert count("unmask_requests_finished_total", {"reason": "abort"}) > 5
