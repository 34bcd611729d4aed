"""The store: what belongs to no run (Variables, task states, asset events, ...), kept in the journal's database.

**Authority.** An item is found by its kind and key, both texts that its owner chooses; its value is opaque. What the
store holds is what is so, also after a restart.

**Order and atomicity.** The changes of one `write` are kept together or not at all. Writes stand in one line with the
journal's batches: whoever sees one sees everything written before it, and what waits when the writer is free shares
one commit. `write` returns when its changes are durable (level `process`), so that nobody is answered with what a
crash could take back.

**Numbers.** An item gets the next number when it is first put, over all kinds, and keeps it while its value is
replaced. A number is never used again: it is an id and tells the order of arrival.

**Refusals.** A write whose `Put(only_new=True)` finds the key taken, or with a text that cannot be stored, is refused
alone. As with the journal a failing medium fails everything that shares its commit, with `JournalError`, and a server
that lost its journal is fenced. All methods are called from the event loop that opened the journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dagcall.errors import JournalError
from dagcall.model.records import Batch

LAST: Final = "\U0010ffff"
"""The greatest character, which Unicode assigns to nothing: what begins with a prefix lies below prefix + this."""


class ItemExists(JournalError):
    """`Put(only_new=True)` found the key taken; nothing of the write was kept."""


@dataclass(frozen=True)
class Item:
    """What is kept under a kind and key. Times are seconds since the epoch, as the writers gave them."""

    kind: str
    key: str
    value: bytes
    number: int
    created: float
    updated: float


@dataclass(frozen=True)
class Put:
    """Keep `value` under the key, in place of what is there; or, with `only_new`, only if nothing is."""

    kind: str
    key: str
    value: bytes
    time: float
    only_new: bool = False


@dataclass(frozen=True)
class Remove:
    """Forget one item; one that is not there is no error."""

    kind: str
    key: str


@dataclass(frozen=True)
class RemoveAll:
    """Forget all items of a kind whose keys begin with `prefix`."""

    kind: str
    prefix: str = ""


Change = Put | Remove | RemoveAll


class Store(Protocol):
    """See the module's text for what every implementation guarantees."""

    async def get(self, kind: str, key: str) -> Item | None: ...

    async def items(self, kind: str, prefix: str = "", *, after: int = 0, limit: int | None = None) -> list[Item]:
        """The items of a kind whose keys begin with `prefix`, by number, those above `after`, at most `limit`."""
        ...

    async def write(self, *changes: Change) -> list[int]:
        """Make the changes. Returns one number for each: the item's for a `Put`, how many were removed for the others.

        Raises `ItemExists`, `JournalFenced`, `JournalError`.
        """
        ...


def puts_of(batch: Batch) -> tuple[Put, ...]:
    """The items that become durable with a batch. Raises as `check_storable`."""
    puts = tuple([Put(*item) for item in batch.items])
    check_storable(puts)
    return puts


def check_storable(changes: Sequence[Change]) -> None:
    """Raises `JournalError` when a kind or key is no Unicode text, or has NUL, which PostgreSQL takes in no text, or the
    character that bounds prefixes."""
    for change in changes:
        name = change.prefix if isinstance(change, RemoveAll) else change.key
        for text in (change.kind, name):
            if LAST in text or "\0" in text or any("\ud800" <= one <= "\udfff" for one in text):
                raise JournalError(f"{change.kind!r} {name!r}: this text cannot be stored")
