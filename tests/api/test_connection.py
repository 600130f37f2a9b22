"""Work whose client leaves ends at once, whether its server tells of connections or not."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect

from tests.api.fake_client import FakeConnection
from unmask.api.connection import CONNECTION, WhileConnected


async def silence():
    await asyncio.Event().wait()


def scope_of(connection):
    return {"type": "http", "extensions": {CONNECTION: connection}}


def test_work_ends_when_its_connection_does():
    async def run():
        connection = FakeConnection()
        asyncio.get_running_loop().call_soon(connection.leave)
        with pytest.raises(ClientDisconnect), WhileConnected(scope_of(connection), silence):
            await silence()
        assert not connection.calls
        await asyncio.sleep(0)  # the task goes on

    asyncio.run(run())


def test_work_of_a_client_that_has_left_is_not_begun():
    async def run():
        gone = FakeConnection(opened=False)
        with pytest.raises(ClientDisconnect), WhileConnected(scope_of(gone), silence):
            raise AssertionError("nobody waits for it")

    asyncio.run(run())


def test_a_server_that_does_not_tell_is_asked_for_messages():
    async def run():
        messages = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

        async def receive():
            await asyncio.sleep(0)
            return next(messages)

        with pytest.raises(ClientDisconnect), WhileConnected({"type": "http"}, receive):
            await silence()

    asyncio.run(run())


def test_a_server_that_fails_when_it_is_asked_is_told_from_a_client_that_leaves():
    async def run():
        async def receive():
            raise OSError("broken")

        scope = {"type": "http"}
        with pytest.raises(OSError, match="broken"), WhileConnected(scope, receive):
            await silence()

    asyncio.run(run())


@pytest.mark.parametrize("scope", [scope_of(FakeConnection()), {"type": "http"}], ids=str)
def test_a_cancellation_from_outside_stays_one_and_whole_work_is_left_alone(scope):
    async def run():
        async def work():
            with WhileConnected(scope, silence):
                await silence()

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with WhileConnected(scope, silence):
            pass
        await asyncio.sleep(0)  # for what was cancelled to end
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
