"""The writer thread of a SQLite journal: takes what waits, commits it as one transaction, tells the event loop once.

The thread owns the only connection that writes. A group is: `BEGIN IMMEDIATE`; is the epoch still ours; each entry in
the order of arrival; `COMMIT`; one wake-up of the loop, which resolves the group's futures; then, when the log has
grown, a checkpoint, whose flushes nobody of this group waits for any more. A batch is checked before any of it is
written, so a refused one leaves nothing to undo; any error after that is the medium's, and fails the whole group.

What a level costs. `process`: the commit runs at `synchronous=NORMAL`, one `write` to the log and no flush. `power`: a
group that has such a batch commits at `synchronous=FULL`, which flushes the log file, and with it all that was
committed before. (SQLite refuses to change the level within a transaction, hence a level for each group.)

For each unfinished run that was written to, the thread remembers its row number and last head, so that an append is
an INSERT for each record, and an UPDATE only when the head's changing part changed. After a failed group it forgets
them all, since they may describe what was rolled back, and reads them again when needed.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from dagcall.crashpoints import reached
from dagcall.errors import DagcallError, JournalError, JournalFenced, RunExists
from dagcall.journal import asset_items
from dagcall.journal.base import Commits, Trouble
from dagcall.journal.checksums import checksum, of_head
from dagcall.journal.continuity import begins, changing_part, check_continues, date_taken
from dagcall.journal.encoding import check_storable, encode_plan, encode_record
from dagcall.journal.entries import Entry, KnownRun, Outcome
from dagcall.journal.sqlite_assets import apply as apply_assets
from dagcall.journal.sqlite_file import connect_writer, explain, reason, statement
from dagcall.journal.sqlite_reading import ONE_HEAD, checked_head
from dagcall.journal.sqlite_store import apply
from dagcall.journal.store import Change, Put, puts_of
from dagcall.model.assets import AssetChanges
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch, RunHead

log = logging.getLogger(__name__)

CHECKPOINT_PAGES: Final = 1000
"""Pages of log, as estimated, after which a checkpoint is made: SQLite's own default (about 4 MB)."""

_INSERT_RUN: Final = statement("insert_run")
_UPDATE_RUN: Final = statement("update_run")
_INSERT_RECORD: Final = statement("insert_record")
_SELECT_RUN: Final = statement("select_run")
_SELECT_EPOCH: Final = statement("select_epoch")
_NEXT_EPOCH: Final = statement("next_epoch")
_PROBE: Final = statement("probe")
PROBE_EVERY = 1.0
"""Seconds, while the last attempt to write has failed."""
LOOK_EVERY = 5.0
"""Seconds, while nothing is written: whether the journal is still ours."""
_INSERT_PLAN: Final = statement("insert_plan")
_DELETE_RECORDS: Final = statement("delete_records")
_DELETE_RUN: Final = statement("delete_run")
_DELETE_CONSUMPTION: Final = statement("delete_consumption")


class SqliteWriter:
    """States: connected (by the constructor, which blocks), running (`start`), stopping (`stop`), disconnected."""

    def __init__(self, path: Path, settle: Callable[[list[Outcome]], None], stopped: Callable[[], None]) -> None:
        """Connects, brings the schema up to date, takes the next epoch.

        The two functions are called in the thread: `settle` after each group, `stopped` after the last one.

        Raises `sqlite3.Error`, `OSError`, `JournalError`.
        """
        self._path = path
        self._settle = settle
        self._stopped = stopped
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._known: dict[RunKey, KnownRun] = {}
        self._log_pages = 0
        self.trouble: Trouble | None = None
        """What the last group failed with."""
        self.commits = Commits()
        self._connection = connect_writer(path)
        try:
            self._cursor = self._connection.cursor()
            self._cursor.execute("BEGIN IMMEDIATE")
            self._cursor.execute(_NEXT_EPOCH, (os.getpid(),))
            self.epoch: int = self._cursor.execute(_SELECT_EPOCH).fetchone()[0]
            self._cursor.execute("COMMIT")
            self._cursor.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            self._connection.close()
            raise

    def start(self) -> None:
        # A daemon: a program that forgot to close must still be able to exit; what was acknowledged is safe.
        threading.Thread(target=self._run, name="dagcall-journal", daemon=True).start()

    def put(self, entry: Entry) -> None:
        """Enqueue; never blocks."""
        self._queue.put(entry)

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def stop(self) -> None:
        """Write what was put before, then end the thread with a call of `stopped`, which is to disconnect."""
        self._queue.put(None)

    def disconnect(self) -> None:
        """As SQLite's last connection to the file this moves the log into it and removes the log."""
        self._connection.close()

    def _run(self) -> None:
        queue = self._queue
        running = True
        while running:
            try:
                waiting = [queue.get(timeout=LOOK_EVERY if self.trouble is None else PROBE_EVERY)]
            except Empty:
                self._look()
                continue
            waiting += [queue.get() for _ in range(queue.qsize())]  # the only taker: what it counts is there
            group = [entry for entry in waiting if entry is not None]
            running = len(group) == len(waiting)
            if group:
                began = time.perf_counter()
                outcomes = self._commit(group)
                took = time.perf_counter() - began
                self._settle(outcomes)
                self.commits.add(took, len(group), sum([one.error is not None for one in outcomes]))
                self._checkpoint_when_due()
        self._stopped()

    def _commit(self, group: list[Entry]) -> list[Outcome]:
        power = any(entry.power for entry in group)
        cursor = self._cursor
        try:
            if power:
                cursor.execute("PRAGMA synchronous = FULL")
            try:
                cursor.execute("BEGIN IMMEDIATE")
                self._check_epoch()
                outcomes = [self._write(entry) for entry in group]
                if not group:
                    cursor.execute(_PROBE)
                reached("journal.writing")
                cursor.execute("COMMIT")
                reached("journal.committed")
                self.trouble = None
                return outcomes
            finally:
                if self._connection.in_transaction:  # SQLite itself rolls back after some errors
                    cursor.execute("ROLLBACK")
                if power:
                    cursor.execute("PRAGMA synchronous = NORMAL")
        except Exception as error:
            self._known.clear()
            self._note(error)
            if not isinstance(error, JournalError | sqlite3.Error):
                log.exception("journal %s: a group of %d entries failed", self._path, len(group))
            # One exception for each: a future's waiter adds its own traceback to it.
            return [Outcome(entry, error=self._failure(error)) for entry in group]

    def _look(self) -> None:
        """What has become of the journal is seen without anybody's call."""
        if self.trouble is not None:
            self._commit([])
            return
        try:
            self._check_epoch()
        except (JournalFenced, sqlite3.Error) as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        before, is_fenced = self.trouble, isinstance(error, JournalFenced)
        if is_fenced and not (before is not None and before.is_final):
            log.error("%s", error)
        self.trouble = Trouble(_reason(error), time.monotonic() if before is None else before.since, is_fenced)

    def _failure(self, error: Exception) -> JournalError:
        if isinstance(error, JournalError):
            return type(error)(*error.args)
        if isinstance(error, sqlite3.Error):
            return explain(error, self._path)
        return JournalError(f"journal {self._path}: {type(error).__name__}: {error}")

    def _check_epoch(self) -> None:
        epoch, pid = self._cursor.execute(_SELECT_EPOCH).fetchone()
        if epoch != self.epoch:
            raise JournalFenced(
                f"journal {self._path}: another server (process {pid}) opened it since (epoch {epoch}, this one has "
                f"{self.epoch}): nothing more is written; stop one of the two"
            )

    def _write(self, entry: Entry) -> Outcome:
        """Within the transaction. Refusals are outcomes; exceptions are the medium's."""
        work = entry.work
        try:
            if isinstance(work, Batch):
                self._append(work)
            elif isinstance(work, DagPlan):
                self._put_plan(work)
            elif isinstance(work, RunKey):
                return Outcome(entry, self._delete(work))
            elif isinstance(work, AssetChanges):
                self._write_assets(work, asset_items.changes_of(work))
            else:
                done = self._change(work)
                reached("store.written")
                return Outcome(entry, done)
        except DagcallError as refused:
            return Outcome(entry, error=refused)
        return Outcome(entry)

    def _append(self, batch: Batch) -> None:
        head = batch.head
        key = head.key
        known = self._known.get(key)
        if known is None and not begins(batch):
            known = self._look_up(key)
        check_continues(batch, None if known is None else known.head)
        rows = [encode_record(key, record) for record in batch.records]
        items = () if batch.assets is None else asset_items.changes_of(batch.assets)
        puts = puts_of(batch)
        if known is None:
            check_storable(head)
            row = self._insert_run(head)
        else:
            row = known.row
            if changing_part(head) != changing_part(known.head):
                check_storable(head)
                self._cursor.execute(_UPDATE_RUN, (*changing_part(head), of_head(head), row))
        entry = (row << 32) + head.last_record - len(rows)
        self._cursor.executemany(
            _INSERT_RECORD,
            [(at := entry + place, *one, checksum(at, *one)) for place, one in enumerate(rows, 1)],
        )
        self._log_pages += 2 + sum(len(data) + len(event or b"") for _, _, data, event in rows) // 4096
        if batch.assets is not None:
            self._write_assets(batch.assets, items)
        if puts:
            self._change(puts)
        if head.state.is_final:
            self._known.pop(key, None)
        else:
            self._known[key] = KnownRun(row, head)

    def _change(self, changes: tuple[Change, ...]) -> list[int]:
        self._log_pages += sum(3 + len(change.value) // 4096 if isinstance(change, Put) else 3 for change in changes)
        return apply(self._cursor, changes)

    def _write_assets(self, changes: AssetChanges, items: tuple[Change, ...]) -> None:
        apply_assets(self._cursor, changes, items)
        reached("assets.written")
        rows = (items, changes.queued, changes.dequeued, changes.consumed)
        self._log_pages += 4 * sum(map(len, rows)) + sum(6 + len(event.extra) // 4096 for event in changes.events)

    def _insert_run(self, head: RunHead) -> int:
        values = (
            head.key.dag_id, head.key.run_id, head.plan_version, head.queued_at, head.run_after, head.logical_date,
            head.run_type, head.triggered_by, head.caller, head.conf, head.idempotency_key, *changing_part(head),
            of_head(head),
        )  # fmt: skip
        self._cursor.execute(_INSERT_RUN, values)
        if not self._cursor.rowcount:
            if self._look_up(head.key) is None:
                raise date_taken(head)
            raise RunExists(dag_id=head.key.dag_id, run_id=head.key.run_id)
        self._log_pages += 4 + len(head.conf) // 4096
        assert self._cursor.lastrowid is not None
        return self._cursor.lastrowid

    def _put_plan(self, plan: DagPlan) -> None:
        stored = encode_plan(plan)
        self._cursor.execute(
            _INSERT_PLAN, (plan.dag_id, plan.version, stored, checksum(plan.dag_id, plan.version, stored))
        )
        self._log_pages += 2 + len(stored) // 4096

    def _delete(self, key: RunKey) -> bool:
        self._known.pop(key, None)
        found = self._cursor.execute(_SELECT_RUN, key).fetchone()  # not its head, which may be damaged
        if found is None:
            return False
        self._cursor.execute(_DELETE_RECORDS, found)
        self._cursor.execute(_DELETE_RUN, found)
        self._cursor.execute(_DELETE_CONSUMPTION, key)
        self._log_pages += 8
        return True

    def _look_up(self, key: RunKey) -> KnownRun | None:
        found = self._cursor.execute(ONE_HEAD, key).fetchone()
        return None if found is None else KnownRun(found[0], checked_head(found))

    def _checkpoint_when_due(self) -> None:
        if self._log_pages < CHECKPOINT_PAGES:
            return
        self._log_pages = 0
        try:
            self._cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            # Nothing is lost, the log only goes on growing; the next one may succeed.
            log.warning("no checkpoint: %s", explain(error, self._path))


def _reason(error: Exception) -> str:
    if isinstance(error, JournalFenced):
        return "another server has opened the journal since"
    if isinstance(error, sqlite3.Error):
        return f"the journal's file: {reason(error)}"
    return f"the journal's file cannot be written ({type(error).__name__})"
