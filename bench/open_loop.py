"""An open loop of callers: `python bench/open_loop.py PORT DAG_ID CALLS_A_SECOND SECONDS`, one JSON line to stdout.

Calls come at a constant rate, whether those before them were answered or not, as the users of a service come. Each
takes a keep-alive connection that is free, or a new one. The line has, for each call in the order in which they were
sent: when (seconds from the beginning), how long until its answer was complete (ms), its status, and `Retry-After`.
A call that was not answered within LIMIT has status 0.
"""

import asyncio
import gc
import json
import sys
import time

LIMIT = 60.0


class Connection(asyncio.Protocol):
    def __init__(self, free: "list[Connection]") -> None:
        self._free = free
        self._data = b""
        self._answered: asyncio.Future[tuple[int, int]] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def send(self, request: bytes) -> "asyncio.Future[tuple[int, int]]":
        """Done with the status, and the seconds of `Retry-After` or 0."""
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._data[:end].lower()
        if len(self._data) < end + 4 + _number(head, b"content-length:"):
            return
        self._data = b""
        self._settle((int(head[9:12]), _number(head, b"retry-after:")))
        self._free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._free:
            self._free.remove(self)
        self._settle((0, 0))

    def _settle(self, answer: tuple[int, int]) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(answer)


def _number(head: bytes, name: bytes) -> int:
    _, _, rest = head.partition(name)
    return int(rest.split(b"\r\n", 1)[0]) if rest else 0


async def load(port: int, dag_id: str, rate: float, seconds: float) -> list[list[float]]:
    request = (
        f"POST /call/{dag_id} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    ).encode()
    loop = asyncio.get_running_loop()
    free: list[Connection] = []
    begun = time.perf_counter()

    async def call() -> list[float]:
        sent = time.perf_counter()
        status = retry_after = 0
        try:
            async with asyncio.timeout(LIMIT):
                if free:
                    connection = free.pop()
                else:
                    _, connection = await loop.create_connection(lambda: Connection(free), "127.0.0.1", port)
                status, retry_after = await connection.send(request)
        except (OSError, TimeoutError):
            pass
        return [sent - begun, (time.perf_counter() - sent) * 1000, status, retry_after]

    calls: list[asyncio.Task[list[float]]] = []
    while (now := time.perf_counter() - begun) < seconds:
        calls += [asyncio.create_task(call()) for _ in range(int(now * rate) - len(calls))]
        await asyncio.sleep(0.001)
    return list(await asyncio.gather(*calls))


if __name__ == "__main__":
    gc.disable()  # it keeps every call until the end: looking at them all again would stop the clock of those in flight
    print(json.dumps(asyncio.run(load(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))))
