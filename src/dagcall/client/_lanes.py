"""Connections without a common pool: each call in flight has a transport of its own, and they are used again.

httpx's pool looks at all of its connections whenever a request begins or ends, asking the kernel about each idle one,
and closes idle ones as soon as more than its limit exist at all. With 200 calls at once that is 5 ms of CPU a call
instead of 1. A transport that only ever has one connection has nothing to look through.
"""

import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from urllib.request import getproxies

import httpx

from dagcall.client._connection import Address

KEEPALIVE = 4.0
"""Seconds. Less than the 5 s after which uvicorn closes idle connections by default: a request must not be sent on
a connection that the server is closing, since a POST that breaks then cannot be repeated safely."""
KEPT = 64
"""Idle connections."""
POOL = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT, keepalive_expiry=KEEPALIVE)
"""For httpx's own pool, where that is used. No cap on connections: how much is in flight is the caller's decision, and
waiting here would look like latency."""
_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE)


def lanes(address: Address) -> "Lanes | None":
    """None: leave it to httpx, which alone knows how to reach the server through the proxies of the environment."""
    if address.trust_env and getproxies():
        return None
    context = _ssl_context(address)
    return Lanes(lambda: httpx.HTTPTransport(verify=context, limits=_ONE))


def async_lanes(address: Address) -> "AsyncLanes | None":
    """As `lanes`."""
    if address.trust_env and getproxies():
        return None
    context = _ssl_context(address)
    return AsyncLanes(lambda: httpx.AsyncHTTPTransport(verify=context, limits=_ONE))


def _ssl_context(address: Address) -> ssl.SSLContext:
    """Made once for all connections; without the certificates, which take 20 ms to load, where none is looked at."""
    return httpx.create_ssl_context(verify=address.url.scheme == "https", trust_env=address.trust_env)


class Lanes(httpx.BaseTransport):
    """Thread-safe: a transport is taken and given back by one atomic operation of a deque."""

    def __init__(self, make: Callable[[], httpx.BaseTransport]) -> None:
        self._make = make
        self._idle: deque[tuple[float, httpx.BaseTransport]] = deque()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            _, lane = self._idle.pop()
        except IndexError:
            lane = self._make()
        try:
            response = lane.handle_request(request)
        except BaseException:
            lane.close()
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Stream(response.stream, lambda: self._give_back(lane))
        return response

    def _give_back(self, lane: httpx.BaseTransport) -> None:
        now = time.monotonic()
        self._idle.append((now, lane))
        try:
            while len(self._idle) > KEPT or self._idle[0][0] < now - KEEPALIVE:
                self._idle.popleft()[1].close()
        except IndexError:  # other threads have taken them
            pass

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()


class AsyncLanes(httpx.AsyncBaseTransport):
    """The same for asyncio."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._idle: deque[tuple[float, httpx.AsyncBaseTransport]] = deque()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lane = self._idle.pop()[1] if self._idle else self._make()
        try:
            response = await lane.handle_async_request(request)
        except BaseException:
            await lane.aclose()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _AsyncStream(response.stream, lambda: self._give_back(lane))
        return response

    async def _give_back(self, lane: httpx.AsyncBaseTransport) -> None:
        now = time.monotonic()
        self._idle.append((now, lane))
        while self._idle and (len(self._idle) > KEPT or self._idle[0][0] < now - KEEPALIVE):
            await self._idle.popleft()[1].aclose()

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop()[1].aclose()


class _Stream(httpx.SyncByteStream):
    """A response's body; closing it gives the connection back."""

    def __init__(self, body: httpx.SyncByteStream, give_back: Callable[[], None]) -> None:
        self._body = body
        self._give_back = give_back

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body

    def close(self) -> None:
        self._body.close()
        self._give_back()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, body: httpx.AsyncByteStream, give_back: Callable[[], Awaitable[None]]) -> None:
        self._body = body
        self._give_back = give_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()
        await self._give_back()
