"""A journal with one more level, `none`: runs that are kept in this server's memory, beside those in the journal.

Guarantees. A run whose first batch says `none` is in memory from its first record to its last: nothing of it reaches
the journal, a restart finds nothing of it, and a disk that is full or slow does not touch it. While the server lives,
it is read, listed and deleted like any other, its id and its logical date are taken, and its records have no gaps. All
other runs, plans, the store and the assets are the journal's own; that includes the asset events that a run in memory
causes, which are durable before its batch counts as kept.

Authoritative. A run is where its first batch went; the levels of its later batches do not move it.

Refuses what the journal refuses. Of the runs in memory the last `kept` that have ended are kept.
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Container
from dataclasses import replace

from dagcall.errors import DagcallError, RunExists
from dagcall.journal.base import Commits, HeadQuery, Journal, Trouble
from dagcall.journal.continuity import begins, date_taken
from dagcall.journal.memory import MemoryJournal
from dagcall.journal.ordering import order_of
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch, JournalRecord, RunHead

KEPT = 500


class LeveledJournal:
    """Implements `journal.base.Journal` over another one."""

    def __init__(self, journal: Journal, kept: int = KEPT) -> None:
        self.store = journal.store
        self.assets = journal.assets
        self.wire = journal.wire
        self._journal = journal
        self._memory = MemoryJournal()
        self._kept = kept
        self._here: dict[RunKey, RunHead] = {}
        """The runs in memory."""
        self._dates: dict[tuple[str, float], RunKey] = {}
        """Their logical dates."""
        self._ended: OrderedDict[RunKey, None] = OrderedDict()
        self._unsettled: dict[RunKey, asyncio.Future[None]] = {}
        """The last batch of a run that waits for the journal: those after it are told after it."""

    @property
    def trouble(self) -> Trouble | None:
        return self._journal.trouble

    @property
    def commits(self) -> Commits:
        return self._journal.commits

    @property
    def waiting(self) -> int:
        return self._journal.waiting

    def size(self) -> int | None:
        return self._journal.size()

    async def open(self) -> int:
        epoch = await self._journal.open()
        await self._memory.open()
        return epoch

    def append(self, batch: Batch, durability: str = "process") -> asyncio.Future[None]:
        key = batch.head.key
        if key in self._here and not begins(batch):
            return self._append_here(batch)
        if begins(batch):
            refusal = self._taken_here(batch.head)
            if refusal is not None:
                refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                refused.set_exception(refusal)
                return refused
            if durability == "none":
                return self._append_here(batch)
        return self._journal.append(batch, "process" if durability == "none" else durability)

    async def put_plan(self, plan: DagPlan) -> None:
        await self._journal.put_plan(plan)

    async def get_plan(self, dag_id: str, version: str) -> DagPlan | None:
        return await self._journal.get_plan(dag_id, version)

    async def head(self, key: RunKey) -> RunHead | None:
        return self._here.get(key) or await self._journal.head(key)

    async def records(self, key: RunKey, after: int = 0) -> list[JournalRecord]:
        return await (self._memory if key in self._here else self._journal).records(key, after)

    async def unfinished(self) -> list[RunHead]:
        return [*await self._journal.unfinished(), *await self._memory.unfinished()]

    async def taken_over(self) -> None:
        await self._journal.taken_over()

    async def stands_for(self) -> Container[int]:
        return await self._journal.stands_for()

    async def is_eldest(self) -> bool:
        return await self._journal.is_eldest()

    async def list_heads(self, query: HeadQuery) -> tuple[list[RunHead], int]:
        if not self._here:
            return await self._journal.list_heads(query)
        whole = replace(query, limit=query.offset + query.limit, offset=0)
        there, count = await self._journal.list_heads(whole)
        here, more = await self._memory.list_heads(whole)
        found = list(heapq.merge(there, here, key=order_of(query))) if here else there
        return found[query.offset : query.offset + query.limit], count + more

    async def dag_ids(self) -> set[str]:
        return await self._journal.dag_ids() | {key.dag_id for key in self._here}

    async def delete(self, key: RunKey) -> bool:
        if key not in self._here:
            return await self._journal.delete(key)
        self._forget(key)
        return True

    async def close(self) -> None:
        await self._memory.close()
        await self._journal.close()

    def _append_here(self, batch: Batch) -> asyncio.Future[None]:
        head = batch.head
        key = head.key
        # What items tell of the run nobody could tell after this server's end.
        kept = self._memory.append(replace(batch, assets=None, items=()) if batch.assets or batch.items else batch)
        if kept.exception() is not None:
            return kept
        self._here[key] = head
        waits_for = self._unsettled.get(key)
        if begins(batch):
            if head.logical_date is not None:
                self._dates[key.dag_id, head.logical_date] = key
        elif batch.assets is None and waits_for is None:
            self._note_end(head)
            return kept
        settled = asyncio.ensure_future(self._settle(batch, waits_for))
        self._unsettled[key] = settled
        settled.add_done_callback(lambda done: self._settled(head, done))
        return settled

    async def _settle(self, batch: Batch, waits_for: "asyncio.Future[None] | None") -> None:
        """What of the batch concerns the journal. A first batch whose id or date the journal has was never there."""
        if waits_for is not None:
            await asyncio.wait((waits_for,))
        if begins(batch):
            try:
                await self._check_new(batch.head)
            except BaseException:
                await self.delete(batch.head.key)
                raise
        if batch.assets is not None:
            await self.assets.write(batch.assets)

    def _settled(self, head: RunHead, done: "asyncio.Future[None]") -> None:
        if self._unsettled.get(head.key) is done:
            del self._unsettled[head.key]
        self._note_end(head)

    async def _check_new(self, head: RunHead) -> None:
        """Raises `RunExists`."""
        if await self._journal.head(head.key) is not None:
            raise RunExists(dag_id=head.key.dag_id, run_id=head.key.run_id)
        if head.logical_date is not None:
            same = HeadQuery(
                dag_ids=frozenset((head.key.dag_id,)), logical_dates=frozenset((head.logical_date,)), limit=0
            )
            if (await self._journal.list_heads(same))[1]:
                raise date_taken(head)

    def _taken_here(self, head: RunHead) -> DagcallError | None:
        if head.key in self._here:
            return RunExists(dag_id=head.key.dag_id, run_id=head.key.run_id)
        if head.logical_date is not None and (head.key.dag_id, head.logical_date) in self._dates:
            return date_taken(head)
        return None

    def _note_end(self, head: RunHead) -> None:
        if not head.state.is_final or head.key not in self._here:
            return
        self._ended[head.key] = None
        if len(self._ended) > self._kept:
            self._forget(next(iter(self._ended)))

    def _forget(self, key: RunKey) -> None:
        head = self._here.pop(key)
        self._memory.forget(key)
        self._ended.pop(key, None)
        if head.logical_date is not None:
            self._dates.pop((key.dag_id, head.logical_date), None)
