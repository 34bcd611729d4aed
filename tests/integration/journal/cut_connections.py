"""A proxy in front of a database that cuts a connection when it sees a mark in what the client sends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal

How = Literal["unsent", "unheard", "half-open"]
"""What becomes of the message with the mark.

`unsent`: the database never sees it. `unheard`: the database's answer is dropped. `half-open`: the client loses its
connection at once, while the database gets the message and keeps its side of the connection.
"""


class Cutter:
    """Cuts once for each `cut`. `url`: where to connect."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.cuts = 0
        self._to = port
        self._mark = b""
        self._how: How = "unsent"
        self._relays: set[asyncio.Task[None]] = set()

    def cut(self, mark: bytes, how: How) -> None:
        self._mark, self._how = mark, how

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Cutter"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for relay in self._relays:
                relay.cancel()
            await asyncio.gather(*self._relays, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.current_task()
        assert relay is not None
        self._relays.add(relay)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to)
        dropped = False

        def drop() -> None:
            nonlocal dropped
            dropped = True

        answers = asyncio.create_task(_answers(up_reader, writer, lambda: dropped))
        try:
            with suppress(OSError):
                while data := await reader.read(65536):
                    if self._mark and self._mark in data:
                        self._mark = b""
                        self.cuts += 1
                        if self._how != "unsent":
                            if self._how == "unheard":
                                drop()
                            up_writer.write(data)
                            await up_writer.drain()
                        if self._how == "unheard":
                            await answers
                        if self._how == "half-open":
                            writer.transport.abort()
                            await asyncio.Event().wait()
                        return
                    up_writer.write(data)
        finally:
            answers.cancel()
            writer.transport.abort()
            up_writer.transport.abort()


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dropped: Callable[[], bool]) -> None:
    """Relay what the database says; return at the first that is to be dropped."""
    with suppress(OSError):
        while data := await reader.read(65536):
            if dropped():
                return
            writer.write(data)
        writer.transport.abort()
