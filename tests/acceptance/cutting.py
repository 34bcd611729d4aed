"""A proxy that cuts connections: after a random number of bytes of the answer, or before the first.

Most are cut after the head of the answer: a client gives up when nothing comes of several connections in a row.
"""

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cutter:
    """Forwards to a port of this machine. `cuts`: how many connections it has cut."""

    def __init__(self, port: int, seed: int) -> None:
        self.cuts = 0
        self.url = ""
        self._port = port
        self._random = random.Random(seed)
        self._connections: set[asyncio.Task[None]] = set()
        """Kept, so that none is collected while it runs, and all have ended when the loop does."""

    async def serve(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        async with server:
            await self._stop.wait()
        while self._connections:
            for connection in self._connections:
                connection.cancel()
            await asyncio.wait(self._connections)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            await self._relay(reader, writer)
        finally:
            writer.transport.abort()
            self._connections.discard(connection)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.create_task(_forward(reader, up_writer))
        left = 0 if self._random.random() < 0.1 else self._random.randrange(900, 6000)
        try:
            with suppress(OSError):
                while data := await up_reader.read(2048):
                    if len(data) >= left:
                        writer.write(data[:left])
                        self.cuts += 1
                        break
                    left -= len(data)
                    writer.write(data)
                    await writer.drain()
        finally:
            up_writer.transport.abort()
            asking.cancel()
            await asyncio.wait([asking])


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@contextmanager
def cutting(port: int, seed: int) -> Iterator[Cutter]:
    cutter = Cutter(port, seed)
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(cutter.serve(ready)), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield cutter
    finally:
        cutter.stop()
        thread.join()
