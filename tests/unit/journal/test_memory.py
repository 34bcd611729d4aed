"""The journal in memory, and its store, keep the promises of every journal."""

from pathlib import Path

import pytest

from dagcall.journal.base import Journal
from dagcall.journal.memory import MemoryJournal, MemoryStorage
from dagcall.testing.asset_suite import AssetSuite
from dagcall.testing.journal_storage import JournalStorage
from dagcall.testing.journal_suite import ExclusiveJournalSuite
from dagcall.testing.store_suite import StoreSuite


class Memory(JournalStorage):
    @pytest.fixture(autouse=True)
    def storage(self) -> None:
        self._storage = MemoryStorage()

    def make(self, storage: Path) -> Journal:
        return MemoryJournal(self._storage)

    def break_lock(self, storage: Path) -> None:
        self._storage.holder = None


class TestMemoryJournal(Memory, ExclusiveJournalSuite): ...


class TestMemoryStore(Memory, StoreSuite): ...


class TestMemoryAssets(Memory, AssetSuite): ...
