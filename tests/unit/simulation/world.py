"""A world for one server after the other: its time, its processes, its disk, its callers, and all that befalls them.

One seed is one history. The server is the real one from its coordinator down to the handles of its workers; everything
it touches is here, decided by one generator of chance numbers, and happens on one virtual clock.

A history has two parts. First things go wrong as `Faults` says. Then the faults end, the server is there, and everybody
must get what they were promised: callers who come back their answer, runs their end.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.coordinator import Coordinator, CoordinatorSettings
from dagcall.errors import DagcallError
from dagcall.journal.memory import MemoryStorage
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch
from dagcall.server.attendance import Attendance
from dagcall.testing.promises import Effect, Told
from dagcall.workers.frames import Ended, Start
from dagcall.workers.pool import PoolSettings, WorkerPool

from .callers import Caller, Habits, Reader
from .play import Player, Rates
from .random_plans import POOLS, random_plan
from .simulated_journal import Fate, SimulatedJournal
from .simulated_processes import Process, SimulatedFleet
from .virtual_loop import VirtualLoop

START = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""
PATIENCE = 16_000.0
"""Virtual seconds after the last fault within which everything must have ended: the clock may have gone back by hours,
three times, and deadlines are times of the day."""
MOST_STEPS = 2_000_000
"""Of a history that never rests. A long one has some 230,000: refused callers come back twice a second, for the hour
that a run waits for the time of the day at which it goes on."""


@dataclass
class Faults:
    """What goes wrong in one history. Shares of 1, where they are no counts."""

    until: float = 0.0
    rates: Rates = field(default_factory=Rates)
    crashes: int = 0
    pauses: int = 0
    """Servers that are stopped (SIGSTOP), replaced by another one, and wake up again."""
    clock_jumps: int = 0
    dead_zygotes: int = 0
    lost_commits: float = 0.0
    untold_commits: float = 0.0
    slow_commits: float = 0.0
    failing_reads: float = 0.0


class Life:
    """One server process, from its start to its end."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.loop = VirtualLoop(lambda: world.now, self._report)
        self.fleet = SimulatedFleet(world, self.loop, world.numbers, lambda: self.sleeps_until - world.now)
        self.is_up = False
        self.sleeps_until = 0.0
        with self.loop.running():
            pool = WorkerPool(self.fleet, PoolSettings(limit=world.workers))  # type: ignore[arg-type]
            settings = CoordinatorSettings(folder="/dags", watch=False, kept_runs=world.kept_runs)
            journal = SimulatedJournal(world.storage, world, self.loop)
            self.coordinator = Coordinator(settings, journal, pool, WallClock(world))
            self.attendance = Attendance(self.coordinator)  # type: ignore[arg-type]
        self.spawn(self._start())

    @property
    def next_due(self) -> float | None:
        due = self.loop.next_due
        return None if due is None else max(due, self.sleeps_until)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        with self.loop.running():
            self.loop.create_task(work)

    def end(self) -> None:
        self.fleet.is_there = False
        with self.loop.running():
            self.loop.end()

    def _report(self, words: str) -> None:
        if self.fleet.is_there:
            self._world.report(f"an error that nobody took: {words}")

    async def _start(self) -> None:
        try:
            await self.coordinator.start()
            for pool in POOLS:
                await self.coordinator.pools.put(pool)
            await self.coordinator.load()
        except DagcallError:
            self._world.kill(self)  # a server that cannot start ends, and is started again
        else:
            self.is_up = True


class WallClock:
    """Implements `coordinator.clock.Clock`."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def now(self) -> float:
        return self._world.wall_clock()

    def new_run_id(self, run_after: float, run_type: str = "manual") -> str:
        return f"{run_type}__{next(self._world.run_ids)}"


class World(Player):
    """All that a server finds, and what chance decides for the simulated journal and processes."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.seed = seed
        self.chance = chance = random.Random(seed)
        self.now = 0.0
        self.faults = faults if faults is not None else random_faults(chance)
        self.rates = self.faults.rates
        self.workers = chance.choice([1, 2, 4, 16])
        self.kept_runs = chance.choice([0, 1, 500])
        self.admitted = chance.choice([2, 100, 100])
        self.plans = {name: random_plan(chance, name) for name in ("alpha", "beta")[: chance.choice([1, 2])]}
        self.storage = MemoryStorage()
        self.numbers = itertools.count(100)
        self.life: Life | None = None
        self.replaced: list[Life] = []
        """Servers that live on although another one has taken their place."""
        self.graves: list[Life] = []
        self.effects: list[Effect] = []
        self.called_back: set[tuple[str, str]] = set()
        self.told: list[Told] = []
        self.outcomes: dict[RunKey, float] = {}
        """When each became durable."""
        self.refused: list[DagcallError] = []
        self.readers: list[Reader] = []
        self.complaints: list[str] = []
        self.executing: dict[Process, Start] = {}
        self.steps = 0
        self.trace = 0
        """Of all that happened, as one number."""
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._places = itertools.count()
        self._wall_offset = 0.0
        self.run_ids = itertools.count(1)
        self.callers = [self._caller(number) for number in range(chance.choice([1, 2, 3, 5, 8]))]

    # The history

    def play(self) -> None:
        self._boot()
        faults, chance = self.faults, self.chance
        for caller in self.callers:
            self.later(chance.random() * faults.until * 0.7, caller.connect)
        for _ in range(faults.crashes):
            self.later(chance.random() * faults.until, self.crash)
        for _ in range(faults.pauses):
            self.later(chance.random() * faults.until, self._pause)
        for _ in range(faults.clock_jumps):
            self.later(chance.random() * faults.until, self._jump)
        for _ in range(faults.dead_zygotes):
            self.later(chance.random() * faults.until, self._kill_a_zygote)
        self.later(faults.until, self._calm_down)
        while not self._is_over():
            if self.now > faults.until + PATIENCE or self.steps > MOST_STEPS:
                self._complain_of_the_unfinished()
                return
            self._step()

    def _step(self) -> None:
        self.steps += 1
        self.now += self.chance.random() * 0.0001
        due = self._agenda[0][0] if self._agenda else None
        lives = [life for life in (self.life, *self.replaced) if life is not None and life.next_due is not None]
        life = min(lives, key=lambda one: one.next_due or 0.0, default=None)
        mine = None if life is None else life.next_due
        if due is not None and (mine is None or due <= max(mine, self.now)):
            self.now = max(self.now, due)
            _, _, action = heapq.heappop(self._agenda)
            action()
        elif life is not None and mine is not None:
            if mine > self.now:
                self.now = mine
                if self.chance.random() < 0.03:
                    self.now += self.chance.random()  # somebody else had the CPU
            with life.loop.running():
                life.loop.run_one()
        else:
            self.now += PATIENCE

    def _is_over(self) -> bool:
        if self.now < self.faults.until or self.life is None or not self.life.is_up:
            return False
        if not all(one.is_done for one in (*self.callers, *self.readers)):
            return False
        statistics = self.life.coordinator.statistics()
        return statistics["runs"] == statistics["callbacks"] == 0 and all(
            run.head.state.is_final for run in self.storage.runs.values()
        )

    def _complain_of_the_unfinished(self) -> None:
        self.report(f"it is not over after {self.steps} steps and {self.now:.0f} s")
        for caller in self.callers:
            if not caller.is_done:
                self.report(f"P10: a caller waits for ever: {caller.request} ({caller.run})")
        for reader in self.readers:
            if not reader.is_done:
                self.report(f"P10: a reader waits for ever: {reader.seen}")
        if self.life is None or not self.life.is_up:
            self.report("the server does not come up")

    def _calm_down(self) -> None:
        self.rates = self.rates.calm()
        for life in list(self.replaced):
            self.kill(life)
        self.faults = replace(self.faults, lost_commits=0, untold_commits=0, slow_commits=0, failing_reads=0)

    # What befalls the server

    def _boot(self) -> None:
        if self.life is None:
            self.life = Life(self)

    def crash(self) -> None:
        """SIGKILL: at this very moment, whatever it was about to do."""
        if self.life is not None:
            self.kill(self.life)

    def kill(self, life: Life) -> None:
        if life in self.graves:
            return
        self.graves.append(life)  # nothing of it is tidied up before the end: that would run its code
        life.fleet.is_there = False
        if life in self.replaced:
            self.replaced.remove(life)
        for process in life.fleet.processes.values():
            self.executing.pop(process, None)
            self.later(self.delay(), lambda process=process: process.die(-9))
        self._replace(life)

    def _replace(self, life: Life) -> None:
        if life is not self.life:
            return
        self.life = None
        self.storage.holder = None
        for one in (*self.callers, *self.readers):
            one.server_is_gone()
        self.later(3.0 + self.chance.random(), self._boot)  # later than any of its processes lives

    def _pause(self) -> None:
        """SIGSTOP, and its lock is lost: another server takes its place, then this one goes on for a while. Its workers
        were never stopped."""
        life = self.life
        if life is not None:
            self.replaced.append(life)
            life.sleeps_until = self.now + self.chance.choice([1.0, 4.0, 10.0])
            for process in life.fleet.processes.values():
                self.executing.pop(process, None)
            self._replace(life)
            self.later(self.chance.choice([8.0, 20.0]), lambda: self.kill(life))

    def _jump(self) -> None:
        self._wall_offset += self.chance.choice([-3600.0, -1.0, 1.0, 3600.0])

    def _kill_a_zygote(self) -> None:
        if self.life is not None and self.life.fleet.zygotes:
            fleet = self.life.fleet
            fleet.lose_zygote(self.chance.choice(list(fleet.zygotes.values())))

    def fleet_of(self, pid: int) -> SimulatedFleet:
        """Whose process that is; of nobody's any one will do."""
        lives = [life for life in (self.life, *self.replaced, *self.graves) if life is not None]
        return next((life.fleet for life in lives if pid in life.fleet.processes), lives[0].fleet)

    def report(self, words: str) -> None:
        self.complaints.append(words)

    # Callers

    def _caller(self, number: int) -> Caller:
        chance = self.chance
        habits = Habits(
            patience=chance.choice([0.5, 30.0, 600.0]),
            leaves=chance.random() * 5 if chance.random() < 0.15 else None,
            cancels=chance.random() * 5 if chance.random() < 0.15 else None,
            reads=chance.random() < 0.3,
        )
        request = CallRequest(
            dag_id=chance.choice(list(self.plans)),
            conf={"n": 1},
            caller=chance.choice(["", "ann"]),
            timeout=chance.choice([None, None, None, 3.0, 20.0]),
            idempotency_key=chance.choice([None, "k1", "k2", f"own{number}", f"own{number}"]),
            run_id=f"mine{number}" if chance.random() < 0.1 else None,
            on_disconnect=chance.choice(["continue", "continue", "cancel"]),
            may_share=chance.random() < 0.5,
        )
        return Caller(self, request, habits)

    # Time

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._places), action))

    def wall_clock(self) -> float:
        return START + self.now + self._wall_offset

    # The journal's medium

    def write_time(self) -> float:
        if self.chance.random() < self.faults.slow_commits:
            return self.chance.random() * 5.0
        return self.chance.choice((0.0001, 0.0005, 0.002))

    def answer_time(self) -> float:
        return self.write_time() if self.chance.random() < 0.3 else 0.0

    def read_time(self) -> float:
        return self.chance.choice((0.0, 0.0001, 0.001))

    def fate(self) -> Fate:
        what = self.chance.random()
        if what < self.faults.lost_commits:
            return Fate.LOST
        return Fate.KEPT_UNTOLD if what < self.faults.lost_commits + self.faults.untold_commits else Fate.KEPT

    def may_read(self) -> bool:
        return self.chance.random() >= self.faults.failing_reads

    def written(self, batch: Batch) -> None:
        for record in batch.records:
            if record.kind in ("result", "failure"):
                self.outcomes.setdefault(batch.head.key, self.now)
        self.trace = hash((self.trace, *batch.head.key, *(record.kind for record in batch.records), self.now))

    # Processes

    def files(self) -> dict[str, tuple[str, dict[str, DagPlan]]]:
        return {plan.fileloc: (plan.version, {plan.dag_id: plan}) for plan in self.plans.values()}

    def settings(self) -> dict[str, object]:
        return {"base_log_folder": "/logs", "default_pool_slots": 128, "options": {"max_runs": str(self.admitted)}}

    def start(self, process: Process, start: Start) -> None:
        if self.life is not None and process.fleet is self.life.fleet and not process.is_unwanted:
            self.executing[process] = start
            self._check_limits()
        super().start(process, start)

    def ended(self, process: Process, frame: object) -> None:
        """Told of each frame that a process sends, and when it is to be ended."""
        if isinstance(frame, Ended) or frame is None:
            self.executing.pop(process, None)

    def _check_limits(self) -> None:
        used: Counter[tuple[object, ...]] = Counter()
        limits: dict[tuple[object, ...], int] = {}
        for start in self.executing.values():
            of_one = self._limits_of(start)
            used.update(of_one.keys())
            limits |= of_one
        for name, count in used.items():
            if count > limits[name]:
                self.report(f"limits: {count} tasks at once, {limits[name]} are allowed by {name}")
        runs = {(start.dag_id, start.run_id) for start in self.executing.values()}
        for dag_id, count in Counter(dag_id for dag_id, _ in runs).items():
            if count > (self.plans[dag_id].max_active_runs or count):
                self.report(f"limits: {count} runs of {dag_id} at once")

    def _limits_of(self, start: Start) -> dict[tuple[object, ...], int]:
        plan, run = self.plans[start.dag_id], (start.dag_id, start.run_id)
        task = plan.by_id[start.task_id]
        limits: dict[tuple[object, ...], int | None] = {
            ("pool", task.pool): {pool.name: pool.slots for pool in POOLS}.get(task.pool),
            ("max_active_tasks", run): plan.max_active_tasks,
            ("max_active_tis_per_dag", start.dag_id, start.task_id): task.max_active_tis_per_dag,
            ("max_active_tis_per_dagrun", run, start.task_id): task.max_active_tis_per_dagrun,
        }
        return {name: limit for name, limit in limits.items() if limit is not None}


def random_faults(chance: random.Random) -> Faults:
    """Some kinds of faults at a time: with all of them at once nothing would come far."""

    def sometimes(rate: float) -> float:
        return rate * chance.random() if chance.random() < 0.3 else 0.0

    return Faults(
        until=chance.choice([2.0, 10.0, 30.0]),
        rates=Rates(
            failure=chance.choice([0.0, 0.2, 0.5]),
            suspension=chance.choice([0.0, 0.1, 0.4]),
            death=sometimes(0.5),
            repeated=sometimes(0.5),
            lost=sometimes(0.3),
            no_fork=sometimes(0.3),
            untold_exit=sometimes(1.0),
            slow=sometimes(0.3),
        ),
        crashes=chance.choice([0, 0, 1, 1, 2, 4]),
        pauses=chance.choice([0, 0, 0, 0, 1, 2]),
        clock_jumps=chance.choice([0, 0, 0, 1, 3]),
        dead_zygotes=chance.choice([0, 0, 0, 1, 2]),
        lost_commits=sometimes(0.2),
        untold_commits=sometimes(0.2),
        slow_commits=sometimes(0.3),
        failing_reads=sometimes(0.2),
    )
