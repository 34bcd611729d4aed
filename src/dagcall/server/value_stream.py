"""A value's bytes on their way to one reader, read as fast as that reader takes them.

Guarantees: no more than a chunk of the value is in memory; what is opened is closed, whatever happens; the reader gets
as many bytes as were announced, or the connection is cut.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dagcall.coordinator.api import OpenedValue
from dagcall.server.ranges import Range
from dagcall.server.waiting import disconnected


class InMemory:
    """Implements `OpenedValue` for what is no larger than other answers are."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self, begin: int, end: int) -> AsyncIterator[bytes]:
        yield self._content[begin:end]

    async def close(self) -> None:
        pass


class ValueStream(Response):
    """`body`: what is sent, in order: bytes as they are, and ranges of the value."""

    def __init__(
        self, opened: OpenedValue, status: int, headers: dict[str, str], body: Sequence[bytes | Range], length: int = -1
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        if status == 304:
            del self.headers["content-length"]
        else:
            self.headers["content-length"] = str(length if length >= 0 else sum(map(_length, body)))
        self._opened = opened
        self._body = body

    @classmethod
    def of_ranges(
        cls,
        opened: OpenedValue,
        media_type: str,
        size: int,
        ranges: list[Range] | None,
        headers: dict[str, str],
        *,
        with_body: bool,
    ) -> Self:
        """200 with the whole, 206 with one range or with several of them as `multipart/byteranges`."""
        parts: list[bytes | Range]
        status = 200 if ranges is None else 206
        if ranges is None:
            parts = [(0, size)]
        elif len(ranges) == 1:
            headers["Content-Range"] = _content_range(ranges[0], size)
            parts = [ranges[0]]
        else:
            boundary = secrets.token_hex(16)
            parts = []
            for one in ranges:
                fields = f"Content-Type: {media_type}\r\nContent-Range: {_content_range(one, size)}"
                parts += [f"\r\n--{boundary}\r\n{fields}\r\n\r\n".encode(), one]
            parts.append(f"\r\n--{boundary}--\r\n".encode())
            media_type = f"multipart/byteranges; boundary={boundary}"
        headers["Content-Type"] = media_type
        return cls(opened, status, headers, parts if with_body else [], sum(map(_length, parts)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for part in self._body:
                if isinstance(part, bytes):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    continue
                async for chunk in self._opened.read(*part):
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await self._opened.close()


def _length(part: bytes | Range) -> int:
    return len(part) if isinstance(part, bytes) else part[1] - part[0]


def _content_range(one: Range, size: int) -> str:
    return f"bytes {one[0]}-{one[1] - 1}/{size}"
