"""The journal in memory: the same promises but durability, for `memory:` and for tests.

A twin, not a fake: it passes the same suite, and stores the same encoded rows, so that what it hands out is never the
object that was put in, and what SQLite refuses to storage it refuses too. What it holds lives in a `MemoryStorage`; a
journal opened on a storage that was closed finds everything again, as after a restart.
"""

import asyncio
import os
import re
from collections.abc import Container
from dataclasses import dataclass, field, replace

from dagcall.errors import DagcallError, JournalError, JournalFenced, JournalLocked
from dagcall.journal.base import Commits, HeadQuery, OrderColumn, Trouble, check_durability, pattern_terms, prefix_terms
from dagcall.journal.continuity import check_continues, date_taken
from dagcall.journal.encoding import Row, check_storable, decode_plan, decode_record, encode_plan, encode_record
from dagcall.journal.memory_assets import AssetRows, MemoryAssets
from dagcall.journal.memory_assets import apply as apply_assets
from dagcall.journal.memory_store import Items, MemoryStore
from dagcall.journal.memory_store import apply as apply_change
from dagcall.journal.ordering import SortKey, sort_key
from dagcall.journal.store import puts_of
from dagcall.journal.wire import Wire
from dagcall.model.assets import AssetChanges
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch, JournalRecord, RunHead


@dataclass
class StoredRun:
    """A run: `number` grows in the order of acceptance."""

    number: int
    head: RunHead
    rows: list[Row] = field(default_factory=list)


@dataclass
class MemoryStorage:
    """What outlives a `MemoryJournal`. `holder` is the process id of the server that has it open."""

    epoch: int = 0
    holder: int | None = None
    accepted: int = 0
    plans: dict[tuple[str, str], bytes] = field(default_factory=dict)
    runs: dict[RunKey, StoredRun] = field(default_factory=dict)
    items: Items = field(default_factory=Items)
    assets: AssetRows = field(default_factory=AssetRows)


class MemoryJournal:
    """See `journal.base.Journal`. Both durability levels end with the process."""

    trouble: Trouble | None = None
    wire: Wire | None = None
    waiting = 0

    def __init__(self, storage: MemoryStorage | None = None) -> None:
        self._storage = MemoryStorage() if storage is None else storage
        self._epoch = 0
        self._closed = False
        self.commits = Commits()
        """None: what is appended is kept at once."""
        self.store = MemoryStore(lambda: self._opened().items, lambda: self._writable().items)
        self.assets = MemoryAssets(self.store, lambda: self._opened().assets, self._write_assets)

    def size(self) -> None:
        return None

    async def open(self) -> int:
        storage = self._storage
        if self._epoch:
            raise JournalError("memory journal: opened twice")
        if storage.holder is not None:
            raise JournalLocked(f"memory journal: another server (process {storage.holder}) has it open")
        storage.holder = os.getpid()
        storage.epoch += 1
        self._epoch = storage.epoch
        return self._epoch

    def append(self, batch: Batch, durability: str = "process") -> asyncio.Future[None]:
        check_durability(durability)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._append(batch)
        except DagcallError as error:
            future.set_exception(error)
        else:
            future.set_result(None)
        return future

    def _append(self, batch: Batch) -> None:
        storage = self._writable()
        key = batch.head.key
        run = storage.runs.get(key)
        check_continues(batch, None if run is None else run.head)
        check_storable(batch.head)
        rows = [encode_record(key, record) for record in batch.records]
        puts = puts_of(batch)
        if batch.assets is not None:
            self._write_assets(batch.assets)
        if run is None:
            self._check_date(batch.head)
            storage.accepted += 1
            run = storage.runs[key] = StoredRun(storage.accepted, batch.head)
        run.head = replace(batch.head)
        run.rows += rows
        for put in puts:
            apply_change(storage.items, put)

    def _write_assets(self, changes: AssetChanges) -> None:
        storage = self._writable()
        apply_assets(storage.assets, storage.items, changes)

    def _check_date(self, head: RunHead) -> None:
        same_dag = (run.head for run in self._storage.runs.values() if run.head.key.dag_id == head.key.dag_id)
        if head.logical_date is not None and any(other.logical_date == head.logical_date for other in same_dag):
            raise date_taken(head)

    async def put_plan(self, plan: DagPlan) -> None:
        self._writable().plans.setdefault((plan.dag_id, plan.version), encode_plan(plan))

    async def get_plan(self, dag_id: str, version: str) -> DagPlan | None:
        stored = self._opened().plans.get((dag_id, version))
        return None if stored is None else decode_plan(stored)

    async def head(self, key: RunKey) -> RunHead | None:
        run = self._opened().runs.get(key)
        return None if run is None else run.head

    async def records(self, key: RunKey, after: int = 0) -> list[JournalRecord]:
        run = self._opened().runs.get(key)
        rows = [] if run is None else run.rows[max(after, 0) :]
        return [decode_record(key, id, row) for id, row in enumerate(rows, max(after, 0) + 1)]

    async def unfinished(self) -> list[RunHead]:
        return [run.head for run in self._opened().runs.values() if not run.head.state.is_final]

    async def taken_over(self) -> None:
        await asyncio.get_running_loop().create_future()  # one server at a time: its runs are there from the beginning

    async def stands_for(self) -> Container[int]:
        return range(1, self._epoch + 1)

    async def is_eldest(self) -> bool:
        return True

    async def list_heads(self, query: HeadQuery) -> tuple[list[RunHead], int]:
        found = [run for run in self._opened().runs.values() if _matches(run.head, query)]
        for column, descending in reversed(query.ordering):
            found.sort(key=lambda run, column=column: _sort_key(run, column), reverse=descending)  # type: ignore[misc]
        return [run.head for run in found[query.offset : query.offset + query.limit]], len(found)

    async def dag_ids(self) -> set[str]:
        return {key.dag_id for key in self._opened().runs}

    async def delete(self, key: RunKey) -> bool:
        return self.forget(key)

    def forget(self, key: RunKey) -> bool:
        """`delete`, at once."""
        storage = self._writable()
        storage.assets.consumed = [one for one in storage.assets.consumed if (one.dag_id, one.run_id) != key]
        return storage.runs.pop(key, None) is not None

    async def close(self) -> None:
        if self._epoch and not self._closed and self._storage.epoch == self._epoch:
            self._storage.holder = None
        self._closed = True

    def _opened(self) -> MemoryStorage:
        if not self._epoch or self._closed:
            raise JournalError("memory journal: not open")
        return self._storage

    def _writable(self) -> MemoryStorage:
        storage = self._opened()
        if storage.epoch != self._epoch:
            raise JournalFenced(f"memory journal: another server (process {storage.holder}) opened it since")
        return storage


def _matches(head: RunHead, query: HeadQuery) -> bool:
    return (
        (query.dag_ids is None or head.key.dag_id in query.dag_ids)
        and (query.states is None or head.state in query.states)
        and (query.run_types is None or head.run_type in query.run_types)
        and (query.run_id is None or head.key.run_id == query.run_id)
        and (query.run_ids is None or head.key.run_id in query.run_ids)
        and (query.logical_dates is None or head.logical_date in query.logical_dates)
        and (query.idempotency_key is None or head.idempotency_key == query.idempotency_key)
        and (query.caller is None or head.caller == query.caller)
        and (query.dag_id_pattern is None or _like(head.key.dag_id, query.dag_id_pattern))
        and (query.run_id_pattern is None or _like(head.key.run_id, query.run_id_pattern))
        and query.logical_date.holds(head.logical_date)
        and query.run_after.holds(head.run_after)
        and query.start_date.holds(head.start_date)
        and query.end_date.holds(head.end_date)
        and query.duration.holds(_duration(head))
        and (query.plan_versions is None or head.plan_version in query.plan_versions)
        and (query.dag_id_prefix is None or head.key.dag_id.startswith(prefix_terms(query.dag_id_prefix)))
        and (query.run_id_prefix is None or head.key.run_id.startswith(prefix_terms(query.run_id_prefix)))
        and (query.caller_pattern is None or (head.caller != "" and _like(head.caller, query.caller_pattern)))
        and (
            query.caller_prefix is None
            or (head.caller != "" and head.caller.startswith(prefix_terms(query.caller_prefix)))
        )
    )


def _duration(head: RunHead) -> float | None:
    return None if head.start_date is None or head.end_date is None else head.end_date - head.start_date


def _like(text: str, pattern: str) -> bool:
    """SQL's LIKE, as SQLite has it: only ASCII letters are equal in both cases."""
    wildcards = {"%": ".*", "_": "."}
    for term in pattern_terms(pattern):
        expression = "".join(wildcards.get(character) or re.escape(character) for character in f"%{term}%")
        if re.fullmatch(expression, text, re.IGNORECASE | re.ASCII | re.DOTALL):
            return True
    return False


def _sort_key(run: StoredRun, column: OrderColumn) -> SortKey:
    return (True, run.number) if column == "id" else sort_key(run.head, column)
