"""Notices: telling user code that a run has begun or ended, or that a task was lost.

Never in this process, never before the caller was answered, and never in a caller's way: a notice is a job of the side
lane of its DAG file (`Workers.submit_aside`). What its calls raise harms nothing; one that takes longer than Airflow's
`[dag_processor] dag_file_processor_timeout` is ended.

At least once: a notice is in the store before it is begun, and taken out when it has ended, however it did. One that the
server's end interrupts, or leaves waiting, is begun (again) by the next server. That it ran, and how it ended, is a
`callback` record of its run, which may follow the run's `end`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from dagcall.coordinator.clock import Clock
from dagcall.coordinator.run import Run
from dagcall.coordinator.starting import start_frame
from dagcall.crashpoints import reached
from dagcall.errors import DagcallError, JournalAway
from dagcall.journal.base import Journal
from dagcall.journal.store import Put, Remove
from dagcall.model.commands import Record, StartAttempt
from dagcall.model.ids import RunKey
from dagcall.model.notice import Notice
from dagcall.workers.base import Code, Lease, Workers
from dagcall.workers.frames import Amended, Ask, Chunk, Ended, Notify, Pushed

log = logging.getLogger("dagcall.notices")

KIND = "notice"
_AGAIN = 1.0
"""Seconds."""
LIMIT = 50.0
"""Seconds; default of Airflow's setting."""

Answer = Callable[[Run, Ask], "asyncio.Future[object] | object"]


class Stored(msgspec.Struct):
    """A notice in the store."""

    run: RunKey
    notice: Notice


@dataclass(frozen=True)
class Users:
    """What a notice needs of its surroundings. `use` and `unuse` keep a version of a file from being given up;
    `recorded` is told of a run that was written to, or with an error that could not be."""

    find_run: Callable[[RunKey], Awaitable[Run]]
    find_code: Callable[[Run], Awaitable[Code]]
    use: Callable[[Code], None]
    unuse: Callable[[Code], None]
    recorded: Callable[[Run, BaseException | None], None]


class Notices:
    def __init__(self, journal: Journal, workers: Workers, clock: Clock, users: Users) -> None:
        self._journal = journal
        self._workers = workers
        self._clock = clock
        self._users = users
        self._limit = LIMIT
        self._epoch = 0
        self._answer: Answer
        self._numbers = 0
        self._telling: set[str] = set()
        """Of those in the store, which are this server's work already."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def count(self) -> int:
        """How many have not ended."""
        return len(self._tasks)

    def begin(self, epoch: int, limit: float, answer: Answer) -> None:
        """`answer`: to what running code asks."""
        self._epoch, self._limit, self._answer = epoch, limit, answer

    def give(self, run: Run, code: Code, notice: Notice) -> None:
        """Tell it, as soon as the side lane is free."""
        self._numbers += 1
        key = f"{run.key.dag_id}/{run.key.run_id}/{self._epoch}.{self._numbers}"
        self._users.use(code)
        self._telling.add(key)
        self._add(self._keep_and_tell(key, run, code, notice))

    async def resume(self) -> None:
        """Take up what servers have left that this one goes on for."""
        items = await self._journal.store.items(KIND)
        epochs = await self._journal.stands_for() if items else ()
        for item in items:
            if item.key in self._telling or _epoch_of(item.key) not in epochs:
                continue
            stored = msgspec.json.decode(item.value, type=Stored)
            try:
                run = await self._users.find_run(stored.run)
                code = await self._users.find_code(run)
            except DagcallError as error:
                log.warning("a notice of run %s cannot be given any more: %s", stored.run, error)
                await self._journal.store.write(Remove(KIND, item.key))
                continue
            self._users.use(code)
            self._telling.add(item.key)
            self._add(self._tell(item.key, run, code, stored.notice))

    async def wait(self) -> None:
        """Until all that were given have ended."""
        await self._quiet.wait()

    async def stop(self) -> None:
        """What has not ended stays in the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _add(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name="dagcall-notice")
        self._tasks.add(task)
        self._quiet.clear()
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._quiet.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("a notice failed", exc_info=task.exception())

    async def _keep_and_tell(self, key: str, run: Run, code: Code, notice: Notice) -> None:
        value = msgspec.json.encode(Stored(run.key, notice))
        try:
            await self._keep(Put(KIND, key, value, self._clock.now()))
        except BaseException:
            self._users.unuse(code)
            raise
        reached("notice.kept")
        await self._tell(key, run, code, notice)

    async def _keep(self, change: Put) -> None:
        """It has happened, so a journal that is away is waited for."""
        while True:
            try:
                await self._journal.store.write(change)
                return
            except JournalAway as away:
                log.warning("a notice has to wait: %s", away)
            await asyncio.sleep(_AGAIN)

    async def _tell(self, key: str, run: Run, code: Code, notice: Notice) -> None:
        self._numbers += 1
        try:
            job = NoticeJob(run, code, notice, self._frame(run, notice, self._numbers), self._answer, self._limit)
            self._workers.submit_aside(job)
            error = await job.ended_with
        finally:
            self._users.unuse(code)
        data: dict[str, Any] = {
            "calls": [call.value for call in notice.calls],
            "state": "failed" if error else "success",
        }
        if notice.task_id:
            data |= {"task_id": notice.task_id, "map_index": notice.map_index}
        if error is not None:
            data["error"] = {"type": error[0], "message": error[1]}
            log.warning("run %s: %s failed: %s: %s", run.key, ", ".join(data["calls"]), *error)
        reached("notice.told")
        await self._record(run, data)
        reached("notice.recorded")
        await self._journal.store.write(Remove(KIND, key))
        self._telling.discard(key)

    async def _record(self, run: Run, data: dict[str, Any]) -> None:
        if run.was_given_up:  # its driver's successor has another view of it, which may hold more
            run = await self._users.find_run(run.key)
        batch = run.recorder.batch([Record("callback", data)], self._clock.now())

        def committed(appended: "asyncio.Future[None]") -> None:
            if not appended.cancelled() and appended.exception() is None:
                run.publish(batch.records, batch.head)  # at once: before what comes after it is published
                self._users.recorded(run, None)

        appended = self._journal.append(batch)
        appended.add_done_callback(committed)
        try:
            await asyncio.shield(appended)
        except DagcallError as error:
            log.warning("run %s: that a callback ran could not be recorded: %s", run.key, error)
            self._users.recorded(run, error)

    def _frame(self, run: Run, notice: Notice, number: int) -> Notify:
        command = StartAttempt(notice.first_attempt, notice.task_id, notice.map_index, notice.try_number, False)
        start = start_frame(run, command, self._epoch, "", [])
        start = msgspec.structs.replace(start, attempt=number)
        return Notify(
            attempt=number,
            epoch=self._epoch,
            start=start,
            calls=[call.value for call in notice.calls],
            reason=notice.reason,
            run_state=notice.run_state,
            run_end=notice.run_end,
            state=notice.state,
            start_date=notice.start_date,
            end_date=notice.end_date,
            assets=notice.assets,
        )


def _epoch_of(key: str) -> int:
    """Of the server whose notice it is."""
    return int(key.rpartition("/")[2].partition(".")[0])


class NoticeJob:
    """Implements `workers.base.Job`. `ended_with`: the error of the first call that failed, or None."""

    priority: tuple[float, ...] = ()

    def __init__(self, run: Run, code: Code, notice: Notice, frame: Notify, answer: Answer, limit: float) -> None:
        self._run = run
        self.code = code
        self._notice = notice
        self._frame = frame
        self._answer = answer
        self._limit = limit
        self._lease: Lease | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self.ended_with: asyncio.Future[tuple[str, str] | None] = asyncio.get_running_loop().create_future()

    @property
    def run(self) -> RunKey:
        return self._run.key

    def leased(self, lease: Lease) -> None:
        self._lease = lease
        if self.ended_with.done():  # the server stops
            lease.stop("not wanted any more")
            return
        reason = f"it took longer than {self._limit:g} s ([dag_processor] dag_file_processor_timeout)"
        self._overdue = asyncio.get_running_loop().call_later(self._limit, lease.stop, reason)
        lease.start(self._frame, None)

    def pushed(self, frame: Pushed) -> None:
        """Of an XCom nothing is kept: the task it would belong to has ended."""

    def emitted(self, frame: Chunk) -> None:
        """As `pushed`."""

    def amended(self, frame: Amended) -> None:
        """As `pushed`."""

    def asked(self, frame: Ask) -> None:
        answer, lease = self._answer(self._run, frame), self._lease
        assert lease is not None

        def reply(answered: "asyncio.Future[object]") -> None:
            error = answered.exception()
            lease.reply(frame.number, None if error else answered.result(), str(error) if error else None)

        if isinstance(answer, asyncio.Future):
            answer.add_done_callback(reply)
        else:
            lease.reply(frame.number, answer, None)

    def ended(self, frame: Ended) -> None:
        self._end(frame.error)

    def lost(self, kind: str, reason: str) -> None:
        self._end((kind, reason))

    def _end(self, error: tuple[str, str] | None) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
        if not self.ended_with.done():
            self.ended_with.set_result(error)


__all__ = ["Notices", "Users"]
