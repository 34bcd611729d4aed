"""Runs that the journal has failed: taken up again by this server as soon as the journal works.

A driver whose batch was not kept stops: what its machine knows is not what the journal holds. From then on only the
journal knows the run, as after a crash, and nobody drives it. So it is taken up from there as a restart does it:
attempts that were running are lost, and count as used tries. That is tried again and again, with growing pauses, until
the journal answers; whoever asks for the run meanwhile waits a moment for it, and is then told to come again.

A run whose first batch failed is looked for too: a commit may have happened though an error came back. Nothing else
begins under its id here until that is known; where another server has begun something, it is that one's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dagcall.coordinator.driver import Driver
from dagcall.coordinator.fencing import is_fenced, taken_over
from dagcall.errors import DagcallError, JournalCorrupt, JournalFenced, RunExists, Unavailable
from dagcall.journal.base import Journal
from dagcall.model.ids import RunKey
from dagcall.model.records import RunHead

log = logging.getLogger("dagcall.coordinator")

PATIENCE = 2.0
"""Seconds that somebody who asks for such a run waits."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0


class Retaking:
    """`take_up` gives a run of the journal a driver, and raises DagcallError when the journal still fails. `is_others`:
    whether another server owns a run of the journal."""

    def __init__(
        self,
        journal: Journal,
        take_up: Callable[[RunHead], Awaitable[Driver]],
        is_others: Callable[[RunKey], Awaitable[bool]],
    ) -> None:
        self._journal = journal
        self._take_up = take_up
        self._is_others = is_others
        self._tasks: dict[RunKey, asyncio.Task[None]] = {}
        self._stopped = False

    def begin(self, key: RunKey, failure: BaseException, appended: "asyncio.Future[None] | None" = None) -> None:
        """The run has lost its driver, whose last batch was `appended`. Nothing is done when it is another's, or cannot
        be read."""
        if self._stopped or key in self._tasks or isinstance(failure, RunExists):
            return
        log.error("run %s cannot be gone on with: %s", key, failure)
        if isinstance(failure, JournalFenced | JournalCorrupt):
            return
        self._tasks[key] = asyncio.get_running_loop().create_task(
            self._retake(key, appended), name=f"dagcall-retake {key}"
        )

    def has(self, key: RunKey) -> bool:
        """Whether the run is being taken up again."""
        return key in self._tasks

    async def settled(self, key: RunKey) -> bool:
        """Wait until the run was taken up, or was found to need it not; False: it was never to be. Raises Unavailable."""
        task = self._tasks.get(key)
        if task is None and is_fenced(self._journal):
            raise taken_over(key)
        if task is None:
            return False
        await asyncio.wait((task,), timeout=PATIENCE)
        if not task.done():
            reason = "the journal could not keep the run; it goes on as soon as the journal works again"
            raise Unavailable(reason, dag_id=key.dag_id, run_id=key.run_id, retry_after=1.0)
        return True

    async def stop(self) -> None:
        self._stopped = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _retake(self, key: RunKey, appended: "asyncio.Future[None] | None") -> None:
        pause = _FIRST_PAUSE
        try:
            if appended is not None:  # it may still be kept, if the one before was: then it belongs to what is read
                await asyncio.wait((appended,))
            while True:
                await asyncio.sleep(pause)
                try:
                    head = await self._journal.head(key)
                    if head is not None and not head.state.is_final and not await self._is_others(key):
                        (await self._take_up(head)).resume(why="the journal could not be written while the task ran")
                    return
                except DagcallError as error:
                    log.warning("run %s cannot be taken up again yet: %s", key, error)
                    pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            del self._tasks[key]
