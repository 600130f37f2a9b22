"""The application around a fake engine: in this process, and behind a real socket."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import uvicorn

from tests.api.fake_client import FakeClient
from unmask.api import create_app
from unmask.config import ServerConfig
from unmask.metrics import Metrics


@pytest.fixture
def engine() -> FakeClient:
    return FakeClient()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def call(engine: FakeClient, metrics: Metrics) -> Callable[..., httpx.Response]:
    """One request to an application with `config`, answered in full."""

    def run(
        method: str, path: str, config: ServerConfig | None = None, **kwargs: object
    ) -> httpx.Response:
        app = create_app(engine, metrics, config or ServerConfig())

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **kwargs)

        return asyncio.run(send())

    return run


@pytest.fixture
def serve(engine: FakeClient, metrics: Metrics) -> Iterator[Callable[..., str]]:
    """Start a server on a free port of this machine; gives its address."""
    with contextlib.ExitStack() as stack:

        def start(config: ServerConfig | None = None) -> str:
            app = create_app(engine, metrics, config or ServerConfig())
            return stack.enter_context(running(app))

        yield start


@contextlib.contextmanager
def running(app: object) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="warning", lifespan="off", loop="asyncio", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
