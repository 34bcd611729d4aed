"""Texts between the servers of a PostgreSQL journal: LISTEN and NOTIFY, over a connection of their own.

Its own, because a commit with a NOTIFY in it waits for every other such commit of the database: those of the journal
must not. A transaction that only notifies writes nothing, so it flushes nothing either.

Channels are called by a digest of the schema's name, since channels belong to the database and a name has 63 bytes at
most, and by the epoch. `wire` says what arrives.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2s
from typing import Any, Final

from dagcall.journal.postgres_database import Database, reason
from dagcall.journal.postgres_schema import statement
from dagcall.journal.wire import EVERYBODY, LONGEST, Sent
from dagcall.model.ids import RunKey

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
SEND_LIMIT: Final = 5.0
"""Seconds after which a connection that takes no text is given up."""

_NOTIFY: Final = statement("notify")
_OWNER: Final = statement("select_owner")


def channel(schema: str, epoch: int = EVERYBODY) -> str:
    """What a server listens to; without an epoch, what all do."""
    name = f"dagcall_{blake2s(schema.encode(), digest_size=8).hexdigest()}"
    return name if epoch == EVERYBODY else f"{name}_{epoch}"


class PostgresWire:
    """See the module's text. `fetch` reads rows for a statement, as the journal's readers do."""

    def __init__(self, database: Database, fetch: Callable[..., Awaitable[list[Any]]]) -> None:
        self._database = database
        self._fetch = fetch
        self._connection: Any = None
        self._sending = asyncio.Lock()
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self, epoch: int, received: Callable[[str], None], connected: Callable[[], None]) -> None:
        first = asyncio.Event()

        def heard(connection: Any, pid: int, name: str, text: str) -> None:
            received(text)

        def listening() -> None:
            connected()
            first.set()

        self._task = asyncio.get_running_loop().create_task(self._listen(epoch, heard, listening), name="dagcall-wire")
        try:
            async with asyncio.timeout(SEND_LIMIT):
                await first.wait()
        except TimeoutError:
            log.warning("%s: other servers cannot be heard yet", self._database.name)

    async def send(self, texts: Sequence[Sent]) -> None:
        channels = [channel(self._database.schema, to) for to, _ in texts]
        async with self._sending:
            connection = self._connection
            if connection is None:
                return
            try:
                await connection.execute(_NOTIFY, channels, [text for _, text in texts], timeout=SEND_LIMIT)
            except Exception as error:
                log.warning("%s: other servers cannot be told anything now: %s", self._database.name, reason(error))
                connection.terminate()
                self._ended(connection)

    async def owner(self, key: RunKey) -> int | None:
        rows = await self._fetch(_OWNER, *key)
        return rows[0][0] if rows else None

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _listen(self, epoch: int, heard: Callable[..., None], listening: Callable[[], None]) -> None:
        """Connect again and again, until cancelled."""
        pause = FIRST_PAUSE
        while True:
            self._lost.clear()
            try:
                connection = await self._connect(epoch, heard)
            except Exception as error:
                log.warning("%s: other servers cannot be heard: %s", self._database.name, reason(error))
                await asyncio.sleep(pause * random.uniform(0.7, 1.0))
                pause = min(LONGEST_PAUSE, 2 * pause)
                continue
            pause = FIRST_PAUSE
            self._connection = connection
            connection.add_termination_listener(self._ended)
            if not connection.is_closed():
                listening()
                await self._lost.wait()

    async def _connect(self, epoch: int, heard: Callable[..., None]) -> Any:
        connection = await self._database.listener()
        try:
            for to in (EVERYBODY, epoch):
                await connection.add_listener(channel(self._database.schema, to), heard)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _ended(self, connection: Any) -> None:
        if connection is self._connection:
            self._connection = None
            self._lost.set()


assert LONGEST < 8000, "what PostgreSQL takes"
