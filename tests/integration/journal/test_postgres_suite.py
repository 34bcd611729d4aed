"""The journal in PostgreSQL, and its store, keep the promises of every journal."""

from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from dagcall.journal.base import Journal
from dagcall.journal.postgres import PostgresJournal
from dagcall.journal.postgres_schema import lock_key
from dagcall.testing.asset_suite import AssetSuite
from dagcall.testing.journal_storage import JournalStorage
from dagcall.testing.journal_suite import JournalSuite
from dagcall.testing.postgres_server import PostgresServer
from dagcall.testing.store_suite import StoreSuite

SCHEMA = "suite"
TABLES = (
    "servers", "plans", "runs", "records", "items", "asset_events", "asset_event_aliases", "asset_queue",
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
        """What another server does that opens the journal once the first one's connection was lost."""
        with self._database.cursor() as cursor:
            cursor.execute(f"UPDATE {SCHEMA}.servers SET fenced_by = epoch")
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks "
                "WHERE locktype = 'advisory' AND objid = (%s)::INTEGER::OID",
                (lock_key(SCHEMA),),
            )


class TestPostgresJournal(Postgres, JournalSuite): ...


class TestPostgresStore(Postgres, StoreSuite): ...


class TestPostgresAssets(Postgres, AssetSuite): ...
