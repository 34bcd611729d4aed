"""A server's connection to its PostgreSQL journal: the epoch and the fence.

A server's life has a row in `servers`, under its epoch. Each transaction of the server changes that row, provided that
nobody has fenced it and that it still has the number of the server's connection.

**Fencing.** Servers share a journal. One that has ended, or does not renew its lease, is fenced by another, which takes
its runs over (`postgres_leases`): whatever it still sends is refused. Opening takes over what was given up.

**An older version** has a journal for itself, and keeps others out with an advisory lock that belongs to its connection.
Servers of this version hold the same lock together, so they and one of an older version keep each other out
(`JournalLocked`).

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
from dagcall.journal.postgres_leases import fenced_by, lock_taking, take_over
from dagcall.journal.postgres_schema import lock_key, statement, upgrade

log = logging.getLogger(__name__)

LOCK_PATIENCE: Final = 1.0
"""Seconds in which the lock of a server of an older version that was killed just now becomes free."""
CLOSE_LIMIT: Final = 5.0
_SERVING: Final = 0x64616763
"""The class of the advisory lock of servers that have the journal open: the bytes `dagc`."""

_CONNECT: Final = statement("connect")
_LAST_SERVER: Final = statement("select_last_server")


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

    @property
    def connection(self) -> Any:
        """asyncpg's connection; None while it is lost."""
        return self._connection

    async def open(self, lease: float) -> None:
        """Bring the schema up to date, take the next epoch, with a lease of so many seconds, and what was given up.

        Raises `JournalLocked`, `JournalError`, and what asyncpg raises.
        """
        connection = await self._database.connect()
        try:
            await self._database.check(connection)
            await upgrade(connection, self.name, self._database.schema)
            await self._share_lock(connection)
            async with connection.transaction():
                await lock_taking(connection, self._database.schema)
                self.epoch = await connection.fetchval(statement("insert_server"), socket.gethostname(), os.getpid())
                await connection.execute(statement("insert_lease"), self.epoch, lease)
                await take_over(connection, self.name, self.epoch, [])
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
                raise await fenced_by(connection, self.name, self.epoch)
            await self._share_lock_again(connection)
        except BaseException:
            connection.terminate()
            raise
        self._use(connection, row["connection"])
        return Position(row["last_group"], row["last_begun"])

    async def fenced(self) -> JournalFenced:
        """Why a transaction found that this server may not write."""
        return await fenced_by(self._connection, self.name, self.epoch)

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
        connection.add_termination_listener(self._ended)

    def _ended(self, connection: Any) -> None:
        if connection is self._connection:
            self._connection = None
            self._on_lost()

    async def _share_lock(self, connection: Any) -> None:
        await connection.execute(f"SET lock_timeout = {int(LOCK_PATIENCE * 1000)}")
        try:
            await connection.execute("SELECT pg_advisory_lock_shared($1::INTEGER, $2::INTEGER)", *self._key)
        except asyncpg.LockNotAvailableError:
            row = await connection.fetchrow(_LAST_SERVER)
            holder = "" if row is None else f" (process {row['pid']} on {row['host']}, epoch {row['epoch']})"
            raise JournalLocked(
                f"{self.name}: a server of an older dagcall{holder} has it open, which shares it with nobody: stop it"
            ) from None
        await connection.execute(f"SET lock_timeout = {int(LOCK_LIMIT * 1000)}")

    async def _share_lock_again(self, connection: Any) -> None:
        if not await connection.fetchval("SELECT pg_try_advisory_lock_shared($1::INTEGER, $2::INTEGER)", *self._key):
            raise asyncpg.LockNotAvailableError("a server of an older dagcall has the journal open")

    @property
    def _key(self) -> tuple[int, int]:
        return _SERVING, lock_key(self._database.schema)
