"""Assets within a journal's schema in PostgreSQL: what `journal.assets` promises.

Changes are made within the transaction of the writer's group. Of servers that share the journal, one at a time changes
the queue or makes events (`lock`, until its group is committed): so an event has a number and a time above those of all
that were committed before, and what a start takes out of the queue is there, or the start is refused.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from dagcall.errors import RunExists
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
from dagcall.model.records import Batch

_WRITING: Final = 0x64616761
"""The class of the advisory lock of whoever makes asset events: the bytes `daga`."""
_MICROSECOND: Final = 1e-6

_EVENTS: Final = statement("asset_events")
_INSERT_EVENT: Final = statement("insert_asset_event")
_INSERT_ALIAS: Final = statement("insert_asset_event_alias")
_LAST_EVENT: Final = "SELECT coalesce(max(id), 0), coalesce(max(timestamp), 0) FROM asset_events"
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
        (last,) = await self._fetch(_LAST_EVENT)
        return await asset_items.load(self._store, queued, *last)

    async def write(self, changes: AssetChanges) -> AssetChanges:
        kept = await self._write(changes)
        assert isinstance(kept, AssetChanges)
        return kept

    async def events(self, query: AssetEventQuery) -> tuple[list[AssetEvent], int]:
        where = add_query(NumberedConditions(), query)
        limit, offset = where.value(query.limit), where.value(query.offset)
        order = ordered(query.ordering)
        page = f"{_EVENTS} WHERE {where.sql} ORDER BY {order} LIMIT {limit} OFFSET {offset}"
        rows = await self._fetch(with_total("asset_events", where.sql, page, order), *where.values)
        return [event_of(row[1:]) for row in rows if row[1] is not None], rows[0][0]

    async def consumptions(self, event_ids: Sequence[int]) -> list[Consumption]:
        return [Consumption(*row) for row in await self._fetch(_SELECT_CONSUMPTION, event_ids)]


async def lock(connection: Any) -> None:
    """Until the end of the transaction no other server makes events or changes the queue."""
    await connection.execute("SELECT pg_advisory_xact_lock($1::INTEGER, hashtext(current_schema()))", _WRITING)


async def refusal(connection: Any, batch: Batch) -> RunExists | None:
    """Why a run may not begin that takes entries out of the queue. Call `lock` before."""
    changes = batch.assets
    if changes is None or not changes.started:
        return None
    dag_ids = [dag_id for dag_id, _ in changes.started]
    taken = {entry for entry in changes.dequeued if entry.dag_id in dag_ids}
    there = {Queued(*row) for row in await connection.fetch(_SELECT_QUEUED)}
    if taken <= there:
        return None
    key = batch.head.key
    return RunExists(
        f"another server has started DAG {key.dag_id!r} for the same asset events, or there are newer ones",
        dag_id=key.dag_id,
        run_id=key.run_id,
    )


async def apply(connection: Any, changes: AssetChanges, items: tuple[Change, ...]) -> AssetChanges:
    """Make the changes, and return them as they are kept; `items` are those of `asset_items.changes_of`. Call `lock`
    before. Raises what asyncpg raises."""
    if changes.events:
        (last,) = await connection.fetch(_LAST_EVENT)
        changes = after(changes, *last)
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
    return changes


def after(changes: AssetChanges, last_id: int, last_timestamp: float) -> AssetChanges:
    """The same changes with events that follow this one in number and time. Pure."""
    events, times = [], {}
    for event in changes.events:
        last_id = max(event.id, last_id + 1)
        last_timestamp = max(event.timestamp, round(last_timestamp + _MICROSECOND, 6))
        times[event.timestamp] = last_timestamp
        events.append(replace(event, id=last_id, timestamp=last_timestamp))
    queued = tuple(entry._replace(created_at=times.get(entry.created_at, entry.created_at)) for entry in changes.queued)
    return replace(changes, events=tuple(events), queued=queued)
