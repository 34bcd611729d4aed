"""The processes of one server, in memory: zygotes, workers and triggerers that die, and whose messages are late, lost or
sent twice.

`SimulatedFleet` stands where `workers.fleet.Fleet` does: the pool, the workers' handles and all above them are the real
ones. A process does what `Play` says and keeps no more of the wire's promises than a real one that may be killed.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol
from unittest.mock import patch

from dagcall.errors import Unavailable
from dagcall.model.plan import DagPlan
from dagcall.workers import processes, worker
from dagcall.workers.fleet import FileZygote, LoadedFile
from dagcall.workers.frames import (
    Ask,
    CancelTrigger,
    Ended,
    Fired,
    Frame,
    Idle,
    Notify,
    Reply,
    RunTrigger,
    Start,
)

SIGKILL, SIGTERM = 9, 15


class Play(Protocol):
    """What processes do, and what happens to them. Times are seconds."""

    def delay(self) -> float:
        """Of a message, or of anything else that takes a moment."""
        ...

    def later(self, seconds: float, action: Callable[[], None]) -> None: ...
    def files(self) -> dict[str, tuple[str, dict[str, DagPlan]]]:
        """What lies in the folder: path -> (version, plans)."""
        ...

    def settings(self) -> dict[str, object]: ...
    def forks(self) -> bool:
        """Whether the next process that is asked for comes up."""
        ...

    def start(self, process: "Process", start: Start) -> None: ...
    def notify(self, process: "Process", notify: Notify) -> None: ...
    def trigger(self, process: "Process", trigger: RunTrigger) -> None: ...
    def replied(self, process: "Process", reply: Reply) -> None: ...
    def terminated(self, process: "Process") -> None:
        """It has got SIGTERM."""
        ...

    def ended(self, process: "Process", frame: Frame | None) -> None:
        """It sends this; None: it is told to end, or is dead."""
        ...

    def repeats(self, frame: Frame) -> int:
        """How often a frame arrives: 0, 1, 2."""
        ...

    def exit_is_told(self) -> bool: ...


class Process:
    """A worker or triggerer. `number` is its pid and its number at the fleet."""

    def __init__(self, fleet: "SimulatedFleet", number: int, role: str) -> None:
        self.fleet = fleet
        self.number = number
        self.role = role
        self.alive = True
        self.is_unwanted = False
        """It was told to end."""
        self.connection = SimulatedConnection(self)
        self.attempt: Start | Notify | None = None
        """What it works on."""
        self._last_sent = self._last_received = 0.0

    def send(self, frame: Frame) -> None:
        if self.alive:
            self.fleet.play.ended(self, frame)
            self.fleet.play.later(self._in_order("_last_sent"), lambda: self.connection.deliver(frame))

    def receive(self, frame: Frame) -> None:
        def arrived() -> None:
            if self.alive:
                self._take(frame)

        self.fleet.play.later(self._in_order("_last_received"), arrived)

    def _in_order(self, last: str) -> float:
        """A delay after which nothing overtakes what was sent before."""
        now = self.fleet.loop.time()
        at = max(getattr(self, last), now + self.fleet.play.delay())
        setattr(self, last, at)
        return at - now

    def _take(self, frame: Frame) -> None:
        play = self.fleet.play
        match frame:
            case Start():
                self.attempt = frame
                play.start(self, frame)
            case Notify():
                self.attempt = frame
                play.notify(self, frame)
            case RunTrigger():
                play.trigger(self, frame)
            case Reply():
                play.replied(self, frame)
            case CancelTrigger():
                pass
            case _:
                raise AssertionError(f"no process takes {frame}")

    def die(self, status: int) -> None:
        """What it has sent is on its way; then its connection breaks, and who reaps it may tell."""
        if not self.alive:
            return
        self.alive = False
        play = self.fleet.play
        play.ended(self, None)
        play.later(self._in_order("_last_sent"), self.connection.lose)
        play.later(play.delay(), lambda: self.fleet.loop_readable(self.number))
        if play.exit_is_told():
            play.later(play.delay(), lambda: self.fleet.tell_exit(self.number, status))


class SimulatedConnection:
    """Stands where `workers.connection.Connection` does."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.is_lost = False
        self.on_frame: Callable[[Any], None] = lambda frame: None
        self.on_lost: Callable[[], None] = lambda: None

    def send(self, frame: Frame) -> None:
        if not self.is_lost:
            self._process.receive(frame)

    def close(self) -> None:
        """The process ends when it sees that."""
        if not self.is_lost:
            self.is_lost = True
            process, play = self._process, self._process.fleet.play
            play.later(play.delay(), lambda: process.die(0))
            process.fleet.call_soon(self.on_lost)

    def deliver(self, frame: Frame) -> None:
        fleet = self._process.fleet
        for _ in range(fleet.play.repeats(frame)):
            if not self.is_lost:
                fleet.tell(lambda: self.on_frame(frame))

    def lose(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._process.fleet.tell(self.on_lost)


@dataclass
class _Gone:
    """A connection of which nothing is asked here."""

    is_lost: bool = False


class SimulatedFleet:
    """The processes of one server; with `is_there` false the server was killed, and nobody hears them."""

    def __init__(
        self, play: Play, loop: Any, numbers: "itertools.count[int]", asleep: Callable[[], float] = lambda: 0.0
    ) -> None:
        """`asleep`: for how many more seconds the server is stopped."""
        self.play = play
        self.asleep = asleep
        self.loop = loop
        self.is_there = True
        self.answer: Callable[[Ask], Awaitable[object]]
        self.processes: dict[int, Process] = {}
        self.zygotes: dict[int, FileZygote] = {}
        self._numbers = numbers
        self._exit_watchers: dict[int, Callable[[int], None]] = {}

    async def start(self) -> dict[str, object]:
        await asyncio.sleep(self.play.delay())
        return self.play.settings()

    async def stop(self) -> None:
        for process in list(self.processes.values()):
            process.die(-SIGKILL)
        await asyncio.sleep(self.play.delay())

    async def list_files(self) -> list[str]:
        await asyncio.sleep(self.play.delay())
        return list(self.play.files())

    async def load(self, path: str) -> LoadedFile:
        await asyncio.sleep(self.play.delay())
        return self._loaded(path)

    async def open_zygote(self, path: str, *, alone: bool) -> FileZygote:
        await asyncio.sleep(self.play.delay())
        if not self.play.forks():
            raise Unavailable(f"the process for {path} could not be started: simulated")
        number = next(self._numbers)
        zygote = FileZygote(number, number, _Gone(), self._loaded(path))  # type: ignore[arg-type]
        self.zygotes[number] = zygote
        return zygote

    def _loaded(self, path: str) -> LoadedFile:
        version, plans = self.play.files()[path]
        return LoadedFile(path, version, plans, [], [], 0.0)

    def close_zygote(self, zygote: FileZygote) -> None:
        self.zygotes.pop(zygote.ident, None)

    def lose_zygote(self, zygote: FileZygote) -> None:
        """It was killed."""
        if self.zygotes.pop(zygote.ident, None) is not None:
            self.tell(zygote.on_lost)

    def fork_worker(self, zygote: FileZygote) -> "tuple[int, asyncio.Future[Any]]":
        return self._fork(zygote, "worker")

    def fork_triggerer(self, zygote: FileZygote) -> "tuple[int, asyncio.Future[Any]]":
        return self._fork(zygote, "triggerer")

    def _fork(self, zygote: FileZygote, role: str) -> "tuple[int, asyncio.Future[Any]]":
        number = next(self._numbers)
        answer: asyncio.Future[Any] = self.loop.create_future()

        def forked() -> None:
            if not self.is_there or answer.done():
                return
            if zygote.ident not in self.zygotes or not self.play.forks():
                answer.set_exception(Unavailable("the zygote died before it had forked: simulated"))
                return
            process = self.processes[number] = Process(self, number, role)
            answer.set_result((process.connection, number))

        self.play.later(self.play.delay(), forked)
        return number, answer

    def watch_exit(self, ident: int, watcher: Callable[[int], None]) -> None:
        self._exit_watchers[ident] = watcher

    def forget(self, ident: int) -> None:
        self._exit_watchers.pop(ident, None)
        process = self.processes.pop(ident, None)
        if process is not None:
            process.die(-SIGKILL)

    def end_orphans(self, known: set[int]) -> None:
        """There are none."""

    def tell_exit(self, number: int, status: int) -> None:
        watcher = self._exit_watchers.get(number)
        if watcher is not None:
            self.tell(lambda: watcher(status))

    def tell(self, news: Callable[[], None]) -> None:
        """The server, if it is there; while it sleeps, once it is awake."""
        if not self.is_there:
            return
        if (asleep := self.asleep()) > 0:
            self.play.later(asleep, lambda: self.tell(news))
            return
        with self.loop.running():
            news()

    def loop_readable(self, number: int) -> None:
        if self.is_there:
            self.loop.readable(number)

    def call_soon(self, callback: Callable[[], None]) -> None:
        if self.is_there:
            self.loop.call_soon(callback)

    # Signals

    def kill(self, pid: int, signum: int = SIGKILL) -> None:
        process = self.processes.get(pid)
        if process is None or not process.alive:
            return
        process.is_unwanted = True
        self.play.ended(process, None)
        if signum == SIGKILL:
            self.play.later(self.play.delay(), lambda: process.die(-SIGKILL))
        else:
            self.play.later(self.play.delay(), lambda: self.play.terminated(process))

    def pidfd_open(self, pid: int) -> int:
        process = self.processes.get(pid)
        if process is None or not process.alive:
            raise ProcessLookupError(pid)
        return pid


@contextmanager
def signals_of(fleet_of: Callable[[int], SimulatedFleet]) -> Any:
    """What the workers' handles ask of the operating system about a process is asked of its fleet."""
    system = SimpleNamespace(pidfd_open=lambda pid: fleet_of(pid).pidfd_open(pid), close=lambda fd: None)
    with (
        patch.object(worker, "os", system),
        patch.object(processes, "kill", lambda pid, signum=SIGKILL: fleet_of(pid).kill(pid, signum)),
        patch.object(processes, "kill_family", lambda pid: fleet_of(pid).kill(pid)),
        patch.object(processes, "has_title", lambda pid, title: pid in fleet_of(pid).processes),
        patch.object(processes, "is_on_cpu", lambda pid: False),
    ):
        yield


__all__ = ["Ended", "Fired", "Idle", "Play", "Process", "SimulatedFleet", "signals_of"]
