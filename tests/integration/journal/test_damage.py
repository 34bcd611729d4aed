"""A journal that storage has changed: it refuses, or names the run, or hands out exactly what was written."""

import asyncio
import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dagcall.errors import JournalCorrupt, JournalError
from dagcall.journal import sqlite_log
from dagcall.journal.sqlite import SqliteJournal
from dagcall.model.ids import RunKey
from dagcall.model.records import JournalRecord, RunHead

FILES = ("journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock")
EXAMPLES = int(os.environ.get("DAGCALL_DAMAGES", "80"))

Truth = dict[RunKey, tuple[RunHead, list[JournalRecord]]]

WRITER = """
    import asyncio, signal, os, sys
    from pathlib import Path
    from dagcall.journal.sqlite import SqliteJournal
    from dagcall.journal import sqlite_writer
    from dagcall.model.ids import RunKey
    from dagcall.model.plan import DagPlan
    from dagcall.model.states import RunState
    from dagcall.testing.journal_suite import first_batch, head_for, next_batch

    async def write(journal, numbers):
        await journal.put_plan(DagPlan("shop", "v1", "", "", ()))
        for number in numbers:
            batch = first_batch(head_for(RunKey("shop", f"run {number}"), conf=b'{"n": "%s"}' % (b"x" * 50 * number)))
            await journal.append(batch)
            for _ in range(number % 5):
                batch = next_batch(batch.head, count=3, state=RunState.RUNNING, start_date=1.0)
                await journal.append(batch, "power" if number % 2 else "process")
            if number % 3 == 0:
                await journal.append(next_batch(batch.head, state=RunState.SUCCESS, end_date=2.0))

    async def main():
        journal = SqliteJournal(Path(sys.argv[1]))
        await journal.open()
        await write(journal, range(20))
        journal._writer._log_pages = sqlite_writer.CHECKPOINT_PAGES  # these are moved into the file, the rest is not
        await write(journal, range(20, 30))
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a server that was killed: part of what it wrote is in the file, part in the log."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(folder / "journal.db")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == -signal.SIGKILL, finished.stderr
    assert sorted(one.name for one in folder.iterdir()) == sorted(FILES)
    return folder


@pytest.fixture(scope="module")
def truth(killed: Path, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    found = asyncio.run(
        read(copy(killed, tmp_path_factory.mktemp("truth")), [RunKey("shop", f"run {n}") for n in range(30)])
    )
    assert all(isinstance(one, tuple) for one in found.values())
    return found  # type: ignore[return-value] # as was just checked


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def copy(killed: Path, folder: Path) -> Path:
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
        shutil.copyfile(killed / name, folder / name)
    return folder / "journal.db"


async def read(path: Path, keys: "list[RunKey] | Truth") -> dict[RunKey, object]:
    """Of each run what is read of it: its head and records, or what is said instead."""
    journal = SqliteJournal(path)
    await journal.open()
    try:
        found: dict[RunKey, object] = {}
        for key in keys:
            try:
                head = await journal.head(key)
                found[key] = (head, await journal.records(key)) if head is not None else None
            except JournalError as error:
                found[key] = error
        named = [str(one) for one in found.values() if isinstance(one, JournalError)]
        unfinished = {head.key for head in await journal.unfinished()}
        for key in keys:
            if isinstance(keys, dict) and not keys[key][0].state.is_final and key not in unfinished:
                assert any(key.run_id in one for one in named), f"{key} is lost without a word"
        return found
    finally:
        await journal.close()


def contents(path: Path) -> dict[str, bytes]:
    """Of what holds the data."""
    return {name: (path.parent / name).read_bytes() for name in FILES[:2] if (path.parent / name).exists()}


def check(path: Path, truth: Truth) -> str:
    """What became of a damaged journal: `refused`, `named` or `intact`; fails when something is silently wrong."""
    before = contents(path)
    try:
        found = asyncio.run(read(path, truth))
    except JournalError:
        assert contents(path) == before, "refused, but touched"
        return "refused"
    named = False
    for key, written in truth.items():
        if isinstance(found[key], JournalCorrupt):
            assert key.run_id in str(found[key])
            named = True
        else:
            assert found[key] == written, f"{key} is silently wrong"
    return "named" if named else "intact"


def damage(folder: Path, chance: random.Random) -> str:
    """One change of one file. Returns what was done."""
    file = folder / chance.choice(FILES[:3])
    content = bytearray(file.read_bytes())
    if file.name.endswith("-wal") and chance.random() < 0.5:
        length = chance.randrange(len(content))
        file.write_bytes(content[:length])
        return f"{file.name} cut to {length} bytes"
    # Headers rule the rest, and are at the beginning of pages.
    within = chance.randrange(100) if chance.random() < 0.5 else chance.randrange(4096)
    at = min(chance.randrange(len(content) // 4096) * 4096 + within, len(content) - 1)
    content[at] ^= chance.randrange(1, 256)
    file.write_bytes(content)
    return f"{file.name} changed at {at} to {content[at]}"


def test_p6_one_change_of_the_files_is_never_silently_wrong(killed: Path, truth: Truth, place: Path) -> None:
    became: Counter[str] = Counter()
    for seed in range(EXAMPLES):
        path = copy(killed, place)
        done = damage(place, random.Random(seed))
        try:
            became[check(path, truth)] += 1
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {done}: {error}") from error
    assert became["refused"], became
    assert became["intact"], became
    # Rows that SQLite takes for whole are hit by one change in a hundred.
    assert became["named"] or EXAMPLES < 1000, became


def test_what_was_not_damaged_is_whole(killed: Path, truth: Truth, place: Path) -> None:
    assert check(copy(killed, place), truth) == "intact"
    assert {len(records) for _, records in truth.values()} > {1, 4, 13}


def test_a_log_that_was_cut_at_a_page_is_refused_until_its_loss_is_accepted(
    killed: Path, truth: Truth, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite itself opens it without a word."""
    path = copy(killed, place)
    promised = sqlite_log._promised(path.with_name("journal.db-shm").read_bytes()[:96])
    assert promised is not None
    assert promised[0] > 10
    os.truncate(path.with_name("journal.db-wal"), 32 + (promised[0] - 3) * (24 + 4096))
    assert sqlite_log.lost_frames(path) == 3
    for _ in range(2):
        assert check(path, truth) == "refused"
    (place / "journal.db.lock").unlink()
    with caplog.at_level(logging.WARNING):
        asyncio.run(read(path, []))
    assert "its last 3 pages are lost" in caplog.text


def test_after_a_restart_of_the_machine_a_shorter_log_is_what_a_power_cut_leaves(
    killed: Path, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = copy(killed, place)
    (place / "journal.db.lock").write_text("1\nanother-boot\n")
    os.truncate(path.with_name("journal.db-wal"), 32)
    with caplog.at_level(logging.WARNING):
        asyncio.run(read(path, []))
    assert "are lost" in caplog.text


@pytest.mark.parametrize("table", ["records", "runs", "plans"])
def test_a_row_that_was_changed_is_named(killed: Path, truth: Truth, place: Path, table: str) -> None:
    path = copy(killed, place)
    change = {
        "records": "UPDATE records SET data = replace(data, '5', '6') WHERE entry & 0xffffffff = 5",
        "runs": "UPDATE runs SET outcome = 'success' WHERE run_id IN ('run 4', 'run 5')",
        "plans": "UPDATE plans SET plan = x'00'",
    }[table]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()

    async def plan() -> None:
        journal = SqliteJournal(path)
        await journal.open()
        try:
            with pytest.raises(JournalCorrupt, match=r"plan of DAG 'shop', version v1, is damaged"):
                await journal.get_plan("shop", "v1")
        finally:
            await journal.close()

    if table == "plans":
        asyncio.run(plan())
    else:
        assert check(path, truth) == "named"


def test_a_damaged_run_is_told_to_the_log_and_can_be_deleted(
    killed: Path, truth: Truth, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = copy(killed, place)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE runs SET crc = 7 WHERE run_id = 'run 4'")
        connection.commit()
    key = RunKey("shop", "run 4")

    async def use() -> None:
        journal = SqliteJournal(path)
        await journal.open()
        try:
            assert key not in [head.key for head in await journal.unfinished()]
            assert await journal.delete(key)
            assert await journal.head(key) is None
        finally:
            await journal.close()

    asyncio.run(use())
    assert "run 4 of DAG shop is damaged" in caplog.text


def test_a_newer_journal_is_refused_and_not_touched(killed: Path, place: Path) -> None:
    """Its log included, which SQLite would move into the file."""
    path = copy(killed, place)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    copied = place / "newer"
    copied.mkdir()
    shutil.copyfile(path, copied / path.name)
    journal = copied / path.name
    with closing(sqlite3.connect(journal)) as other:
        other.execute("CREATE TABLE later (x)")
        other.commit()
        kept = contents(journal)

        async def test() -> None:
            with pytest.raises(JournalError, match="schema version 99, written by a newer dagcall"):
                await SqliteJournal(journal).open()

        asyncio.run(test())
        assert contents(journal) == kept


@pytest.fixture(autouse=True)
def nothing_left(place: Path) -> Iterator[None]:
    yield
    shutil.rmtree(place / "newer", ignore_errors=True)
