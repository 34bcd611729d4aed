"""Runs that this server goes on with although it did not begin them: those of servers that have ended.

**Who is authoritative.** The journal: `unfinished` are the runs that this server owns. Those of the servers before are
there when it starts; on a journal that servers share, those of another are there once it was fenced (`taken_over`).

A run is taken up the same way in both cases: replayed through the `step` that wrote it, then resumed. Attempts that were
open are lost, and count as used tries; timers keep their times, and what was waited for is waited for again. Or, with
`on_restart = fail`, the run ends as failed. So are the notices that those servers still had to give.

A run that is driven here already is left alone, so it does no harm to look once more.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container

from dagcall.coordinator.driver import Driver
from dagcall.coordinator.retaking import Retaking
from dagcall.crashpoints import reached
from dagcall.errors import JournalError, RunNotFound
from dagcall.journal.base import Journal
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import RunHead

log = logging.getLogger("dagcall.coordinator")

RESTARTED = "the server was restarted while the task ran"
TAKEN_OVER = "the server that the task ran on has ended, or did not answer, and another one goes on with the run"
_AGAIN = 1.0
"""Seconds."""


class Succession:
    """`driven`: the runs that are driven here; `take_up` adds one, as `Retaking` has it; `fails`: runs of this plan end."""

    def __init__(
        self,
        journal: Journal,
        driven: Container[RunKey],
        take_up: Callable[[RunHead], Awaitable[Driver]],
        fails: Callable[[DagPlan], bool],
        retaking: Retaking,
    ) -> None:
        self._journal = journal
        self._driven = driven
        self._take_up = take_up
        self._fails = fails
        self._retaking = retaking
        self.taken = 0
        """Runs taken up so far."""
        self.others: list[Callable[[], Awaitable[None]]] = []
        """What else there is to go on with when another server has ended."""

    async def take_up_all(self, why: str = RESTARTED) -> None:
        """Take up every run that this server owns and does not drive. Attempts that were running are lost: `why`."""
        taken: list[Driver] = []
        for head in await self._journal.unfinished():
            if head.key in self._driven or self._retaking.has(head.key):
                continue
            try:
                taken.append(await self._take_up(head))
            except RunNotFound:  # it has ended meanwhile
                continue
            except JournalError as error:  # one run that is damaged must not keep the others waiting
                self._retaking.begin(head.key, error)
        self.taken += len(taken)
        for driver in taken:
            reached("recovery.resumes")
            driver.resume(fail=self._fails(driver.run.plan), why=why)

    async def serve(self) -> None:
        """Take up what other servers leave, as soon as this one owns it. Until cancelled."""
        while True:
            await self._journal.taken_over()
            while not await self._taken_up():  # noqa: ASYNC110 # nothing tells when it can be read again
                await asyncio.sleep(_AGAIN)

    async def _taken_up(self) -> bool:
        try:
            await self.take_up_all(TAKEN_OVER)
            for take_up in self.others:
                await take_up()
        except JournalError as error:
            log.warning("runs that were taken over cannot be read, and are looked for again: %s", error)
            return False
        return True
