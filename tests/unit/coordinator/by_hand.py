"""A server without HTTP and processes: real drivers, machines and journal; a worker is leased when the test says so."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from dagcall.coordinator.assets import Assets
from dagcall.coordinator.awaits import Awaited, Awaits
from dagcall.coordinator.clock import SystemClock
from dagcall.coordinator.driver import Driver, Surroundings
from dagcall.coordinator.limits import Limits
from dagcall.coordinator.recovery import rebuild
from dagcall.coordinator.run import Run
from dagcall.core.claims import Claims
from dagcall.core.instance import TaskInstance
from dagcall.core.machine import RunMachine
from dagcall.core.slots import Need
from dagcall.journal.memory import MemoryJournal, MemoryStorage
from dagcall.model.events import AttemptEnded, EndKind, ErrorInfo, ResumeHow, RunAccepted, Suspension
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.pool import Pool
from dagcall.model.records import RunHead
from dagcall.model.states import RunState, TaskState

DEFAULT = Pool("default_pool", 128, is_binding=False)
NUMBERS = itertools.count()
SUSPENDED = {TaskState.DEFERRED: EndKind.DEFERRED, TaskState.AWAITING_INPUT: EndKind.AWAITING_INPUT}
SUSPENDING = tuple(SUSPENDED.values())
HOLDING = (TaskState.QUEUED, TaskState.RUNNING)


class HandLease:
    pid = 1

    def __init__(self, job: Any) -> None:
        self.job = job
        self.started = False

    def start(self, start: Any, hard_limit: float | None) -> None:
        self.started = True

    def stop(self, reason: str) -> None:
        self.started = False

    def reply(self, number: int, value: object, error: str | None) -> None: ...


class Hands:
    """Implements what a driver asks of `base.Workers`. `at_once`: every job is leased when it is submitted."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self.waiting: list[Any] = []
        self.leases: list[HandLease] = []

    def submit(self, job: Any) -> None:
        self.waiting.append(job)
        if self.at_once:
            self.lease(job)

    def withdraw(self, job: Any) -> None:
        if job in self.waiting:
            self.waiting.remove(job)

    def lease(self, job: Any) -> None:
        self.waiting.remove(job)
        lease = HandLease(job)
        self.leases.append(lease)
        job.leased(lease)


class HandWaiter:
    """A trigger fires when the test says so."""

    def __init__(self) -> None:
        self.awaited: list[Awaited] = []

    def takes(self, awaited: Awaited) -> bool:
        return True

    def start(self, awaited: Awaited) -> None:
        self.awaited.append(awaited)

    def stop(self, awaited: Awaited, *, killed: bool) -> None:
        self.awaited.remove(awaited)

    def timed_out(self, awaited: Awaited) -> None: ...


class Server:
    """Everything but HTTP and processes."""

    def __init__(self, *pools: Pool, at_once: bool = False) -> None:
        self.storage = MemoryStorage()
        self.journal = MemoryJournal(self.storage)
        self.pools = {pool.name: pool for pool in (DEFAULT, *pools)}
        self.at_once = at_once
        self.ids = 0
        self.drivers: dict[RunKey, Driver] = {}

    async def start(self) -> "Server":
        epoch = await self.journal.open()
        self.workers, self.limits = Hands(at_once=self.at_once), Limits()
        self.waiter = HandWaiter()
        self.around = Surroundings(
            journal=self.journal,
            workers=self.workers,  # type: ignore[arg-type]
            limits=self.limits,
            clock=SystemClock(),
            awaits=Awaits(SystemClock(), [self.waiter]),
            epoch=epoch,
            hostname="here",
            assets=Assets(self.journal, SystemClock(), lambda: None),
            log_path=lambda run, command: "/nowhere",
            answer_question=lambda run, ask: None,
            on_published=lambda run: None,
            on_begun=lambda run: None,
            on_answered=lambda run: None,
            on_ended=self.ended,
            notices=None,  # type: ignore[arg-type] # no plan has callbacks
        )
        self.limits.set(self.pools, None, ())
        return self

    def ended(self, run: Run, driver: Driver) -> None:
        self.drivers.pop(run.key, None)
        self.limits.pass_on()

    async def call(self, plan: DagPlan) -> Run:
        self.ids += 1
        key = RunKey(plan.dag_id, f"r{self.ids}")
        await self.journal.put_plan(plan)
        head = RunHead(key, RunState.QUEUED, plan.version, 0.0, 0.0)
        run = Run(key, plan, RunMachine(plan, key), head)
        driver = self.drivers[key] = Driver(run, None, self.around)  # type: ignore[arg-type]
        await driver.accept(RunAccepted(*key, plan.version))
        await settle()
        return run

    async def restart(self) -> None:
        """As after SIGKILL: nothing is left but the journal."""
        self.limits.close()
        for driver in list(self.drivers.values()):
            driver._let_go("gone")
        await self.journal.close()
        self.journal = MemoryJournal(self.storage)
        self.drivers.clear()
        await self.start()
        for head in await self.journal.unfinished():
            run = await rebuild(self.journal, head.key)
            assert run is not None
            self.drivers[run.key] = Driver(run, None, self.around)  # type: ignore[arg-type]
            for awaited in run.machine.pending_awaits():
                self.limits.suspend(run.plan, run.key, awaited, awaited.kind)
        for driver in list(self.drivers.values()):
            driver.resume()
        await settle()

    def set_pool(self, pool: Pool) -> None:
        self.pools = {**self.pools, pool.name: pool}
        self.limits.set(self.pools, None, self.drivers.values())

    @property
    def started(self) -> list[HandLease]:
        return [lease for lease in self.workers.leases if lease.started]

    async def end(self, lease: HandLease, kind: EndKind = EndKind.SUCCESS) -> None:
        lease.started = False
        suspension = Suspension("execute_complete", trigger="T") if kind in SUSPENDING else None
        error = ErrorInfo("Boom", kind.value) if kind in (EndKind.RETRY, EndKind.LOST) else None
        number, epoch = lease.job.command.attempt, self.around.epoch
        event = AttemptEnded(number, epoch, kind, error, plain=b"1", suspension=suspension)
        lease.job.owner.attempt_ended(lease.job, event)
        await settle()

    async def fire(self, awaited: Awaited) -> None:
        self.waiter.awaited.remove(awaited)
        awaited.resume(ResumeHow.EVENT)
        await settle()

    def states(self) -> list[str]:
        return [
            f"{key.run_id} {ti.key} {ti.state.value}"
            for key, driver in self.drivers.items()
            for ti in driver.run.machine.instances()
        ]

    def used(self) -> Counter[object]:
        """What is taken of each limit, by the states that runs show."""
        used: Counter[object] = Counter()
        for driver in self.drivers.values():
            for ti in driver.run.machine.instances():
                for need in self.held(driver.run, ti):
                    used[need.name] += need.slots
        return used

    def held(self, run: Run, ti: TaskInstance) -> tuple[Need, ...]:
        claims = Claims(run.plan, self.pools)
        if ti.state in HOLDING:
            return claims.needs(run.key, ti.task)
        kind = SUSPENDED.get(ti.state)
        return () if kind is None else claims.needs_while_suspended(run.key, ti.task, kind)

    def needs(self, run: Run, task: TaskPlan) -> tuple[Need, ...]:
        return Claims(run.plan, self.pools).needs(run.key, task)

    def limit(self, need: Need) -> int:
        return need.limit if need.limit is not None else self.pools[str(need.name[1])].slots  # type: ignore[index]


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    return lambda: asyncio.run(test())  # type: ignore[arg-type]


def plan_of(*tasks: TaskPlan, **more: Any) -> DagPlan:
    return DagPlan(f"d{next(NUMBERS)}", "1", "d.py", "d.py", tasks, **more)
