"""Airflow's Connections, as its metadata database keeps them: what the environment and the secrets backends do not have.

The store is authoritative; nothing is cached. All of a Connection is encrypted at rest; its password and extra are
never part of a message or a log line.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from dagcall.coordinator.cipher import Cipher
from dagcall.errors import JournalError
from dagcall.journal.store import Item, Put, Remove, Store

KIND = "connection"


@dataclass(frozen=True)
class Connection:
    """Airflow's fields. `number`: its id. `mark`: another one for each state of it."""

    conn_id: str
    conn_type: str
    description: str | None = None
    host: str | None = None
    login: str | None = None
    schema: str | None = None
    port: int | None = None
    password: str | None = None
    extra: str | None = None
    number: int = 0
    mark: str = ""


class Connections:
    """`changed` is called with the id whenever reading it may give something else than before."""

    def __init__(self, store: Store, cipher: Cipher, now: Callable[[], float], changed: Callable[[str], None]) -> None:
        self._store = store
        self._cipher = cipher
        self._now = now
        self._changed = changed

    async def find(self, conn_id: str) -> Connection | None:
        """As `get`."""
        return await self.get(conn_id)

    def refuse_changes(self) -> None:
        pass

    async def get(self, conn_id: str) -> Connection | None:
        """Raises `JournalError` when it cannot be decrypted."""
        item = await self._store.get(KIND, conn_id)
        return None if item is None else self._opened(item)

    async def all(self) -> list[Connection]:
        """By id. Raises as `get`."""
        return [self._opened(item) for item in await self._store.items(KIND)]

    async def put(self, connection: Connection, *, only_new: bool = False) -> None:
        """Raises `ItemExists` with `only_new`, when it is there."""
        sealed = self._cipher.seal(msgspec.msgpack.encode(replace(connection, number=0, mark="")))
        await self._store.write(Put(KIND, connection.conn_id, sealed, self._now(), only_new))
        self._changed(connection.conn_id)

    async def remove(self, conn_id: str) -> bool:
        """False when there is none."""
        (removed,) = await self._store.write(Remove(KIND, conn_id))
        if removed:
            self._changed(conn_id)
        return bool(removed)

    def _opened(self, item: Item) -> Connection:
        try:
            opened = self._cipher.open(item.value)
        except JournalError as error:
            raise JournalError(f"Connection {item.key!r} cannot be decrypted: {error}") from None
        connection = msgspec.msgpack.decode(opened, type=Connection)
        return replace(connection, number=item.number, mark=f"{item.number}@{item.updated!r}")
