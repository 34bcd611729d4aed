"""A run's events as they happen: NDJSON lines, or Server-Sent Events with the same content.

Guarantee: every reader gets the same events in the same order, ids 1, 2, 3, ... without gaps, whether it read from the
start, came late or came back with the last id it saw. They are read from the run's durable records, so a reader that
is slow holds nothing but its own place, and slows nobody. `end` is always the last; with `until=outcome` the stream
closes after `result` or `failure`. While nothing happens a heartbeat is sent: an empty line, or an SSE comment.
"""

import asyncio
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dagcall.coordinator.api import RunView
from dagcall.crashpoints import reached
from dagcall.model.records import JournalRecord
from dagcall.model.states import OutcomeKind, RunState
from dagcall.server.accept import SSE
from dagcall.server.answers import failure_of, values_of
from dagcall.server.context import Context
from dagcall.server.problems import encode
from dagcall.server.times import iso
from dagcall.server.waiting import disconnected

OUTCOMES = ("result", "failure")
AT_ONCE = 256
ENOUGH = 64 << 10
"""Events, and bytes, that are written before looking whether the reader keeps up: what one that never reads holds."""

_RECENT: WeakKeyDictionary[RunView, dict[tuple[int, bool], bytes]] = WeakKeyDictionary()
"""Of runs that are read: some events as they were sent last, by id and whether as SSE."""


@dataclass(frozen=True)
class Position:
    """Where a reader is: the last id it has, and whether it wants to read on after the outcome."""

    last_id: int = 0
    until_outcome: bool = False

    def ends_with(self, record: JournalRecord) -> bool:
        return record.kind == "end" or (self.until_outcome and record.kind in OUTCOMES)

    def is_over(self, view: RunView) -> bool:
        """The reader has all there will be."""
        return any(self.ends_with(record) for record in view.records[: self.last_id])


class EventStream(Response):
    """The answer to one reader."""

    def __init__(
        self, context: Context, view: RunView, media_type: str, position: Position, headers: dict[str, str]
    ) -> None:
        super().__init__(status_code=200, media_type=media_type, headers=headers)
        del self.headers["content-length"]
        self.headers["Cache-Control"] = "no-store, no-transform"
        self.headers["X-Accel-Buffering"] = "no"  # proxies that collect an answer would hold events back
        self._context = context
        self._view = view
        self._position = position
        self._is_sse = media_type == SSE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            async with self._context.attendance.wait(self._view):
                await self._send_all(send, gone)
                if gone.done():
                    raise ClientDisconnect()
        except ClientDisconnect:
            return
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send, gone: "asyncio.Future[None]") -> None:
        view, sent = self._view, self._position.last_id
        heartbeat = self._context.coordinator.options.heartbeat
        loop = asyncio.get_running_loop()
        news, said = view.changed(), loop.time()

        def look(_: object = None) -> None:
            if not news.done():
                news.set_result(None)

        # Awaiting one future, which all causes share, costs half of `asyncio.wait`; a thousand readers feel it.
        gone.add_done_callback(look)
        beat = loop.call_later(heartbeat, look)
        try:
            while not gone.done():
                if news.done():
                    news = view.changed()  # before reading, so that nothing falls between
                records = view.records[sent : sent + AT_ONCE]
                if records:
                    events, is_last = self._together(records)
                    reached("events.sending")
                    await send({"type": "http.response.body", "body": b"".join(events), "more_body": True})
                    if is_last:
                        return
                    sent += len(events)
                    said = loop.time()
                    continue
                if view.was_given_up:
                    return
                await news
                if len(view.records) > sent or gone.done() or view.was_given_up:
                    continue
                now = loop.time()
                if now >= said + heartbeat:
                    said = now
                    body = b": heartbeat\n\n" if self._is_sse else b"\n"
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                beat.cancel()
                beat = loop.call_later(said + heartbeat - now, look)
        finally:
            beat.cancel()
            news.cancel()

    def _together(self, records: list[JournalRecord]) -> tuple[list[bytes], bool]:
        """As many of these events as are sent at once, and whether the stream ends with them."""
        events: list[bytes] = []
        size = 0
        for record in records:
            event = self._event(record)
            events.append(event)
            size += len(event)
            if self._position.ends_with(record):
                return events, True
            if size >= ENOUGH:
                break
        return events, False

    def _event(self, record: JournalRecord) -> bytes:
        """An event as it is sent; encoded once for all readers that are at the same place."""
        recent = _RECENT.setdefault(self._view, {})
        event = recent.get((record.id, self._is_sse))
        if event is None:
            event = self._encode(record)
            if len(event) > ENOUGH:
                return event  # as costly to keep as to make
            if len(recent) >= AT_ONCE:
                recent.clear()
            recent[record.id, self._is_sse] = event
        return event

    def _encode(self, record: JournalRecord) -> bytes:
        document = {
            "id": record.id,
            "event": record.kind,
            "run_id": self._view.key.run_id,
            "time": iso(record.time),
            "data": event_data(self._view, record),
        }
        if not self._is_sse:
            return encode(document) + b"\n"
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (record.id, record.kind.encode(), encode(document))


def event_data(view: RunView, record: JournalRecord) -> object:
    """What an event says. `result` has `value`, or `values` by task when several were designated; `failure` the
    members of the problem document. The rest is as it was recorded."""
    outcome = view.outcome
    if record.kind not in OUTCOMES or outcome is None:
        return record.data
    if outcome.kind is OutcomeKind.SUCCESS:
        values = values_of(outcome)
        if len(outcome.designated) == 1:
            return {"value": values.get(outcome.designated[0])}
        return {"values": values} if outcome.designated else {"value": None}
    # Of the moment it became certain, not of now: the same for every reader.
    return failure_of(view, outcome, RunState.RUNNING).document()
