"""The SQLite file of a journal: made private, recognised, brought to this version's schema, its errors explained.

Everything here blocks, and runs in a thread. `application_id` tells a journal from another program's database,
`user_version` is the number of the last schema step that was applied (`sql/sqlite/schema/NNNN_*.sql`). A file of a
newer version is refused and not touched.
"""

import contextlib
import logging
import os
import sqlite3
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import quote

from dagcall.errors import JournalCorrupt, JournalError
from dagcall.journal.checksums import checksum
from dagcall.journal.sqlite_log import lost_frames

log = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x64616763
"""The bytes `dagc`."""

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for somebody else's lock, such as a backup or a `sqlite3` shell."""

LOOKED_AT: Final = 256 << 20
"""Bytes of a journal whose structure is checked at each opening, in less than a second. Of a larger one only what is
read is checked, and all of it by `dagcall journal check`."""

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
    """A connection that cannot write: as the last one that is closed, it does not even move the log into the file.

    Raises `sqlite3.Error`.
    """
    connection = _connect(path, "ro")
    # What storage has made no UTF-8 is found by its row's checksum, which names the run; else sqlite3 would raise.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    return connection


def look_before(path: Path, *, restarted: bool) -> None:
    """Refuse what must be left as it is, before anything is opened for writing: a journal of a newer dagcall, one
    whose structure is damaged (looked at up to `LOOKED_AT` bytes), and one whose log is shorter than it was. The last
    is only told to the log when the machine was `restarted` since: it is what a power cut leaves.

    Raises `JournalError`, `JournalCorrupt`, `sqlite3.Error`, `OSError`.
    """
    if not restarted:
        check_log(path)
    elif lost := lost_frames(path):
        log.warning("journal %s: its last %d pages are lost, as a power cut does to `process`", path, lost)
    size = path.stat().st_size
    if 0 < size < _SMALLEST_DATABASE:
        raise JournalCorrupt(f"{path} is no journal, it has a few bytes of something else: give --journal another file")
    if size == 0:
        return
    with contextlib.closing(connect_reader(path)) as connection:
        check_version(connection, path)
        if size <= LOOKED_AT:
            check_structure(connection, path)


def check_log(path: Path) -> None:
    """To be asked before SQLite reads the log: it takes a log up to where it is damaged for the whole of it.

    Raises `JournalCorrupt`, `OSError`.
    """
    lost = lost_frames(path)
    if lost:
        raise damaged(
            path,
            f"the last {lost} pages of its -wal file, all committed, were cut off or changed; to go on without them, "
            f"remove {path.name}.lock",
        )


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The number of the last schema step of a journal. Raises `JournalError`, `sqlite3.Error`."""
    version = _number(connection, "PRAGMA user_version")
    if version > len(_SCHEMA) and _number(connection, "PRAGMA application_id") == APPLICATION_ID:
        raise JournalError(
            f"journal {path} has schema version {version}, written by a newer dagcall; this one knows {len(_SCHEMA)}: "
            "use that dagcall, or give --journal another file"
        )
    return version


def check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `JournalCorrupt`, `sqlite3.Error`."""
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, found)


def explain(error: sqlite3.Error | OSError, path: Path) -> JournalError:
    """What an error means for whoever runs the server."""
    if isinstance(error, OSError):
        return JournalError(f"journal {path}: {error.strerror or error}: check the path and its permissions")
    if _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "Could not decode" in str(error):
        return damaged(path, str(error))
    return JournalError(f"journal {path}: {reason(error)}")


def reason(error: sqlite3.Error) -> str:
    """In words for anybody: without where the journal is."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return f"cannot be written or read ({name}: {error}): is the disk full?"
    if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another program kept it locked for {BUSY_TIMEOUT:g} s ({name})"
    return f"{name}: {error}"


def _code(error: sqlite3.Error) -> int:
    # The extended code says where, the low byte says what.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def damaged(path: Path, what: str) -> JournalCorrupt:
    return JournalCorrupt(
        f"journal {path} is damaged, or is no journal ({' '.join(what.split())}): put a backup in its place (`dagcall journal backup` "
        "makes them), or move it and its -wal file away to start with an empty one; `sqlite3 FILE .recover` may save "
        "some of it"
    )


def _connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    # Autocommit: transactions are begun and ended by name. Threads: each connection is used by one at a time.
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    connection.create_function("checksum", -1, checksum, deterministic=True)
    return connection


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    version = check_version(connection, path)
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
