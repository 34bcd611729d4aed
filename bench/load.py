"""Callers of a server: `python bench/load.py PORT DAG_ID CALLERS SECONDS [QUERY]`, one JSON line to stdout.

A process of its own, and a bare HTTP/1.1 client over keep-alive connections, so that making load takes as little of
the machine as it can. Every caller sends its next call when the last one is answered. Whatever is not a 200 ends it.
"""

import asyncio
import contextlib
import json
import sys
import time


class Caller(asyncio.Protocol):
    """One keep-alive connection that calls until `end`."""

    def __init__(self, port: int, dag_id: str, query: str, end: float) -> None:
        self._request = (
            f"POST /call/{dag_id}{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        ).encode()
        self._end = end
        self._data = b""
        self._sent = 0.0
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self.ms: list[float] = []
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._call()

    def _call(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head_end = self._data.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._data[:head_end].lower()
        if not head.startswith(b"http/1.1 200"):
            self._fail(RuntimeError(f"a call was answered with {self._data.decode(errors='replace')}"))
            return
        _, _, rest = head.partition(b"content-length:")
        length = int(rest.split(b"\r\n", 1)[0])
        if len(self._data) < head_end + 4 + length:
            return
        now = time.perf_counter()
        self.ms.append((now - self._sent) * 1000)
        self.body = self._data[head_end + 4 :]
        self._data = b""
        if now < self._end:
            self._call()
            return
        self._transport.close()
        if not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or RuntimeError("the server closed the connection"))

    def _fail(self, error: Exception) -> None:
        self._transport.close()
        if not self.done.done():
            self.done.set_exception(error)


async def load(port: int, dag_id: str, callers: int, seconds: float, query: str) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    start, cpu = time.perf_counter(), time.process_time()
    made = await asyncio.gather(
        *(
            loop.create_connection(lambda: Caller(port, dag_id, query, start + seconds), "127.0.0.1", port)
            for _ in range(callers)
        )
    )
    await asyncio.gather(*(caller.done for _, caller in made))
    took = time.perf_counter() - start
    ms = [ms for _, caller in made for ms in caller.ms]
    return {
        "ms": ms,
        "rate": len(ms) / took,
        "value": json.loads(made[0][1].body),
        "callers_cpu": time.process_time() - cpu,
    }


def main(port: str, dag_id: str, callers: str, seconds: str, query: str = "") -> None:
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run(load(int(port), dag_id, int(callers), float(seconds), query))))


if __name__ == "__main__":
    main(*sys.argv[1:])
