"""Callers that wait: `python bench/waiting_callers.py PORT CALLERS METHOD PATH BODY`.

A process of its own. Each caller has a connection of its own, sends its request, and waits for the answer; one of
METHOD `QUEUE` posts, is answered with 202, and waits by attaching to its run, as a server asks for whose queue is long.
Prints `waiting` when all wait, then a JSON line when all are answered: how many answers came with which status, and how
many came before `waiting` was printed.
"""

import asyncio
import collections
import json
import resource
import sys

AT_ONCE = 200
"""Connections being made."""


class Caller(asyncio.Protocol):
    __slots__ = ("_answered", "_begin", "_then", "_transport", "sent")

    def __init__(self, begin: bytes, then: str, answered: "asyncio.Queue[str]") -> None:
        self._begin = begin
        self._then = then
        self._answered = answered
        self.sent = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.write(self._begin)
        if not self._then:
            self.sent.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._then and data.startswith(b"HTTP/1.1 202 "):
            location = data.lower().split(b"\r\nlocation: ", 1)[1]
            path = data[len(data) - len(location) :].split(b"\r\n", 1)[0].decode()
            self._transport.write(self._then.replace("LOCATION", path).encode())
            self._then = ""
            self.sent.set_result(None)
        elif data.startswith(b"HTTP/1.1 "):
            self._answered.put_nowait(data[9:12].decode())

    def connection_lost(self, exc: Exception | None) -> None:
        self._answered.put_nowait("lost")
        if not self.sent.done():
            self.sent.set_result(None)


async def wait(port: int, callers: int, method: str, path: str, body: str) -> None:
    loop = asyncio.get_running_loop()
    host = f"Host: 127.0.0.1:{port}\r\n"
    content = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    if method == "QUEUE":
        begin = f"POST {path} HTTP/1.1\r\n{host}Prefer: respond-async\r\n{content}"
        then = f"GET LOCATION HTTP/1.1\r\n{host}Prefer: wait=300\r\n\r\n"
    else:
        begin, then = f"{method} {path} HTTP/1.1\r\n{host}Prefer: wait=300\r\n{content}", ""
    answered: asyncio.Queue[str] = asyncio.Queue()
    at_once = asyncio.Semaphore(AT_ONCE)

    async def connect() -> asyncio.BaseTransport:
        async with at_once:
            made, caller = await loop.create_connection(
                lambda: Caller(begin.encode(), then, answered), "127.0.0.1", port
            )
            await caller.sent
            return made

    connections = await asyncio.gather(*(connect() for _ in range(callers)))
    early = answered.qsize()
    print("waiting", flush=True)
    statuses = collections.Counter([await answered.get() for _ in connections])
    print(json.dumps({"statuses": statuses, "early": early}), flush=True)


def main(port: str, callers: str, method: str, path: str, body: str) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(wait(int(port), int(callers), method, path, body))


if __name__ == "__main__":
    main(*sys.argv[1:])
