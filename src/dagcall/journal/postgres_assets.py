"""Assets within a journal's schema in PostgreSQL: what `journal.assets` promises.

Changes are made within the transaction of the writer's group. The ids of events are the callers': two servers on one
schema would have to share them out.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from dagcall.journal import asset_items
from dagcall.journal.asset_rows import add_query, event_of, event_row
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.conditions import NumberedConditions
from dagcall.journal.postgres_schema import statement
from dagcall.journal.postgres_store import Fetch
from dagcall.journal.postgres_store import apply as apply_items
from dagcall.journal.rows import ordered, with_total
from dagcall.journal.store import Change, Store
from dagcall.model.assets import AssetChanges, AssetEvent, Consumption, KeptAssets, Queued

_EVENTS: Final = statement("asset_events")
_INSERT_EVENT: Final = statement("insert_asset_event")
_INSERT_ALIAS: Final = statement("insert_asset_event_alias")
_PUT_QUEUED: Final = statement("put_queued")
_DELETE_QUEUED: Final = statement("delete_queued")
_SELECT_QUEUED: Final = statement("select_queued")
_INSERT_CONSUMPTION: Final = statement("insert_consumption")
_SELECT_CONSUMPTION: Final = statement("select_consumption")


class PostgresAssets:
    """See `journal.assets.AssetLog`. `fetch` selects rows with a reader, `write` hands changes to the writer."""

    def __init__(self, store: Store, fetch: Fetch, write: Callable[[AssetChanges], Awaitable[object]]) -> None:
        self._store = store
        self._fetch = fetch
        self._write = write

    async def load(self) -> KeptAssets:
        queued = tuple(Queued(*row) for row in await self._fetch(_SELECT_QUEUED))
        (last,) = await self._fetch("SELECT coalesce(max(id), 0), coalesce(max(timestamp), 0) FROM asset_events")
        return await asset_items.load(self._store, queued, *last)

    async def write(self, changes: AssetChanges) -> None:
        await self._write(changes)

    async def events(self, query: AssetEventQuery) -> tuple[list[AssetEvent], int]:
        where = add_query(NumberedConditions(), query)
        limit, offset = where.value(query.limit), where.value(query.offset)
        order = ordered(query.ordering)
        page = f"{_EVENTS} WHERE {where.sql} ORDER BY {order} LIMIT {limit} OFFSET {offset}"
        rows = await self._fetch(with_total("asset_events", where.sql, page, order), *where.values)
        return [event_of(row[1:]) for row in rows if row[1] is not None], rows[0][0]

    async def consumptions(self, event_ids: Sequence[int]) -> list[Consumption]:
        return [Consumption(*row) for row in await self._fetch(_SELECT_CONSUMPTION, event_ids)]


async def apply(connection: Any, changes: AssetChanges, items: tuple[Change, ...]) -> None:
    """Make the changes; `items` are those of `asset_items.changes_of`. Raises what asyncpg raises."""
    if items:
        await apply_items(connection, items)
    aliases = [(alias, event.id) for event in changes.events for alias in event.aliases]
    for sql, rows in (
        (_INSERT_EVENT, [event_row(event) for event in changes.events]),
        (_INSERT_ALIAS, aliases),
        (_PUT_QUEUED, changes.queued),
        (_DELETE_QUEUED, changes.dequeued),
        (_INSERT_CONSUMPTION, changes.consumed),
    ):
        if rows:
            await connection.executemany(sql, rows)
