"""All processes of one server: the side process, the root zygote, loaders, file zygotes; and who has connected.

Authoritative for which processes exist. When the root zygote is lost it starts a new one (through a new side
process) and carries on: workers that run are untouched, since the old side process lives until its standard input
is closed. When a side process is lost, all is ended and started anew. It refuses to guess: a process that says
`Hello` under a number it was not forked for is ended.
"""

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from dagcall.errors import Unavailable
from dagcall.model import bundle
from dagcall.model.bundle import Bundles
from dagcall.model.references import EPHEMERAL
from dagcall.workers import processes
from dagcall.workers.connection import Connection, Gate
from dagcall.workers.endings import ProcessEnded, RootLost, ending
from dagcall.workers.file_zygote import FileZygote, LoadedFile
from dagcall.workers.frames import (
    Ask,
    Exited,
    Files,
    ForkLoader,
    ForkStore,
    ForkTriggerer,
    ForkWorker,
    ForkZygote,
    Frame,
    FromProcess,
    Hello,
    ListFiles,
    Loaded,
    Ready,
    Reply,
    ServeBundles,
)
from dagcall.workers.store_process import StoreProcess

log = logging.getLogger("dagcall.workers")
Parsed = TypeVar("Parsed")

ROOT_START_LIMIT = 120.0
"""Seconds for the import of Airflow; a cold disk has been seen to need 20."""
LOAD_LIMIT = 35.0
"""Seconds for one file, unless the runtime's configuration says otherwise (`load_limit`); a hanging import must end."""
STORE_START_LIMIT = 20.0
_ROOTS_TRIED = 3
"""Root zygotes that are asked for a process, one after the other, when each dies before it has forked it."""
_LOADERS_TRIED = 3
"""Likewise processes that parse a file, when each is killed from outside."""
_FORKED_BY_FILE = ("worker", "triggerer")
"""Roles of processes that a file zygote forks, not the root zygote."""
_CAUSE_PATIENCE = 0.25
"""Seconds between the end of a process and the arrival of all that it, and who reaped it, have to say of it."""


@dataclass
class _Expected:
    """A forked process that has not done yet what it was forked for."""

    role: str
    answer: asyncio.Future[Any]
    pid: int = 0
    connection: Connection | None = None
    status: int | None = None
    """How its process ended, from who reaped it. What it has sent before may still be on its way."""


class Fleet:
    """Starts and finds processes. Not thread-safe: event loop only."""

    def __init__(self, folder: str | None, runtime: str, environment: dict[str, str]) -> None:
        """`folder`: None: those that `serve` names."""
        self._folder = folder
        self._bundles = bundle.folder(folder) if folder else Bundles()
        self._runtime = runtime
        self._environment = environment
        self._gate = Gate(self._introduce)
        self._sides: list[asyncio.subprocess.Process] = []
        self._root: Connection | None = None
        self._root_pid = 0
        self._root_ready: asyncio.Future[dict[str, Any]] | None = None
        self._expected: dict[int, _Expected] = {}
        self._zygotes: dict[int, FileZygote] = {}
        self._next_ident = 0
        self._starting: asyncio.subprocess.Process | None = None
        self._workers: dict[int, int] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._restart: asyncio.Task[None] | None = None
        self._exit_watchers: dict[int, Callable[[int], None]] = {}
        self._load_limit: float | None = LOAD_LIMIT
        self.answer: Callable[[Ask], Awaitable[object]] = _no_answer
        """Answers what a DAG file asks while it is parsed; raises with the sentence that it will see."""
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> dict[str, Any]:
        """Start the side process and the root zygote. Raises Unavailable when Airflow cannot be imported."""
        await self._gate.open()
        return await self._start_root()

    async def stop(self) -> None:
        """End every process; returns when they are gone."""
        self._stopping = True
        if self._restart is not None:
            self._restart.cancel()
        sides = list(self._sides)
        for side in sides:
            if side.stdin is not None:
                side.stdin.close()
        for side in sides:
            try:
                await asyncio.wait_for(side.wait(), 10)
            except TimeoutError:
                processes.kill_family(side.pid)
                await side.wait()
        await asyncio.gather(*self._watchers)
        await self._gate.close()

    def serve(self, bundles: Bundles) -> None:
        """From now on, these folders."""
        self._bundles = bundles
        if self._root is not None:
            self._root.send(ServeBundles(list(bundles)))

    async def list_files(self) -> list[str]:
        paths: list[str] = await self._ask_root("files", lambda ident: ListFiles(ident))
        return paths

    async def load(self, path: str) -> LoadedFile:
        """Parse a file in a loader. What it does wrong, hanging and crashing included, is in the errors."""
        begun = time.monotonic()
        try:
            return await self._persistently(
                lambda: self._ask_root("loader", lambda ident: ForkLoader(ident, path), self._load_limit)
            )
        except ProcessEnded as end:
            return self._unloadable(path, str(end), time.monotonic() - begun)

    async def open_store(self) -> StoreProcess:
        """A process that has access to stores. Raises Unavailable."""
        try:
            answer = await self._ask_root("store", ForkStore, STORE_START_LIMIT)
        except ProcessEnded as end:
            raise Unavailable(f"the process that reads from the store could not be started: {end}") from end
        return StoreProcess(answer, self._reply)

    def trace(self, sink: Callable[[bytes], None]) -> None:
        self._gate.on_traced = sink

    async def open_zygote(self, path: str, *, alone: bool) -> FileZygote:
        """Parse a file in a process that can fork workers; or, `alone`, that is one.

        Raises:
            Unavailable: the process did not come to that.
        """
        try:
            zygote = await self._persistently(lambda: self._ask_for_zygote(None, path, alone))
        except ProcessEnded as end:
            raise Unavailable(f"the process for {path} could not be started: {end}") from end
        if zygote.loaded.unforkable and not alone:
            self.close_zygote(zygote)
            return await self.open_zygote(path, alone=True)
        return zygote

    def fork_worker(self, zygote: FileZygote) -> tuple[int, asyncio.Future[tuple[Connection, int]]]:
        """Returns the worker's number and a future of its connection and pid."""
        if zygote.alone:
            return self._worker_alone(zygote)
        return self._fork(zygote, "worker", ForkWorker)

    def fork_triggerer(self, zygote: FileZygote) -> tuple[int, asyncio.Future[tuple[Connection, int]]]:
        """Like `fork_worker`."""
        if zygote.alone:
            ident, answer = self._worker_alone(zygote)
            answer.add_done_callback(_become_triggerer)
            return ident, answer
        return self._fork(zygote, "triggerer", ForkTriggerer)

    def _fork(
        self, zygote: FileZygote, role: str, frame: Callable[[int], Frame]
    ) -> tuple[int, asyncio.Future[tuple[Connection, int]]]:
        ident = self._new_ident()
        answer: asyncio.Future[tuple[Connection, int]] = asyncio.get_running_loop().create_future()
        self._expected[ident] = _Expected(role, answer)
        zygote.forked.add(ident)
        zygote.connection.send(frame(ident))
        return ident, answer

    def watch_exit(self, ident: int, watcher: Callable[[int], None]) -> None:
        """Call `watcher` with the exit status when a zygote has reaped this worker or triggerer."""
        self._exit_watchers[ident] = watcher

    def forget(self, ident: int) -> None:
        self._exit_watchers.pop(ident, None)
        self._workers.pop(ident, None)

    def close_zygote(self, zygote: FileZygote) -> None:
        zygote.on_lost = lambda: None
        if not zygote.is_taken:
            zygote.connection.close()

    def end_orphans(self, known: set[int]) -> None:
        """End what dead workers have left behind: children of a side process that are nobody we know."""
        ours = known | {self._root_pid} | {zygote.pid for zygote in self._zygotes.values()}
        ours |= {expected.pid for expected in self._expected.values()}
        for side in self._sides:
            if side is self._starting:
                continue  # its only child is a root zygote that has not introduced itself yet
            for pid in processes.children_of(side.pid):
                if pid not in ours and processes.is_orphan(pid):
                    processes.kill_family(pid)

    def _worker_alone(self, zygote: FileZygote) -> "tuple[int, asyncio.Future[tuple[Connection, int]]]":
        """The first is the process that parsed the file when it was opened; each further one parses it too."""
        ident = self._new_ident() if zygote.is_taken else zygote.ident
        answer = asyncio.get_running_loop().create_task(self._take_alone(ident, zygote, zygote.is_taken))
        zygote.is_taken = True
        return ident, answer

    async def _take_alone(self, ident: int, opened: FileZygote, is_another: bool) -> tuple[Connection, int]:
        zygote = opened
        if is_another:
            zygote = await self._ask_for_zygote(ident, opened.loaded.path, alone=True)
            zygote.is_taken = True
        self._zygotes.pop(ident, None)
        if zygote.loaded.version != opened.loaded.version:
            zygote.connection.close()
            raise ProcessEnded("the DAG file has changed meanwhile")
        self._workers[ident] = zygote.pid
        return zygote.connection, zygote.pid

    async def _ask_for_zygote(self, ident: int | None, path: str, alone: bool) -> FileZygote:
        answer: FileZygote = await self._ask_root(
            "zygote", lambda ident: ForkZygote(ident, path, alone), self._load_limit, ident
        )
        answer.alone = alone
        return answer

    async def _persistently(self, parse: Callable[[], Awaitable[Parsed]]) -> Parsed:
        """A process that was killed from outside, as when memory is short, has said nothing about its file.

        Raises as `parse` does. One that kills itself is taken at its word when it has done so again."""
        for _ in range(_LOADERS_TRIED - 1):
            try:
                return await parse()
            except ProcessEnded as end:
                if not end.from_outside:
                    raise
        return await parse()

    async def _ask_root(
        self, role: str, frame: Callable[[int], Frame], limit: float | None = None, ident: int | None = None
    ) -> Any:
        """Raises ProcessEnded, Unavailable."""
        # A chosen number is used once: a process of a lost root may still turn up under it.
        for _ in range(_ROOTS_TRIED if ident is None else 1):
            number = self._new_ident() if ident is None else ident
            with contextlib.suppress(RootLost):
                return await self._ask_this_root(role, frame(number), number, limit)
        raise Unavailable("the zygote process is being restarted; try again")

    async def _ask_this_root(self, role: str, frame: Frame, ident: int, limit: float | None) -> Any:
        await self._wait_for_root()
        expected = self._expected[ident] = _Expected(role, asyncio.get_running_loop().create_future())
        assert self._root is not None
        self._root.send(frame)
        try:
            return await asyncio.wait_for(expected.answer, limit)
        except TimeoutError:
            if expected.pid:
                processes.kill_family(expected.pid)
            raise ProcessEnded(f"it was not imported within {limit:g} s and was ended") from None
        finally:
            self._expected.pop(ident, None)

    async def _wait_for_root(self) -> None:
        if self._root is None and self._restart is not None:
            await asyncio.shield(self._restart)
        if self._root is None:
            raise Unavailable("the zygote process is being restarted; try again")

    async def _start_root(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self._root_ready = loop.create_future()
        folders = [self._gate.folder, *filter(None, [self._environment.get(EPHEMERAL)])]
        side = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "dagcall.workers.side", "dagcall.workers.zygote", *folders),
            stdin=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        self._sides.append(side)
        self._starting = side
        watcher = loop.create_task(self._watch_side(side), name="dagcall-side")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        assert side.stdin is not None
        bootstrap = {
            "socket": self._gate.path,
            "token": self._gate.token,
            "runtime": self._runtime,
            "folder": self._folder or "",
            "open_files": processes.INHERITED_OPEN_FILES,  # programs that use select(2) count on a low one
        }
        side.stdin.write(json.dumps(bootstrap).encode() + b"\n")
        ended = asyncio.create_task(side.wait())
        try:
            waited: set[asyncio.Future[Any]] = {self._root_ready, ended}
            await asyncio.wait(waited, timeout=ROOT_START_LIMIT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            self._starting = None
        if not self._root_ready.done():
            raise Unavailable("Airflow could not be imported by the zygote process; its message is on standard error")
        config = self._root_ready.result()
        self._load_limit = config.get("load_limit", LOAD_LIMIT)
        return config

    async def _watch_side(self, side: asyncio.subprocess.Process) -> None:
        """Without its side process nobody would end what lives below it when this process is killed.

        One that ends by itself had nothing below it any more. When one is killed, everything is ended and started
        anew: what tasks have started is found below the workers as long as these live.
        """
        status = await side.wait()
        self._sides.remove(side)
        if status == 0:
            return
        if not self._stopping:
            log.warning("the side process (pid %d) was lost (status %d); starting all processes anew", side.pid, status)
        zygotes = [zygote.pid for zygote in self._zygotes.values()]
        loading = [expected.pid for expected in self._expected.values() if expected.pid]
        root = [self._root_pid] if self._root_pid else []
        for pid in (*self._workers.values(), *loading, *zygotes, *root):
            processes.kill_family(pid)

    def _introduce(self, connection: Connection, hello: Hello) -> None:
        if hello.role == "root":
            self._root_pid = hello.pid
            connection.on_frame = lambda frame: self._on_root_frame(connection, frame)
            connection.on_lost = lambda: self._on_root_lost(connection)
            return
        expected = self._expected.get(hello.ident)
        if expected is None or expected.role != hello.role or expected.answer.done():
            connection.close()
            processes.kill_family(hello.pid)
            return
        expected.pid, expected.connection = hello.pid, connection
        if hello.role in _FORKED_BY_FILE:
            del self._expected[hello.ident]
            self._workers[hello.ident] = hello.pid
            expected.answer.set_result((connection, hello.pid))
            return
        if hello.role == "store":
            expected.answer.set_result(connection)
            return
        connection.on_frame = lambda frame: self._on_loading_frame(hello.ident, expected, frame)
        connection.on_lost = lambda: self._fail_later(hello.ident)

    def _on_root_frame(self, connection: Connection, frame: FromProcess) -> None:
        match frame:
            case Ready():
                self._root = connection
                if self._folder is None:
                    self.serve(self._bundles)
                if self._root_ready is not None and not self._root_ready.done():
                    self._root_ready.set_result(frame.config)
            case Files():
                expected = self._expected.get(frame.ident)
                if expected is not None and not expected.answer.done():
                    expected.answer.set_result(frame.paths)
            case Exited():
                expected = self._expected.get(frame.ident)
                if expected is not None:
                    expected.status = frame.status
                    self._fail_later(frame.ident)
                self._tell_exit(frame)
            case _:
                connection.close()

    def _on_root_lost(self, connection: Connection) -> None:
        if self._root is connection:
            self._root = None
            self._root_pid = 0
        for ident, expected in list(self._expected.items()):
            if expected.connection is None and expected.role not in _FORKED_BY_FILE:
                del self._expected[ident]
                if not expected.answer.done():
                    expected.answer.set_exception(RootLost())
        if not self._stopping and (self._restart is None or self._restart.done()):
            log.warning("the root zygote is gone; starting another")
            self._restart = asyncio.get_running_loop().create_task(self._restart_root())

    async def _restart_root(self) -> None:
        delay = 0.0
        while not self._stopping:
            await asyncio.sleep(delay)
            with contextlib.suppress(Unavailable):
                await self._start_root()
                return
            delay = min(30.0, delay * 2 or 0.5)

    def _on_loading_frame(self, ident: int, expected: _Expected, frame: FromProcess) -> None:
        if expected.answer.done() or expected.connection is None:
            return
        if isinstance(frame, Ask):
            answering = asyncio.get_running_loop().create_task(self._reply(expected.connection, frame))
            self._answering.add(answering)
            answering.add_done_callback(self._answering.discard)
        if not isinstance(frame, Loaded):
            return
        loaded = LoadedFile.from_frame(frame)
        if expected.role == "loader":
            expected.answer.set_result(loaded)
            return
        connection = expected.connection
        zygote = FileZygote(ident, expected.pid, connection, loaded)
        self._zygotes[ident] = zygote
        connection.on_frame = lambda frame: self._on_zygote_frame(zygote, frame)
        connection.on_lost = lambda: self._on_zygote_lost(zygote)
        expected.answer.set_result(zygote)

    async def _reply(self, connection: Connection, ask: Ask) -> None:
        try:
            connection.send(Reply(ask.number, await self.answer(ask), None))
        except Exception as error:
            connection.send(Reply(ask.number, None, str(error)))

    def _on_zygote_frame(self, zygote: FileZygote, frame: FromProcess) -> None:
        if not isinstance(frame, Exited):
            zygote.connection.close()
            return
        zygote.forked.discard(frame.ident)
        self._fail_expected(frame.ident, f"its process {ending(frame.status)} before it was ready")
        self._tell_exit(frame)

    def _tell_exit(self, frame: Exited) -> None:
        watcher = self._exit_watchers.pop(frame.ident, None)
        if watcher is not None:
            watcher(frame.status)

    def _on_zygote_lost(self, zygote: FileZygote) -> None:
        self._zygotes.pop(zygote.ident, None)
        for ident in zygote.forked:
            self._fail_expected(ident, "its zygote was lost")
        zygote.on_lost()

    def _fail_expected(self, ident: int, reason: str, *, from_outside: bool = False) -> None:
        expected = self._expected.pop(ident, None)
        if expected is not None and not expected.answer.done():
            expected.answer.set_exception(ProcessEnded(reason, from_outside=from_outside))

    def _fail_later(self, ident: int) -> None:
        def fail() -> None:
            expected = self._expected.get(ident)
            if expected is not None:
                how = "ended" if expected.status is None else ending(expected.status)
                is_killed = expected.status in (None, -signal.SIGKILL)
                self._fail_expected(ident, f"the process that imported it {how}", from_outside=is_killed)

        asyncio.get_running_loop().call_later(_CAUSE_PATIENCE, fail)

    def _new_ident(self) -> int:
        self._next_ident += 1
        return self._next_ident

    def _unloadable(self, path: str, reason: str, seconds: float) -> LoadedFile:
        return LoadedFile(path, "", {}, [(self._bundles.relative(path), reason)], [], seconds)


async def _no_answer(ask: Ask) -> object:
    raise LookupError("nobody answers questions here")


def _become_triggerer(answer: "asyncio.Future[tuple[Connection, int]]") -> None:
    if not answer.cancelled() and answer.exception() is None:
        answer.result()[0].send(ForkTriggerer(0))


__all__ = ["Fleet"]
