"""The store within a journal's schema in PostgreSQL: what `journal.store` promises, as statements on one table.

Changes are made within the transaction of the writer's group. A write of several changes that may be refused stands
in a savepoint of its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from dagcall.journal.postgres_schema import statement
from dagcall.journal.store import LAST, Change, Item, ItemExists, Put, Remove, check_storable

_GET: Final = statement("select_item")
_LIST: Final = statement("select_items")
_PUT: Final = statement("put_item")
_INSERT: Final = statement("insert_item")
_REMOVE: Final = statement("delete_item")
_REMOVE_ALL: Final = statement("delete_items")

Fetch = Callable[..., Awaitable[list[Any]]]


class PostgresStore:
    """See `journal.store.Store`. `fetch` selects rows with a reader, `write` hands changes to the writer."""

    def __init__(self, fetch: Fetch, write: Callable[[tuple[Change, ...]], Awaitable[Any]]) -> None:
        self._fetch = fetch
        self._write = write

    async def get(self, kind: str, key: str) -> Item | None:
        rows = await self._fetch(_GET, kind, key)
        return Item(*rows[0]) if rows else None

    async def items(self, kind: str, prefix: str = "", *, after: int = 0, limit: int | None = None) -> list[Item]:
        rows = await self._fetch(_LIST, kind, prefix, prefix + LAST, after, limit)
        return [Item(*row) for row in rows]

    async def write(self, *changes: Change) -> list[int]:
        check_storable(changes)
        done: list[int] = await self._write(changes)
        return done


async def apply(connection: Any, changes: tuple[Change, ...]) -> list[int]:
    """Make the changes, all or none. Raises `ItemExists`, and what asyncpg raises."""
    if len(changes) == 1:
        return [await _apply(connection, changes[0])]
    if not any(isinstance(change, Put) and change.only_new for change in changes):
        return [await _apply(connection, change) for change in changes]
    await connection.execute("SAVEPOINT changes")
    try:
        done = [await _apply(connection, change) for change in changes]
    except ItemExists:
        await connection.execute("ROLLBACK TO SAVEPOINT changes")
        raise
    await connection.execute("RELEASE SAVEPOINT changes")
    return done


async def _apply(connection: Any, change: Change) -> int:
    match change:
        case Put():
            sql = _INSERT if change.only_new else _PUT
            number = await connection.fetchval(sql, change.kind, change.key, change.value, change.time)
            if number is None:
                raise ItemExists(f"{change.kind} {change.key!r} exists already")
        case Remove():
            number = await connection.fetchval(_REMOVE, change.kind, change.key)
        case _:
            number = await connection.fetchval(_REMOVE_ALL, change.kind, change.prefix, change.prefix + LAST)
    return int(number)
