"""The journal in SQLite, and its store, keep the promises of every journal."""

from pathlib import Path

from dagcall.journal.base import Journal
from dagcall.journal.sqlite import SqliteJournal
from dagcall.testing.asset_suite import AssetSuite
from dagcall.testing.journal_storage import JournalStorage
from dagcall.testing.journal_suite import ExclusiveJournalSuite
from dagcall.testing.store_suite import StoreSuite


class Sqlite(JournalStorage):
    def make(self, storage: Path) -> Journal:
        return SqliteJournal(storage / "journal.db")

    def break_lock(self, storage: Path) -> None:
        (storage / "journal.db.lock").unlink()


class TestSqliteJournal(Sqlite, ExclusiveJournalSuite): ...


class TestSqliteStore(Sqlite, StoreSuite): ...


class TestSqliteAssets(Sqlite, AssetSuite): ...
