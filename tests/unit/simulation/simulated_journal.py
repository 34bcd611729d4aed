"""A journal that fails on demand: the real one in memory behind a line of writes like that of a real medium.

What is appended waits until the medium is free, becomes durable as a group, and is acknowledged some time later. A
group may take long, fail with nothing kept, or fail though it was kept. What was durable when its server was killed is
what the next one finds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol, TypeVar

from dagcall.errors import DagcallError, JournalError
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.base import HeadQuery
from dagcall.journal.memory import MemoryJournal, MemoryStorage
from dagcall.journal.store import Change, Item
from dagcall.model.assets import AssetChanges, AssetEvent, Consumption, KeptAssets
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch, JournalRecord, RunHead

T = TypeVar("T")


class Fate(Enum):
    """What becomes of a group of writes."""

    KEPT = auto()
    LOST = auto()
    """It fails, and nothing of it was kept."""
    KEPT_UNTOLD = auto()
    """It fails, but was kept."""


class Medium(Protocol):
    """How the medium behaves; times are seconds."""

    def write_time(self) -> float: ...
    def answer_time(self) -> float: ...
    def read_time(self) -> float: ...
    def fate(self) -> Fate: ...
    def may_read(self) -> bool: ...
    def written(self, batch: Batch) -> None:
        """A batch has become durable."""


@dataclass
class _Entry:
    write: Callable[[], Any]
    future: "asyncio.Future[Any]"


class SimulatedJournal:
    """Implements `journal.base.Journal`."""

    trouble = None
    wire = None

    def __init__(self, storage: MemoryStorage, medium: Medium, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = MemoryJournal(storage)
        self._medium = medium
        self._loop = loop
        self._waiting: list[_Entry] = []
        self._is_writing = False
        self.store = SimulatedStore(self)
        self.assets = SimulatedAssets(self)

    async def open(self) -> int:
        return await self._inner.open()

    def append(self, batch: Batch, durability: str = "process") -> "asyncio.Future[None]":
        def write() -> None:
            error = self._inner.append(batch, durability).exception()
            if error is not None:
                raise error
            self._medium.written(batch)

        return self._enqueue(write)

    async def put_plan(self, plan: DagPlan) -> None:
        await self.written(lambda: self._inner.put_plan(plan))

    async def delete(self, key: RunKey) -> bool:
        deleted: bool = await self.written(lambda: self._inner.delete(key))
        return deleted

    async def get_plan(self, dag_id: str, version: str) -> DagPlan | None:
        return await self.read(lambda: self._inner.get_plan(dag_id, version))

    async def head(self, key: RunKey) -> RunHead | None:
        return await self.read(lambda: self._inner.head(key))

    async def records(self, key: RunKey, after: int = 0) -> list[JournalRecord]:
        return await self.read(lambda: self._inner.records(key, after))

    async def unfinished(self) -> list[RunHead]:
        return await self.read(self._inner.unfinished)

    async def taken_over(self) -> None:
        await self._inner.taken_over()

    async def stands_for(self) -> Container[int]:
        return await self.read(self._inner.stands_for)

    async def is_eldest(self) -> bool:
        return True

    async def list_heads(self, query: HeadQuery) -> tuple[list[RunHead], int]:
        return await self.read(lambda: self._inner.list_heads(query))

    async def close(self) -> None:
        await self._inner.close()

    async def read(self, read: Callable[[], Awaitable[T]]) -> T:
        await asyncio.sleep(self._medium.read_time())
        if not self._medium.may_read():
            raise JournalError("simulated: the journal cannot be read now")
        return await read()

    async def written(self, write: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Stand in the line of writes."""
        return await self._enqueue(lambda: _now(write()))

    def _enqueue(self, write: Callable[[], Any]) -> "asyncio.Future[Any]":
        entry = _Entry(write, self._loop.create_future())
        self._waiting.append(entry)
        if not self._is_writing:
            self._is_writing = True
            self._loop.call_later(self._medium.write_time(), self._commit)
        return entry.future

    def _commit(self) -> None:
        group, self._waiting = self._waiting, []
        fate = self._medium.fate()
        results = [self._apply(entry, fate) for entry in group]
        self._loop.call_later(self._medium.answer_time(), self._answer, group, results)

    def _apply(self, entry: _Entry, fate: Fate) -> Any:
        failed = JournalError(f"simulated: the medium failed ({fate.name})")
        if fate is Fate.LOST:
            return failed
        try:
            result = entry.write()
        except DagcallError as refused:
            return refused
        return failed if fate is Fate.KEPT_UNTOLD else result

    def _answer(self, group: Sequence[_Entry], results: Sequence[Any]) -> None:
        self._is_writing = bool(self._waiting)
        if self._waiting:
            self._loop.call_later(self._medium.write_time(), self._commit)
        for entry, result in zip(group, results, strict=True):
            if entry.future.done():
                continue
            if isinstance(result, Exception):
                entry.future.set_exception(result)
            else:
                entry.future.set_result(result)


class SimulatedStore:
    """Implements `journal.store.Store`."""

    def __init__(self, journal: SimulatedJournal) -> None:
        self._journal = journal
        self._inner = journal._inner.store

    async def get(self, kind: str, key: str) -> Item | None:
        return await self._journal.read(lambda: self._inner.get(kind, key))

    async def items(self, kind: str, prefix: str = "", *, after: int = 0, limit: int | None = None) -> list[Item]:
        return await self._journal.read(lambda: self._inner.items(kind, prefix, after=after, limit=limit))

    async def write(self, *changes: Change) -> list[int]:
        return await self._journal.written(lambda: self._inner.write(*changes))


class SimulatedAssets:
    """Implements `journal.assets.AssetLog`."""

    def __init__(self, journal: SimulatedJournal) -> None:
        self._journal = journal
        self._inner = journal._inner.assets

    async def load(self) -> KeptAssets:
        return await self._journal.read(self._inner.load)

    async def write(self, changes: AssetChanges) -> AssetChanges:
        kept: AssetChanges = await self._journal.written(lambda: self._inner.write(changes))
        return kept

    async def events(self, query: AssetEventQuery) -> tuple[list[AssetEvent], int]:
        return await self._journal.read(lambda: self._inner.events(query))

    async def consumptions(self, event_ids: Sequence[int]) -> list[Consumption]:
        return await self._journal.read(lambda: self._inner.consumptions(event_ids))


def _now(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that waits for nothing gives."""
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("the journal in memory waits for nothing")
