"""Servers that share a journal in memory and talk over a wire that loses, repeats and delays, in virtual time."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from dagcall.coordinator.post.followers import FollowedRun, Followers
from dagcall.coordinator.post.letters import Letters, NotDriven, Wish
from dagcall.coordinator.post.office import Post
from dagcall.coordinator.post.watches import Watches
from dagcall.coordinator.recent import Recent
from dagcall.coordinator.recovery import rebuild
from dagcall.coordinator.run import Run
from dagcall.core.machine import RunMachine
from dagcall.journal.memory import MemoryJournal
from dagcall.journal.wire import EVERYBODY, Sent, Wire
from dagcall.model.commands import Record
from dagcall.model.events import AttemptEnded, AttemptStarted, Emitted, EndKind, Event, RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState

from ...simulation.virtual_loop import VirtualLoop

PLAN = DagPlan("d", "v", "/d.py", "d.py", (TaskPlan("only", "Python"),))
KEY = RunKey("d", "r")
T = TypeVar("T")


_TIMES: "list[Time]" = []


def end_all() -> None:
    while _TIMES:
        time = _TIMES.pop()
        with time.loop.running():
            time.loop.end()


class Time:
    """Virtual: it goes on when there is nothing left to do."""

    def __init__(self) -> None:
        self.now = 0.0
        self.complaints: list[str] = []
        self.loop = VirtualLoop(lambda: self.now, self.complaints.append)
        _TIMES.append(self)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with self.loop.running():
            task = self.loop.create_task(work)
            self.until(task.done)
        return task.result()

    def until(self, fact: Callable[[], bool], limit: float = 600.0) -> None:
        end = self.now + limit
        with self.loop.running():
            while not fact():
                due = self.loop.next_due
                assert due is not None, "nothing will ever happen"
                assert due <= end, "it was not so in time"
                self.now = max(self.now, due)
                self.loop.run_one()

    def pass_(self, seconds: float) -> None:
        """Let time go by."""
        end = self.now + seconds
        with self.loop.running():
            while (due := self.loop.next_due) is not None and due <= end:
                self.now = max(self.now, due)
                self.loop.run_one()
            self.now = end


class Hub:
    """The database's part. `faults`: how likely a text is lost, comes twice, comes late."""

    def __init__(self, time: Time, seed: int = 0) -> None:
        self.time = time
        self.random = random.Random(seed)
        self.loss = self.repetition = self.delay = 0.0
        self.listening: dict[int, FakeWire] = {}
        self.owners: dict[RunKey, int] = {}
        self.texts: list[Sent] = []

    def carry(self, to: int, text: str) -> None:
        self.texts.append((to, text))
        if self.random.random() < self.loss:
            return
        for _ in range(2 if self.random.random() < self.repetition else 1):
            late = self.random.uniform(0, 5) if self.random.random() < self.delay else 0.0
            self.time.loop.call_later(late, self._deliver, to, text)

    def _deliver(self, to: int, text: str) -> None:
        for epoch, wire in list(self.listening.items()):
            if to in (EVERYBODY, epoch):
                wire.received(text)


class FakeWire:
    """Implements `Wire`."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.epoch = 0
        self.received: Callable[[str], None]
        self.connected: Callable[[], None]

    async def open(self, epoch: int, received: Callable[[str], None], connected: Callable[[], None]) -> None:
        self.epoch, self.received, self.connected = epoch, received, connected
        self.reconnect()

    def reconnect(self) -> None:
        self.hub.listening[self.epoch] = self
        with self.hub.time.loop.running():
            self.connected()

    def disconnect(self) -> None:
        self.hub.listening.pop(self.epoch, None)

    async def send(self, texts: Sequence[Sent]) -> None:
        await asyncio.sleep(0.001)
        if self.epoch in self.hub.listening:
            for to, text in texts:
                self.hub.carry(to, text)

    async def owner(self, key: RunKey) -> int | None:
        await asyncio.sleep(0.001)
        return self.hub.owners.get(key)

    async def close(self) -> None:
        self.disconnect()


class SharedJournal:
    """A journal in memory, as one of its servers sees it."""

    def __init__(self, journal: MemoryJournal, wire: Wire) -> None:
        self._journal = journal
        self.wire = wire
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def records(self, key: RunKey, after: int = 0) -> list[JournalRecord]:
        self.reads += 1
        await asyncio.sleep(0.001)
        return await self._journal.records(key, after)


class Server:
    """One of them. It drives what `begin` or `take_over` gives it."""

    def __init__(self, world: "World", epoch: int) -> None:
        self.world = world
        self.epoch = epoch
        self.wire = FakeWire(world.hub)
        self.journal: Any = SharedJournal(world.journal, self.wire)
        self.driven: dict[RunKey, Run] = {}
        self.post = Post(self.wire)
        self.watches = Watches(self.post, self.driven.get)
        self.recent = Recent(10)
        self.followers = Followers(self.journal, self.post, self.recent)
        self.letters = Letters(self.post, self.journal, self._fulfil, lambda: world.time.now)
        self.fulfilled: list[tuple[RunKey, Wish]] = []
        self.refusal: Exception | None = None

    async def start(self) -> None:
        await self.post.start(self.epoch)

    async def _fulfil(self, key: RunKey, wish: Wish, asker: int) -> None:
        if key not in self.driven:
            raise NotDriven
        if self.refusal is not None:
            raise self.refusal
        self.fulfilled.append((key, wish))

    async def begin(self, key: RunKey = KEY) -> Run:
        head = RunHead(key, RunState.QUEUED, "v", queued_at=0.0, run_after=0.0)
        run = Run(key, PLAN, RunMachine(PLAN, key), head)
        self.driven[key] = run
        self.world.hub.owners[key] = self.epoch
        await self.step(RunAccepted("d", key.run_id, "v", b"{}"), key)
        (attempt, *_), *_ = run.machine.open_attempts()
        await self.step(AttemptStarted(attempt, self.epoch), key)
        return run

    async def emit(self, value: int, key: RunKey = KEY) -> None:
        await self.step(Emitted(self._attempt(key), self._epoch(key), (b"%d" % value,)), key)

    async def end(self, key: RunKey = KEY) -> None:
        await self.step(AttemptEnded(self._attempt(key), self._epoch(key), EndKind.SUCCESS), key)
        del self.driven[key]

    def _attempt(self, key: RunKey) -> int:
        (attempt, *_), *_ = self.driven[key].machine.open_attempts()
        return attempt

    def _epoch(self, key: RunKey) -> int:
        (_, epoch, *_), *_ = self.driven[key].machine.open_attempts()
        return epoch or 0

    async def step(self, event: Event, key: RunKey) -> None:
        """As a driver: the journal first, then the readers."""
        run, now = self.driven[key], self.world.time.now
        records = [one for one in run.machine.step(event, now) if isinstance(one, Record)]
        batch: Batch = run.recorder.batch(records, now)
        await self.world.journal.append(batch)
        run.publish(batch.records, batch.head, now)
        if run.machine.outcome is not None and run.outcome is None:
            run.answer(run.machine.outcome, now)

    async def take_over(self, other: "Server", key: RunKey = KEY) -> None:
        """Own it; then, a moment later, drive it."""
        other.driven.pop(key, None)
        self.world.hub.owners[key] = self.epoch
        await asyncio.sleep(0.5)
        run = await rebuild(self.journal, key)
        assert run is not None
        self.driven[key] = run
        self.watches.appeared(key)

    def die(self) -> None:
        """Nobody hears of it again."""
        self.wire.disconnect()
        self.driven.clear()


class World:
    def __init__(self, count: int = 2, seed: int = 0) -> None:
        self.time = Time()
        self.hub = Hub(self.time, seed)
        self.journal = MemoryJournal()
        self.servers: list[Server] = []

        async def start() -> None:
            await self.journal.open()
            await self.journal.put_plan(PLAN)
            for epoch in range(1, count + 1):
                server = Server(self, epoch)
                self.servers.append(server)
                await server.start()

        self.do(start())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.time.run(work)

    def follow(self, server: Server, key: RunKey = KEY) -> "Reader":
        run = self.do(server.followers.find(key))
        return Reader(self, run)

    def stored(self, key: RunKey = KEY) -> list[JournalRecord]:
        return self.do(self.journal.records(key))


class Reader:
    """Reads a run as an event stream does, to its end, or until it is given up."""

    def __init__(self, world: World, run: Run) -> None:
        self.world = world
        self.run = run
        self.seen: list[JournalRecord] = []
        with world.time.loop.running():
            self.task = world.time.loop.create_task(self._read())

    async def _read(self) -> None:
        run = self.run
        news = run.changed()
        try:
            while True:
                if news.done():
                    news = run.changed()
                records = run.records[len(self.seen) :]
                if records:
                    self.seen += records
                    if records[-1].kind == "end":
                        return
                    continue
                if run.was_given_up:
                    return
                await news
        finally:
            news.cancel()

    @property
    def is_done(self) -> bool:
        return self.task.done()


def is_followed(run: Run) -> bool:
    return isinstance(run, FollowedRun)
