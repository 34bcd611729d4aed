"""The journal in one SQLite file: the default, for one server on one machine.

`journal.base` says what is promised. How it is kept here: one thread writes (`sqlite_writer`: group commit, the levels
of durability, the epoch), two threads read through connections that cannot write, each query seeing one committed
state. In WAL mode neither waits for the other, and a commit is seen by every read that begins after it. The event loop
only hands over and is woken up. A lock file beside the journal keeps a second server out (`file_lock`); the file, its
directories, its schema and the meaning of its errors are in `sqlite_file`.

Refuses: a file that is no journal or is damaged (`JournalCorrupt`), one of a newer dagcall, which is not touched, and
file systems where SQLite has no write-ahead log. Nothing is ever repaired silently: a damaged row is named by whoever
reads it (`sqlite_reading`), a log that is shorter than it was by the next opening (`sqlite_log`).
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from dagcall.errors import JournalError
from dagcall.journal import sqlite_reading
from dagcall.journal.base import Commits, HeadQuery, Trouble, check_durability
from dagcall.journal.entries import Done, Entry, Outcome, settle
from dagcall.journal.file_lock import FileLock
from dagcall.journal.sqlite_assets import SqliteAssets
from dagcall.journal.sqlite_file import connect_reader, explain, look_before, make_directories, make_file
from dagcall.journal.sqlite_store import Row, SqliteStore
from dagcall.journal.sqlite_writer import SqliteWriter
from dagcall.journal.store import Change
from dagcall.journal.wire import Wire
from dagcall.model.assets import AssetChanges
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch, JournalRecord, RunHead

P = ParamSpec("P")
T = TypeVar("T")

READERS: Final = 2
"""So that a slow list does not hold up the look-up of one run. More would not help: decoding shares one interpreter."""


class SqliteJournal:
    """See `journal.base.Journal`. `path` is absolute; beside it live `-wal`, `-shm` and `.lock` files."""

    wire: Wire | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore(self._read_items, self._write_items)
        self.assets = SqliteAssets(self.store, self._read_with, self._write)
        self._state = "new"
        self._loop: asyncio.AbstractEventLoop
        self._lock: FileLock
        self._writer: SqliteWriter
        self._readers: ThreadPoolExecutor
        self._closing: asyncio.Future[None]
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []

    @property
    def trouble(self) -> Trouble | None:
        return self._writer.trouble if self._state == "open" else None

    @property
    def commits(self) -> Commits:
        return self._writer.commits if self._state == "open" else Commits()

    @property
    def waiting(self) -> int:
        return self._writer.waiting if self._state == "open" else 0

    def size(self) -> int:
        """With its log."""
        size = 0
        for name in (self.path.name, f"{self.path.name}-wal"):
            with suppress(FileNotFoundError):
                size += self.path.with_name(name).stat().st_size
        return size

    async def open(self) -> int:
        if self._state != "new":
            raise JournalError(f"journal {self.path}: opened twice")
        self._loop = asyncio.get_running_loop()
        self._closing = self._loop.create_future()
        await asyncio.to_thread(self._open)
        self._writer.start()
        self._state = "open"
        return self._writer.epoch

    def _open(self) -> None:
        try:
            make_directories(self.path)
            self._lock = FileLock(self.path.with_name(self.path.name + ".lock"))
            try:
                make_file(self.path)
                look_before(self.path, restarted=not self._lock.same_boot)
                self._writer = SqliteWriter(self.path, self._settle_in_loop, self._close_all)
            except BaseException:
                self._lock.release()
                raise
        except (sqlite3.Error, OSError) as error:
            raise explain(error, self.path) from error
        self._readers = ThreadPoolExecutor(READERS, "dagcall-journal-reader")

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
        return await self._read(sqlite_reading.plan_of, dag_id, version)

    async def head(self, key: RunKey) -> RunHead | None:
        return await self._read(sqlite_reading.head, key)

    async def records(self, key: RunKey, after: int = 0) -> list[JournalRecord]:
        return await self._read(sqlite_reading.records, key, after)

    async def unfinished(self) -> list[RunHead]:
        return await self._read(sqlite_reading.unfinished)

    async def taken_over(self) -> None:
        await self._loop.create_future()  # one server at a time: its runs are there from the beginning

    async def stands_for(self) -> Container[int]:
        return range(1, self._writer.epoch + 1)

    async def is_eldest(self) -> bool:
        return True

    async def list_heads(self, query: HeadQuery) -> tuple[list[RunHead], int]:
        return await self._read(sqlite_reading.page, query)

    async def dag_ids(self) -> set[str]:
        return await self._read(sqlite_reading.dag_ids)

    async def close(self) -> None:
        if self._state == "open":
            self._state = "closing"
            self._writer.stop()
        if self._state == "closing":
            await asyncio.shield(self._closing)
        self._state = "closed"

    def _not_open(self) -> JournalError:
        return JournalError(f"journal {self.path}: not open ({self._state})")

    async def _read_items(self, sql: str, values: tuple[str | int, ...]) -> list[Row]:
        return await self._read(lambda connection: connection.execute(sql, values).fetchall())

    async def _write_items(self, changes: tuple[Change, ...]) -> list[int]:
        done = await self._write(changes)
        assert isinstance(done, list)
        return done

    async def _read_with(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._read(function)

    async def _write(self, work: DagPlan | RunKey | tuple[Change, ...] | AssetChanges) -> Done:
        if self._state != "open":
            raise self._not_open()
        future: asyncio.Future[Done] = self._loop.create_future()
        self._writer.put(Entry(work, False, future))
        return await future

    def _settle_in_loop(self, outcomes: list[Outcome]) -> None:
        self._call_loop(lambda: settle(outcomes))

    def _close_all(self) -> None:
        """In the writer's thread, after its last group. The writer's connection goes last, it owns the log."""
        self._readers.shutdown()
        for connection in self._connections:
            connection.close()
        self._writer.disconnect()
        self._lock.release()
        self._call_loop(lambda: None if self._closing.done() else self._closing.set_result(None))

    def _call_loop(self, function: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop was closed without closing the journal: nobody waits any more
            if not self._loop.is_closed():
                raise

    async def _read(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._state != "open":
            raise self._not_open()
        try:
            return await self._loop.run_in_executor(self._readers, lambda: function(self._reader(), *args, **kwargs))
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        except JournalError as error:
            raise type(error)(f"journal {self.path}: {error}") from error

    def _reader(self) -> sqlite3.Connection:
        """This reader thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect_reader(self.path)
            self._connections.append(connection)
        return connection
