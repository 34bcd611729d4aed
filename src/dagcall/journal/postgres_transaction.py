"""One group of entries as one transaction of a PostgreSQL journal.

Batches alone are one statement, so one round trip and one flush. Anything else in a group (plans, the store, assets,
deletions) makes it a transaction of several statements, in the order of arrival; batches that stand in a row there are
one statement, too. Refusals are outcomes of single entries; exceptions are the database's, and concern the whole.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final

from dagcall.crashpoints import reached
from dagcall.errors import DagcallError
from dagcall.journal import asset_items, postgres_assets, postgres_store
from dagcall.journal.continuity import begins
from dagcall.journal.encoding import encode_plan
from dagcall.journal.entries import Entry, KnownRun, Outcome
from dagcall.journal.postgres_group import BatchGroup
from dagcall.journal.postgres_link import Link
from dagcall.journal.postgres_schema import statement
from dagcall.journal.rows import head_of
from dagcall.model.assets import AssetChanges
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch

_APPEND: Final = statement("append")
_ACCEPT: Final = statement("accept")
_MARK: Final = statement("mark")
_INSERT_PLAN: Final = statement("insert_plan")
_DELETE_RUN: Final = statement("delete_run")
_SELECT_HEADS: Final = statement("heads") + (
    " WHERE (dag_id, run_id) IN (SELECT * FROM unnest($1::TEXT[], $2::TEXT[]))"
)

Numbers = Sequence[int]
"""Of the runs that began, by place; 0 where the id or the date is taken."""


class Transaction:
    """States: new -> `send` -> committed, or unanswered -> `answered`; then `outcomes`."""

    def __init__(self, link: Link, number: int, entries: list[Entry], known: dict[RunKey, KnownRun]) -> None:
        """`known`: unfinished runs as they were last written. What else is needed is looked up."""
        self.number = number
        self.entries = entries
        self._link = link
        self._level = "on" if any(entry.power for entry in entries) else "local"
        self._known = known
        self._runs: dict[RunKey, KnownRun | None] = {}
        """What this transaction knows better."""
        self._alone: BatchGroup | None = None
        self._numbers: Numbers = ()
        self._outcomes: list[Outcome] = []

    async def send(self) -> None:
        """Commit. Raises `JournalFenced`, and what asyncpg raises."""
        await self._look_up_runs()
        connection = self._link.connection
        if all(_is_plain(entry) for entry in self.entries):
            self._alone = self._group(self.entries)
            reached("journal.writing")
            self._numbers = await self._send_group(connection, self._alone)
            reached("journal.committed")
            return
        await connection.execute("BEGIN")
        mark = (self._link.epoch, self._link.number, self.number, self._level)
        if await connection.fetchval(_MARK, *mark) is None:
            raise await self._link.fenced()
        for is_plain, entries in groupby(self.entries, _is_plain):
            if is_plain:
                self._outcomes += await self._write_batches(connection, list(entries))
            else:
                self._outcomes += [await self._write(connection, entry) for entry in entries]
        reached("journal.writing")
        await connection.execute("COMMIT")
        reached("journal.committed")

    @property
    def is_written(self) -> bool:
        """Whether there was anything to commit: not, when all was refused before."""
        return self._alone is None or not self._alone.is_refused

    def answered(self, numbers: Numbers) -> None:
        """It was committed, although the answer did not arrive; `numbers`: of the last runs that began."""
        if self._alone is not None and self._alone.begins_runs:
            self._numbers = numbers

    async def outcomes(self) -> list[Outcome]:
        """What became of each entry, after the commit."""
        if self._alone is None:
            return self._outcomes
        taken: Collection[RunKey] = ()
        if wanted := self._alone.taken(self._numbers):
            with suppress(Exception):  # only which of two refusals it is, is not known then
                taken = await self._select(wanted)
        self._runs.update(self._alone.runs(self._numbers))
        return self._alone.outcomes(self._numbers, taken)

    def remember(self, known: dict[RunKey, KnownRun]) -> None:
        """Bring `known` up to date, after `outcomes`."""
        for key, run in self._runs.items():
            if run is None or run.head.state.is_final:
                known.pop(key, None)
            else:
                known[key] = run

    def _find(self, key: RunKey) -> KnownRun | None:
        return self._runs[key] if key in self._runs else self._known.get(key)

    async def _look_up_runs(self) -> None:
        """Those that batches continue and that are not known."""
        keys: dict[RunKey, None] = {}
        begun = set()
        for entry in self.entries:
            if isinstance(entry.work, Batch):
                key = entry.work.head.key
                if begins(entry.work):
                    begun.add(key)
                elif key not in self._known and key not in begun:
                    keys[key] = None
        if keys:
            self._runs |= await self._select(list(keys))

    async def _select(self, keys: list[RunKey]) -> dict[RunKey, KnownRun]:
        columns = [key.dag_id for key in keys], [key.run_id for key in keys]
        rows = await self._link.connection.fetch(_SELECT_HEADS, *columns)
        return {head.key: KnownRun(row[0], head) for row in rows for head in (head_of(row),)}

    def _group(self, entries: list[Entry]) -> BatchGroup:
        group = BatchGroup(self._find)
        for entry in entries:
            assert isinstance(entry.work, Batch)
            group.add(entry, entry.work)
        return group

    async def _send_group(self, connection: Any, group: BatchGroup) -> Numbers:
        if group.is_refused:
            return ()
        arguments = (self._link.epoch, self._link.number, self.number, self._level, *group.arguments())
        row = await connection.fetchrow(_ACCEPT if group.begins_runs else _APPEND, *arguments)
        if row is None:
            raise await self._link.fenced()
        numbers: Numbers = row[0] if group.begins_runs else ()
        return numbers

    async def _write_batches(self, connection: Any, entries: list[Entry]) -> list[Outcome]:
        group = self._group(entries)
        numbers = await self._send_group(connection, group)
        wanted = group.taken(numbers)
        self._runs.update(group.runs(numbers))
        return group.outcomes(numbers, await self._select(wanted) if wanted else ())

    async def _write(self, connection: Any, entry: Entry) -> Outcome:
        """What is not a plain batch."""
        work = entry.work
        try:
            match work:
                case Batch():
                    assert work.assets is not None
                    items = asset_items.changes_of(work.assets)
                    await postgres_assets.lock(connection)
                    if (refused := await postgres_assets.refusal(connection, work)) is not None:
                        return Outcome(entry, error=refused)
                    (outcome,) = await self._write_batches(connection, [entry])
                    if outcome.error is None:
                        await postgres_assets.apply(connection, work.assets, items)
                        reached("assets.written")
                    return outcome
                case DagPlan():
                    await connection.execute(_INSERT_PLAN, work.dag_id, work.version, encode_plan(work))
                case RunKey():
                    self._runs[work] = None
                    return Outcome(entry, bool(await connection.fetchval(_DELETE_RUN, *work)))
                case AssetChanges():
                    items = asset_items.changes_of(work)
                    await postgres_assets.lock(connection)
                    return Outcome(entry, await postgres_assets.apply(connection, work, items))
                case _:
                    done = await postgres_store.apply(connection, work)
                    reached("store.written")
                    return Outcome(entry, done)
        except DagcallError as refused:
            return Outcome(entry, error=refused)
        return Outcome(entry)


def _is_plain(entry: Entry) -> bool:
    return isinstance(entry.work, Batch) and entry.work.assets is None
