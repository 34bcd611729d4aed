"""The journal in memory keeps the promises of every journal."""

from pathlib import Path

import pytest

from dagcall.journal.base import Journal
from dagcall.journal.memory import MemoryJournal, MemoryStore
from dagcall.testing.journal_suite import JournalSuite


class TestMemoryJournal(JournalSuite):
    @pytest.fixture(autouse=True)
    def store(self) -> None:
        self._store = MemoryStore()

    def make(self, storage: Path) -> Journal:
        return MemoryJournal(self._store)

    def break_lock(self, storage: Path) -> None:
        self._store.holder = None
