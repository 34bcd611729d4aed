"""A server's connection to its PostgreSQL journal: the lock, the epoch and the fence.

A server's life has a row in `servers`, under its epoch. Each transaction of the server changes that row, provided that
nobody has fenced it and that it still has the number of the server's connection.

**Fencing.** Opening the journal fences all earlier servers and takes over their unfinished runs. The database makes it
wait for what they are committing; later, nothing of theirs is written. An advisory lock, which belongs to the
connection, keeps a second server from opening by mistake: it is refused with `JournalLocked`. (Servers that are to
share a journal need leases in place of that lock, and to fence one epoch instead of all. Rows and writes have the form
for it: `runs.owner`, and a fence for each epoch.)

**A new connection** raises the number in the row. From then on nothing that was sent over an earlier one can be
committed any more, and the row says which group was committed last: that is how an unheard answer is found out.

States: new -> `open` -> connected <-> lost; fenced for good (`JournalFenced`); closed.
"""

import logging
import os
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import asyncpg

from dagcall.errors import JournalFenced, JournalLocked
from dagcall.journal.postgres_database import LOCK_LIMIT, Database, reason
from dagcall.journal.postgres_schema import lock_key, statement, upgrade

log = logging.getLogger(__name__)

LOCK_PATIENCE: Final = 1.0
"""Seconds in which the lock of a server that was killed just now becomes free."""
CLOSE_LIMIT: Final = 5.0
_SERVING: Final = 0x64616763
"""The class of the advisory lock of the server that has the journal open: the bytes `dagc`."""

_CONNECT: Final = statement("connect")
_TERMINATE: Final = statement("terminate")
_SELECT_SERVER: Final = statement("select_server")


class Position(NamedTuple):
    """How far the database has come with a server's groups, and which runs began in the last one."""

    last_group: int
    last_begun: list[int]


class Link:
    """See the module's text. `on_lost` is called when the connection ends without being asked to."""

    def __init__(self, database: Database, on_lost: Callable[[], None]) -> None:
        self.name = database.name
        self.epoch = 0
        self.number = 0
        """Of the connection, in the server's row."""
        self._database = database
        self._on_lost = on_lost
        self._connection: Any = None
        self._backend = 0

    @property
    def connection(self) -> Any:
        """asyncpg's connection; None while it is lost."""
        return self._connection

    async def open(self) -> None:
        """Bring the schema up to date, take the lock and the next epoch, fence all others.

        Raises `JournalLocked`, `JournalError`, and what asyncpg raises.
        """
        connection = await self._database.connect()
        try:
            await self._database.check(connection)
            await upgrade(connection, self.name, self._database.schema)
            await self._lock(connection)
            async with connection.transaction():
                self.epoch = await connection.fetchval(statement("insert_server"), socket.gethostname(), os.getpid())
                await connection.execute(statement("fence_others"), self.epoch)
                await connection.execute(statement("take_runs"), self.epoch)
        except BaseException:
            connection.terminate()
            raise
        self._use(connection, 1)

    async def connect(self) -> Position:
        """Connect again. Raises `JournalFenced`, and what asyncpg raises."""
        connection = await self._database.connect()
        try:
            row = await connection.fetchrow(_CONNECT, self.epoch)
            if row is None:
                raise JournalFenced(f"{self.name} knows nothing of this server (epoch {self.epoch}) any more")
            if row["fenced_by"] is not None:
                raise await self._fenced(connection)
            await self._take_lock_back(connection)
        except BaseException:
            connection.terminate()
            raise
        self._use(connection, row["connection"])
        return Position(row["last_group"], row["last_begun"])

    async def fenced(self) -> JournalFenced:
        """Why a transaction found that this server may not write."""
        return await self._fenced(self._connection)

    def disconnect(self) -> None:
        """Give a connection up that is of no use any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await connection.close(timeout=CLOSE_LIMIT)
        except Exception as error:  # all is written, and the lock ends with the connection
            log.warning("%s: %s while closing", self.name, reason(error))
            connection.terminate()

    def _use(self, connection: Any, number: int) -> None:
        self._connection, self.number = connection, number
        self._backend = connection.get_server_pid()
        connection.add_termination_listener(self._ended)

    def _ended(self, connection: Any) -> None:
        if connection is self._connection:
            self._connection = None
            self._on_lost()

    async def _lock(self, connection: Any) -> None:
        await connection.execute(f"SET lock_timeout = {int(LOCK_PATIENCE * 1000)}")
        try:
            await connection.execute("SELECT pg_advisory_lock($1::INTEGER, $2::INTEGER)", *self._key)
        except asyncpg.LockNotAvailableError:
            holder = await self._last_server(connection)
            raise JournalLocked(
                f"{self.name}: another server ({holder}) has it open: stop it, or give this one another schema"
            ) from None
        await connection.execute(f"SET lock_timeout = {int(LOCK_LIMIT * 1000)}")

    async def _take_lock_back(self, connection: Any) -> None:
        """Our last connection may still have it, when it was lost on this side only."""
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1::INTEGER, $2::INTEGER)", *self._key):
            await connection.fetchval(_TERMINATE, *self._key, self._backend)
            raise asyncpg.LockNotAvailableError("the server's lock is not free yet")

    @property
    def _key(self) -> tuple[int, int]:
        return _SERVING, lock_key(self._database.schema)

    async def _fenced(self, connection: Any) -> JournalFenced:
        other = await self._last_server(connection)
        return JournalFenced(
            f"{self.name}: another server ({other}) opened it since (this one has epoch {self.epoch}): nothing more is "
            "written; stop one of the two"
        )

    async def _last_server(self, connection: Any) -> str:
        row = await connection.fetchrow(_SELECT_SERVER, self.epoch)
        return "unknown" if row is None else f"process {row['pid']} on {row['host']}, epoch {row['epoch']}"
