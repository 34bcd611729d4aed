"""The elastic set of workers: which job runs where, when to fork, when to end.

Guarantees of `base.Workers`. A job goes to an idle worker of its code at once, most recently used first (its memory
is warm), else it waits for its turn (`job_line`). A worker is forked when a job has waited `SPAWN_AFTER`: long enough
for a worker that is only being restored to come back, short enough not to be felt.

More processes than CPUs help tasks that wait for something; tasks that compute would only get in each other's way. How
many are of use is estimated from the tasks that have ended (`demand`); no more are forked, and no more are given jobs,
while tasks do end. When none has ended for `STALLED_AFTER`, what runs is unlike what has ended: workers are forked at
full speed if nobody wants a CPU, and one each `STARVED_AFTER` otherwise. So tasks that wait for a database never
starve others, and one that takes a CPU for a minute does so for a moment.

No more than `limit` workers live at once; an idle worker of another file makes room. Where only that can help those who
wait, nothing is looked at until a worker is idle or ends: thousands of jobs in line for busy workers cost no CPU.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from dagcall.errors import Unavailable
from dagcall.model.bundle import Bundles
from dagcall.workers import pool_state, processes
from dagcall.workers.airflow_side import AirflowProcess
from dagcall.workers.aside import SideLane
from dagcall.workers.base import Code, Job, TriggerJob
from dagcall.workers.connection import Connection
from dagcall.workers.file_zygote import FileZygote, LoadedFile
from dagcall.workers.fleet import Fleet
from dagcall.workers.frames import Ask, Idle
from dagcall.workers.loaded_code import LoadedCode
from dagcall.workers.memory import Budget
from dagcall.workers.memory_watch import MemoryWatch
from dagcall.workers.store_process import StoreProcess
from dagcall.workers.triggerers import CodeGone, Triggerer
from dagcall.workers.worker import State, Worker

SPAWN_AFTER = 0.001
STALLED_AFTER = 0.05
STARVED_AFTER = 0.1
_CHECK_EVERY = 0.005
_MOST_AT_ONCE = 8
"""Forks under way for one file; a zygote forks one after the other anyway."""
_START_FAILURES = 3
_HOUSEKEEPING = 5.0
_CHANGED = "the process that held this version of the DAG file died, and the file has changed"


@dataclass(frozen=True)
class PoolSettings:
    """`limit`: most workers at once. Seconds and tasks otherwise."""

    limit: int = 32
    idle_worker_seconds: float = 60.0
    idle_zygote_seconds: float = 300.0
    recycle_after: int = 5000
    memory: Budget | None = None
    """What the server and all its processes may use."""


class WorkerPool:
    """Implements `base.Workers`."""

    def __init__(self, fleet: Fleet, settings: PoolSettings, airflow_environment: dict[str, str] | None = None) -> None:
        """`airflow_environment`: of the Airflow-side processes, which are told what workers are not."""
        self._fleet = fleet
        self.airflow = AirflowProcess("airflow", airflow_environment or {})
        self.recorder = AirflowProcess("recorder", airflow_environment or {})
        self._settings = settings
        self._codes: list[LoadedCode] = []
        self._check: asyncio.Handle | None = None
        self._check_due = 0.0
        self._resting = False
        """Jobs wait, and only a worker that becomes idle or ends can change that."""
        self._housekeeper: asyncio.Task[None] | None = None
        self._memory_watch: asyncio.Task[None] | None = None
        self._cpus = len(os.sched_getaffinity(0))
        self._alive = 0
        self._started = self._killed = 0
        self._last_end = 0.0

    async def start(self, answer: Callable[[Ask], Awaitable[object]]) -> dict[str, object]:
        self._fleet.answer = answer
        config = await self._fleet.start()
        self._housekeeper = asyncio.get_running_loop().create_task(self._keep_house(), name="dagcall-housekeeper")
        if self._settings.memory is not None:
            watch = MemoryWatch(self._settings.memory, self._living, lambda: self._end_longest_idle(self._codes))
            self._memory_watch = asyncio.get_running_loop().create_task(watch.run(), name="dagcall-memory-watch")
        return config

    def trace(self, sink: Callable[[bytes], None]) -> None:
        self._fleet.trace(sink)

    async def stop(self) -> None:
        for task in (self._housekeeper, self._memory_watch):
            if task is not None:
                task.cancel()
        if self._check is not None:
            self._check.cancel()
        for code in self._codes:
            if code.aside is not None:
                code.aside.stop()
        await asyncio.gather(self._fleet.stop(), self.airflow.stop(), self.recorder.stop())

    def serve(self, bundles: Bundles) -> None:
        self._fleet.serve(bundles)

    async def list_files(self) -> list[str]:
        return await self._fleet.list_files()

    async def load(self, path: str) -> LoadedCode:
        return LoadedCode(await self._fleet.load(path))

    async def open(self, code: Code) -> LoadedCode:
        """Start the zygote of `code`. Raises Unavailable when it cannot be started."""
        assert isinstance(code, LoadedCode)
        if code.zygote is not None:
            return code
        if code.opening is None or code.opening.done():
            code.opening = asyncio.get_running_loop().create_task(self._open(code))
        return await asyncio.shield(code.opening)

    async def _open(self, code: LoadedCode) -> LoadedCode:
        zygote = await self._fleet.open_zygote(code.path, alone=bool(code.loaded.unforkable))
        target = code if zygote.loaded.version == code.version else LoadedCode(zygote.loaded)
        target.zygote = zygote
        target.last_used = asyncio.get_running_loop().time()
        zygote.on_lost = lambda: self._on_zygote_lost(target, zygote)
        self._remember(target)
        if zygote.loaded.plans:
            self._spawn(target)
        return target

    def close(self, code: Code) -> None:
        assert isinstance(code, LoadedCode)
        code.closing = True
        self._end_if_done(code)

    def missing(self, path: str, version: str) -> LoadedCode:
        code = LoadedCode(LoadedFile(path, version, {}, [], [], 0.0))
        self._codes.append(code)
        return code

    def submit(self, job: Job) -> None:
        code = job.code
        assert isinstance(code, LoadedCode)
        now = asyncio.get_running_loop().time()
        code.last_used = now
        if code.idle and not code.waiting and self._may_lease(code):
            self._lease(code, job)
            return
        self._remember(code)
        code.waiting.push(job, now)
        self._dispatch(code)
        if code.waiting:
            cold = not code.workers and not code.starting
            self._arrange_check(0 if cold else SPAWN_AFTER)

    def _remember(self, code: LoadedCode) -> None:
        """Have it looked after: also one that was forgotten, unused for long, or whose zygote was lost."""
        if code not in self._codes:
            self._codes.append(code)

    def withdraw(self, job: Job) -> None:
        assert isinstance(job.code, LoadedCode)
        job.code.waiting.withdraw(job)

    def submit_aside(self, job: Job) -> None:
        code = job.code
        assert isinstance(code, LoadedCode)
        self._remember(code)
        code.last_used = asyncio.get_running_loop().time()
        if code.aside is None:
            code.aside = SideLane(self._fleet, lambda: self._zygote_of(code), lambda: self._end_if_done(code))
        code.aside.submit(job)

    def watch(self, job: TriggerJob) -> None:
        code = job.code
        assert isinstance(code, LoadedCode)
        self._remember(code)
        if code.triggerer is None:
            code.triggerer = Triggerer(self._fleet, lambda: self._zygote_of(code), lambda: self._end_if_done(code))
        code.triggerer.watch(job)

    def unwatch(self, job: TriggerJob, *, killed: bool) -> None:
        code = job.code
        assert isinstance(code, LoadedCode)
        if code.triggerer is not None:
            code.triggerer.unwatch(job, killed=killed)

    async def open_store(self) -> StoreProcess:
        return await self._fleet.open_store()

    def statistics(self) -> dict[str, int]:
        return {
            "workers": len(self._living()),
            "idle": sum(len(code.idle) for code in self._codes),
            "starting": sum(code.starting for code in self._codes),
            "waiting": sum(len(code.waiting) for code in self._codes),
            "triggers": sum(code.triggerer.count for code in self._codes if code.triggerer is not None),
            "zygotes": sum(code.zygote is not None for code in self._codes),
            "started": self._started,
            "killed": self._killed,
            "limit": self._settings.limit,
        }

    def describe(self) -> list[str]:
        return list(pool_state.describe(self._codes))

    def _lease(self, code: LoadedCode, job: Job) -> None:
        worker = code.idle.pop()
        worker.lease(job)
        is_bare = not code.idle and not code.starting and code.may_have_more
        if code.single_use and is_bare and self._alive < self._settings.limit:
            self._spawn(code)  # the next call finds a process that is ready

    def _dispatch(self, code: LoadedCode) -> None:
        while code.waiting and code.idle and self._may_lease(code):
            self._lease(code, code.waiting.pop(asyncio.get_running_loop().time()))

    def _arrange_check(self, delay: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if self._check is not None:
            if self._check_due <= due:
                return
            self._check.cancel()
        self._check_due = due
        self._check = loop.call_later(delay, self._spawn_where_needed)

    def _spawn_where_needed(self) -> None:
        self._check, self._resting = None, False
        now = asyncio.get_running_loop().time()
        needy = [code for code in self._codes if code.waiting]
        if not needy:
            return
        for code in needy:
            self._dispatch(code)
            if code.idle or not code.waiting:
                continue
            if code.zygote is None:
                self._reopen(code)
            else:
                self._spawn_for(code, now)
        needy = [code for code in needy if code.waiting]
        self._resting = bool(needy) and all(map(self._is_out_of_workers, needy))
        if needy and not self._resting:
            self._arrange_check(_CHECK_EVERY)

    def _is_out_of_workers(self, code: LoadedCode) -> bool:
        """All of its workers are busy, and it can have no other for now."""
        if code.idle or code.starting or code.zygote is None:
            return False
        return not code.may_have_more or (self._alive >= self._settings.limit and not any(c.idle for c in self._codes))

    def _spawn_for(self, code: LoadedCode, now: float) -> None:
        waiting = min(len(code.waiting), _MOST_AT_ONCE) - code.starting
        if waiting <= 0:
            return
        quiet = now - max(self._last_end, code.waiting.since)
        wanted: float = waiting
        useful = code.demand.useful_workers - len(code.workers) - code.starting
        if code.workers and useful < waiting and (quiet < STALLED_AFTER or self._is_cpu_wanted()):
            wanted = useful
            if wanted < 1 and quiet >= STARVED_AFTER:
                wanted = 1
                self._last_end = now
        while wanted >= 1 and code.may_have_more and (self._alive < self._settings.limit or self._make_room(code)):
            self._spawn(code)
            wanted -= 1

    def _may_lease(self, code: LoadedCode) -> bool:
        busy = len(code.workers) - len(code.idle)
        if busy < code.demand.useful_workers:
            return True
        now = asyncio.get_running_loop().time()
        return bool(code.waiting) and now - max(self._last_end, code.waiting.since) >= STALLED_AFTER

    def _is_cpu_wanted(self) -> bool:
        """As many busy workers as there are CPUs run or would like to."""
        on_cpu = 0
        for code in self._codes:
            for worker in code.workers.values():
                if worker.state is State.BUSY and processes.is_on_cpu(worker.pid):
                    on_cpu += 1
                    if on_cpu >= self._cpus:
                        return True
        return False

    def _make_room(self, code: LoadedCode) -> bool:
        """End the idle worker of another file that has been idle longest."""
        return self._end_longest_idle(other for other in self._codes if other is not code)

    def _end_longest_idle(self, codes: Iterable[LoadedCode]) -> bool:
        idle = [code.idle[0] for code in codes if code.idle]
        if not idle:
            return False
        self._end_worker(min(idle, key=lambda worker: worker.idle_since))
        return True

    def _living(self) -> list[Worker]:
        return [worker for code in self._codes for worker in code.workers.values()]

    def _must_make_room_for_others(self, code: LoadedCode) -> bool:
        """All workers there may be are taken, and another file has waited long while it has none."""
        if self._alive < self._settings.limit:
            return False
        now = asyncio.get_running_loop().time()
        return any(
            other is not code and other.waiting and not other.workers and now - other.waiting.since > STARVED_AFTER
            for other in self._codes
        )

    def _end_worker(self, worker: Worker) -> None:
        for code in self._codes:
            if worker in code.idle:
                code.idle.remove(worker)
        worker.close()

    def _spawn(self, code: LoadedCode) -> None:
        assert code.zygote is not None
        code.starting += 1
        self._alive += 1
        zygote = code.zygote
        ident, answer = self._fleet.fork_worker(zygote)
        answer.add_done_callback(lambda future: self._on_spawned(code, ident, zygote, future))

    def _on_spawned(
        self, code: LoadedCode, ident: int, zygote: FileZygote, answer: "asyncio.Future[tuple[Connection, int]]"
    ) -> None:
        code.starting -= 1
        if answer.cancelled() or answer.exception() is not None:
            self._alive -= 1
            if code.zygote is zygote:  # else its loss was counted, once for all the workers it owed
                self._count_failure(code, f"no worker could be started: {answer.exception()}")
            return
        code.failures = 0
        self._started += 1
        connection, pid = answer.result()
        worker = Worker(
            ident,
            connection,
            pid,
            on_idle=lambda worker, frame: self._on_idle(code, worker, frame),
            on_dead=lambda worker: self._on_dead(code, worker),
        )
        self._fleet.watch_exit(ident, worker.exited)
        code.workers[ident] = worker
        self._on_idle(code, worker, None)

    def _on_idle(self, code: LoadedCode, worker: Worker, frame: Idle | None) -> None:
        retire = None
        if frame is not None:
            retire = frame.retire
            self._last_end = worker.idle_since
            code.demand.observe(frame.wall, frame.wanting)
        used_up = worker.tasks_run > 0 and (code.single_use or worker.tasks_run >= self._settings.recycle_after)
        if retire is not None or used_up:
            worker.close()
            if code.waiting:
                self._arrange_check(0)
            return
        # Only once it has done something: two files would take the room from each other for ever.
        if worker.tasks_run > 0 and self._must_make_room_for_others(code):
            worker.close()
            return
        code.idle.append(worker)
        self._dispatch(code)
        if self._resting and code.idle:
            self._arrange_check(0)
        self._end_if_done(code)

    def _on_dead(self, code: LoadedCode, worker: Worker) -> None:
        self._alive -= 1
        self._killed += worker.died_busy
        code.workers.pop(worker.ident, None)
        self._fleet.forget(worker.ident)
        if worker in code.idle:
            code.idle.remove(worker)
        self._fleet.end_orphans({w.pid for c in self._codes for w in c.workers.values()})
        if code.waiting or self._resting:
            self._arrange_check(0)
        self._end_if_done(code)

    def _on_zygote_lost(self, code: LoadedCode, zygote: FileZygote) -> None:
        if code.zygote is zygote:
            code.zygote = None
            self._count_failure(code, "the process that holds the DAG file died again and again")
        if code.waiting:
            self._arrange_check(0)

    def _count_failure(self, code: LoadedCode, reason: str) -> None:
        """Nobody waits for a file whose processes only ever die. One worker that was started ends the count."""
        code.failures += 1
        if code.failures >= _START_FAILURES:
            code.failures = 0
            self._fail_waiting(code, reason)

    def _reopen(self, code: LoadedCode) -> None:
        """Its zygote died: start another for the jobs that wait, if the file is still what it was."""
        if code.opening is not None and not code.opening.done():
            return
        code.opening = asyncio.get_running_loop().create_task(self._reopen_or_fail(code))

    async def _zygote_of(self, code: LoadedCode) -> FileZygote:
        """Raises Unavailable, CodeGone."""
        if code.zygote is None:
            self._reopen(code)
            assert code.opening is not None
            await asyncio.shield(code.opening)
        if code.zygote is not None:
            return code.zygote
        raise CodeGone(_CHANGED) if code.is_gone else Unavailable("the DAG file could not be loaded again")

    async def _reopen_or_fail(self, code: LoadedCode) -> LoadedCode:
        code.is_gone = False
        try:
            zygote = await self._fleet.open_zygote(code.path, alone=bool(code.loaded.unforkable))
        except Unavailable as error:
            self._fail_waiting(code, str(error))
            return code
        if zygote.loaded.version != code.version:
            code.is_gone = True
            self._fleet.close_zygote(zygote)
            self._fail_waiting(code, _CHANGED)
            return code
        code.zygote = zygote
        zygote.on_lost = lambda: self._on_zygote_lost(code, zygote)
        self._arrange_check(0)
        return code

    def _fail_waiting(self, code: LoadedCode, reason: str) -> None:
        for job in code.waiting.drain():
            job.lost("CodeLost", reason)

    def _end_if_done(self, code: LoadedCode) -> None:
        """Processes of a replaced version end with its last job."""
        if not code.closing or code.waiting or code.starting:
            return
        if len(code.idle) < len(code.workers):
            return
        busy = [companion for companion in code.companions if not companion.is_quiet]
        if busy:
            for companion in busy:
                companion.end()
            return
        for worker in list(code.idle):
            self._end_worker(worker)
        if code.zygote is not None and not code.workers:
            self._fleet.close_zygote(code.zygote)
            code.zygote = None
        if not code.workers and code in self._codes:
            self._codes.remove(code)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            now = asyncio.get_running_loop().time()
            for code in list(self._codes):
                for worker in list(code.idle):
                    if now - worker.idle_since > self._settings.idle_worker_seconds:
                        self._end_worker(worker)
                is_unused = not code.workers and not code.waiting and not code.starting
                is_unused &= all(companion.is_quiet for companion in code.companions)
                if is_unused and code.zygote is not None and now - code.last_used > self._settings.idle_zygote_seconds:
                    with contextlib.suppress(ValueError):
                        self._codes.remove(code)
                    self._fleet.close_zygote(code.zygote)
                    code.zygote = None
