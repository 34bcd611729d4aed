"""Which engine a `--journal` URL means."""

from pathlib import Path

from dagcall.errors import JournalUrlError, MissingExtra
from dagcall.journal.base import Journal
from dagcall.journal.memory import MemoryJournal
from dagcall.journal.sqlite import SqliteJournal

_KNOWN = "known: sqlite:////absolute/path.db, postgresql://user@host/database and memory:"


def open_journal(url: str) -> Journal:
    """The journal that `url` names, not opened yet: `await journal.open()` makes and locks it.

    `sqlite:////absolute/path.db` (the path is taken as it stands, nothing is decoded), `postgresql://...` (as libpq has
    it, see `postgres_database`), `memory:` (a new, empty one). Raises `JournalUrlError` for anything else, and
    `MissingExtra`. A URL may carry a password, so only its scheme is ever repeated.
    """
    scheme, colon, rest = url.partition(":")
    if url == "memory:":
        return MemoryJournal()
    if scheme == "sqlite" and rest.startswith("////") and len(rest) > 4:
        return SqliteJournal(Path(rest[3:]))
    if scheme == "sqlite":
        raise JournalUrlError(
            "a SQLite journal needs an absolute path, after four slashes: sqlite:////absolute/path.db"
        )
    if is_postgres(url):
        try:
            from dagcall.journal.postgres import PostgresJournal
        except ModuleNotFoundError as missing:
            raise MissingExtra(
                f"a journal in PostgreSQL needs {missing.name}: pip install 'dagcall[server,postgres]'"
            ) from missing
        return PostgresJournal(url)
    named = f"of kind {scheme!r}" if colon else "without a scheme"
    raise JournalUrlError(f"there is no journal {named}; {_KNOWN}")


def is_postgres(url: str) -> bool:
    """`postgresql:` and `postgres:`, or either with a driver, as SQLAlchemy has it."""
    return url.partition(":")[0].partition("+")[0] in ("postgresql", "postgres")
