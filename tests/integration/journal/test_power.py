"""A power cut: what was not flushed is gone. The log is cut at, or after, where it was when a commit of `power` was told."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dagcall.journal.sqlite import SqliteJournal
from dagcall.model.ids import RunKey
from dagcall.model.records import RunHead
from dagcall.testing.journal_suite import first_batch, head_for, next_batch

KEYS = [RunKey("shop", name) for name in ("a", "b", "c")]


class Written:
    """Files as they are while a server runs, and what they held when the last flush was told of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.statements: list[str] = []
        self.flushed: dict[RunKey, int] = {}
        self.acknowledged: dict[RunKey, int] = {}
        self.flushed_size = 0
        asyncio.run(self._write(folder / "journal.db"))

    async def _write(self, path: Path) -> None:
        journal = SqliteJournal(path)
        await journal.open()
        journal._writer._connection.set_trace_callback(self.statements.append)
        heads = {key: head_for(key) for key in KEYS}
        for head in heads.values():
            await journal.append(first_batch(head))
        for number in range(30):
            key = KEYS[number % 3]
            batch = next_batch(heads[key], count=1 + number % 2)
            await journal.append(batch, "power" if number == 14 else "process")
            heads[key] = batch.head
            self.acknowledged = {one: head.last_record for one, head in heads.items()}
            if number == 14:
                self.flushed, self.flushed_size = dict(self.acknowledged), self._log.stat().st_size
        for name in ("journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"):
            shutil.copyfile(self.folder / name, self.folder / f"kept-{name}")
        await journal.close()

    @property
    def _log(self) -> Path:
        return self.folder / "journal.db-wal"

    def after_a_cut(self, size: int) -> Path:
        """The files on another start of the machine, with so much of the log."""
        shutil.rmtree(self.folder / "cut", ignore_errors=True)
        path = self.folder / "cut" / "journal.db"
        path.parent.mkdir()
        for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
            shutil.copyfile(self.folder / f"kept-{name}", path.with_name(name))
        path.with_name("journal.db.lock").write_text("1\nthe-boot-before\n")
        with path.with_name("journal.db-wal").open("r+b") as log:
            log.truncate(size)
        return path

    @property
    def size(self) -> int:
        return (self.folder / "kept-journal.db-wal").stat().st_size


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("power"))


def test_after_a_power_cut_what_was_flushed_is_there(written: Written) -> None:
    """What was told before, of whatever level, is in it; what came after may be missing, from its end."""
    assert 0 < written.flushed_size < written.size
    step = (written.size - written.flushed_size) // 9 + 1
    for size in (*range(written.flushed_size, written.size, step), written.size):
        found = asyncio.run(_records(written.after_a_cut(size)))
        for key, ids in found.items():
            assert written.flushed[key] <= len(ids) <= written.acknowledged[key]
            assert ids == [*range(1, len(ids) + 1)]
        assert (size < written.size) or {key: len(ids) for key, ids in found.items()} == written.acknowledged


async def _records(path: Path) -> dict[RunKey, list[int]]:
    journal = SqliteJournal(path)
    await journal.open()
    try:
        found = {}
        for key in KEYS:
            head = await journal.head(key)
            assert isinstance(head, RunHead)
            found[key] = [record.id for record in await journal.records(key)]
            await journal.append(next_batch(replace(head)))  # it goes on from there
        return found
    finally:
        await journal.close()


def test_a_commit_is_flushed_when_one_of_its_runs_asks_for_it_and_no_other_is(written: Written) -> None:
    levels = [one for one in written.statements if "synchronous" in one or one == "COMMIT"]
    full = levels.index("PRAGMA synchronous = FULL")
    assert levels[full + 1 : full + 3] == ["COMMIT", "PRAGMA synchronous = NORMAL"]
    assert levels.count("PRAGMA synchronous = FULL") == 1
    assert levels.count("COMMIT") >= 33
