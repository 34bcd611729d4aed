"""The leases of the servers that share a PostgreSQL journal: who lives, and who goes on with the runs of the dead.

**Lease.** A server has a row in `leases` that says until when, by the database's clock, it counts as alive. It renews
that with every beat, from a thread and over a connection of its own, so that neither a slow group commit nor a busy
event loop keeps it from beating.

**Taking over.** With every beat it looks at the leases of the others. Those that were given up (a server that stops does
that, last of all) or have run out (`lookout` says who may be judged) are fenced, and this server becomes the owner of
their unfinished runs, in one transaction. One server at a time does that, and its lease is renewed with it. It does not wait for what the dead are still
committing, but leaves them for the next beat; the database ends a transaction in which nothing comes for a lease's time.

**Being taken over.** A server that stood still, or was cut off, finds itself fenced at its next beat, if not at its next
write. It is told so once, and beats no more.

While the database is away, the thread tries again with every beat, without end.

States: new -> `start` -> beating -> fenced; `stop` from any. When the answer to a take-over is not heard, nobody here knows
whose runs are whose: then the journal is asked, as after one that was heard.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from dagcall.errors import JournalFenced
from dagcall.journal.lookout import Lookout, Terms
from dagcall.journal.postgres_database import STATEMENT_LIMIT, Database, is_passing, reason
from dagcall.journal.postgres_schema import lock_key, statement

log = logging.getLogger(__name__)

_TAKING: Final = 0x64616774
"""The class of the advisory lock of whoever gets an epoch, or takes runs over: the bytes `dagt`."""
_STOP_LIMIT: Final = 5.0

_RENEW: Final = statement("renew_lease")
_SELECT: Final = statement("select_leases")
_FENCE: Final = statement("fence_dead")
_TAKE: Final = statement("take_runs")
_FENCED_BY: Final = statement("select_fence")
_GIVE_UP: Final = "DELETE FROM leases WHERE epoch = $1"


async def lock_taking(connection: Any, schema: str) -> None:
    """Until the end of the transaction nobody else gets an epoch, or takes runs over."""
    await connection.execute("SELECT pg_advisory_xact_lock($1::INTEGER, $2::INTEGER)", _TAKING, lock_key(schema))


async def try_lock_taking(connection: Any, schema: str) -> bool:
    """The same, if it can be had at once."""
    got = await connection.fetchval(
        "SELECT pg_try_advisory_xact_lock($1::INTEGER, $2::INTEGER)", _TAKING, lock_key(schema)
    )
    return bool(got)


async def take_over(connection: Any, name: str, epoch: int, gone: list[int]) -> int | None:
    """In a transaction that has the lock: fence who gave its lease up, and those of `gone` that still have not renewed
    theirs; own what nobody owns. The number of runs; None: nobody was fenced."""
    fenced = await connection.fetch(_FENCE, epoch, gone, timeout=STATEMENT_LIMIT)
    if not fenced:
        return None
    runs: int = await connection.fetchval(_TAKE, epoch, timeout=STATEMENT_LIMIT)
    who = ", ".join(f"{other} (process {pid} on {host})" for other, host, pid in fenced)
    log.log(
        logging.WARNING if runs else logging.INFO,
        "%s: server(s) %s ended or did not renew their lease; %d unfinished run(s) go on here (server %d)",
        name, who, runs, epoch,
    )  # fmt: skip
    return runs


async def fenced_by(connection: Any, name: str, epoch: int) -> JournalFenced:
    """Why the server `epoch` may not write any more."""
    row = await connection.fetchrow(_FENCED_BY, epoch)
    if row is None:
        return JournalFenced(
            f"{name}: somebody has taken this server's lease away (epoch {epoch}): nothing more is written"
        )
    return JournalFenced(
        f"{name}: another server (process {row['pid']} on {row['host']}, epoch {row['epoch']}) has taken over what this "
        f"one (epoch {epoch}) had, since it did not renew its lease: nothing more is written"
    )


class Leases:
    """See the module's text. `on_taken` and `on_fenced` are called in the event loop that called `start`."""

    def __init__(
        self, database: Database, terms: Terms, on_taken: Callable[[], None], on_fenced: Callable[[JournalFenced], None]
    ) -> None:
        self._database = database
        self._terms = terms
        self._on_taken = on_taken
        self._on_fenced = on_fenced
        self._epoch = 0
        self._connection: Any = None
        self._in_doubt = False
        """A take-over was sent, and what became of it was not heard."""
        self._home: asyncio.AbstractEventLoop
        self._ended: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._started = threading.Event()

    def start(self, epoch: int) -> None:
        """Beat for the server `epoch`, whose lease has begun just now."""
        self._epoch = epoch
        self._home = asyncio.get_running_loop()
        self._ended = self._home.create_future()
        threading.Thread(target=self._run, name="dagcall-leases", daemon=True).start()
        self._started.wait()

    async def stop(self) -> None:
        """Give the lease up: others go on with the runs at once. Nothing may be written after that."""
        if self._ended is None:
            return
        with suppress(RuntimeError):  # fenced: its loop is closed
            self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.wait((self._ended,), timeout=_STOP_LIMIT)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            try:
                runner.run(self._beat_until_stopped())
            except Exception:
                log.exception("%s: the leases are not looked after any more", self._database.name)
            finally:
                self._tell(self._note_end)

    def _note_end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        try:
            self._home.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop was closed without closing the journal: nobody waits any more
            if not self._home.is_closed():
                raise

    async def _beat_until_stopped(self) -> None:
        self._stopping = asyncio.Event()
        self._started.set()
        lookout = Lookout(self._terms, time.monotonic())
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await self._beat(lookout)
            except JournalFenced as error:
                self._disconnect()
                self._tell(self._on_fenced, error)
                return
            except Exception as error:
                self._disconnect()
                if is_passing(error):
                    log.info("%s: the lease could not be renewed: %s", self._database.name, reason(error))
                else:
                    log.exception("%s: the lease could not be renewed", self._database.name)
            pause = max(0.0, began + self._terms.beat - time.monotonic())
            try:
                await asyncio.wait_for(self._stopping.wait(), pause)
            except TimeoutError:
                continue
        await self._give_up()

    async def _beat(self, lookout: Lookout) -> None:
        if self._connection is None:
            self._connection = await self._database.lease_keeper(self._terms.lease)
        connection = self._connection
        left = await connection.fetchval(_RENEW, self._epoch, self._terms.lease)
        if left is None:
            raise await fenced_by(connection, self._database.name, self._epoch)
        lookout.renewed(left, time.monotonic())
        if self._in_doubt:
            self._in_doubt = False
            self._tell(self._on_taken)
        others = [tuple(row) for row in await connection.fetch(_SELECT, self._epoch)]
        gone = lookout.gone(others, time.monotonic())
        if gone:
            await self._take_over(connection, gone)

    async def _take_over(self, connection: Any, gone: list[int]) -> None:
        self._in_doubt = True
        async with connection.transaction():
            # What callers are told of these runs rests on it; and there may be many.
            limit = int(STATEMENT_LIMIT * 1000)
            await connection.execute(f"SET LOCAL synchronous_commit = local; SET LOCAL statement_timeout = {limit}")
            if not await try_lock_taking(connection, self._database.schema):
                self._in_doubt = False
                return  # another one is at it, and this one has to beat
            if await connection.fetchval("SELECT fenced_by FROM servers WHERE epoch = $1", self._epoch) is not None:
                raise await fenced_by(connection, self._database.name, self._epoch)
            runs = await take_over(connection, self._database.name, self._epoch, gone)
            await connection.execute(_RENEW, self._epoch, self._terms.lease)  # however long that took
        self._in_doubt = False
        if runs is not None:  # be it none: there may be callbacks to tell
            self._tell(self._on_taken)

    async def _give_up(self) -> None:
        try:
            if self._connection is None:
                self._connection = await self._database.lease_keeper(self._terms.lease)
            await self._connection.execute(_GIVE_UP, self._epoch)
        except Exception as error:  # it runs out by itself
            log.warning("%s: the lease could not be given up: %s", self._database.name, reason(error))
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
