"""The flood of `benchmarks.fairness`, whose connections may be cut."""

import asyncio
import multiprocessing
from dataclasses import dataclass

import pytest

from benchmarks.fairness import exchange, wait_for_flood


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", 200), (b"HTTP/1.1 503 Busy\r\n\r\n", 503), (b"", None)],
)
def test_a_connection_that_is_cut_has_no_status(answer: bytes, status: int | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(answer)
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert await exchange(f"http://127.0.0.1:{port}", b"{}", "key") == status
        assert await exchange(f"http://127.0.0.1:{port}", b"{}", "key") is None, "nobody listens"

    asyncio.run(run())


@dataclass
class Idle:
    """A server without requests."""

    def metrics(self) -> dict[str, float]:
        return {"unmask_requests_waiting": 0.0}


def test_a_flood_that_has_ended_is_not_waited_for() -> None:
    sender = multiprocessing.Process(target=int)
    sender.start()
    sender.join()
    with pytest.raises(RuntimeError, match="the flood has ended"):
        wait_for_flood(Idle(), 10, sender)
