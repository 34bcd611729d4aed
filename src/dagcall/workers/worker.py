"""One worker process as the coordinator sees it.

States: IDLE -> LEASED (waits for its start to be durable) -> BUSY -> FINISHING (`Ended` came, callbacks and
restoration run) -> IDLE; DEAD from any. Death is seen through a pidfd, not through the socket alone: a task's child
may hold a copy of the socket open. The cause comes from whoever reaps the process (its zygote), which is waited
for shortly; when the zygote is dead too, the cause is unknown and said so.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto

from dagcall.workers import processes
from dagcall.workers.base import Job
from dagcall.workers.child import LOST_CONNECTION
from dagcall.workers.connection import Connection
from dagcall.workers.frames import Amended, Ask, Chunk, Ended, FromProcess, Idle, Notify, Pushed, Reply, Start

STOP_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL. Airflow's supervisor waits 5; a caller is waiting here."""
HARD_LIMIT_GRACE = 1.0
"""Seconds that Airflow's own timeout, an exception raised in the task, has to end a task before we do."""
OVERTIME = 20.0
"""Seconds for callbacks and listeners after a task's end; Airflow's `[core] task_success_overtime` default."""
_CAUSE_PATIENCE = 0.25
_LEFT = ("WorkerLost", "it closed its connection to the server")
_SPEECHLESS = (
    "WorkerLost",
    "it lived on without its connection to the server, and was ended"
    " (did it close all descriptors, or become another program?)",
)


class State(Enum):
    IDLE = auto()
    LEASED = auto()
    BUSY = auto()
    FINISHING = auto()
    DEAD = auto()


class Worker:
    """Implements `base.Lease` for the job it holds."""

    def __init__(
        self,
        ident: int,
        connection: Connection,
        pid: int,
        *,
        on_idle: "Callable[[Worker, Idle | None], None]",
        on_dead: "Callable[[Worker], None]",
    ) -> None:
        self.ident = ident
        self.pid = pid
        self.state = State.IDLE
        self.tasks_run = 0
        self.idle_since = asyncio.get_running_loop().time()
        self._connection = connection
        self._on_idle = on_idle
        self._on_dead = on_dead
        self._job: Job | None = None
        self._ended: Job | None = None
        """While FINISHING: whose callbacks may still ask, and add something."""
        self._attempt: tuple[int, int] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._stopped_for: tuple[str, str] | None = None
        self._status: int | None = None
        self._gone = False
        self.died_busy = False
        self._loop = asyncio.get_running_loop()
        connection.on_frame = self._on_frame
        connection.on_lost = self._on_connection_lost
        try:
            self._pidfd = os.pidfd_open(pid)
            self._loop.add_reader(self._pidfd, self._on_process_gone)
        except ProcessLookupError:
            self._pidfd = -1
            self._loop.call_soon(self._on_process_gone)

    @property
    def holds(self) -> str | None:
        """Whose task it has, in words."""
        job = self._job or self._ended
        return None if job is None else f"run {job.run}"

    def lease(self, job: Job) -> None:
        self.state = State.LEASED
        self._job = job
        job.leased(self)

    def start(self, start: Start | Notify, hard_limit: float | None) -> None:
        if self.state is not State.LEASED:
            return
        self.state = State.BUSY
        self._attempt = (start.attempt, start.epoch)
        self._connection.send(start)
        if hard_limit is not None:
            self._timers.append(
                self._loop.call_later(hard_limit + HARD_LIMIT_GRACE, self._hard_limit_passed, hard_limit)
            )

    def reply(self, number: int, value: object, error: str | None) -> None:
        self._connection.send(Reply(number, value, error))

    def stop(self, reason: str) -> None:
        if self.state is State.LEASED:
            self.release()
        elif self.state is State.BUSY:
            self._terminate("WorkerLost", reason)

    def release(self) -> None:
        """Give a leased worker back without having started anything."""
        self._job = None
        self.state = State.IDLE
        self._on_idle(self, None)

    def close(self) -> None:
        """End an idle worker: it ends by itself when its connection closes."""
        self._connection.close()

    def kill(self) -> None:
        processes.kill_family(self.pid)

    def end(self, kind: str, reason: str) -> None:
        """Kill it, at once, for a reason that its task's loss will have."""
        if self._stopped_for is None:
            self._stopped_for = (kind, reason)
        self.kill()

    def exited(self, status: int) -> None:
        """Its zygote has reaped it."""
        self._status = status
        self._die()

    def _terminate(self, kind: str, reason: str) -> None:
        if self._stopped_for is not None:
            return
        self._stopped_for = (kind, reason)
        processes.kill(self.pid, signal.SIGTERM)
        self._timers.append(self._loop.call_later(STOP_GRACE, self.kill))

    def _hard_limit_passed(self, limit: float) -> None:
        self._terminate(
            "AirflowTaskTimeout", f"still running {HARD_LIMIT_GRACE:g} s after its execution_timeout of {limit:g} s"
        )

    def _on_frame(self, frame: FromProcess) -> None:
        job = self._job
        if isinstance(frame, Ask | Amended) and self._ended is not None:
            job = self._ended
        match frame:
            case Pushed() | Chunk() | Ask() | Ended() | Amended() if (
                job is None or (frame.attempt, frame.epoch) != self._attempt
            ):
                return
            case Pushed():
                assert job is not None
                job.pushed(frame)
            case Chunk():
                assert job is not None
                job.emitted(frame)
            case Ask():
                assert job is not None
                job.asked(frame)
            case Amended():
                assert job is not None
                job.amended(frame)
            case Ended():
                assert job is not None
                self._job, self._ended = None, job
                self.state = State.FINISHING
                if self._stopped_for is None:
                    self._cancel_timers()
                    self._timers.append(self._loop.call_later(OVERTIME, self.kill))
                job.ended(frame)
            case Idle():
                self._ended = None
                self.tasks_run += 1
                self.idle_since = self._loop.time()
                if self._stopped_for is not None:
                    self.kill()  # it was told to end; what its SIGTERM handler left behind is not known
                elif self.state is State.FINISHING:
                    self._cancel_timers()
                    self.state = State.IDLE
                    self._on_idle(self, frame)
                elif self.state is State.BUSY:
                    self._stopped_for = ("WorkerLost", "its process did not report how the task ended")
                    self.kill()
            case _:
                self.kill()

    def _on_connection_lost(self) -> None:
        if self.state is State.DEAD:
            return
        if self.state in (State.BUSY, State.LEASED) and self._stopped_for is None:
            self._stopped_for = _LEFT
            # Usually it is just dead; only a process that lives on without a connection is ended.
            self._loop.call_later(_CAUSE_PATIENCE, self._kill_if_alive)
        else:
            self._loop.call_later(STOP_GRACE, self._kill_if_alive)

    def _kill_if_alive(self) -> None:
        if not self._gone and self.state is not State.DEAD:
            if self._stopped_for is _LEFT:
                self._stopped_for = _SPEECHLESS
            self.kill()

    def _on_process_gone(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._close_pidfd()
        if self._status is not None:
            self._die()
        else:
            self._loop.call_later(_CAUSE_PATIENCE, self._die)

    def _die(self) -> None:
        if self.state is State.DEAD:
            return
        self._gone = True
        self._close_pidfd()
        job, self._job, self._ended = self._job, None, None
        self.died_busy = job is not None
        self.state = State.DEAD
        self._cancel_timers()
        self._connection.close()
        self._on_dead(self)
        if job is not None:
            kind, reason = self._cause()
            job.lost(kind, reason)

    def _cause(self) -> tuple[str, str]:
        if self._stopped_for is not None and (self._status is None or self._status <= 0):
            if self._stopped_for is _LEFT and self._status is not None:
                return "WorkerLost", describe_exit(self._status)
            return self._stopped_for
        if self._status is None:
            return "WorkerLost", "its process ended for an unknown reason"
        return "WorkerLost", describe_exit(self._status)

    def _close_pidfd(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def describe_exit(status: int) -> str:
    """An exit status (negative: a signal) in words that help."""
    if status == 0:
        return "its process ended itself with exit code 0 in the middle of the task (os._exit?)"
    if status == LOST_CONNECTION:
        return "its process lost its connection to the server in the middle of the task (did it close all descriptors?)"
    if status > 0:
        return f"its process ended with exit code {status} in the middle of the task"
    name = f"signal {-status}"
    with suppress(ValueError):
        name = signal.Signals(-status).name
    hint = {
        "SIGKILL": " (the machine may be out of memory, or somebody killed it)",
        "SIGSEGV": " (a crash in native code)",
        "SIGABRT": " (a crash in native code)",
        "SIGBUS": " (a crash in native code)",
    }.get(name, "")
    return f"its process was ended by {name}{hint}"
