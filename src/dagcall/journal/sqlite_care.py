"""The care of a journal's SQLite file from outside of a server: looked at and copied while one serves, packed while none
does. Everything here blocks.

Raises `JournalError`, and `JournalLocked` for what a running server forbids.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from dagcall.errors import JournalCorrupt, JournalError
from dagcall.journal import sqlite_reading
from dagcall.journal.file_lock import FileLock, is_held
from dagcall.journal.sqlite_file import (
    check_log,
    check_structure,
    check_version,
    connect_reader,
    connect_writer,
    explain,
    look_before,
)
from dagcall.journal.stored_run import StoredRun
from dagcall.model.ids import RunKey

_COPIED_AT_ONCE = 256
"""Pages, between which a server may write."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing, to a journal that is there."""
    if not path.is_file():
        raise JournalError(f"there is no journal {path}")
    try:
        if not is_held(path.with_name(path.name + ".lock")):  # of a log in use only its server can tell
            check_log(path)
        with contextlib.closing(connect_reader(path)) as connection:
            check_version(connection, path)
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise explain(error, path) from error


def damage_of(path: Path) -> str | None:
    """What is wrong with the file as a whole, in words."""
    try:
        with reading(path) as connection:
            check_structure(connection, path)
    except JournalCorrupt as error:
        return str(error)
    return None


def runs(connection: sqlite3.Connection) -> Iterator[StoredRun]:
    """Every run, the damaged ones too."""
    keys = [RunKey(*row) for row in connection.execute("SELECT dag_id, run_id FROM runs ORDER BY run")]
    for key in keys:
        connection.execute("BEGIN")  # a server may be writing: head and records must be of one moment
        try:
            run = _stored(connection, key)
        finally:
            connection.execute("COMMIT")
        if run is not None:
            yield run


def _stored(connection: sqlite3.Connection, key: RunKey) -> StoredRun | None:
    try:
        head = sqlite_reading.head(connection, key)
        if head is None:
            return None  # deleted since
        plan = sqlite_reading.plan_of(connection, key.dag_id, head.plan_version)
        return StoredRun(key, head, plan, tuple(sqlite_reading.records(connection, key)))
    except JournalError as error:
        return StoredRun(key, damage=str(error))


def vacuum(path: Path) -> tuple[int, int]:
    """Drop the plans that no run needs any more, and give the space of what was deleted back. Returns the sizes of the
    file before and after, in bytes."""
    if not path.is_file():
        raise JournalError(f"there is no journal {path}")
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        look_before(path, restarted=not lock.same_boot)
        before = path.stat().st_size
        with contextlib.closing(connect_writer(path)) as connection:
            connection.execute(
                "DELETE FROM plans WHERE NOT EXISTS "
                "(SELECT 1 FROM runs WHERE runs.dag_id = plans.dag_id AND runs.plan_version = plans.version)"
            )
            connection.execute("VACUUM")
        return before, path.stat().st_size
    except (sqlite3.Error, OSError) as error:
        raise explain(error, path) from error
    finally:
        lock.release()


def back_up(path: Path, target: Path) -> int:
    """Copy the journal as of one moment to a file that is not there yet, by SQLite's own backup, while a server may be
    writing. The copy is checked before it gets its name. Returns its size in bytes."""
    if target.exists():
        raise JournalError(f"{target} exists already: a backup never replaces a file")
    part = target.with_name(target.name + ".part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
    except OSError as error:
        raise JournalError(f"{part} cannot be made: {error.strerror}") from error
    try:
        with reading(path) as connection, contextlib.closing(sqlite3.connect(part)) as copy:
            connection.backup(copy, pages=_COPIED_AT_ONCE, sleep=0.001)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, whole
            check_structure(copy, part)
        part.rename(target)
    except (sqlite3.Error, OSError) as error:
        raise explain(error, part) from error
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size
