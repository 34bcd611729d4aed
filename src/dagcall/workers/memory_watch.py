"""Ends a worker before the container's limit ends everything.

When the server and all its processes use more than `NEARLY` of their budget, idle workers are ended; if there are none,
the worker with the most memory of its own is killed, and its task is lost as `OutOfMemory`: retried by its `retries`,
or failed, with the figures. One at a time: the next one only if it did not help. What it does not prevent is a task
that takes all that is left within one look.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from dagcall.workers.memory import Budget, private
from dagcall.workers.worker import State, Worker

log = logging.getLogger("dagcall.workers")

NEARLY = 0.95
EVERY = 0.25
"""Seconds between two looks."""
_MB = 1 << 20


class MemoryWatch:
    """`workers`: those that live. `end_idle`: end one of those that do nothing, False when there is none."""

    def __init__(self, budget: Budget, workers: Callable[[], Sequence[Worker]], end_idle: Callable[[], bool]) -> None:
        self._budget = budget
        self._workers = workers
        self._end_idle = end_idle

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            with contextlib.suppress(OSError):
                used = await asyncio.to_thread(self._budget.used)
                if used > self._budget.limit * NEARLY and not self._end_idle():
                    await self._end_greediest(used)

    async def _end_greediest(self, used: int) -> None:
        busy = [worker for worker in self._workers() if worker.state in (State.BUSY, State.FINISHING)]
        if not busy:
            return
        own = await asyncio.to_thread(lambda: [private(worker.pid) for worker in busy])
        most, worker = max(zip(own, busy, strict=True), key=lambda pair: pair[0])
        if worker.state is State.DEAD:
            return
        reason = (
            f"its process used {most // _MB} MB and was ended: the server and its processes had reached "
            f"{used // _MB} MB of the {self._budget.limit // _MB} MB that they may use"
        )
        log.warning("worker (pid %d): %s", worker.pid, reason)
        worker.end("OutOfMemory", reason)
