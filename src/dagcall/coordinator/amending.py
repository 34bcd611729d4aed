"""Changes of what a run has recorded, from outside of its attempts: done when they are durable, whether the run is active
or has ended. Of one that has ended nothing but the record changes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from dagcall.coordinator.clock import Clock
from dagcall.coordinator.driver import Driver
from dagcall.coordinator.run import Run
from dagcall.journal.base import Journal
from dagcall.model.commands import Record
from dagcall.model.events import AttemptAmended, XComChanged
from dagcall.model.ids import RunKey


class Amending:
    """`find`: a run that is in memory, or from the journal. Raises RunNotFound."""

    def __init__(
        self,
        drivers: Mapping[RunKey, Driver],
        find: Callable[[RunKey], Awaitable[Run]],
        journal: Journal,
        clock: Clock,
        recorded: Callable[[Run, BaseException | None], None] = lambda run, error: None,
        elsewhere: Callable[[RunKey, XComChanged], Awaitable[bool]] | None = None,
    ) -> None:
        """`recorded` is told of an ended run that was written to, or with an error that could not be. `elsewhere`: have
        the server that drives a run do it; False: none does."""
        self._drivers = drivers
        self._find = find
        self._journal = journal
        self._clock = clock
        self._recorded = recorded
        self._elsewhere = elsewhere

    async def amend(self, key: RunKey, event: XComChanged) -> None:
        """Raises RunNotFound, Unavailable, JournalError."""
        driver = self._drivers.get(key)
        if driver is not None:
            appended = driver.amend(event)
        else:
            run = await self._find(key)
            if not run.head.state.is_final and self._elsewhere is not None:
                if await self._elsewhere(key, event):
                    return
                run = await self._find(key)  # it has ended meanwhile
            appended = self.amend_ended(run, event)
        if appended is not None:
            await asyncio.shield(appended)

    def amend_ended(self, run: Run, event: XComChanged | AttemptAmended) -> "asyncio.Future[None] | None":
        """Of a run without a driver: done when it is durable, None when it changes nothing."""
        now = self._clock.now()
        records = [command for command in run.machine.step(event, now) if isinstance(command, Record)]
        if not records:
            return None
        batch = run.recorder.batch(records, now)

        def committed(appended: "asyncio.Future[None]") -> None:
            error = asyncio.CancelledError() if appended.cancelled() else appended.exception()
            if error is None:
                run.publish(batch.records, batch.head)
            self._recorded(run, error)

        appended = self._journal.append(batch, run.machine.accepted.durability)
        appended.add_done_callback(committed)
        return appended
