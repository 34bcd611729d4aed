"""Up to when runs have been recorded, for each server: kept in the journal, so that no crash forgets a run.

Each server writes its own mark (`until`: each run that ended on it before is recorded), and at least each `ALIVE` seconds
that it lives. What a dead server had not recorded ended between its `until` and shortly after it was last alive: whoever
finds its mark records what ended then, and removes it. Two who do that at once do no harm, as runs are recorded once.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from dagcall.journal.store import Put, Remove, Store

KIND: Final = "recorded-until"
ALIVE = 60.0
"""Seconds between two writes, at most."""
DEAD = 2 * ALIVE
MARGIN = 30.0
"""Seconds by which clocks may have been set back, and by which a run may be durable after its end."""


class _Mark(msgspec.Struct):
    until: float
    alive: float


@dataclass(frozen=True)
class Stretch:
    """Runs that ended from `begin` to `end` may not be recorded. `server`: whose mark says so."""

    server: str
    begin: float
    end: float


class RecordedUntil:
    """The marks. Every method raises JournalError."""

    def __init__(self, store: Store, server: str) -> None:
        self._store = store
        self._server = server
        self._written = _Mark(0.0, 0.0)

    async def found(self, now: float, *, all_of_them: bool) -> list[Stretch]:
        """What other servers have left: those that are dead, or all, as far as anybody can know."""
        stretches = []
        for item in await self._store.items(KIND):
            mark = msgspec.json.decode(item.value, type=_Mark)
            if item.key != self._server and (all_of_them or mark.alive < now - DEAD):
                stretches.append(Stretch(item.key, mark.until - MARGIN, min(now, mark.alive + ALIVE + MARGIN)))
        return stretches

    async def done(self, stretch: Stretch, now: float) -> None:
        """Recorded. The mark of one that may live is left to it."""
        item = await self._store.get(KIND, stretch.server)
        if item is None:
            return
        mark = msgspec.json.decode(item.value, type=_Mark)
        if mark.alive < now - DEAD:
            await self._store.write(Remove(KIND, stretch.server))
        elif mark.until < stretch.end:  # a restart within minutes: so that nobody looks at it all again
            mark.until = stretch.end
            await self._store.write(Put(KIND, stretch.server, msgspec.json.encode(mark), now))

    async def write(self, until: float, now: float) -> None:
        """Of this server; often called, seldom written."""
        if until == self._written.until and now < self._written.alive + ALIVE / 2:
            return
        mark = _Mark(until, now)
        await self._store.write(Put(KIND, self._server, msgspec.json.encode(mark), now))
        self._written = mark

    async def forget(self) -> None:
        """All is recorded, and this server ends."""
        await self._store.write(Remove(KIND, self._server))
