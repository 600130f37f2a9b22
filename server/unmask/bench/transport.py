"""A transport for many connections at a time."""

import ssl
from collections.abc import AsyncIterator, Callable

import httpx


class _Stream(httpx.AsyncByteStream):
    """A response's bytes, and what to do once they are closed."""

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
    """Connections in pools of one each.

    httpx looks at every connection of a pool for every request, which with 64 of them takes a whole
    core: the client would be what is measured.
    """

    def __init__(self) -> None:
        self._context: ssl.SSLContext = httpx.create_ssl_context(trust_env=False)
        self._all: list[httpx.AsyncHTTPTransport] = []
        self._idle: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a connection that no other uses."""
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
        """Close every connection."""
        for transport in self._all:
            await transport.aclose()
