"""From what a task says about its outlets to asset events: `TaskInstance.register_asset_changes_in_db`
(airflow/models/taskinstance.py), rule by rule."""

import json
from collections.abc import Iterable
from dataclasses import replace

from dagcall.core.asset_book import AssetBook
from dagcall.model.assets import (
    NO_EXTRA,
    Asset,
    AssetChanges,
    AssetDeclaration,
    AssetEvent,
    AssetKey,
    OutletEvent,
    Outlets,
    Queued,
    Source,
)


def changes_of(book: AssetBook, outlets: Outlets, source: Source, now: float) -> AssetChanges:
    """The events of one task instance that succeeded, and what goes with them.

    An outlet that no served DAG stands for makes no event, as in stock, where it is a line in a log.
    """
    made: list[tuple[AssetEvent, list[Queued]]] = []
    for asset in _direct(book, outlets):
        given = [event for event in outlets.events if event.alias is None and event.key == asset.key]
        made += [
            book.event(asset, source, event.extra, now, partition_key=event.partition_key)
            for event in given or [OutletEvent(asset.key)]
        ]
    for (key, asset_extra, extra), aliases in _through_aliases(outlets).items():
        asset = book.make(AssetDeclaration(key.name, key.uri, "asset", asset_extra), now)
        made.append(book.event(asset, source, extra, now, tuple(aliases)))
    return with_events(book, made)


def with_events(
    book: AssetBook, made: Iterable[tuple[AssetEvent, list[Queued]]], dequeued: Iterable[Queued] = ()
) -> AssetChanges:
    """New events, with every declaration that is not durable yet."""
    events: list[AssetEvent] = []
    queued: dict[tuple[str, int], Queued] = {}
    for event, entries in made:
        events.append(event)
        queued.update(((entry.dag_id, entry.asset_id), entry) for entry in entries)
    return replace(book.unsaved(), events=tuple(events), queued=tuple(queued.values()), dequeued=tuple(dequeued))


def _direct(book: AssetBook, outlets: Outlets) -> Iterable[Asset]:
    """The active assets that the outlets name: assets, then references by name, then by URI, each once."""
    for kind in ("asset", "name_ref", "uri_ref"):
        for ref in dict.fromkeys(ref for ref in outlets.refs if ref.kind == kind):
            key = ref.key if kind == "asset" else book.named(ref.name) if kind == "name_ref" else book.at(ref.uri)
            asset = None if key is None else book.find(key)
            if asset is not None and asset.id in book.active:
                yield asset


def _through_aliases(outlets: Outlets) -> dict[tuple[AssetKey, bytes, bytes], dict[str, None]]:
    """The aliases of the outlets by event: one event for all aliases that say the same of an asset."""
    named = {ref.name for ref in outlets.refs if ref.kind == "alias"}
    found: dict[tuple[AssetKey, bytes, bytes], dict[str, None]] = {}
    for event in outlets.events:
        if event.alias in named and event.alias is not None:
            same = (event.key, _sorted(event.asset_extra), _sorted(event.extra))
            found.setdefault(same, {})[event.alias] = None
    return found


def _sorted(extra: bytes) -> bytes:
    """Equal objects as equal bytes."""
    return extra if extra == NO_EXTRA else json.dumps(json.loads(extra), sort_keys=True).encode()
