"""The SQLite file of a journal: made private, recognised, brought to this version's schema, its errors explained.

Everything here blocks, and runs in a thread. `application_id` tells a journal from another program's database,
`user_version` is the number of the last schema step that was applied (`sql/sqlite/schema/NNNN_*.sql`). A file of a
newer version is refused and not touched.
"""

import os
import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Final

from dagcall.errors import JournalCorrupt, JournalError

APPLICATION_ID: Final = 0x64616763
"""The bytes `dagc`."""

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for somebody else's lock, such as a backup or a `sqlite3` shell."""

_SMALLEST_DATABASE: Final = 512
"""Bytes, one page of the smallest size. SQLite takes a smaller file for an empty one, and overwrites it."""

_SQL = files("dagcall.journal") / "sql" / "sqlite"
_SCHEMA: Final = tuple(
    step.read_text() for step in sorted((_SQL / "schema").iterdir(), key=lambda step: step.name) if step.is_file()
)


def statement(name: str) -> str:
    """The text of `sql/sqlite/<name>.sql`."""
    return (_SQL / f"{name}.sql").read_text().strip()


def make_directories(path: Path) -> None:
    """Make the missing directories above a file, private (0700). Raises `OSError`."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(mode=0o700, exist_ok=True)


def make_file(path: Path) -> None:
    """Make the file, private (0600), if it is missing. SQLite gives its `-wal` and `-shm` the same permissions.

    A file that is there is not opened, not even to look: closing it would drop the locks that SQLite has on it in
    this process. Raises `OSError`.
    """
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def connect_writer(path: Path) -> sqlite3.Connection:
    """The only connection that ever writes or checkpoints, in WAL mode, flushing at every commit, schema up to date.

    Raises `sqlite3.Error`, `OSError`, `JournalError`.
    """
    if 0 < path.stat().st_size < _SMALLEST_DATABASE:
        raise JournalCorrupt(f"{path} is no journal, it has a few bytes of something else: give --journal another file")
    connection = _connect(path)
    try:
        if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
            if _number(connection, "SELECT count(*) FROM sqlite_master"):
                raise JournalCorrupt(f"{path} is a SQLite database, but no journal: give --journal another file")
            if _number(connection, "PRAGMA user_version") == 0:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise JournalError(f"{path}: SQLite cannot keep a write-ahead log here; use a local file system")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone does not empty the disk's cache
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        _upgrade(connection, path)
        _flush_directory(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises `sqlite3.Error`."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def explain(error: sqlite3.Error | OSError, path: Path) -> JournalError:
    """What an error means for whoever runs the server."""
    if isinstance(error, OSError):
        return JournalError(f"journal {path}: {error.strerror or error}: check the path and its permissions")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the extended code says where, the low byte says what
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return JournalCorrupt(
            f"journal {path} is damaged, or is no journal ({error}): move it and its -wal file away to start with an "
            "empty one, or put a backup in its place; `sqlite3 FILE .recover` may save some of it"
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return JournalError(f"journal {path}: cannot be written or read ({name}: {error}): is the disk full?")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalError(f"journal {path}: another program kept it locked for {BUSY_TIMEOUT:g} s ({name})")
    return JournalError(f"journal {path}: {name}: {error}")


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit: transactions are begun and ended by name. Threads: each connection is used by one at a time.
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    version = _number(connection, "PRAGMA user_version")
    if version > len(_SCHEMA):
        raise JournalError(
            f"journal {path} has schema version {version}, written by a newer dagcall; this one knows {len(_SCHEMA)}: "
            "use that dagcall, or give --journal another file"
        )
    for number, step in enumerate(_SCHEMA[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;")


def _flush_directory(directory: Path) -> None:
    """A new file's name survives a power cut only when its directory was flushed; SQLite does it for its log only."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number(connection: sqlite3.Connection, sql: str) -> int:
    (value,) = connection.execute(sql).fetchone()
    return int(value)
