"""The journal in PostgreSQL: for servers whose disk is not to be trusted with it, or that share one journal.

`journal.base` says what is promised. How it is kept here: one task writes, over one connection (`postgres_writer`: group
commit, the levels of durability, what happens while the database is away; `postgres_link`: epoch, fence), a small
pool of connections that cannot write reads. Everything is in the event loop, and nothing there waits for the database:
each statement is bounded in the database and here. Many rows are decoded in a thread.

A read is repeated while the database is away, for `PATIENCE` at most, then fails with `JournalAway`; so does one that
gets no connection of the pool in that time. `trouble` says why nothing can be written now.

Servers share it: each owns the runs that it accepted, and the unfinished ones of servers that have ended
(`postgres_leases`).

Refuses: a PostgreSQL before 13, a database that is not in UTF-8, a schema of a newer dagcall that says it is breaking.
"""

import asyncio
from collections.abc import Callable, Container
from typing import Any, Final, TypeVar

from dagcall.errors import JournalError
from dagcall.journal.base import Commits, HeadQuery, Trouble, check_durability
from dagcall.journal.conditions import NumberedConditions
from dagcall.journal.encoding import decode_plan, decode_record
from dagcall.journal.entries import Done, Entry
from dagcall.journal.lookout import TERMS, Terms
from dagcall.journal.postgres_assets import PostgresAssets
from dagcall.journal.postgres_database import Database, is_passing, unreachable
from dagcall.journal.postgres_leases import Leases
from dagcall.journal.postgres_schema import statement
from dagcall.journal.postgres_store import PostgresStore
from dagcall.journal.postgres_wire import PostgresWire
from dagcall.journal.postgres_writer import PATIENCE, Patience, PostgresWriter
from dagcall.journal.rows import DAG_IDS, add_query, head_of, order_by, with_total
from dagcall.journal.store import Change
from dagcall.model.assets import AssetChanges
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch, JournalRecord, RunHead

T = TypeVar("T")

MANY_ROWS: Final = 200
"""More would keep the event loop for milliseconds."""
FIRST_PAUSE: Final = 0.05

_HEADS: Final = statement("heads")
_SELECT_RECORDS: Final = statement("select_records")
_SELECT_PLAN: Final = statement("select_plan")
_SELECT_PREDECESSORS: Final = statement("select_predecessors")


class PostgresJournal:
    """See `journal.base.Journal`."""

    def __init__(self, url: str, patience: Patience = PATIENCE, terms: Terms = TERMS) -> None:
        """Raises `JournalUrlError`."""
        self._database = Database(url)
        self._patience = patience.work
        self._state = "new"
        self._writer = PostgresWriter(self._database, patience)
        self._terms = terms
        self._epoch = 0
        self._leases = Leases(self._database, terms, self._note_taken, self._writer.note_fenced)
        self._taken = asyncio.Event()
        self._readers: Any = None
        self.store = PostgresStore(self._fetch, self._write)
        self.assets = PostgresAssets(self.store, self._fetch, self._write)
        self.wire = PostgresWire(self._database, self._fetch)

    @property
    def name(self) -> str:
        """What messages call it: no user, no password."""
        return self._database.name

    @property
    def trouble(self) -> Trouble | None:
        return self._writer.trouble

    @property
    def commits(self) -> Commits:
        return self._writer.commits

    @property
    def waiting(self) -> int:
        return self._writer.waiting

    def size(self) -> None:
        return None

    async def open(self) -> int:
        if self._state != "new":
            raise JournalError(f"{self.name}: opened twice")
        self._epoch = await self._writer.open(self._terms.lease)
        self._leases.start(self._epoch)
        self._readers = self._database.readers()
        await self._readers
        self._state = "open"
        return self._epoch

    def append(self, batch: Batch, durability: str = "process") -> asyncio.Future[None]:
        power = check_durability(durability)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._state == "open":
            self._writer.put(Entry(batch, power, future))
        else:
            future.set_exception(self._not_open())
        return future

    async def put_plan(self, plan: DagPlan) -> None:
        await self._write(plan)

    async def delete(self, key: RunKey) -> bool:
        return bool(await self._write(key))

    async def get_plan(self, dag_id: str, version: str) -> DagPlan | None:
        rows = await self._fetch(_SELECT_PLAN, dag_id, version)
        return await self._decoded(lambda: decode_plan(rows[0][0]) if rows else None, len(rows))

    async def head(self, key: RunKey) -> RunHead | None:
        rows = await self._fetch(f"{_HEADS} WHERE dag_id = $1 AND run_id = $2", *key)
        return head_of(rows[0]) if rows else None

    async def records(self, key: RunKey, after: int = 0) -> list[JournalRecord]:
        rows = await self._fetch(_SELECT_RECORDS, *key, max(after, 0))
        return await self._decoded(lambda: [decode_record(key, id, tuple(row)) for id, *row in rows], len(rows))

    async def unfinished(self) -> list[RunHead]:
        # The condition has the words of the index `runs_unfinished`, which serves it for that reason.
        rows = await self._fetch(
            f"{_HEADS} WHERE state IN ('queued', 'running') AND owner = $1 ORDER BY run", self._epoch
        )
        return await self._decoded(lambda: [head_of(row) for row in rows], len(rows))

    async def taken_over(self) -> None:
        await self._taken.wait()
        self._taken.clear()

    async def stands_for(self) -> Container[int]:
        return frozenset(row[0] for row in await self._fetch(_SELECT_PREDECESSORS, self._epoch))

    async def is_eldest(self) -> bool:
        ((eldest,),) = await self._fetch("SELECT min(epoch) FROM servers WHERE fenced_by IS NULL")
        return bool(eldest == self._epoch)

    async def list_heads(self, query: HeadQuery) -> tuple[list[RunHead], int]:
        where = add_query(NumberedConditions(), query)
        limit, offset = where.value(query.limit), where.value(query.offset)
        order = order_by(query)
        # The page is chosen by row number first: sorting whole heads would carry every conf along.
        page = f"SELECT run FROM runs WHERE {where.sql} ORDER BY {order} LIMIT {limit} OFFSET {offset}"
        heads = f"{_HEADS} WHERE run IN ({page})"
        rows = await self._fetch(with_total("runs", where.sql, heads, order), *where.values)
        found = await self._decoded(lambda: [head_of(row[1:]) for row in rows if row[1] is not None], len(rows))
        return found, rows[0][0]

    async def dag_ids(self) -> set[str]:
        return {row[0] for row in await self._fetch(DAG_IDS)}

    async def close(self) -> None:
        if self._state == "open":
            self._state = "closing"
            self._closing = asyncio.ensure_future(self._close())
        if self._state == "closing":
            await asyncio.shield(self._closing)
        self._state = "closed"

    async def _close(self) -> None:
        await self._writer.stop()
        await self._leases.stop()
        self._readers.terminate()  # nobody waits for what they read any more

    def _note_taken(self) -> None:
        self._taken.set()

    def _not_open(self) -> JournalError:
        return JournalError(f"{self.name}: not open ({self._state})")

    async def _write(self, work: DagPlan | RunKey | tuple[Change, ...] | AssetChanges) -> Done:
        if self._state != "open":
            raise self._not_open()
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._writer.put(Entry(work, False, future))
        return await future

    async def _fetch(self, sql: str, *values: object) -> list[Any]:
        """Rows of a statement that only reads, which may therefore be repeated."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience
        pause = FIRST_PAUSE
        while True:
            if self._state != "open":
                raise self._not_open()
            try:
                async with self._readers.acquire(timeout=max(0.0, give_up - loop.time())) as connection:
                    rows: list[Any] = await connection.fetch(sql, *values)
                return rows
            except Exception as error:
                if not is_passing(error):
                    raise self._database.explain(error) from error
                if loop.time() + pause > give_up:
                    raise unreachable(error) from error
            await asyncio.sleep(pause)
            pause *= 2

    async def _decoded(self, decode: Callable[[], T], rows: int) -> T:
        try:
            return await asyncio.to_thread(decode) if rows > MANY_ROWS else decode()
        except JournalError as error:
            raise type(error)(f"{self.name}: {error}") from error
