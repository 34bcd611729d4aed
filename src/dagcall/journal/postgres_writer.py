"""The writer of a PostgreSQL journal: one task, one connection; it takes what waits and commits it as one transaction.

**Levels.** `process`: flushed to the database's own disk (`synchronous_commit = local`), so that neither the death of
this server nor that of the database loses it. `power`: also as the database's administrator wants it of standbys
(`synchronous_commit = on`).

**Did my commit happen?** When a connection is lost, nobody knows what became of the group that was on its way. The next
connection makes sure that it cannot be committed any more, and says which group was the last (`postgres_link`). If it
is ours, its waiters are told so; if not, it is sent again. Should the last one be older than one that was acknowledged,
then the database has lost commits (a fail-over to a standby that lagged): that is said aloud, and every run is compared
with what the database has before more of it is written.

**While the database is away** a server that starts waits for it (`Patience.start`). Later the writer tries again, without end, at most `LONGEST_PAUSE` apart; what waits stays in
order. What may be refused is refused with `JournalAway` once it has waited for its `Patience` and is surely not written,
or comes when the database has been away for that long. What continues a run waits on, since it has happened. A full
disk, a lock that somebody holds, a standby in the place of the primary count as away. Other errors fail their group,
after its entries were tried one by one: what the database cannot take is refused alone.

States: new -> `open` -> running -> `stop` -> stopped. Fenced, when another server has taken over: everything fails from
then on. All happens in the event loop that called `open`.
"""

import asyncio
import logging
import math
import random
from collections.abc import Iterable
from typing import Final, NamedTuple

from dagcall.errors import JournalAway, JournalError, JournalFenced
from dagcall.journal.base import Commits, Trouble
from dagcall.journal.continuity import begins
from dagcall.journal.entries import Entry, KnownRun, Outcome, settle
from dagcall.journal.postgres_database import Database, is_passing, is_sure, unreachable
from dagcall.journal.postgres_link import CLOSE_LIMIT, Link
from dagcall.journal.postgres_transaction import Transaction
from dagcall.model.ids import RunKey
from dagcall.model.records import Batch

log = logging.getLogger(__name__)

LONGEST_PAUSE: Final = 2.0
OPENING_PAUSE: Final = 0.5
"""Seconds between two tries of a server that starts."""
MOST_ENTRIES: Final = 500
"""In one transaction: after an outage much may wait, and a message to the database has a limit."""


class Patience(NamedTuple):
    """Seconds to wait for a database that is away, before it is refused with what is asked of it."""

    calls: float
    """Beginnings of runs: their callers may ask elsewhere, or again."""
    work: float
    """All else that may be refused: running tasks ask for it, too."""
    start: float = 30.0
    """A server that starts: its database may be starting, too, or recover from a crash."""


PATIENCE: Final = Patience(calls=10.0, work=60.0)


class Waiting(NamedTuple):
    """An entry, and since when it waits."""

    since: float
    entry: Entry


class PostgresWriter:
    """See the module's text."""

    def __init__(self, database: Database, patience: Patience) -> None:
        self.trouble: Trouble | None = None
        self.commits = Commits()
        self._database = database
        self._patience = patience
        self._link = Link(database, self._on_lost)
        self._last_group = 0
        self._waiting: list[Waiting] = []
        self._known: dict[RunKey, KnownRun] = {}
        self._wake = asyncio.Event()
        self._stop_by: float | None = None
        self._fenced: JournalFenced | None = None
        self._task: asyncio.Task[None]

    async def open(self, lease: float) -> int:
        """Returns the epoch, which has a lease of so many seconds. Raises `JournalLocked`, `JournalError`; `JournalAway`
        when the database could not be reached for `Patience.start` seconds."""
        end = self._now() + self._patience.start
        while True:
            try:
                await self._link.open(lease)
                break
            except Exception as error:
                why = self._database.explain(error)
                if not isinstance(why, JournalAway) or self._now() >= end:
                    raise why from None
                self._note(error)
            await asyncio.sleep(OPENING_PAUSE)
        self._note(None)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="dagcall-journal")
        return self._link.epoch

    def put(self, entry: Entry) -> None:
        """Enqueue; never blocks."""
        now = self._now()
        if self.trouble is not None and now - self.trouble.since > self._patience_for(entry):
            entry.future.set_exception(self._away())
            return
        self._waiting.append(Waiting(now, entry))
        self._wake.set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def note_fenced(self, error: JournalFenced) -> None:
        """Another server has taken over: nothing is written any more."""
        if self._fenced is None:
            log.error("%s", error)
            self._fenced = error
            self.trouble = Trouble("another server has taken over", self._now(), is_final=True)
            self._link.disconnect()
            self._wake.set()

    async def stop(self) -> None:
        """Write what was put before, then let go of the database."""
        self._stop_by = self._now() + CLOSE_LIMIT
        self._wake.set()
        await asyncio.shield(self._task)

    def _on_lost(self) -> None:
        self._wake.set()  # connect again, although there may be nothing to write

    async def _run(self) -> None:
        while self._waiting or self._stop_by is None:
            self._wake.clear()
            if not self._waiting and (self._link.connection is not None or self._fenced is not None):
                await self._wake.wait()
            group, self._waiting = self._waiting[:MOST_ENTRIES], self._waiting[MOST_ENTRIES:]
            began = self._now()
            outcomes = await self._commit(group)
            took = self._now() - began
            settle(outcomes)
            if outcomes:
                self.commits.add(took, len(outcomes), sum([one.error is not None for one in outcomes]))
        await self._link.close()

    async def _commit(self, group: list[Waiting]) -> list[Outcome]:
        """Write a group, over as many connections as it takes. An empty one: only connect."""
        refused: list[Outcome] = []
        sent: Transaction | None = None
        pause = 0.0
        while self._fenced is None:
            try:
                if self._link.connection is None:
                    last_group, last_begun = await self._link.connect()
                    self._note(None)
                    if sent is not None and sent.number == last_group:
                        sent.answered(last_begun)
                        return refused + await self._committed(sent)
                    self._compare(last_group)
                if not group:
                    return refused
                sent = Transaction(self._link, self._last_group + 1, [one.entry for one in group], self._known)
                await sent.send()
                return refused + await self._committed(sent)
            except JournalFenced as error:
                self.note_fenced(error)
                break
            except Exception as error:
                self._known.clear()
                if is_sure(error) and await self._rolled_back():
                    sent = None
                else:
                    self._link.disconnect()
                if not is_passing(error):
                    if sent is None and len(group) > 1:  # one of them is to blame, and refused alone
                        return refused + [outcome for one in group for outcome in await self._commit([one])]
                    log.exception("%s: a group of %d entries failed", self._database.name, len(group))
                    return refused + _failed(group, self._database.explain(error))
                self._note(error)
            if self._stop_by is not None and self._now() > self._stop_by:
                unsure = "" if sent is None else "; whether the last group was kept is not known"
                return refused + _failed(group, JournalError(f"{self._database.name}: closed while away{unsure}"))
            await asyncio.sleep(pause * random.uniform(0.7, 1.0))
            pause = min(LONGEST_PAUSE, max(0.05, pause * 2))
            settle(self._expired(self._waiting))
            if sent is None:
                refused += self._expired(group)
        assert self._fenced is not None
        return refused + _failed(group, self._fenced)

    async def _committed(self, sent: Transaction) -> list[Outcome]:
        outcomes = await sent.outcomes()
        sent.remember(self._known)
        if sent.is_written:
            self._last_group = sent.number
        self._note(None)
        return outcomes

    async def _rolled_back(self) -> bool:
        """Whether the connection can go on after an error."""
        connection = self._link.connection
        try:
            if connection is not None and connection.is_in_transaction():
                await connection.execute("ROLLBACK")
        except Exception:
            return False
        return connection is not None

    def _compare(self, last_group: int) -> None:
        """What the database has with what it acknowledged."""
        if last_group < self._last_group:
            log.error(
                "%s has lost what it had acknowledged (its last group is %d, it acknowledged %d), as after a fail-over "
                "to a standby that lagged: runs that miss records are stopped",
                self._database.name,
                last_group,
                self._last_group,
            )
        self._last_group = last_group
        self._known.clear()

    def _note(self, error: Exception | None) -> None:
        """The database serves, or why it does not."""
        if self._fenced is not None:
            return
        before = self.trouble
        if error is None:
            if before is not None:
                log.warning("%s: back after %.1f s", self._database.name, self._now() - before.since)
            self.trouble = None
            return
        why = str(unreachable(error))
        if before is None or before.reason != why:
            log.warning("%s; trying again", self._database.away(error))
        self.trouble = Trouble(why, self._now() if before is None else before.since)

    def _expired(self, waiting: list[Waiting]) -> list[Outcome]:
        """Take out what has waited for too long."""
        now = self._now()
        expired = [one.entry for one in waiting if now - one.since > self._patience_for(one.entry)]
        if expired:
            waiting[:] = [one for one in waiting if now - one.since <= self._patience_for(one.entry)]
        return [Outcome(entry, error=self._away()) for entry in expired]

    def _patience_for(self, entry: Entry) -> float:
        """What continues a run is never refused: it has happened."""
        if not isinstance(entry.work, Batch):
            return self._patience.work
        return self._patience.calls if begins(entry.work) else math.inf

    def _away(self) -> JournalAway:
        return JournalAway("the journal is away" if self.trouble is None else self.trouble.reason)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _failed(group: Iterable[Waiting], error: JournalError) -> list[Outcome]:
    # One exception for each: a future's waiter adds its own traceback to it.
    return [Outcome(one.entry, error=type(error)(*error.args)) for one in group]
