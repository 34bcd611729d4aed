"""uvicorn's HTTP protocol, with limits on what a request's arrival may cost: the parser itself has none.

A head that goes on and on is refused (431), and one that does not become complete, or a connection that never sends
one, is closed: neither holds memory or a descriptor for long. Nor does a body that trickles in (408). What is no HTTP is
refused as a problem document, as any other error of this server. How large a body may be is `requests.read_body`'s.
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from dagcall.errors import BadRequest, HeadTooLarge, Problem, RequestTimeout
from dagcall.server.problems import PROBLEM_JSON, encode


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    head_limit = 64 * 1024
    """Bytes, beyond the first piece of a head that arrives (some 256 kB at most)."""
    head_time = 30.0
    """Seconds within which a head must be complete."""
    body_time = 120.0
    """Seconds within which a body must be complete, from its first piece on: 16 MiB at a megabit a second."""
    linger = 2.0
    """Seconds for which what a refused client still sends is dropped: closing at once would reset the connection, and
    it would never see why."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_size = 0
        self._in_head = False
        self._in_body = False
        self._body_deadline: TimerHandle | None = None
        self._is_refused = False
        self._deadline: TimerHandle | None = self.loop.call_later(self.head_time, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        self._forget_body_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_body = True
        self._head_size = 0
        self._forget_deadline()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._forget_body_deadline()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        continues = self._in_head
        super().data_received(data)
        if self._in_body and self._body_deadline is None:
            self._body_deadline = self.loop.call_later(self.body_time, self._body_is_late)
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

    def _body_is_late(self) -> None:
        self._body_deadline = None
        if self.pipeline:  # it is not read before the request ahead of it is answered
            self._body_deadline = self.loop.call_later(self.body_time, self._body_is_late)
        elif self._is_refused or not self._is_answering or self.cycle.response_started:
            self.transport.close()
        else:
            self._refuse(RequestTimeout(f"The request's body was not there after {self.body_time:g} s."))

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

    def _forget_body_deadline(self) -> None:
        if self._body_deadline is not None:
            self._body_deadline.cancel()
            self._body_deadline = None

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
