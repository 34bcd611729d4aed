"""Which journal a URL means."""

from pathlib import Path

import pytest

from dagcall.errors import JournalUrlError
from dagcall.journal.memory import MemoryJournal
from dagcall.journal.open import open_journal
from dagcall.journal.postgres import PostgresJournal
from dagcall.journal.sqlite import SqliteJournal


def test_sqlite_takes_the_path_as_it_stands() -> None:
    journal = open_journal("sqlite:////var/lib/a%20b/j?.db")
    assert isinstance(journal, SqliteJournal)
    assert journal.path == Path("/var/lib/a%20b/j?.db")


def test_memory() -> None:
    assert isinstance(open_journal("memory:"), MemoryJournal)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://me:secret@db.example/jobs", "journal postgresql://db.example/jobs"),
        ("postgres://me:s%2Fecret@[::1]:5433/jobs?sslmode=require", "journal postgresql://[::1]:5433/jobs"),
        ("postgresql+asyncpg://me:secret@a:1,b:2/jobs?schema=x", "journal postgresql://a:1,b:2/jobs?schema=x"),
        ("postgresql:///jobs?host=/run/pg&password=secret", "journal postgresql:///jobs"),
    ],
)
def test_postgresql_is_called_without_user_and_password(url: str, name: str) -> None:
    journal = open_journal(url)
    assert isinstance(journal, PostgresJournal)
    assert journal.name == name


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite:///relative.db", "four slashes"),
        ("sqlite:////", "four slashes"),
        ("sqlite:", "four slashes"),
        ("postgresql://me:secret/1@host/db", "cannot be understood"),
        ("postgresql://me:1/secret@host/db", "cannot be understood"),
        ("postgresql://me:1#secret@host/db", "cannot be understood"),
        ("postgresql://me:1?secret@host/db", "cannot be understood"),
        ("postgresql://[secret@host/db", "cannot be understood"),
        ("postgresql://me:secret@host/db?schema=Robert'); DROP", "lower-case"),
        ("mysql://me:secret@host/db", "kind 'mysql'"),
        ("memory:x", "kind 'memory'"),
        ("/var/lib/journal.db", "without a scheme"),
        ("", "without a scheme"),
    ],
)
def test_others_are_refused_without_repeating_them(url: str, why: str) -> None:
    with pytest.raises(JournalUrlError, match=why) as raised:
        open_journal(url)
    assert "secret" not in str(raised.value)
