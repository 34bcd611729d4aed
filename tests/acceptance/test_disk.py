"""A journal whose disk is full, or stands still: who is told what meanwhile, and that it passes by itself."""

import resource
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from dagcall.coordinator.journal_check import contradiction
from dagcall.journal import sqlite_care

from .conftest import serving
from .serving import Server, eventually

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serving(Server(tmp_path_factory.mktemp("disk"), workers=4))


def start(server: Server, file: Path) -> str:
    """A run whose task has begun, and waits."""
    path = server.start("interrupted_with_a_retry", file=str(file))
    eventually(lambda: file.exists() and "interrupted 1" in file.read_text(), 30, "the task")
    return path


def refused(answer: httpx.Response) -> bool:
    assert "journal.db" not in answer.text, "where the journal is does not concern a caller"
    return answer.status_code == 503 and "journal" in answer.json()["detail"] and "Retry-After" in answer.headers


def test_a_full_disk_refuses_and_passes_by_itself(server: Server, tmp_path: Path) -> None:
    """A limit on the size of the server's files stands for the full disk; its workers are not touched by it."""
    file = tmp_path / "file"
    path = start(server, file)
    server.value("kept_in_memory", file=str(_gone(tmp_path, "before")))
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    with ThreadPoolExecutor(1) as callers:
        waiting = callers.submit(server.http.get, path, params={"wait": 60})
        eventually(lambda: server.run_state(path) == "running")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, hard))

        assert refused(server.http.post("/call/pid", json={}, headers=ASYNC))
        assert not server.http.get("/call/pid").is_error, "what needs no journal goes on"
        assert server.value("kept_in_memory", file=str(_gone(tmp_path, "meanwhile"))) == 2

        Path(f"{file}.go").touch()  # its end cannot be kept
        assert refused(waiting.result())

    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    answer = eventually(lambda: _answered(server.http.get(path, params={"wait": 5})), 30, "the run, taken up again")
    assert answer.json() == (20 + 2) * 2
    assert file.read_text().split("\n")[:-1] == ["before 1", "interrupted 1", "interrupted 2", "after 1"]
    assert server.value("pid") > 0
    journal = server.home / "journal.db"
    assert sqlite_care.damage_of(journal) is None
    with sqlite_care.reading(journal) as connection:
        for run in sqlite_care.runs(connection):
            assert run.head is not None, run.damage
            assert contradiction(run.plan, run.head, run.records) is None


def test_a_disk_that_stands_still_holds_up_nobody_but_those_who_need_it(server: Server, tmp_path: Path) -> None:
    """A lock on the file, held by another program, stands for a flush that does not return."""
    server.value("pid")
    go = _gone(tmp_path, "memory")
    server.value("kept_in_memory", file=str(go))
    with closing(sqlite3.connect(server.home / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(2) as callers:  # few: each takes a worker, and SQLite waits 5 s for the lock
            waiting = [callers.submit(server.call, "pid") for _ in range(2)]
            assert server.http.get("/call/pid").status_code == 200
            assert server.value("kept_in_memory", file=str(go)) == 2
            assert not any(one.done() for one in waiting), "they need the disk"
            other.execute("ROLLBACK")
            answers = [one.result() for one in waiting]
    assert [one.status_code for one in answers] == [200] * 2


def _gone(folder: Path, name: str) -> Path:
    """For a task that need not wait."""
    (folder / f"{name}.go").touch()
    return folder / name


def _answered(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.status_code == 200 else None
