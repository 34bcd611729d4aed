"""A connection to the application that a test can hold open, read bit by bit, and drop."""

import asyncio
from types import TracebackType
from typing import Any, Self

from starlette.types import ASGIApp, Message, Send


class Wire:
    """One request: what was sent so far is in `status`, `headers`, `body`."""

    def __init__(
        self,
        app: ASGIApp,
        method: str,
        path: str,
        query: str = "",
        *,
        body: bytes = b"",
        send: Send | None = None,
        **headers: str,
    ) -> None:
        """`headers`: names with `_` for `-`. `send` takes what is sent, instead of this object."""
        named = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body:
            named["content-length"] = str(len(body))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8274),
        }
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_done = False
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": body, "more_body": False})
        self._news = asyncio.Event()
        self.task: asyncio.Task[Any] = asyncio.ensure_future(app(scope, self._incoming.get, send or self._send))  # type: ignore[arg-type]

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            self.is_done = not message.get("more_body", False)
        self._news.set()

    async def until(self, text: bytes) -> bytes:
        """What has come, once `text` is in it."""
        while text not in self.body:
            assert not self.is_done, f"ended without {text!r}: {self.body!r}"
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 5)
        return self.body

    async def all(self) -> bytes:
        await asyncio.wait_for(asyncio.shield(self.task), 5)
        assert self.is_done
        return self.body

    def drop(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
