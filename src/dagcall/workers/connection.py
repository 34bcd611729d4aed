"""The coordinator's side of the wire: the private socket that every process connects to."""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from typing import Any, cast

from dagcall.workers.frames import (
    PROTOCOL,
    Frame,
    FrameBuffer,
    Hello,
    ProtocolError,
    Traced,
    decode_from_process,
    encode,
)


class Connection(asyncio.Protocol):
    """One process that has connected. `on_frame` and `on_lost` are set by whoever it is introduced to."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self._buffer = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self.hello: Hello | None = None
        self.is_lost = False
        self.on_frame: Callable[[Any], None] = lambda frame: None
        """Called with what the gate decodes."""
        self.on_lost: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._buffer.feed(data):
                frame = self._gate.decode(body)
                if self.hello is None:
                    self._introduce(frame)
                elif type(frame) is Traced:
                    self._gate.on_traced(frame.spans)
                else:
                    self.on_frame(frame)
        except ProtocolError:
            self.close()

    def _introduce(self, frame: object) -> None:
        if not isinstance(frame, Hello) or frame.protocol != PROTOCOL or not self._gate.knows(frame.token):
            raise ProtocolError("the first frame must be a Hello of this server")
        self.hello = frame
        self._gate.introduce(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self.hello is not None:
            self.on_lost()

    def send(self, frame: Frame) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(frame))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Gate:
    """Listens on a Unix socket in a folder of mode 0700 and lets in only those who know this server's token."""

    def __init__(
        self,
        introduce: Callable[[Connection, Hello], None],
        decode: Callable[[bytes], object] = decode_from_process,
    ) -> None:
        self.introduce = introduce
        self.on_traced: Callable[[bytes], None] = lambda spans: None
        self.decode = decode
        self.token = secrets.token_hex(16)
        self.folder = tempfile.mkdtemp(prefix="dagcall-")
        self.path = os.path.join(self.folder, "gate")
        self._server: asyncio.Server | None = None

    def knows(self, token: str) -> bool:
        return secrets.compare_digest(token, self.token)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self), self.path, backlog=512)
        os.chmod(self.path, 0o600)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self.folder, ignore_errors=True)
