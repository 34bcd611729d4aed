"""The server's end of a process that knows an Airflow installation: its auth manager, its metadata database, its bundles.

One process, `dagcall: airflow`, or `dagcall: recorder` for what must not delay the questions of the first. It is the
only one with the whole configuration (the database's address, the signing keys); it runs no DAG file and is never
forked to run one. It lives below a side process of its own, so that it ends with the server, with all it has started.

Guarantees:
- It is started by the first `use` or `ask`, and never before: a server that needs no Airflow has no such process.
- Every question ends within its limit: with an answer, `AirflowRefused` (the process said no), or `Unavailable` (it could
  not be asked). A lost process is no answer: never a yes.
- A process that is lost is started again, at once the first time, then with growing pauses. Questions wait meanwhile;
  those that it took down with it are asked again, unless they must not be.
- One that does not answer anything any more is ended, and started again.
"""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from dagcall.errors import Unavailable
from dagcall.workers import processes
from dagcall.workers.airflow_frames import Answer, Began, FromAirflow, Question, Use, decode_from_airflow
from dagcall.workers.base import AirflowRefused
from dagcall.workers.connection import Connection, Gate
from dagcall.workers.frames import Hello

log = logging.getLogger("dagcall.workers")

T = TypeVar("T")

PROGRAM = "dagcall.airflow_bridge.desk"
ASK_LIMIT = 15.0
"""Seconds for a question, the start of the process included: a cold import of Airflow's API has been seen to take 8."""
START_LIMIT = 120.0
STUCK_AFTER = 30.0
"""Seconds without any answer, while one is owed, after which a process is ended."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_SETTLED_AFTER = 60.0
"""A process that has served so long was no failed start: the next one is started at once."""


@dataclass
class _Asked:
    question: Question
    answer: "asyncio.Future[Answer]"
    again: bool
    is_sent: bool = False


class AirflowProcess:
    """Implements `base.AirflowSide`. Event loop only."""

    def __init__(self, role: str, environment: dict[str, str]) -> None:
        """`role`: its title is `dagcall: ROLE`. `environment`: the whole one, Airflow's secrets included."""
        self._role = role
        self._environment = environment
        self._topics: dict[str, dict[str, Any]] = {}
        self._asked: dict[int, _Asked] = {}
        self._next_number = 0
        self._gate: Gate | None = None
        self._connection: Connection | None = None
        self._began = False
        self._pid = 0
        self._heard = 0.0
        self._life: asyncio.Task[None] | None = None
        self._side: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._starts = 0

    @property
    def is_started(self) -> bool:
        return self._life is not None

    @property
    def trouble(self) -> str | None:
        if self._life is None or self._began:
            return None
        return f"the process `dagcall: {self._role}` {'is being restarted' if self._starts > 1 else 'is starting'}"

    def use(self, topic: str, setup: Mapping[str, Any] | None = None) -> None:
        self._topics[topic] = dict(setup or {})
        if self._began:
            self._send(Use(topic, self._topics[topic]))
        self._start()

    async def ask(
        self, what: str, args: Mapping[str, Any], answer: type[T], *, limit: float = ASK_LIMIT, again: bool = True
    ) -> T:
        if self._stopping:
            raise Unavailable("the server is stopping", retry_after=5.0)
        self._start()
        loop = asyncio.get_running_loop()
        self._next_number += 1
        number = self._next_number
        asked = self._asked[number] = _Asked(Question(number, what, dict(args)), loop.create_future(), again)
        begun = loop.time()
        if self._began:
            self._submit(asked)
        try:
            found = await asyncio.wait_for(asked.answer, limit)
        except TimeoutError:
            self._end_if_stuck(begun)
            raise self._unavailable(f"did not answer within {limit:g} s") from None
        finally:
            self._asked.pop(number, None)
        if found.kind is not None:
            if found.kind == "":
                raise self._unavailable(found.error)
            raise AirflowRefused(found.kind, found.error)
        return msgspec.convert(found.value, answer)

    async def stop(self) -> None:
        """End it; returns when it is gone."""
        self._stopping = True
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(Unavailable("the server is stopping", retry_after=5.0))
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        if self._gate is not None:
            await self._gate.close()

    def _start(self) -> None:
        if self._life is None and not self._stopping:
            self._life = asyncio.get_running_loop().create_task(self._live(), name=f"dagcall-{self._role}-side")

    async def _live(self) -> None:
        """Have a process, for as long as the server lives."""
        loop = asyncio.get_running_loop()
        self._gate = Gate(self._introduce, decode_from_airflow)
        await self._gate.open()
        pause = 0.0
        while True:
            begun = loop.time()
            self._starts += 1
            try:
                await self._live_once()
            except OSError as error:
                log.error("the process `dagcall: %s` cannot be started: %s", self._role, error)
            if loop.time() - begun > _SETTLED_AFTER:
                pause = 0.0
            log.warning("the process `dagcall: %s` has ended; starting another", self._role)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)

    async def _live_once(self) -> None:
        assert self._gate is not None
        side = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "dagcall.workers.side",
            PROGRAM,
            self._gate.folder,
            stdin=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        assert side.stdin is not None
        self._side = side
        late = asyncio.get_running_loop().call_later(START_LIMIT, self._end_if_late, side)
        try:
            bootstrap = {"socket": self._gate.path, "token": self._gate.token, "role": self._role, "ident": side.pid}
            with contextlib.suppress(OSError):
                side.stdin.write(json.dumps(bootstrap).encode() + b"\n")
                await side.stdin.drain()
            await side.wait()  # it ends with its only child
        finally:
            late.cancel()
            await self._end(side)
            self._lose()

    async def _end(self, side: asyncio.subprocess.Process) -> None:
        if side.returncode is not None:
            if processes.has_title(self._pid, self._role):  # the side was killed: so is its child, by the kernel
                processes.kill_family(self._pid)
            return
        assert side.stdin is not None
        side.stdin.close()
        try:
            await asyncio.wait_for(side.wait(), 10)
        except TimeoutError:
            processes.kill_family(side.pid)
            await side.wait()

    def _end_if_late(self, side: asyncio.subprocess.Process) -> None:
        if side is self._side and not self._began:
            log.error("the process `dagcall: %s` did not start within %g s", self._role, START_LIMIT)
            processes.kill_family(side.pid)

    def _end_if_stuck(self, asked_at: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._began and self._pid and asked_at > self._heard and now - self._heard > STUCK_AFTER:
            log.error("the process `dagcall: %s` (pid %d) answers nothing any more: it is ended", self._role, self._pid)
            processes.kill_family(self._pid)

    def _introduce(self, connection: Connection, hello: Hello) -> None:
        if self._side is None or hello.ident != self._side.pid or hello.role != self._role or self._connection:
            connection.close()
            return
        self._connection, self._pid = connection, hello.pid
        connection.on_frame = lambda frame: self._on_frame(connection, frame)
        connection.on_lost = lambda: self._on_lost(connection)

    def _on_frame(self, connection: Connection, frame: Any) -> None:
        if connection is not self._connection:
            return
        heard: FromAirflow = frame
        self._heard = asyncio.get_running_loop().time()
        match heard:
            case Began():
                self._began = True
                for topic, setup in self._topics.items():
                    self._send(Use(topic, setup))
                for asked in list(self._asked.values()):
                    self._submit(asked)
            case Answer():
                asked_for = self._asked.get(heard.number)
                if asked_for is not None and not asked_for.answer.done():
                    asked_for.answer.set_result(heard)
            case _:
                connection.close()

    def _on_lost(self, connection: Connection) -> None:
        if connection is self._connection:
            if processes.has_title(self._pid, self._role):
                processes.kill_family(self._pid)  # it is of no use without its connection
            self._lose()

    def _lose(self) -> None:
        self._connection, self._began, self._pid = None, False, 0
        for asked in self._asked.values():
            if asked.is_sent and not asked.again and not asked.answer.done():
                asked.answer.set_exception(self._unavailable("was lost while it was asked"))

    def _submit(self, asked: _Asked) -> None:
        if not asked.answer.done():
            asked.is_sent = True
            self._send(asked.question)

    def _send(self, question: Question | Use) -> None:
        if self._connection is not None:
            self._connection.send(question)

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable(
            f"The Airflow side of this server (process `dagcall: {self._role}`) {what}.", retry_after=1.0
        )


__all__ = ["AirflowProcess"]
