"""A server that stood still while another one took over: it writes nothing, tells who waits, and ends."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dagcall.testing.postgres_server import PostgresServer

from .conftest import ServerFactory
from .serving import Server, eventually, know_children


def taken_over(old: Server, start: Callable[[], Server], take_lock: Callable[[], object], tmp_path: Path) -> None:
    """A run is taken over while its first server is stopped; then that server wakes up."""
    notes = tmp_path / "run"
    family = old.family()
    with ThreadPoolExecutor(1) as caller:
        waiting = caller.submit(old.call, "interrupted_with_a_retry", file=str(notes))
        eventually(lambda: notes.exists() and "interrupted 1" in notes.read_text(), 30, "the first try")
        (run,) = old.all_runs()
        path = f"/call/{run['dag_id']}/{run['dag_run_id']}"
        old.process.send_signal(signal.SIGSTOP)
        try:
            take_lock()
            new = start()
            eventually(lambda: "interrupted 2" in notes.read_text(), 30, "the second try")
        finally:
            old.process.send_signal(signal.SIGCONT)
        (tmp_path / "run.go").touch()
        assert old.process.wait(30) == 5
        answer = waiting.result()
    assert answer.status_code == 503, answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == "/problems/unavailable"
    assert problem["run_id"] == run["dag_run_id"]
    assert "another server has taken over" in problem["detail"]
    messages = old.messages.read_text()
    assert f"process {new.process.pid}" in messages
    assert "this server ends" in messages
    old.assert_gone(family)
    ended = new.http.get(path, params={"wait": 30})
    assert (ended.status_code, ended.json()) == (200, 44), "the value of the second try"
    begun = notes.read_text().split("\n")
    assert (begun.count("before 1"), begun.count("after 1")) == (1, 1), "the old server went on with nothing"


def test_a_server_that_lost_its_lock_file_ends(serve: ServerFactory, tmp_path: Path) -> None:
    old = serve()
    journal = old.home / "journal.db"
    taken_over(
        old,
        lambda: serve(journal=f"sqlite:///{journal}"),
        (old.home / "journal.db.lock").unlink,
        tmp_path,
    )


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    with PostgresServer("fsync=off") as server:
        know_children()
        yield server


def test_a_server_that_did_not_renew_its_lease_ends(
    database: PostgresServer, serve: ServerFactory, tmp_path: Path
) -> None:
    def start() -> Server:
        return serve(journal=database.url())

    taken_over(start(), start, lambda: None, tmp_path)
