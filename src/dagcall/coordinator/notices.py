"""Notices: telling user code that a run has begun or ended, or that a task was lost.

Never in this process, never before the caller was answered, and never in a caller's way: a notice is a job of the side
lane of its DAG file (`Workers.submit_aside`). What its calls raise harms nothing; one that takes longer than Airflow's
`[dag_processor] dag_file_processor_timeout` is ended.

At least once: the notice of a run's end, or of a lost task, is in the store with the records of that (`keep`, `tell`). Any
other, of a run's start or of assets, is there before it is begun (`give`): a kill just before that loses it. It is taken out
when it has ended, however it did. One that the server's end interrupts, or leaves waiting, is begun (again) by the next
server. That it ran, and how it ended, is a `callback` record of its run, which may follow the run's `end`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from dagcall.coordinator.clock import Clock
from dagcall.coordinator.run import Run
from dagcall.coordinator.starting import start_frame
from dagcall.crashpoints import reached
from dagcall.errors import DagcallError, JournalCorrupt, JournalError, JournalFenced, RunNotFound, Unavailable
from dagcall.journal.base import Journal
from dagcall.journal.store import Item, Put, Remove
from dagcall.model.commands import Record, StartAttempt
from dagcall.model.ids import RunKey
from dagcall.model.notice import Notice
from dagcall.model.records import StoredItem
from dagcall.workers.base import Code, Lease, Workers
from dagcall.workers.frames import Amended, Ask, Chunk, Ended, Notify, Pushed

log = logging.getLogger("dagcall.notices")
T = TypeVar("T")

KIND = "notice"
_AGAIN = 1.0
"""Seconds."""
_TRIES = 10
"""To record that it ran; what no journal takes must not wait for ever."""
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


@dataclass(frozen=True)
class KeptNotice:
    """A notice, and what becomes durable with the records of what it tells."""

    notice: Notice
    item: StoredItem


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

    def keep(self, run: Run, notice: Notice) -> KeptNotice:
        """To be told when its item is durable: then `tell`, or `find_out` where that is not known."""
        self._numbers += 1
        key = f"{self._epoch}.{self._numbers}"
        self._telling.add(key)
        value = msgspec.json.encode(Stored(run.key, notice))
        return KeptNotice(notice, StoredItem(KIND, key, value, self._clock.now()))

    def tell(self, run: Run, code: Code, kept: KeptNotice) -> None:
        """As soon as the side lane is free."""
        self._users.use(code)
        self._add(self._tell(kept.item.key, run, code, kept.notice))

    def find_out(self, run: Run, code: Code, kept: KeptNotice) -> None:
        """Tell it if its item was kept although the journal failed."""
        self._users.use(code)
        self._add(self._find_and_tell(run, code, kept))

    def give(self, run: Run, code: Code, notice: Notice) -> None:
        """Keep it now, and tell it then."""
        self._users.use(code)
        self._add(self._keep_and_tell(run, code, self.keep(run, notice)))

    async def resume(self) -> None:
        """Take up what servers have left that this one goes on for. Raises JournalError."""
        items = await self._journal.store.items(KIND)
        epochs = await self._journal.stands_for() if items else ()
        left = [item for item in items if item.key not in self._telling and _epoch_of(item.key) in epochs]
        self._telling.update(item.key for item in left)
        if left:
            self._add(self._take_up(left))

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

    async def _take_up(self, left: Sequence[Item]) -> None:
        for item in left:
            stored = msgspec.json.decode(item.value, type=Stored)
            try:
                run = await self._until_it_works(lambda key=stored.run: self._users.find_run(key))  # type: ignore[misc]
                code = await self._users.find_code(run)
            except JournalFenced:
                raise
            except DagcallError as error:
                log.warning("a notice of run %s cannot be given any more: %s", stored.run, error)
                await self._forget(item.key)
            else:
                self._users.use(code)
                self._add(self._tell(item.key, run, code, stored.notice))

    async def _forget(self, key: str) -> None:
        await self._until_it_works(lambda: self._journal.store.write(Remove(KIND, key)))
        self._telling.discard(key)

    async def _keep_and_tell(self, run: Run, code: Code, kept: KeptNotice) -> None:
        try:
            await self._until_it_works(lambda: self._journal.store.write(Put(*kept.item)))
        except BaseException:
            self._users.unuse(code)
            raise
        await self._tell(kept.item.key, run, code, kept.notice)

    async def _find_and_tell(self, run: Run, code: Code, kept: KeptNotice) -> None:
        try:
            found = await self._until_it_works(lambda: self._journal.store.get(KIND, kept.item.key))
        except BaseException:
            self._users.unuse(code)
            raise
        if found is not None:
            await self._tell(kept.item.key, run, code, kept.notice)
        else:
            self._telling.discard(kept.item.key)
            self._users.unuse(code)

    async def _until_it_works(self, work: Callable[[], Awaitable[T]]) -> T:
        """It has happened, so a journal that fails is waited for. Raises JournalFenced (then others do it), JournalCorrupt,
        and what is not the journal's."""
        while True:
            try:
                return await work()
            except (JournalFenced, JournalCorrupt):
                raise
            except (JournalError, Unavailable) as error:
                log.warning("a notice has to wait: %s", error)
            await asyncio.sleep(_AGAIN)

    async def _tell(self, key: str, run: Run, code: Code, notice: Notice) -> None:
        reached("notice.kept")
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
        await self._forget(key)

    async def _record(self, run: Run, data: dict[str, Any]) -> None:
        view: Run | None = run
        for _ in range(_TRIES):
            try:
                if view is None or view.was_given_up:  # its driver's successor has another view, which may hold more
                    view = await self._users.find_run(run.key)
                await self._append(view, data)
                return
            except DagcallError as error:
                log.warning("run %s: that a callback ran could not be recorded: %s", run.key, error)
                if isinstance(error, JournalFenced | JournalCorrupt | RunNotFound):
                    return
            view = None
            await asyncio.sleep(_AGAIN)

    async def _append(self, run: Run, data: dict[str, Any]) -> None:
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
            self._users.recorded(run, error)
            raise

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
    """Of the server whose notice it is. In older journals the ids of its run stand before a slash."""
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
