"""The journal in PostgreSQL, and its store, keep the promises of every journal."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

from dagcall.journal.base import Journal
from dagcall.journal.lookout import Lookout, Terms
from dagcall.journal.postgres import PostgresJournal
from dagcall.testing.asset_suite import AssetSuite
from dagcall.testing.journal_storage import JournalStorage
from dagcall.testing.journal_suite import JournalSuite
from dagcall.testing.postgres_server import PostgresServer
from dagcall.testing.shared_suite import SharedJournalSuite
from dagcall.testing.store_suite import StoreSuite

SCHEMA = "suite"
TABLES = (
    "leases", "servers", "plans", "runs", "records", "items", "asset_events", "asset_event_aliases", "asset_queue",
    "asset_consumption",
)  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[psycopg2.extensions.connection]:
    connection = psycopg2.connect(postgres.url())
    connection.autocommit = True
    yield connection
    connection.close()


class Postgres(JournalStorage):
    @pytest.fixture(autouse=True)
    def empty_journal(self, postgres: PostgresServer, database: psycopg2.extensions.connection) -> None:
        """One schema for all tests: to make its tables takes longer than most tests do."""
        self._url = postgres.url(schema=SCHEMA)
        self._database = database
        with database.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.{TABLES[-1]}",))
            if cursor.fetchone() != (None,):
                cursor.execute(";".join(f"DELETE FROM {SCHEMA}.{table}" for table in TABLES))

    def make(self, storage: Path) -> Journal:
        return PostgresJournal(self._url)

    def break_lock(self, storage: Path) -> None:
        """As if all servers had given up, which they do not know."""
        with self._database.cursor() as cursor:
            cursor.execute(f"DELETE FROM {SCHEMA}.leases")


class TestPostgresJournal(Postgres, JournalSuite): ...


class TestSharedPostgresJournal(Postgres, SharedJournalSuite):
    def make(self, storage: Path) -> Journal:
        return PostgresJournal(self._url, terms=Terms(lease=0.4, beat=0.05))

    def silence(self, journal: Journal) -> Callable[[], None]:
        assert isinstance(journal, PostgresJournal)
        beat, speaks = journal._leases._beat, threading.Event()

        async def silent(lookout: Lookout) -> None:
            if speaks.is_set():
                await beat(lookout)

        journal._leases._beat = silent  # type: ignore[method-assign]
        return speaks.set


class TestPostgresStore(Postgres, StoreSuite): ...


class TestPostgresAssets(Postgres, AssetSuite): ...
