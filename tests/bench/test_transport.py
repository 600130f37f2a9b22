"""Connections do not wait for each other."""

import asyncio

import httpx

from tests.bench.fake_openai import FakeOpenAI, served
from unmask.bench.exchange import Target, exchange
from unmask.bench.transport import SpreadTransport


def test_a_connection_is_used_again_and_shared_by_nobody() -> None:
    async def main(url: str) -> int:
        transport = SpreadTransport()
        async with httpx.AsyncClient(transport=transport, timeout=10) as client:
            target = Target(url, "fake", "chat", {})
            for _ in range(3):
                records = await asyncio.gather(*(exchange(client, target, "hi") for _ in range(4)))
                assert all(record.error is None for record in records)
        return len(transport._all)

    with served(FakeOpenAI()) as url:
        assert asyncio.run(main(url)) == 4


def test_a_connection_that_failed_is_not_lost() -> None:
    async def main() -> int:
        transport = SpreadTransport()
        async with httpx.AsyncClient(transport=transport, timeout=10) as client:
            target = Target("http://127.0.0.1:9", "fake", "chat", {})
            for _ in range(3):
                assert (await exchange(client, target, "hi")).error == "connect"
        return len(transport._all)

    assert asyncio.run(main()) == 1
