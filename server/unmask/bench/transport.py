"""httpx transport for many connections."""

import ssl
from collections.abc import AsyncIterator, Callable

import httpx


class _Stream(httpx.AsyncByteStream):
    """Response stream that calls `closed` once it is closed."""

    def __init__(self, inner: httpx.AsyncByteStream, closed: Callable[[], None]) -> None:
        self._inner, self._closed = inner, closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            yield part

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._closed()


class SpreadTransport(httpx.AsyncBaseTransport):
    """Transport with a pool of one connection for each concurrent request.

    httpx scans all connections of its pool at each request; with 64 of them that takes a whole
    core, and the client becomes the bottleneck.
    """

    def __init__(self) -> None:
        self._context: ssl.SSLContext = httpx.create_ssl_context(trust_env=False)
        self._all: list[httpx.AsyncHTTPTransport] = []
        self._idle: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over an idle connection, or a new one."""
        if self._idle:
            transport = self._idle.pop()
        else:
            transport = httpx.AsyncHTTPTransport(verify=self._context, trust_env=False)
            self._all.append(transport)
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            self._idle.append(transport)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Stream(response.stream, lambda: self._idle.append(transport))
        return response

    async def aclose(self) -> None:
        for transport in self._all:
            await transport.aclose()
