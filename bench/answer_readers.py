"""Readers of one run's events: `python bench/answer_readers.py PORT READERS`, paths of runs on standard input.

For each path: that many connections read its events. Prints `reading` when each has had the first event, and `done`
when each has had `result` or `failure`; then they are closed, and the next path is waited for.
"""

import asyncio
import resource
import sys

OUTCOMES = (b"event: result\n", b"event: failure\n")


class Reader(asyncio.Protocol):
    def __init__(self, request: bytes, begun: "asyncio.Queue[None]", done: "asyncio.Queue[None]") -> None:
        self._request = request
        self._begun: asyncio.Queue[None] | None = begun
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._begun is not None and b"event: accepted\n" in data:
            self._begun.put_nowait(None)
            self._begun = None
        if any(outcome in data for outcome in OUTCOMES):
            self._done.put_nowait(None)


async def read(port: int, readers: int, path: str) -> None:
    loop = asyncio.get_running_loop()
    begun: asyncio.Queue[None] = asyncio.Queue()
    done: asyncio.Queue[None] = asyncio.Queue()
    request = (f"GET {path}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n").encode()
    connections = []
    for _ in range(readers):
        connection, _ = await loop.create_connection(lambda: Reader(request, begun, done), "127.0.0.1", port)
        connections.append(connection)
    for _ in range(readers):
        await begun.get()
    print("reading", flush=True)
    for _ in range(readers):
        await done.get()
    print("done", flush=True)
    for connection in connections:
        connection.abort()


def main(port: str, readers: str) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for line in sys.stdin:
        asyncio.run(read(int(port), int(readers), line.strip()))


if __name__ == "__main__":
    main(*sys.argv[1:])
