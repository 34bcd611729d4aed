"""Callers: they call, wait, lose their connection, come back with their key or run id, cancel, leave, read events."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.run import Run
from dagcall.errors import DagcallError, IdempotencyMismatch, RunExists, RunNotFound
from dagcall.model.commands import Outcome
from dagcall.model.ids import RunKey
from dagcall.server.attendance import Attendance
from dagcall.server.waiting import outcome_within
from dagcall.testing.promises import Seen, Told

if TYPE_CHECKING:
    from .world import Life, World

PAUSE = 0.5
"""Seconds before a caller comes back."""
LATEST = 20.0
"""Seconds after which who waits must have been told: what is slow takes a few."""


@dataclass
class Habits:
    """`leaves`, `cancels`: seconds after the first connection; None: never. `patience`: seconds of one wait."""

    patience: float = 30.0
    leaves: float | None = None
    cancels: float | None = None
    reads: bool = False


class Caller:
    def __init__(self, world: "World", request: CallRequest, habits: Habits) -> None:
        self.request = request
        self.is_done = False
        self.run: RunKey | None = None
        """From when on it was told."""
        self._world = world
        self._habits = habits
        self._gone: asyncio.Future[None] | None = None
        self._has_called = False

    def connect(self) -> None:
        life = self._world.life
        if self.is_done or self._gone is not None:
            return
        if life is None or not life.is_up:
            self.come_back()
            return
        if not self._has_called:
            self._has_called = True
            if self._habits.leaves is not None:
                self._world.later(self._habits.leaves, self.leave)
            if self._habits.cancels is not None:
                self._world.later(self._habits.cancels, self.cancel)
        self._gone = life.loop.create_future()
        life.spawn(self._serve(life, self._gone))

    def come_back(self) -> None:
        self._gone = None
        if self.run is None and self.request.idempotency_key is None and self._has_called:
            self.is_done = True  # it does not know whether there is a run, and must not ask for another
        else:
            self._world.later(PAUSE * (0.5 + self._world.chance.random()), self.connect)

    def server_is_gone(self) -> None:
        if self._gone is not None:
            self.come_back()

    def leave(self) -> None:
        self.is_done = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def cancel(self) -> None:
        life = self._world.life
        if self.run is not None and life is not None and life.is_up:
            life.spawn(self._cancel(life, self.run))

    async def _cancel(self, life: "Life", key: RunKey) -> None:
        try:
            await life.coordinator.cancel(key, "caller", "changed their mind")
        except RunNotFound:
            self._world.report(f"P1: run {key}, which was told, cannot be cancelled: it is not known")
        except DagcallError:
            return

    async def _serve(self, life: "Life", gone: "asyncio.Future[None]") -> None:
        """What the HTTP server does for this connection, which breaks with `gone`."""

        async def receive() -> dict[str, Any]:
            await asyncio.shield(gone)
            return {"type": "http.disconnect"}

        try:
            view = await (life.coordinator.run(self.run) if self.run else self._call(life, gone))
            since = self._world.now
            async with life.attendance.wait(view):  # type: ignore[arg-type]
                outcome = await outcome_within(view, self._habits.patience, receive, watch_at_once=True)
        except ClientDisconnect:
            return
        except BaseException as error:
            if self._gone is gone:
                self._refused(error)
        else:
            if self._gone is gone:
                self._waited(view, outcome, since)

    def _refused(self, error: BaseException) -> None:
        if self.is_done or not isinstance(error, DagcallError):
            return
        if isinstance(error, RunNotFound):
            self.is_done = True
            self._world.report(f"P1: run {self.run}, which was told, is not known")
        elif isinstance(error, RunExists | IdempotencyMismatch):
            self.is_done = True
            self._world.refused.append(error)
        else:
            self.come_back()

    def _waited(self, view: Run, outcome: Outcome | None, since: float) -> None:
        if self.is_done:
            return
        if outcome is None:
            self.come_back()
            return
        self.is_done = True
        self._tell(view, outcome.kind.value, _value(view))
        late = self._world.now - max(since, self._world.outcomes[view.key])
        if late > LATEST:
            self._world.report(f"P10: a caller who waited was told of run {view.key} {late:.0f} s after its outcome")

    async def _call(self, life: "Life", gone: "asyncio.Future[None]") -> Run:
        view = await life.coordinator.call(self.request)
        await life.attendance.called(view, self.request.on_disconnect)  # type: ignore[arg-type]
        if self._gone is gone and not self.is_done:
            self.run = view.key
            self._tell(view, "accepted", None)
            if self._habits.reads:
                self._world.readers.append(Reader(self._world, view.key))
        return view

    def _tell(self, view: Run, what: str, value: bytes | None) -> None:
        key, caller = self.request.idempotency_key, self.request.caller
        self._world.told.append(Told(*view.key, what, value, caller, key))


def _value(view: Run) -> bytes | None:
    """The body of a success, where it is one task's own."""
    outcome = view.outcome
    if outcome is None or len(outcome.designated) != 1 or view.plan.by_id[outcome.designated[0]].needs_expansion:
        return None
    return outcome.results.get(outcome.designated[0])


class Reader:
    """Reads a run's events to their end, over as many connections as it takes."""

    def __init__(self, world: "World", key: RunKey) -> None:
        self.is_done = False
        self._world = world
        self._key = key
        self._events: list[tuple[int, str]] = []
        self._connections = 0
        self._is_connected = False
        self.connect()

    @property
    def seen(self) -> Seen:
        return Seen(*self._key, self._events)

    def connect(self) -> None:
        life = self._world.life
        if self.is_done or self._is_connected:
            return
        if life is None or not life.is_up:
            self._world.later(PAUSE, self.connect)
            return
        self._is_connected = True
        self._connections += 1
        life.spawn(self._read(life, self._connections))

    def server_is_gone(self) -> None:
        self._is_connected = False
        self._world.later(PAUSE, self.connect)

    async def _read(self, life: "Life", connection: int) -> None:
        try:
            view = await life.coordinator.run(self._key)
            while self._is_connected and connection == self._connections:
                changed = view.changed()  # before reading, as a stream does
                records = view.records[len(self._events) :]
                self._events += [(record.id, record.kind) for record in records]
                if any(record.kind == "end" for record in records):
                    self.is_done = True
                    return
                if view.was_given_up and not records:
                    break
                if not records:
                    await changed
        except DagcallError:
            pass
        if self._is_connected and connection == self._connections:
            self.server_is_gone()


__all__ = ["Attendance", "Caller", "Habits", "Reader"]
