"""Who waits for a run, and what becomes of it when the last of them goes away (`on_disconnect`).

A run that was called for with `on_disconnect=cancel` is cancelled when a connection that waits for it breaks, no other
one is left, and it has no outcome yet. All kinds of waiting count: the call, an attach that waits, a stream of events.
Being answered (202 too) is not going away. A later call that is answered with the same run (by key, coalesced) and
says `continue`, which is the default, keeps it for good. Teardowns of a cancelled run still run.

Where servers share a journal, those count who wait at any of them: the server that drives the run knows who follows it
elsewhere, and is asked when the last one leaves there. When in doubt the run goes on.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from weakref import WeakKeyDictionary, WeakSet

from starlette.requests import ClientDisconnect

from dagcall.coordinator.api import CoordinatorView, RunView
from dagcall.errors import Problem

CANCEL, CONTINUE = "cancel", "continue"


class Attendance:
    """Of all runs of one server that somebody waits for."""

    def __init__(self, coordinator: CoordinatorView) -> None:
        self._coordinator = coordinator
        self._waiting: WeakKeyDictionary[RunView, int] = WeakKeyDictionary()
        self._kept: WeakSet[RunView] = WeakSet()
        coordinator.elsewhere.attend(self)

    async def called(self, view: RunView, on_disconnect: str) -> None:
        """A call is answered with this run."""
        if on_disconnect == CONTINUE and self.ends_with_its_waiters(view):
            self.keep(view)
            with suppress(Problem):  # it was said as well as it can be
                await self._coordinator.elsewhere.keep(view.key)

    def keep(self, run: RunView) -> None:
        self._kept.add(run)

    def is_attended(self, run: RunView) -> bool:
        return run in self._kept or self._waiting.get(run, 0) > 0

    def ends_with_its_waiters(self, view: RunView) -> bool:
        return view.machine.accepted.on_disconnect == CANCEL and view not in self._kept

    @asynccontextmanager
    async def wait(self, view: RunView) -> AsyncIterator[None]:
        """While its body runs somebody waits; a `ClientDisconnect` out of it means that they went away."""
        if view.machine.accepted.on_disconnect != CANCEL:
            yield
            return
        self._waiting[view] = self._waiting.get(view, 0) + 1
        gone = False
        try:
            yield
        except ClientDisconnect:
            gone = True
            raise
        finally:
            left = self._waiting[view] = self._waiting[view] - 1
            if gone and not left and view.outcome is None and self.ends_with_its_waiters(view):
                reason = "the last caller disconnected (on_disconnect=cancel)"
                await self._coordinator.elsewhere.let_go(view.key, reason)
