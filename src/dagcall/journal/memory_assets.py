"""Assets of a journal in memory: the same promises as SQLite's, but durability."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dagcall.journal import asset_items
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.memory_store import Items
from dagcall.journal.memory_store import apply as apply_item
from dagcall.journal.store import Store
from dagcall.model.assets import AssetChanges, AssetEvent, Consumption, KeptAssets, Queued


@dataclass
class AssetRows:
    """What outlives a `MemoryAssets`, beside the items of the store."""

    events: dict[int, AssetEvent] = field(default_factory=dict)
    queue: dict[tuple[str, int], Queued] = field(default_factory=dict)
    consumed: list[Consumption] = field(default_factory=list)


class MemoryAssets:
    """See `journal.assets.AssetLog`. The functions give what is kept, or raise what a journal in that state raises."""

    def __init__(
        self,
        store: Store,
        readable: Callable[[], AssetRows],
        write: Callable[[AssetChanges], None],
    ) -> None:
        self._store = store
        self._readable = readable
        self._write = write

    async def load(self) -> KeptAssets:
        rows = self._readable()
        assets, aliases, references, started = [await self._store.items(kind) for kind in asset_items.KINDS]
        return KeptAssets(
            assets=asset_items.assets_of(assets),
            aliases=asset_items.aliases_of(aliases),
            references=asset_items.references_of(references),
            queued=tuple(sorted(rows.queue.values(), key=lambda entry: entry.created_at)),
            started=asset_items.started_of(started),
            last_event=max(rows.events, default=0),
            last_timestamp=max((event.timestamp for event in rows.events.values()), default=0.0),
        )

    async def write(self, changes: AssetChanges) -> AssetChanges:
        self._write(changes)
        return changes

    async def events(self, query: AssetEventQuery) -> tuple[list[AssetEvent], int]:
        rows = self._readable()
        consumed = {one.event_id for one in rows.consumed if (one.dag_id, one.run_id) == query.consumed_by}
        found = [
            event
            for event in rows.events.values()
            if _matches(event, query) and (query.consumed_by is None or event.id in consumed)
        ]
        for column, descending in reversed(query.ordering):
            found.sort(key=lambda event, column=column: _sort_key(event, column), reverse=descending)  # type: ignore[misc]
        end = None if query.limit is None else query.offset + query.limit
        return found[query.offset : end], len(found)

    async def consumptions(self, event_ids: Sequence[int]) -> list[Consumption]:
        wanted = set(event_ids)
        return [one for one in self._readable().consumed if one.event_id in wanted]


def apply(rows: AssetRows, items: Items, changes: AssetChanges) -> None:
    """Make the changes. Raises `JournalError`, and then nothing was changed."""
    for change in asset_items.changes_of(changes):
        apply_item(items, change)
    for event in changes.events:
        rows.events[event.id] = event
    for entry in changes.queued:
        rows.queue[entry.dag_id, entry.asset_id] = entry
    for entry in changes.dequeued:
        if rows.queue.get((entry.dag_id, entry.asset_id)) == entry:
            del rows.queue[entry.dag_id, entry.asset_id]
    rows.consumed += changes.consumed


def _matches(event: AssetEvent, query: AssetEventQuery) -> bool:
    source = event.source
    by_asset = query.asset_ids is None if query.aliases is None else False
    by_asset = by_asset or (query.asset_ids is not None and event.asset_id in query.asset_ids)
    return (
        (by_asset or (query.aliases is not None and not query.aliases.isdisjoint(event.aliases)))
        and (query.source_dag_id is None or source.dag_id == query.source_dag_id)
        and (query.source_dag_ids is None or source.dag_id is None or source.dag_id in query.source_dag_ids)
        and (query.source_task_id is None or source.task_id == query.source_task_id)
        and (query.source_run_id is None or source.run_id == query.source_run_id)
        and (query.source_map_index is None or source.map_index == query.source_map_index)
        and query.timestamp.holds(event.timestamp)
    )


def _sort_key(event: AssetEvent, column: str) -> tuple[bool, float | str]:
    """A missing value is less than any other."""
    value = (
        getattr(event, column)
        if column in ("id", "timestamp")
        else getattr(event.source, column.removeprefix("source_"))
    )
    return value is not None, 0 if value is None else value
