"""What is kept of assets beside their events and the queue, as items of the store: one a thing, as JSON."""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from dagcall.errors import JournalCorrupt, JournalError
from dagcall.journal.store import Change, Item, Put, Remove, Store, check_storable
from dagcall.model.assets import Alias, Asset, AssetChanges, KeptAssets, Queued, Reference

T = TypeVar("T")

ASSET: Final = "asset"
ALIAS: Final = "asset_alias"
REFERENCE: Final = "asset_reference"
STARTED: Final = "asset_started"
KINDS: Final = (ASSET, ALIAS, REFERENCE, STARTED)

_encode = msgspec.json.Encoder().encode


def changes_of(changes: AssetChanges) -> tuple[Change, ...]:
    """Raises `JournalError` when a text of any change has no encoding, events and queue included."""
    try:
        msgspec.msgpack.encode(changes)
        if any(text is not None and "\0" in text for text in _texts(changes)):
            raise ValueError("a text has NUL, which PostgreSQL takes in none")
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise JournalError(f"changes of assets cannot be stored: {error}") from error
    made: list[Change] = [Put(ASSET, str(one.id), _encode(one), one.updated_at) for one in changes.assets]
    made += [Put(ALIAS, one.name, _encode(one), 0.0) for one in changes.aliases]
    made += [Put(REFERENCE, _key(one), _encode(since), since) for one, since in changes.references]
    made += [Remove(REFERENCE, _key(one)) for one in changes.forgotten]
    made += [Put(STARTED, dag_id, _encode(until), until) for dag_id, until in changes.started]
    check_storable(tuple(made))
    return tuple(made)


def _texts(changes: AssetChanges) -> Iterator[str | None]:
    """Those that items do not have."""
    for event in changes.events:
        yield from (event.source.dag_id, event.source.task_id, event.source.run_id, event.partition_key)
        yield from event.aliases


async def load(store: Store, queued: tuple[Queued, ...], last_event: int, last_timestamp: float) -> KeptAssets:
    """What is kept: the items from the store, and what has tables of its own."""
    assets, aliases, references, started = [await store.items(kind) for kind in KINDS]
    return KeptAssets(
        assets=assets_of(assets),
        aliases=aliases_of(aliases),
        references=references_of(references),
        queued=queued,
        started=started_of(started),
        last_event=last_event,
        last_timestamp=last_timestamp,
    )


def assets_of(items: Iterable[Item]) -> tuple[Asset, ...]:
    return tuple(_decode(item, Asset) for item in items)


def aliases_of(items: Iterable[Item]) -> tuple[Alias, ...]:
    return tuple(_decode(item, Alias) for item in items)


def references_of(items: Iterable[Item]) -> tuple[tuple[Reference, float], ...]:
    return tuple((msgspec.json.decode(item.key, type=Reference), _decode(item, float)) for item in items)


def started_of(items: Iterable[Item]) -> tuple[tuple[str, float], ...]:
    return tuple((item.key, _decode(item, float)) for item in items)


def _key(reference: Reference) -> str:
    return _encode(reference).decode()


def _decode(item: Item, of: type[T]) -> T:
    try:
        return msgspec.json.decode(item.value, type=of)
    except msgspec.MsgspecError as error:
        raise JournalCorrupt(f"{item.kind} {item.key!r} does not decode: {error}") from error
