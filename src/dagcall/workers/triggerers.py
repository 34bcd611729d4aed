"""Triggerers: for each version of a file with tasks that wait for a trigger, one process that runs all its triggers.

Guarantees. A job that was given to `watch` is told `fired` or `lost`, once, unless `unwatch` comes first. A triggerer
that dies is replaced, and its triggers begin anew in the next one, as when Airflow's triggerer dies. A trigger that has
seen `DEATHS` of them die is lost: it, or one beside it, ends its process each time it runs. Between two deaths in a row
there is a growing pause, in which others get done.

States. No process while nothing waits; starting; running; gone, and started again while something waits. It is ended
`IDLE_SECONDS` after its last trigger, or at once when its code is not needed any more.

Everything is on the event loop; nothing blocks it.
"""

import asyncio
from collections.abc import Awaitable, Callable

from dagcall.errors import DagcallError
from dagcall.workers import processes
from dagcall.workers.base import TriggerJob
from dagcall.workers.connection import Connection
from dagcall.workers.file_zygote import FileZygote
from dagcall.workers.fleet import Fleet
from dagcall.workers.frames import Ask, CancelTrigger, Fired, Frame, FromProcess, Reply
from dagcall.workers.worker import STOP_GRACE

DEATHS = 10
_LONGEST_PAUSE = 1.0
IDLE_SECONDS = 10.0
LEAVE_SECONDS = 30.0
"""For how long a killed trigger gets answers, if its process lives: as long as its `on_kill` may take."""


class CodeGone(DagcallError):
    """The version of the file that the triggers belong to cannot be had any more. Told to nobody as it is: their tasks
    are `CodeLost`."""


class Triggerer:
    """The triggers of one version of one file, and the process that runs them while there are any."""

    def __init__(
        self, fleet: Fleet, open_zygote: Callable[[], Awaitable[FileZygote]], on_quiet: Callable[[], None]
    ) -> None:
        """`open_zygote` raises Unavailable, or CodeGone. `on_quiet`: nothing waits and no process is left."""
        self._fleet = fleet
        self._open_zygote = open_zygote
        self._on_quiet = on_quiet
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[int, TriggerJob] = {}
        self._starting: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._ident = 0
        self._deaths: dict[int, int] = {}
        """How many triggerers died under a trigger, by its number."""
        self._in_a_row = 0
        self._idle: asyncio.TimerHandle | None = None
        self._leaving: dict[int, TriggerJob] = {}

    @property
    def is_quiet(self) -> bool:
        return not self._jobs and self._connection is None and self._starting is None

    @property
    def count(self) -> int:
        return len(self._jobs)

    def watch(self, job: TriggerJob) -> None:
        self._jobs[job.number] = job
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._connection is not None:
            self._connection.send(job.frame(self._ident))
        elif self._starting is None:
            self._starting = self._loop.create_task(self._start(), name="dagcall-triggerer")

    def unwatch(self, job: TriggerJob, *, killed: bool) -> None:
        if self._jobs.pop(job.number, None) is not None:
            self._deaths.pop(job.number, None)
            self._send(CancelTrigger(job.number, killed))
            if killed and self._connection is not None:
                self._leaving[job.number] = job
                self._loop.call_later(LEAVE_SECONDS, self._leaving.pop, job.number, None)
            self._rest()

    def end(self) -> None:
        """Nothing will be given to it any more."""
        if not self._jobs and self._connection is not None:
            self._connection.close()

    def _send(self, frame: Frame) -> None:
        if self._connection is not None:
            self._connection.send(frame)

    def _rest(self) -> None:
        if not self._jobs and self._connection is not None and self._idle is None:
            self._idle = self._loop.call_later(IDLE_SECONDS, self.end)

    async def _start(self) -> None:
        while self._jobs:
            if self._in_a_row:
                await asyncio.sleep(min(_LONGEST_PAUSE, 0.01 * 2**self._in_a_row))
            try:
                zygote = await self._open_zygote()
                ident, answer = self._fleet.fork_triggerer(zygote)
                connection, pid = await answer
            except CodeGone as gone:
                self._lose(list(self._jobs), "CodeLost", str(gone))
            except Exception as error:
                self._died(f"it could not be started: {error}")
            else:
                self._begin(ident, connection, pid)
                if self._connection is not None:
                    break
        self._starting = None
        if self.is_quiet:
            self._on_quiet()

    def _begin(self, ident: int, connection: Connection, pid: int) -> None:
        self._connection, self._ident = connection, ident

        def end_for_sure() -> None:
            self._fleet.forget(ident)
            if processes.has_title(pid, "triggerer"):
                processes.kill_family(pid)

        def on_lost() -> None:
            self._loop.call_later(STOP_GRACE, end_for_sure)
            self._on_lost(connection)

        connection.on_frame = lambda frame: self._on_frame(connection, frame)
        connection.on_lost = on_lost
        if connection.is_lost:
            on_lost()
            return
        for job in list(self._jobs.values()):
            connection.send(job.frame(ident))
        self._rest()

    def _on_frame(self, connection: Connection, frame: FromProcess) -> None:
        match frame:
            case Ask():
                job = self._jobs.get(frame.attempt) or self._leaving.get(frame.attempt)
                if job is not None:
                    number = frame.number
                    job.asked(frame, lambda value, error: connection.send(Reply(number, value, error)))
            case Fired():
                job = self._jobs.pop(frame.number, None)
                if job is not None:
                    self._deaths.pop(frame.number, None)
                    self._in_a_row = 0
                    job.fired(frame)
                self._rest()
            case _:
                connection.close()

    def _on_lost(self, connection: Connection) -> None:
        if self._connection is not connection:
            return
        self._connection = None
        self._leaving.clear()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._jobs:
            self._died("its process died")
        if self._jobs and self._starting is None:
            self._starting = self._loop.create_task(self._start(), name="dagcall-triggerer")
        if self.is_quiet:
            self._on_quiet()

    def _died(self, reason: str) -> None:
        self._in_a_row += 1
        for number in self._jobs:
            self._deaths[number] = self._deaths.get(number, 0) + 1
        given_up = [number for number in self._jobs if self._deaths[number] >= DEATHS]
        self._lose(given_up, "TriggererLost", f"{DEATHS} triggerers that ran its trigger were lost; the last: {reason}")

    def _lose(self, numbers: list[int], kind: str, reason: str) -> None:
        lost = [self._jobs.pop(number) for number in numbers]
        for number in numbers:
            self._deaths.pop(number, None)
        for job in lost:
            job.lost(kind, reason)


__all__ = ["CodeGone", "Triggerer"]
