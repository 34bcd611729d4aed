"""Notices are told at least once, whatever becomes of the server; real journal, machine and drivers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

from dagcall.coordinator import notices
from dagcall.coordinator.clock import SystemClock
from dagcall.coordinator.notices import KIND, Notices, Users
from dagcall.coordinator.recovery import rebuild
from dagcall.coordinator.run import Run
from dagcall.core.machine import RunMachine
from dagcall.errors import DagNotFound, JournalAway, JournalError, Unavailable
from dagcall.journal.memory import MemoryJournal, MemoryStorage
from dagcall.journal.store import Put
from dagcall.model.commands import Record
from dagcall.model.events import AttemptEnded, AttemptStarted, EndKind, RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.notice import Call, Notice
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState
from dagcall.workers.frames import Ended, Notify

KEY = RunKey("d", "r")
PLAN = DagPlan("d", "1", "d.py", "d.py", (TaskPlan("t", "Op"),), callbacks=(Call.DAG_SUCCESS,))
NOTICE = Notice((Call.DAG_SUCCESS,), "success", "success", 2.0, "t", first_attempt=1, state="success")


class HandLease:
    pid = 1

    def __init__(self, job: Any) -> None:
        self.job = job
        self.frame: Notify | None = None
        self.stopped = ""

    def start(self, start: Any, hard_limit: float | None) -> None:
        self.frame = start

    def stop(self, reason: str) -> None:
        self.stopped = reason
        self.job.lost("WorkerLost", reason)

    def reply(self, number: int, value: object, error: str | None) -> None: ...


class Server:
    """One that has an ended run."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.journal = MemoryJournal(storage)
        self.leases: list[HandLease] = []
        self.in_use = 0
        self.has_code = True
        users = Users(self.find_run, self.find_code, self.use, self.unuse, lambda run, error: None)
        self.notices = Notices(self.journal, self, SystemClock(), users)  # type: ignore[arg-type]

    async def start(self, limit: float = 50.0) -> "Server":
        self.notices.begin(await self.journal.open(), limit, lambda run, ask: None)
        return self

    def submit_aside(self, job: Any) -> None:
        lease = HandLease(job)
        self.leases.append(lease)
        job.leased(lease)

    async def find_run(self, key: RunKey) -> Run:
        run = await rebuild(self.journal, key)
        assert run is not None
        return run

    async def find_code(self, run: Run) -> Any:
        if not self.has_code:
            raise DagNotFound(dag_id=run.key.dag_id)
        return self

    def use(self, code: Any) -> None:
        self.in_use += 1

    def unuse(self, code: Any) -> None:
        self.in_use -= 1

    async def ended_run(self) -> Run:
        await self.journal.put_plan(PLAN)
        machine, records = RunMachine(PLAN, KEY), []
        events = (RunAccepted(*KEY, "1"), AttemptStarted(1, 1), AttemptEnded(1, 1, EndKind.SUCCESS, plain=b"1"))
        for event in events:
            for command in machine.step(event, 2.0):
                if isinstance(command, Record):
                    records.append(JournalRecord(len(records) + 1, 2.0, command.kind, command.data, command.event))
        head = RunHead(KEY, RunState.SUCCESS, "1", 1.0, 1.0, last_record=len(records))
        await self.journal.append(Batch(head, tuple(records)))
        return await self.find_run(KEY)

    async def stored(self) -> int:
        return len(await self.journal.store.items(KIND))

    async def callbacks(self) -> list[dict[str, Any]]:
        return [record.data for record in await self.journal.records(KEY) if record.kind == "callback"]

    def end(self, error: tuple[str, str] | None = None) -> None:
        lease = self.leases[-1]
        assert lease.frame is not None
        kind = "success" if error is None else "failed"
        lease.job.ended(
            Ended(lease.frame.attempt, lease.frame.epoch, kind, error, None, None, [], None, [], None, b"", None)
        )


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    return lambda: asyncio.run(test())  # type: ignore[arg-type]


@in_loop
async def test_it_is_kept_told_recorded_and_forgotten() -> None:
    server = await Server(MemoryStorage()).start()
    run = await server.ended_run()
    server.notices.give(run, server, NOTICE)  # type: ignore[arg-type]
    await settle()
    assert (await server.stored(), server.in_use, server.notices.count) == (1, 1, 1)
    frame = server.leases[0].frame
    assert frame is not None
    assert (frame.calls, frame.reason, frame.start.task_id) == (["on_success_callback"], "success", "t")
    server.end()
    await server.notices.wait()
    assert (await server.stored(), server.in_use) == (0, 0)
    assert await server.callbacks() == [
        {"calls": ["on_success_callback"], "state": "success", "task_id": "t", "map_index": -1}
    ]
    again = await server.find_run(KEY)
    assert (again.head.last_record, again.records[-1].kind) == (len(again.records), "callback")


@in_loop
async def test_one_that_is_about_no_task_is_told_of_the_run_as_such() -> None:
    server = await Server(MemoryStorage()).start()
    notice = Notice((Call.RUN_RUNNING,), "started", "running")
    server.notices.give(await server.ended_run(), server, notice)  # type: ignore[arg-type]
    await settle()
    frame = server.leases[0].frame
    assert frame is not None
    assert (frame.start.task_id, frame.start.run_id, frame.run_state) == ("", "r", "running")
    server.end()
    await server.notices.wait()
    assert await server.callbacks() == [{"calls": ["on_dag_run_running"], "state": "success"}]


@in_loop
async def test_one_that_fails_is_recorded_with_its_error_and_not_repeated() -> None:
    server = await Server(MemoryStorage()).start()
    server.notices.give(await server.ended_run(), server, NOTICE)  # type: ignore[arg-type]
    await settle()
    server.end(("ValueError", "no"))
    await server.notices.wait()
    assert await server.stored() == 0
    (record,) = await server.callbacks()
    assert (record["state"], record["error"]) == ("failed", {"type": "ValueError", "message": "no"})


@in_loop
async def test_what_a_server_leaves_is_told_by_the_next_one() -> None:
    storage = MemoryStorage()
    server = await Server(storage).start()
    run = await server.ended_run()
    server.notices.give(run, server, NOTICE)  # type: ignore[arg-type]
    server.notices.give(run, server, NOTICE)  # type: ignore[arg-type]
    await settle()
    server.end()
    await settle()
    await server.notices.stop()
    await server.journal.close()
    following = await Server(storage).start()
    assert await following.stored() == 1
    await following.notices.resume()
    await settle()
    assert len(following.leases) == 1
    following.end()
    await following.notices.wait()
    assert await following.stored() == 0
    assert len(await following.callbacks()) == 2


@in_loop
async def test_one_whose_file_is_gone_is_forgotten() -> None:
    storage = MemoryStorage()
    server = await Server(storage).start()
    server.notices.give(await server.ended_run(), server, NOTICE)  # type: ignore[arg-type]
    await settle()
    await server.notices.stop()
    await server.journal.close()
    following = await Server(storage).start()
    following.has_code = False
    await following.notices.resume()
    await following.notices.wait()
    assert await following.stored() == 0


@in_loop
async def test_one_whose_run_cannot_be_read_now_is_told_later() -> None:
    """It was forgotten."""
    storage = MemoryStorage()
    server = await Server(storage).start()
    server.notices.give(await server.ended_run(), server, NOTICE)  # type: ignore[arg-type]
    await settle()
    await server.notices.stop()
    await server.journal.close()
    following = await Server(storage).start()
    records, failures = following.journal.records, [JournalAway("gone"), Unavailable("its runs are read first")]

    async def fail(key: RunKey, after: int = 0) -> Any:
        if failures:
            raise failures.pop()
        return await records(key, after)

    following.journal.records = fail  # type: ignore[method-assign]
    with mock.patch.object(notices, "_AGAIN", 0.0):
        await following.notices.resume()
        await settle()
    assert await following.stored() == 1
    assert following.leases[0].frame is not None


@in_loop
async def test_one_that_takes_too_long_is_ended() -> None:
    server = await Server(MemoryStorage()).start(limit=0.0)
    server.notices.give(await server.ended_run(), server, NOTICE)  # type: ignore[arg-type]
    await server.notices.wait()
    (record,) = await server.callbacks()
    assert record["error"]["message"] == "it took longer than 0 s ([dag_processor] dag_file_processor_timeout)"
    assert server.leases[0].stopped


@in_loop
async def test_what_is_kept_with_a_batch_is_told_once_and_found_out_when_the_journal_has_failed() -> None:
    server = await Server(MemoryStorage()).start()
    run = await server.ended_run()
    for is_there in (True, False):
        kept = server.notices.keep(run, NOTICE)
        if is_there:
            await server.journal.store.write(Put(*kept.item))
        await server.notices.resume()  # another server's end, say: this notice is under way here
        assert not server.leases
        server.notices.find_out(run, server, kept)  # type: ignore[arg-type]
        await settle()
        assert len(server.leases) == is_there
        if is_there:
            server.end()
            await settle()
            server.leases.clear()
        assert (await server.stored(), server.in_use, server.notices.count) == (0, 0, 0)


@in_loop
async def test_a_journal_that_fails_is_waited_for() -> None:
    server = await Server(MemoryStorage()).start()
    run = await server.ended_run()
    write, failures = server.journal.store.write, [JournalError("the disk is full")]

    async def fail(*changes: Any) -> Any:
        if failures:
            raise failures.pop()
        return await write(*changes)

    server.journal.store.write = fail  # type: ignore[method-assign]
    with mock.patch.object(notices, "_AGAIN", 0.0):
        server.notices.give(run, server, NOTICE)  # type: ignore[arg-type]
        await settle()
    assert len(server.leases) == 1
    assert await server.stored() == 1


@in_loop
async def test_that_it_ran_is_recorded_although_the_journal_fails_at_first() -> None:
    server = await Server(MemoryStorage()).start()
    append, failures = server.journal.append, [JournalError("the disk is full")]

    def fail(batch: Batch, durability: str = "process") -> "asyncio.Future[None]":
        if not failures:
            return append(batch, durability)
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        refused.set_exception(failures.pop())
        return refused

    server.notices.give(await server.ended_run(), server, NOTICE)  # type: ignore[arg-type]
    await settle()
    server.journal.append = fail  # type: ignore[method-assign]
    with mock.patch.object(notices, "_AGAIN", 0.0):
        server.end()
        await server.notices.wait()
    assert [data["state"] for data in await server.callbacks()] == ["success"]
    assert await server.stored() == 0
