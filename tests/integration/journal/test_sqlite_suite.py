"""The journal in SQLite keeps the promises of every journal."""

from pathlib import Path

from dagcall.journal.base import Journal
from dagcall.journal.sqlite import SqliteJournal
from dagcall.testing.journal_suite import JournalSuite


class TestSqliteJournal(JournalSuite):
    def make(self, storage: Path) -> Journal:
        return SqliteJournal(storage / "journal.db")

    def break_lock(self, storage: Path) -> None:
        (storage / "journal.db.lock").unlink()
