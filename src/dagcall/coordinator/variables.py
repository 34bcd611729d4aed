"""Airflow's Variables, as its metadata database keeps them: what the environment and the secrets backends do not have.

The store is authoritative; nothing is cached. A value is encrypted at rest and never part of a message or a log line.
Putting what is there already changes nothing, so that DAG files which read it are not parsed again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from dagcall.coordinator.cipher import Cipher, is_encrypted
from dagcall.errors import JournalError
from dagcall.journal.store import Item, Put, Remove, Store

log = logging.getLogger("dagcall.variables")

KIND = "variable"


@dataclass(frozen=True)
class Variable:
    """`value`: None when it cannot be decrypted any more. `number`: Airflow's id. `mark`: another one for each value."""

    key: str
    value: str | None
    description: str | None = None
    is_encrypted: bool = False
    number: int = 0
    mark: str = ""


class Variables:
    """`changed` is called with the key whenever reading it may give something else than before."""

    def __init__(self, store: Store, cipher: Cipher, now: Callable[[], float], changed: Callable[[str], None]) -> None:
        self._store = store
        self._cipher = cipher
        self._now = now
        self._changed = changed

    async def find(self, key: str) -> Variable | None:
        return await self.get(key)

    def refuse_changes(self) -> None:
        pass

    async def get(self, key: str) -> Variable | None:
        item = await self._store.get(KIND, key)
        return None if item is None else self._opened(item)

    async def all(self) -> list[Variable]:
        """By id."""
        return [self._opened(item) for item in await self._store.items(KIND)]

    async def keys(self, prefix: str = "") -> list[str]:
        """In the order of the alphabet."""
        return sorted(item.key for item in await self._store.items(KIND, prefix))

    async def put(
        self, key: str, value: str, description: str | None, *, only_new: bool = False, tell: bool = True
    ) -> None:
        """`tell`: that it has changed. Raises `ItemExists` with `only_new`, when it is there."""
        known = None if only_new else await self.get(key)
        if known is not None and (known.value, known.description) == (value, description):
            return
        sealed = self._cipher.seal(msgspec.msgpack.encode((value, description)))
        await self._store.write(Put(KIND, key, sealed, self._now(), only_new))
        if tell:
            self._changed(key)

    async def remove(self, key: str, *, tell: bool = True) -> bool:
        """False when there is none."""
        (removed,) = await self._store.write(Remove(KIND, key))
        if removed and tell:
            self._changed(key)
        return bool(removed)

    def _opened(self, item: Item) -> Variable:
        mark = f"{item.number}@{item.updated!r}"
        try:
            value, description = msgspec.msgpack.decode(self._cipher.open(item.value), type=tuple[str, str | None])
        except JournalError as error:
            # As Airflow does: it is listed, without its value.
            log.error("Variable %r cannot be decrypted: %s", item.key, error)
            return Variable(item.key, None, None, True, item.number, mark)
        return Variable(item.key, value, description, is_encrypted(item.value), item.number, mark)
