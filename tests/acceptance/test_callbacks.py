"""A callback is never lost: not by a server that is killed, nor by one that drains."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .serving import Server, eventually

CALLBACK = """
import os
import time
from pathlib import Path

from airflow.sdk import dag, result, task

HOME = Path(os.environ["AIRFLOW_HOME"])

def tell(context):
    (HOME / "begun").touch()
    while not (HOME / "go").exists():
        time.sleep(0.005)
    with open(HOME / "told", "a") as file:
        file.write(f"{context['run_id']} {context['reason']} {context['ti'].xcom_pull(task_ids='one')}\\n")

@dag(schedule=None, on_success_callback=tell)
def tells():
    @result
    @task
    def one():
        return 1

    one()

tells()
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    """One after the other on the same journal."""
    started: list[Server] = []
    try:
        yield started
    finally:
        for server in started:
            server.end()


def begin(servers: list[Server], home: Path) -> Server:
    dags = home / "dags"
    dags.mkdir(exist_ok=True)
    (dags / "tells.py").write_text(CALLBACK)
    server = Server(home, dags)
    servers.append(server)
    server.wait_until_loaded()
    return server


def test_one_that_a_kill_interrupts_is_told_by_the_next_server(servers: list[Server], tmp_path: Path) -> None:
    server = begin(servers, tmp_path)
    answer = server.http.post("/call/tells?run_id=mine", json={})
    assert (answer.status_code, answer.json()) == (200, 1)
    eventually((tmp_path / "begun").exists, what="the callback")
    family = server.family()
    server.process.kill()
    server.assert_gone(family)
    assert not (tmp_path / "told").exists()
    (tmp_path / "go").touch()
    server = begin(servers, tmp_path)
    told = eventually(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text(), what="what is told")
    assert told == "mine success 1\n"
    server.stop()


def test_a_drain_waits_for_it(servers: list[Server], tmp_path: Path) -> None:
    server = begin(servers, tmp_path)
    server.value("tells")
    eventually((tmp_path / "begun").exists, what="the callback")
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: server.call("tells").status_code == 503, what="the refusal of new calls")
    assert server.process.poll() is None
    (tmp_path / "go").touch()
    assert server.process.wait(20) == 0
    assert "success 1" in (tmp_path / "told").read_text()
