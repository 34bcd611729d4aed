"""The side lane of one version of a file: jobs that no caller waits for, in a process beside the pool's workers.

Guarantees of `base.Workers` for its jobs: each is leased at most once, in the order they came, one at a time, then ends
exactly once. However long one takes, it takes no worker from a task, and none of the pool's limit.

States. No process while nothing waits; starting; working; resting for `IDLE_SECONDS`, then ended. A process that dies
with a job is replaced for the next one. When none can be started, again and again or because the file is another one by
now, what waits is lost.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from dagcall.errors import DagcallError
from dagcall.workers.base import Job
from dagcall.workers.file_zygote import FileZygote
from dagcall.workers.fleet import Fleet
from dagcall.workers.frames import Idle
from dagcall.workers.triggerers import CodeGone
from dagcall.workers.worker import Worker

IDLE_SECONDS = 5.0
_PAUSES = (0.1, 0.2, 0.4, 0.8)
"""Seconds between starts that fail. Nobody waits for these jobs, and a zygote that was killed is soon replaced."""


class SideLane:
    """The jobs of one version of one file, and the process that does them while there are any."""

    def __init__(
        self, fleet: Fleet, open_zygote: Callable[[], Awaitable[FileZygote]], on_quiet: Callable[[], None]
    ) -> None:
        """`open_zygote` raises Unavailable. `on_quiet`: nothing waits and no process is left."""
        self._fleet = fleet
        self._open_zygote = open_zygote
        self._on_quiet = on_quiet
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Job] = deque()
        self._starting: asyncio.Task[None] | None = None
        self._worker: Worker | None = None
        self._resting: asyncio.TimerHandle | None = None

    @property
    def is_quiet(self) -> bool:
        return not self._waiting and self._worker is None and self._starting is None

    @property
    def pids(self) -> set[int]:
        return set() if self._worker is None else {self._worker.pid}

    def submit(self, job: Job) -> None:
        self._waiting.append(job)
        if self._resting is not None:
            assert self._worker is not None
            self._next(self._worker)
        elif self._worker is None and self._starting is None:
            self._start()

    def end(self) -> None:
        """Nothing will be given to it any more: do not rest."""
        if self._resting is not None:
            self._rested()

    def stop(self) -> None:
        """The server ends: start nothing more, whoever waits."""
        if self._starting is not None:
            self._starting.cancel()

    def _start(self) -> None:
        self._starting = self._loop.create_task(self._fork(), name="dagcall-aside")

    async def _fork(self) -> None:
        for pause in (*_PAUSES, None):
            try:
                ident, answer = self._fleet.fork_worker(await self._open_zygote())
                connection, pid = await answer
                break
            except Exception as error:
                if pause is None or isinstance(error, CodeGone):
                    self._lose(error)
                    return
                await asyncio.sleep(pause)
        self._starting = None
        self._worker = Worker(ident, connection, pid, on_idle=self._on_idle, on_dead=self._on_dead)
        self._fleet.watch_exit(ident, self._worker.exited)
        self._next(self._worker)

    def _lose(self, error: Exception) -> None:
        if not isinstance(error, DagcallError):
            error = DagcallError(f"no process could be started: {error}")
        self._starting = None
        lost, self._waiting = self._waiting, deque()
        for job in lost:
            job.lost("CodeLost", str(error))
        self._be_quiet()

    def _next(self, worker: Worker) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._waiting:
            worker.lease(self._waiting.popleft())
        else:
            self._resting = self._loop.call_later(IDLE_SECONDS, self._rested)

    def _rested(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._worker is not None:
            self._worker.close()

    def _on_idle(self, worker: Worker, frame: Idle | None) -> None:
        if frame is not None and frame.retire is not None:
            worker.close()
        else:
            self._next(worker)

    def _on_dead(self, worker: Worker) -> None:
        self._fleet.forget(worker.ident)
        self._worker = None
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._waiting:
            self._start()
        self._be_quiet()

    def _be_quiet(self) -> None:
        if self.is_quiet:
            self._on_quiet()
