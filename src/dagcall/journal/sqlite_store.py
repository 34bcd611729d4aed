"""The store within a journal's SQLite file: what `journal.store` promises, as statements on one table.

Reads run in the journal's reader threads, changes in its writer thread, within the transaction of the group. A write
of several changes stands in a savepoint of its own, so that one that is refused leaves nothing behind.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

from dagcall.errors import JournalCorrupt
from dagcall.journal.checksums import checksum
from dagcall.journal.sqlite_file import statement
from dagcall.journal.store import LAST, Change, Item, ItemExists, Put, Remove, check_storable

_GET: Final = statement("select_item")
_LIST: Final = statement("select_items")
_PUT: Final = statement("put_item")
_REMOVE: Final = statement("delete_item")
_REMOVE_ALL: Final = statement("delete_items")

Row = tuple[str, str, bytes, int, float, float, int]
"""The columns of `sql/sqlite/select_items.sql`: the fields of an item, and its checksum."""


class SqliteStore:
    """See `journal.store.Store`. `read` selects rows in a reader thread, `write` hands changes to the writer thread."""

    def __init__(
        self,
        read: Callable[[str, tuple[str | int, ...]], Awaitable[list[Row]]],
        write: Callable[[tuple[Change, ...]], Awaitable[list[int]]],
    ) -> None:
        self._read = read
        self._write = write

    async def get(self, kind: str, key: str) -> Item | None:
        rows = await self._read(_GET, (kind, key))
        return _item(rows[0]) if rows else None

    async def items(self, kind: str, prefix: str = "", *, after: int = 0, limit: int | None = None) -> list[Item]:
        rows = await self._read(_LIST, (kind, prefix, prefix + LAST, after, -1 if limit is None else limit))
        return [*map(_item, rows)]

    async def write(self, *changes: Change) -> list[int]:
        check_storable(changes)
        return await self._write(changes)


def _item(row: Row) -> Item:
    kind, key, value, number, created, updated, crc = row
    if checksum(kind, key, value) != crc:
        raise JournalCorrupt(f"{kind} {key!r} is damaged: its checksum does not fit")
    return Item(kind, key, value, number, created, updated)


def apply(cursor: sqlite3.Cursor, changes: tuple[Change, ...]) -> list[int]:
    """Make the changes, all or none. Raises `ItemExists`, `sqlite3.Error`."""
    cursor.execute("SAVEPOINT changes")
    try:
        done = [_apply(cursor, change) for change in changes]
    except ItemExists:
        cursor.execute("ROLLBACK TO changes")
        raise
    finally:
        if cursor.connection.in_transaction:  # SQLite itself ends it after some errors
            cursor.execute("RELEASE changes")
    return done


def _apply(cursor: sqlite3.Cursor, change: Change) -> int:
    if isinstance(change, Put):
        if change.only_new and cursor.execute(_GET, (change.kind, change.key)).fetchone() is not None:
            raise ItemExists(f"{change.kind} {change.key!r} exists already")
        crc = checksum(change.kind, change.key, change.value)
        row = cursor.execute(_PUT, (change.kind, change.key, change.value, change.time, change.time, crc)).fetchone()
        return int(row[0])
    if isinstance(change, Remove):
        cursor.execute(_REMOVE, (change.kind, change.key))
    else:
        cursor.execute(_REMOVE_ALL, (change.kind, change.prefix, change.prefix + LAST))
    return cursor.rowcount
