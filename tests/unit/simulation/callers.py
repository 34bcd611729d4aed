"""Callers: they call, wait, lose their connection, come back with their key or run id, cancel, leave, read events."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.run import Run
from dagcall.errors import DagcallError, IdempotencyMismatch, RunExists, RunNotFound
from dagcall.model.ids import RunKey
from dagcall.server.attendance import Attendance
from dagcall.server.waiting import outcome_within
from dagcall.testing.promises import Seen, Told

if TYPE_CHECKING:
    from .world import Life, World

PAUSE = 0.5
"""Seconds before a caller comes back."""


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
        life.spawn(self._serve(life))

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

    async def _receive(self) -> dict[str, Any]:
        assert self._gone is not None
        await asyncio.shield(self._gone)
        return {"type": "http.disconnect"}

    async def _serve(self, life: "Life") -> None:
        """What the HTTP server does for this connection."""
        try:
            view = await (life.coordinator.run(self.run) if self.run else self._call(life))
            async with life.attendance.wait(view):  # type: ignore[arg-type]
                outcome = await outcome_within(view, self._habits.patience, self._receive, watch_at_once=True)
        except ClientDisconnect:
            return
        except RunNotFound:
            self.is_done = True
            self._world.report(f"P1: run {self.run}, which was told, is not known")
        except (RunExists, IdempotencyMismatch) as refused:
            self.is_done = True
            self._world.refused.append(refused)
        except DagcallError:
            if not self.is_done:
                self.come_back()
        else:
            if not self.is_done and outcome is None:
                self.come_back()
            elif not self.is_done and outcome is not None:
                self.is_done = True
                self._tell(view, outcome.kind.value, _value(view))

    async def _call(self, life: "Life") -> Run:
        view = await life.coordinator.call(self.request)
        life.attendance.called(view, self.request.on_disconnect)  # type: ignore[arg-type]
        if not self.is_done:
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
        life.spawn(self._read(life))

    def server_is_gone(self) -> None:
        self._is_connected = False
        self._world.later(PAUSE, self.connect)

    async def _read(self, life: "Life") -> None:
        try:
            view = await life.coordinator.run(self._key)
            while True:
                changed = view.changed()  # before reading, as a stream does
                records = view.records[len(self._events) :]
                self._events += [(record.id, record.kind) for record in records]
                if any(record.kind == "end" for record in records):
                    self.is_done = True
                    return
                if view.was_given_up and not records:
                    break
                await asyncio.wait((changed,), timeout=5.0)
        except DagcallError:
            pass
        self.server_is_gone()


__all__ = ["Attendance", "Caller", "Habits", "Reader"]
