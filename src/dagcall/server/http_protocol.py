"""uvicorn's HTTP protocol, with limits on the head of a request: the parser itself has none.

A head that goes on and on is refused (431), and one that does not become complete, or a connection that never sends
one, is closed: neither holds memory or a descriptor for long. What is no HTTP is refused as a problem document, as any
other error of this server. Bodies have their own limit (`requests.read_body`).
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from dagcall.errors import BadRequest, HeadTooLarge, Problem
from dagcall.server.problems import PROBLEM_JSON, encode


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    head_limit = 64 * 1024
    """Bytes, beyond the first piece of a head that arrives (some 256 kB at most)."""
    head_time = 30.0
    """Seconds within which a head must be complete."""
    linger = 2.0
    """Seconds for which what a refused client still sends is dropped: closing at once would reset the connection, and
    it would never see why."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_size = 0
        self._in_head = False
        self._is_refused = False
        self._deadline: TimerHandle | None = self.loop.call_later(self.head_time, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_size = 0
        self._forget_deadline()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        continues = self._in_head
        super().data_received(data)
        if not self._in_head or self._is_refused:
            return
        if continues:  # else the piece may hold more than the beginning of this head
            self._head_size += len(data)
        if self._head_size > self.head_limit:
            self._refuse(HeadTooLarge(f"The request's head is over the limit of {self.head_limit} bytes."))
        elif self._deadline is None and not self._is_answering:
            self._deadline = self.loop.call_later(self.head_time, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(msg))

    def _refuse(self, problem: Problem) -> None:
        self._is_refused = True
        self._forget_deadline()
        body = encode(problem.document())
        head = f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[problem.status] + head.encode() + body)
        if self._is_answering:  # nothing may follow this answer
            self.transport.close()
        else:
            self._deadline = self.loop.call_later(self.linger, self.transport.close)

    @property
    def _is_answering(self) -> bool:
        """An earlier request of this connection has no answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
