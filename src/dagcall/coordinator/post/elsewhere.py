"""Runs that other servers drive: how this one shows them, and has their owners do what its callers ask.

The coordinator's side of the post: it knows who drives what here, `followers` and `letters` know the others. Without a
shared journal all of it is idle.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from dagcall.coordinator.api import AlreadyAnswered, Attending
from dagcall.coordinator.driver import Driver
from dagcall.coordinator.inputs import Inputs
from dagcall.coordinator.post.dag_watches import DagWatches
from dagcall.coordinator.post.followers import FollowedRun, Followers
from dagcall.coordinator.post.letters import Amend, Cancel, GiveInput, Keep, Letters, NotDriven, Wish
from dagcall.coordinator.post.notes import Moved
from dagcall.coordinator.post.office import Post, Posted
from dagcall.coordinator.post.watches import Watches
from dagcall.coordinator.recent import Recent
from dagcall.coordinator.run import Run
from dagcall.coordinator.run_waiter import RunWaiter
from dagcall.crashpoints import reached
from dagcall.journal.base import Journal
from dagcall.journal.wire import EVERYBODY
from dagcall.model.events import CancelRequested, XComChanged
from dagcall.model.ids import RunKey
from dagcall.model.inputs import InputRequest, User

GRACE: Final = 0.25
"""Seconds in which it becomes known that somebody has just begun to wait at another server."""


class Elsewhere:
    """`drivers`: of the runs that are driven here. `recent`: ended runs, which may be altered elsewhere."""

    def __init__(
        self,
        journal: Journal,
        drivers: Mapping[RunKey, Driver],
        recent: Recent,
        inputs: Inputs,
        waiter: RunWaiter,
        now: Callable[[], float],
    ) -> None:
        self.post = Post(journal.wire)
        self._journal = journal
        self._attending: Attending | None = None
        self._drivers = drivers
        self._inputs = inputs
        self._watches = Watches(self.post, self._driven)
        self._followers = Followers(journal, self.post, recent)
        self._dags = DagWatches(self.post, waiter)
        waiter.elsewhere = self._dags
        self._letters = Letters(self.post, journal, self._fulfil, now)

    async def start(self, epoch: int) -> None:
        await self.post.start(epoch)
        if self.post.is_shared:
            self._inputs.give_elsewhere = self.give_input
            await self._letters.start()

    async def stop(self) -> None:
        """Before the drivers are let go: who follows runs of this server looks for their next owner then."""
        await self._letters.stop()
        await self._followers.stop()

    async def close(self) -> None:
        """After the drivers are let go."""
        await self.post.stop()
        self._watches.stop()
        self._dags.stop()

    async def find(self, key: RunKey) -> Run:
        """A run that is not driven here, as the journal has it now. Raises RunNotFound, JournalError."""
        return await self._followers.find(key)

    def has(self, run: Run) -> bool:
        """Whether another server owns it. Of a run that `find` gave."""
        return isinstance(run, FollowedRun) and run.owner != self.post.epoch

    async def owns(self, key: RunKey) -> bool:
        """The same of any run that the journal has. Raises JournalError."""
        wire = self._journal.wire
        return wire is not None and await wire.owner(key) not in (None, self.post.epoch)

    def appeared(self, key: RunKey) -> None:
        """The run, which another server had begun, is driven here from now on."""
        self._watches.appeared(key)
        if self.post.is_shared:
            self.post.collect(self._moved)

    def altered(self, key: RunKey) -> None:
        """A run that had ended was deleted or added to."""
        self._followers.altered(key)

    async def cancel(self, key: RunKey, by: str, reason: str) -> None:
        """Raises RunNotFound, Unavailable, JournalError."""
        if self.post.is_shared:
            await self._letters.ask(key, Cancel(by, reason))

    def attend(self, attending: Attending) -> None:
        """Have `attending` be asked when the last one who waits for a run leaves elsewhere."""
        self._attending = attending

    async def let_go(self, key: RunKey, reason: str) -> None:
        """The last who waited for a run here has gone: cancel it, unless somebody waits elsewhere. Raises as `cancel`."""
        driver = self._drivers.get(key)
        if driver is None:
            if self.post.is_shared:
                await self._letters.ask(key, Cancel("caller", reason, only_unattended=True))
        else:
            await self._end_unattended(driver, Cancel("caller", reason), self.post.epoch)

    async def keep(self, key: RunKey) -> None:
        """A run is to go on whoever leaves. Raises as `cancel`."""
        if self.post.is_shared and key not in self._drivers:
            await self._letters.ask(key, Keep())

    async def amend(self, key: RunKey, event: XComChanged) -> bool:
        """False: it is for this server to do. Raises as `cancel`."""
        return self.post.is_shared and await self._letters.ask(key, Amend(event))

    async def give_input(
        self, request: InputRequest, chosen: list[str], params_input: dict[str, Any], by: User
    ) -> bool:
        """False: it is for this server to do. Raises AlreadyAnswered, BadRequest, and as `cancel`."""
        if request.run in self._drivers:
            return False
        head = await self._journal.head(request.run)
        if head is None or head.state.is_final:
            return False
        return await self._letters.ask(request.run, GiveInput(request, chosen, params_input, by))

    def statistics(self) -> dict[str, int]:
        return {"followed": self._followers.count, "watched": len(self._watches)}

    def _moved(self) -> list[Posted]:
        note = Moved(self.post.epoch)
        return [(EVERYBODY, note), (self.post.epoch, note)]

    def _driven(self, key: RunKey) -> Run | None:
        driver = self._drivers.get(key)
        return None if driver is None else driver.run

    async def _fulfil(self, key: RunKey, wish: Wish, asker: int) -> None:
        driver = self._drivers.get(key)
        if driver is None:
            raise NotDriven
        match wish:
            case Cancel() if wish.only_unattended:
                await self._end_unattended(driver, wish, asker)
            case Cancel():
                driver.feed(CancelRequested(wish.by, wish.reason))
            case Keep():
                if self._attending is not None:
                    self._attending.keep(driver.run)
            case Amend():
                appended = driver.amend(wish.event)
                if appended is not None:
                    await asyncio.shield(appended)
            case GiveInput():
                await self._give_input(wish)

    async def _end_unattended(self, driver: Driver, wish: Cancel, asker: int) -> None:
        if self.post.is_shared:
            await asyncio.sleep(GRACE)
        if not self._is_attended(driver.run, asker):
            reached("cancel.asked")
            driver.feed(CancelRequested(wish.by, wish.reason))

    def _is_attended(self, run: Run, asker: int) -> bool:
        """By anybody but those of the server that asks."""
        is_attended = self._attending is not None and self._attending.is_attended(run)
        watchers = self._watches.watchers(run.key)
        return is_attended or any(watcher != asker or watcher == self.post.epoch for watcher in watchers)

    async def _give_input(self, wish: GiveInput) -> None:
        try:
            await self._inputs.answer(wish.request, wish.chosen, wish.params_input, wish.by)
        except AlreadyAnswered:
            given = await self._inputs.find(wish.request.run, wish.request.task)
            mine = (wish.by, wish.chosen, wish.params_input)
            if given is None or (given.responded_by, given.chosen_options, given.params_input) != mine:
                raise  # else the letter was delivered twice
