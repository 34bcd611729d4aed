"""The store of a journal in memory: the same promises as SQLite's, but durability."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dagcall.journal.store import Change, Item, ItemExists, Put, Remove, check_storable


@dataclass
class Items:
    """What outlives a `MemoryStore`. `last` is the greatest number given."""

    last: int = 0
    by_key: dict[tuple[str, str], Item] = field(default_factory=dict)


class MemoryStore:
    """See `journal.store.Store`. The two functions give the items, or raise what a journal in that state raises."""

    def __init__(self, readable: Callable[[], Items], writable: Callable[[], Items]) -> None:
        self._readable = readable
        self._writable = writable

    async def get(self, kind: str, key: str) -> Item | None:
        return self._readable().by_key.get((kind, key))

    async def items(self, kind: str, prefix: str = "", *, after: int = 0, limit: int | None = None) -> list[Item]:
        found = [
            item
            for item in self._readable().by_key.values()
            if item.kind == kind and item.key.startswith(prefix) and item.number > after
        ]
        return sorted(found, key=lambda item: item.number)[:limit]

    async def write(self, *changes: Change) -> list[int]:
        check_storable(changes)
        items = self._writable()
        before = replace(items, by_key=dict(items.by_key)) if len(changes) > 1 else items
        try:
            return [apply(items, change) for change in changes]
        except ItemExists:
            items.last, items.by_key = before.last, before.by_key
            raise


def apply(items: Items, change: Change) -> int:
    if isinstance(change, Put):
        key = (change.kind, change.key)
        known = items.by_key.get(key)
        if known is None:
            items.last += 1
            known = Item(*key, change.value, items.last, change.time, change.time)
        elif change.only_new:
            raise ItemExists(f"{change.kind} {change.key!r} exists already")
        items.by_key[key] = Item(*key, change.value, known.number, known.created, change.time)
        return known.number
    if isinstance(change, Remove):
        return 0 if items.by_key.pop((change.kind, change.key), None) is None else 1
    gone = [key for key in items.by_key if key[0] == change.kind and key[1].startswith(change.prefix)]
    for key in gone:
        del items.by_key[key]
    return len(gone)
