"""What is particular to the journal in SQLite: its files, its failures, and what survives SIGKILL."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from dagcall.errors import JournalCorrupt, JournalError, JournalFenced, JournalLocked
from dagcall.journal import sqlite_care, sqlite_file, sqlite_writer
from dagcall.journal.encoding import encode_plan, encode_record
from dagcall.journal.sqlite import SqliteJournal
from dagcall.journal.store import Put
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.testing.journal_suite import KEY, first_batch, head_for, next_batch


def run_with(path: Path, test: Callable[[SqliteJournal], Awaitable[None]]) -> None:
    async def main() -> None:
        journal = SqliteJournal(path)
        await journal.open()
        try:
            await test(journal)
        finally:
            await journal.close()

    asyncio.run(main())


PLAN = DagPlan("shop", "v1", "", "", ())


async def nothing(journal: SqliteJournal) -> None: ...


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_new_directories_and_files_are_private_and_old_ones_untouched(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "a" / "b" / "journal.db"

    async def test(journal: SqliteJournal) -> None:
        await journal.append(first_batch(head_for()))
        assert {one.name: mode(one) for one in path.parent.iterdir()} == dict.fromkeys(
            ("journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"), 0o600
        )

    before = os.umask(0)
    try:
        run_with(path, test)
    finally:
        os.umask(before)
    assert [mode(one) for one in (tmp_path, tmp_path / "a", path.parent)] == [0o755, 0o700, 0o700]


def test_closing_leaves_one_file_of_data(tmp_path: Path) -> None:
    run_with(tmp_path / "journal.db", lambda journal: journal.put_plan(DagPlan("shop", "v1", "", "", ())))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["journal.db", "journal.db.lock"]


def test_appends_do_not_wait_for_a_slow_reader(tmp_path: Path) -> None:
    """A reader that holds its snapshot open, as a backup does."""

    async def test(journal: SqliteJournal) -> None:
        await journal.append(first_batch(head_for()))
        with contextlib.closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM records").fetchone() == (1,)
            await journal.append(next_batch(head_for()), "power")
            assert reader.execute("SELECT count(*) FROM records").fetchone() == (1,)

    run_with(tmp_path / "journal.db", test)


def test_the_log_is_checkpointed_as_it_grows(tmp_path: Path) -> None:
    async def test(journal: SqliteJournal) -> None:
        for number in range(12):
            key = RunKey("shop", str(number))
            await journal.append(first_batch(head_for(key, conf=bytes(1_000_000))))
        await journal.put_plan(DagPlan("shop", "v1", "", "", ()))  # behind whatever checkpoint the last batch caused
        assert (tmp_path / "journal.db").stat().st_size > 4_000_000
        assert (tmp_path / "journal.db-wal").stat().st_size < 8_000_000

    run_with(tmp_path / "journal.db", test)


@pytest.mark.parametrize("garbage", [b"this is no database, it is a letter to my aunt\n" * 200, b"x"])
def test_garbage_is_refused_by_name_and_kept(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(garbage)
    with pytest.raises(JournalCorrupt, match=r"journal\.db is (damaged.*move it|no journal.*another file)"):
        run_with(path, nothing)
    assert path.read_bytes() == garbage


def test_damage_is_found_when_a_journal_is_opened_and_in_a_large_one_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"

    async def fill(journal: SqliteJournal) -> None:
        for number in range(200):
            await journal.append(first_batch(head_for(RunKey("shop", str(number)), conf=bytes(1000))))

    run_with(path, fill)
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 5 * 4096))

    with pytest.raises(JournalCorrupt, match=r"journal\.db is damaged"):
        run_with(path, nothing)
    monkeypatch.setattr("dagcall.journal.sqlite_file.LOOKED_AT", 0)

    async def read(journal: SqliteJournal) -> None:
        with pytest.raises(JournalCorrupt, match=r"journal\.db"):
            await journal.unfinished()

    run_with(path, read)


def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "airflow.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE dag (dag_id TEXT)")
    before = path.read_bytes()
    with pytest.raises(JournalCorrupt, match="no journal"):
        run_with(path, nothing)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    run_with(path, nothing)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="schema version 99, written by a newer dagcall"):
        run_with(path, nothing)


def test_a_journal_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    head = head_for(conf=b'{"city": "Z"}', run_after=7.0)
    record = first_batch(head).records[0]
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(sqlite_file._SCHEMA[0])
        old.execute(f"PRAGMA application_id = {sqlite_file.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 1")
        old.execute(
            "INSERT INTO runs VALUES (1, ?, ?, 'v1', 100, 7, NULL, 'manual', 'rest_api', '', ?, NULL, 'queued', NULL, "
            "NULL, NULL, 'running')",
            (*KEY, head.conf),
        )
        old.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", ((1 << 32) + 1, *encode_record(KEY, record)))
        old.execute("INSERT INTO plans VALUES ('shop', 'v1', ?)", (encode_plan(PLAN),))
        old.commit()

    async def use(journal: SqliteJournal) -> None:
        assert await journal.unfinished() == [head]
        assert await journal.records(KEY) == [record]
        assert await journal.get_plan("shop", "v1") == PLAN
        await journal.store.write(Put("k", "a", b"", 1.0))
        assert len(await journal.store.items("k")) == 1

    run_with(path, use)
    run_with(path, use)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="Not a directory"):
        run_with(tmp_path / "file" / "journal.db", nothing)


def test_a_failed_open_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"garbage" * 1000)

    async def test() -> None:
        journal = SqliteJournal(path)
        with pytest.raises(JournalCorrupt):
            await journal.open()
        path.unlink()
        assert await journal.open() == 1
        await journal.close()

    asyncio.run(test())


def test_a_server_in_another_process_is_named(tmp_path: Path) -> None:
    with writing_process(tmp_path / "journal.db") as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(JournalLocked, match=rf"process {process.pid}\b"):
            run_with(tmp_path / "journal.db", nothing)


def test_a_fenced_server_is_told_by_whom(tmp_path: Path) -> None:
    async def test(journal: SqliteJournal) -> None:
        (tmp_path / "journal.db.lock").unlink()
        with writing_process(tmp_path / "journal.db") as process:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(
                JournalFenced, match=rf"process {process.pid}\) opened it since \(epoch 2, this one has 1"
            ):
                await journal.append(first_batch(head_for()))
            assert journal.trouble is not None
            assert journal.trouble.is_final

    run_with(tmp_path / "journal.db", test)


def test_a_fenced_server_that_writes_nothing_notices_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_writer, "LOOK_EVERY", 0.01)

    async def test(journal: SqliteJournal) -> None:
        (tmp_path / "journal.db.lock").unlink()
        assert journal.trouble is None
        with writing_process(tmp_path / "journal.db") as process:
            assert process.stdout is not None
            process.stdout.readline()
            async with asyncio.timeout(20):
                while journal.trouble is None:  # noqa: ASYNC110 # the journal's own thread sees it
                    await asyncio.sleep(0.01)
            assert journal.trouble.is_final

    run_with(tmp_path / "journal.db", test)


WRITER = """
    import asyncio, sys
    from dataclasses import replace
    from pathlib import Path
    from dagcall.journal.sqlite import SqliteJournal
    from dagcall.model.ids import RunKey
    from dagcall.testing.journal_suite import first_batch, head_for, next_batch

    async def write(journal, name, durability):
        batch = first_batch(head_for(RunKey("kill", name)))
        while True:
            await journal.append(batch, durability)
            print(name, batch.head.last_record, flush=True)
            batch = next_batch(batch.head, count=batch.head.last_record % 3 + 1)

    async def main():
        journal = SqliteJournal(Path(sys.argv[1]))
        await journal.open()
        await asyncio.gather(*(write(journal, str(n), "power" if n % 3 == 0 else "process") for n in range(8)))

    asyncio.run(main())
"""


@contextlib.contextmanager
def writing_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that appends without end, and prints a line (run, last record) for each batch acknowledged."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_who_checks_a_journal_sees_each_run_as_of_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with writing_process(path) as process:
        assert process.stdout is not None
        for _ in range(100):
            process.stdout.readline()
        reading = threading.Thread(target=process.stdout.read)  # so that it never waits for its reader
        reading.start()
        with sqlite_care.reading(path) as connection:
            for _ in range(60):
                for run in sqlite_care.runs(connection):
                    assert run.head is not None, run.damage
                    assert len(run.records) == run.head.last_record
        process.kill()
        reading.join()


@pytest.mark.parametrize("lines", [1, 100, 3000])
def test_p1_whatever_was_acknowledged_survives_sigkill(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "journal.db"
    acknowledged: dict[str, int] = {}
    with writing_process(path) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            if number == lines:
                process.send_signal(signal.SIGKILL)
            if line.endswith("\n"):  # the last line may be cut off
                name, last = line.split()
                acknowledged[name] = int(last)
    assert process.returncode == -signal.SIGKILL
    assert acknowledged

    async def test(journal: SqliteJournal) -> None:
        for name, last in acknowledged.items():
            head = await journal.head(RunKey("kill", name))
            records = await journal.records(RunKey("kill", name))
            assert head is not None
            assert head.last_record >= last
            assert [record.id for record in records] == [*range(1, head.last_record + 1)]
            await journal.append(next_batch(head))

    run_with(path, test)


DISK_FULL = """
    import asyncio, resource, sys, threading
    from pathlib import Path
    from dagcall.errors import JournalError
    from dagcall.journal.sqlite import SqliteJournal
    from dagcall.journal.sqlite_file import make_file
    from dagcall.journal.sqlite_writer import Entry, SqliteWriter
    from dagcall.model.ids import RunKey
    from dagcall.testing.journal_suite import first_batch, head_for, next_batch

    def limit_files(size):
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size if size else hard, hard))

    def fails_for_want_of_space(error):
        return type(error) is JournalError and "is the disk full?" in str(error)

    path = Path(sys.argv[1])
    head = head_for()
    big = first_batch(head_for(RunKey("shop", "big"), conf=bytes(200_000)))

    # What was put before the start is one group for sure: the small batch fails with the big one.
    make_file(path)
    groups, stopped = [], threading.Event()
    writer = SqliteWriter(path, groups.append, stopped.set)
    limit_files(path.with_name(path.name + "-wal").stat().st_size + 50_000)
    for batch in (first_batch(head), big):
        writer.put(Entry(batch, False, None))
    writer.stop()
    writer.start()
    stopped.wait()
    writer.disconnect()
    assert [[fails_for_want_of_space(outcome.error) for outcome in group] for group in groups] == [[True, True]], groups

    async def main():
        journal = SqliteJournal(path)
        await journal.open()
        assert await journal.unfinished() == []
        await journal.append(first_batch(head))
        limit_files(path.with_name(path.name + "-wal").stat().st_size + 50_000)
        (error,) = await asyncio.gather(journal.append(big), return_exceptions=True)
        assert fails_for_want_of_space(error), error
        assert await journal.unfinished() == [head]
        await journal.append(next_batch(head))
        limit_files(None)
        await journal.append(big)
        assert [one.key for one in await journal.unfinished()] == [head.key, big.head.key]
        assert len(await journal.records(head.key)) == 2
        await journal.close()
        print("done")

    asyncio.run(main())
"""


def test_a_full_disk_fails_what_waits_and_nothing_else(tmp_path: Path) -> None:
    """A limit on file sizes stands for the full disk: writes fail within a transaction, and succeed later."""
    command = [sys.executable, "-c", textwrap.dedent(DISK_FULL), str(tmp_path / "journal.db")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (finished.stdout, finished.stderr) == ("done\n", "")


def test_a_lock_held_by_another_program_fails_the_group_not_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagcall.journal.sqlite_file.BUSY_TIMEOUT", 0.05)

    async def test(journal: SqliteJournal) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as shell:
            shell.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match="another program kept it locked"):
                await journal.append(first_batch(head_for()))
            shell.execute("ROLLBACK")
        await journal.append(first_batch(head_for()))
        assert await journal.head(KEY) == head_for()

    run_with(tmp_path / "journal.db", test)


def test_a_loop_that_ends_without_closing_does_not_keep_the_process(tmp_path: Path) -> None:
    code = """
        import asyncio, sys
        from pathlib import Path
        from dagcall.journal.sqlite import SqliteJournal
        from dagcall.testing.journal_suite import first_batch, head_for

        async def main():
            journal = SqliteJournal(Path(sys.argv[1]))
            await journal.open()
            journal.append(first_batch(head_for()))

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "journal.db")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_a_full_disk_is_told_and_seen_to_be_over_without_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "PROBE_EVERY", 0.01)

    async def test(journal: SqliteJournal) -> None:
        assert journal.trouble is None
        writer = journal._writer._connection
        (pages,) = writer.execute("PRAGMA page_count").fetchone()
        writer.execute(f"PRAGMA max_page_count = {pages}")
        first = first_batch(head_for(conf=b"x" * 100_000))
        with pytest.raises(JournalError, match="full"):
            await journal.append(first)
        assert journal.trouble is not None
        assert "full" in journal.trouble.reason
        assert str(tmp_path) not in journal.trouble.reason
        writer.execute(f"PRAGMA max_page_count = {pages + 1000}")
        async with asyncio.timeout(10):
            while journal.trouble is not None:  # noqa: ASYNC110 # the journal's own thread sees it
                await asyncio.sleep(0.01)
        await journal.append(first)

    run_with(tmp_path / "journal.db", test)
