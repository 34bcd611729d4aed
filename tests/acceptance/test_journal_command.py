"""`dagcall journal check | vacuum | backup`, on the journal of a server that serves, was killed, and stopped."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .serving import DAGS, SOURCE, Server


def journal(*arguments: object, home: Path) -> tuple[int, Any]:
    """Exit code, and what was printed: the value, or the message."""
    command = [sys.executable, "-m", "dagcall.cli", "journal", *map(str, arguments), "--journal"]
    command += [f"sqlite:///{home / 'journal.db'}", "-o", "json"]
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "AIRFLOW_HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has run a bit of everything."""
    server = Server(tmp_path_factory.mktemp("journal"))
    try:
        server.wait_until_loaded()
        for dag_id, params in (
            ("three_steps", {"seconds": 0}),
            ("squares", {"values": [1, 2, 3]}),
            ("emits", {"n": 50}),
            ("cached", {"fails": True}),
            ("value_before_cleanup", {}),
            ("pid", {}),
        ):
            if server.http.get(f"/call/{dag_id}").status_code == 200:
                server.call(dag_id, **params)
        server.start("waits", file=str(server.home / "never"))
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def copied(served: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that was made while the server served."""
    copy = tmp_path_factory.mktemp("copy")
    code, made = journal("backup", copy / "journal.db", home=served.home)
    assert (code, made["bytes"]) == (0, (copy / "journal.db").stat().st_size), made
    return copy


def test_a_second_server_on_a_journal_is_refused_by_name(served: Server) -> None:
    command = [sys.executable, "-m", "dagcall.cli", "serve", str(DAGS), "--port", "0"]
    command += ["--journal", f"sqlite:///{served.home / 'journal.db'}"]
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "AIRFLOW_HOME": str(served.home)}
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert second.returncode == 5
    assert f"another server (process {served.process.pid}) has the journal open" in second.stderr
    assert "give this one another --journal" in second.stderr
    assert served.value("pid") > 0


def test_the_life_of_a_journal(served: Server, copied: Path, tmp_path: Path) -> None:
    home = served.home
    code, found = journal("check", home=home)
    assert (code, found["damaged"]) == (0, 0), found
    assert found["runs"] >= 5

    assert journal("backup", copied / "journal.db", home=home)[0] == 5, "it never replaces a file"
    copy = tmp_path / "copy"
    shutil.copytree(copied, copy)
    assert journal("check", home=copy) == (
        0,
        {"journal": str(copy / "journal.db"), "runs": found["runs"], "damaged": 0},
    )

    code, message = journal("vacuum", home=home)
    assert (code, f"process {served.process.pid}" in message) == (5, True), message

    served.process.kill()
    served.process.wait(10)
    assert journal("check", home=home)[0] == 0
    with closing(sqlite3.connect(copy / "journal.db")) as connection:
        connection.execute("DELETE FROM runs WHERE dag_id = 'emits'")
        connection.execute("DELETE FROM records WHERE entry >> 32 NOT IN (SELECT run FROM runs)")
        connection.commit()
    code, packed = journal("vacuum", home=copy)
    assert code == 0, packed
    assert packed["bytes_after"] < packed["bytes_before"]
    assert journal("check", home=copy)[0] == 0


@pytest.mark.parametrize(
    ("change", "run", "says"),
    [
        ("UPDATE records SET crc = 0 WHERE kind = 'result'", True, "the checksum of its record"),
        ("UPDATE runs SET state = 'failed'", True, "the checksum of its head"),
        ("DELETE FROM records WHERE kind = 'end'", True, "its events make"),
        ("DELETE FROM plans", True, "its plan, version"),
        ("PRAGMA user_version = 99", False, "written by a newer dagcall"),
    ],
)
def test_check_names_what_is_damaged(copied: Path, tmp_path: Path, change: str, run: bool, says: str) -> None:
    shutil.copyfile(copied / "journal.db", tmp_path / "journal.db")
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute(change)
        connection.commit()
    code, found = journal("check", home=tmp_path)
    if run:
        assert code == 1
        assert any(one["what"].startswith("run three_steps/") and says in one["found"] for one in found), found
    else:
        assert (code, says in found) == (5, True)
