"""Assets within a journal's SQLite file: what `journal.assets` promises.

Reads run in the journal's reader threads, changes in its writer thread, within the transaction of the group.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from dagcall.journal import asset_items
from dagcall.journal.asset_rows import add_query, event_of, event_row
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.conditions import Conditions
from dagcall.journal.rows import ordered
from dagcall.journal.sqlite_file import statement
from dagcall.journal.sqlite_store import apply as apply_items
from dagcall.journal.store import Change, Store
from dagcall.model.assets import AssetChanges, AssetEvent, Consumption, KeptAssets, Queued

_EVENTS: Final = statement("asset_events")
_INSERT_EVENT: Final = statement("insert_asset_event")
_INSERT_ALIAS: Final = statement("insert_asset_event_alias")
_PUT_QUEUED: Final = statement("put_queued")
_DELETE_QUEUED: Final = statement("delete_queued")
_SELECT_QUEUED: Final = statement("select_queued")
_INSERT_CONSUMPTION: Final = statement("insert_consumption")

_MOST_PARAMETERS: Final = 500
"""Values in one statement; SQLite's own limit is larger."""

Read = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]


class SqliteAssets:
    """See `journal.assets.AssetLog`. `read` runs a function in a reader thread, `write` hands changes to the writer."""

    def __init__(self, store: Store, read: Read, write: Callable[[AssetChanges], Awaitable[object]]) -> None:
        self._store = store
        self._read = read
        self._write = write

    async def load(self) -> KeptAssets:
        queued, last = await self._read(_load)
        return await asset_items.load(self._store, queued, *last)

    async def write(self, changes: AssetChanges) -> AssetChanges:
        await self._write(changes)
        return changes

    async def events(self, query: AssetEventQuery) -> tuple[list[AssetEvent], int]:
        found: tuple[list[AssetEvent], int] = await self._read(partial(_select_page, query=query))
        return found

    async def consumptions(self, event_ids: Sequence[int]) -> list[Consumption]:
        found: list[Consumption] = []
        for first in range(0, len(event_ids), _MOST_PARAMETERS):
            some = event_ids[first : first + _MOST_PARAMETERS]
            found += await self._read(partial(_select_consumptions, event_ids=some))
        return found


def apply(cursor: sqlite3.Cursor, changes: AssetChanges, items: tuple[Change, ...]) -> None:
    """Make the changes; `items` are those of `asset_items.changes_of`. Raises `sqlite3.Error`."""
    if items:
        apply_items(cursor, items)
    for event in changes.events:
        cursor.execute(_INSERT_EVENT, event_row(event))
        cursor.executemany(_INSERT_ALIAS, [(alias, event.id) for alias in event.aliases])
    cursor.executemany(_PUT_QUEUED, changes.queued)
    cursor.executemany(_DELETE_QUEUED, changes.dequeued)
    cursor.executemany(_INSERT_CONSUMPTION, changes.consumed)


def _load(reader: sqlite3.Connection) -> tuple[tuple[Queued, ...], tuple[int, float]]:
    last = reader.execute("SELECT coalesce(max(id), 0), coalesce(max(timestamp), 0.0) FROM asset_events").fetchone()
    return tuple(Queued(*row) for row in reader.execute(_SELECT_QUEUED)), last


def _select_page(reader: sqlite3.Connection, query: AssetEventQuery) -> tuple[list[AssetEvent], int]:
    where = add_query(Conditions(), query)
    order = ordered(query.ordering)
    limit = -1 if query.limit is None else query.limit
    reader.execute("BEGIN")  # one state for both answers
    try:
        (total,) = reader.execute(f"SELECT count(*) FROM asset_events WHERE {where.sql}", where.values).fetchone()
        rows = reader.execute(
            f"{_EVENTS} WHERE {where.sql} ORDER BY {order} LIMIT ? OFFSET ?", [*where.values, limit, query.offset]
        ).fetchall()
    finally:
        reader.execute("COMMIT")
    return [event_of(row) for row in rows], total


def _select_consumptions(reader: sqlite3.Connection, event_ids: Sequence[int]) -> list[Consumption]:
    where = Conditions()
    where.one_of("event_id", event_ids)
    columns = "event_id, dag_id, run_id, triggering"
    rows = reader.execute(f"SELECT {columns} FROM asset_consumption WHERE {where.sql} ORDER BY number", where.values)
    return [Consumption(event_id, dag_id, run_id, bool(last)) for event_id, dag_id, run_id, last in rows]
