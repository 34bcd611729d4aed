"""A server that is not ready yet, and one that dies while it is called. The docstrings are the promises."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import dagcall
from dagcall import errors

from ..serving import Server, eventually

DAG = """
import os, time
from airflow.sdk import Param, dag, result, task

while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.01)

@dag(schedule=None, params={"file": Param("", type="string")})
def waits_twice():
    @result
    @task(retries=3, retry_delay=0.0)
    def t(params, ti=None):
        while not os.path.exists(params["file"]):
            time.sleep(0.01)
        return "done"
    t()

waits_twice()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "dags"
    made.mkdir()
    (made / "one.py").write_text(DAG)
    return made


@pytest.fixture
def gated(tmp_path: Path, folder: Path) -> Iterator[Server]:
    server = Server(tmp_path, folder, environment={"GATE": str(tmp_path / "gate")})
    try:
        yield server
    finally:
        server.end()


def test_loading_then_serving_then_dying_then_serving_again(gated: Server, tmp_path: Path, folder: Path) -> None:
    """Until the first load of the folder is complete, `/call*` and `/api/v2/dags*` answer 503 with Retry-After;
    `GET /call` 200 means that all files are loaded.

    A call with a key that was under way when the server died is sent again until the next one answers, with the same
    run; a call without a key is not: its caller is told that it may be running."""

    def answers(path: str) -> int:
        try:
            return gated.http.get(path).status_code
        except Exception:
            return 0

    eventually(lambda: answers("/api/v2/version") in (200, 503), 60, "the port")
    for method, path in (
        *(("GET", "/call"), ("GET", "/call/waits_twice"), ("POST", "/call/waits_twice")),
        *(("GET", "/call/waits_twice/x"), ("GET", "/api/v2/dags"), ("GET", "/api/v2/dags/waits_twice/dagRuns")),
    ):
        answer = gated.http.request(method, path)
        assert (answer.status_code, int(answer.headers["Retry-After"]) >= 1) == (503, True), path
        assert "Dagcall-Outcome" not in answer.headers
    (tmp_path / "gate").touch()
    eventually(lambda: answers("/call") == 200, 60, "the end of loading")

    file = tmp_path / "go"
    with dagcall.Client(gated.url) as client, ThreadPoolExecutor(2) as callers:
        keyed = callers.submit(client.with_options(key="k", retry=60).call, "waits_twice", file=str(file))
        plain = callers.submit(client.call, "waits_twice", file=str(file))
        eventually(lambda: len([run for run in gated.all_runs() if run["state"] == "running"]) == 2)
        os.kill(gated.process.pid, signal.SIGKILL)
        gated.process.wait(10)
        with pytest.raises(errors.Unreachable, match="not repeated"):
            plain.result(60)
        again = Server(tmp_path, folder, environment={"GATE": str(tmp_path / "gate")}, port=gated.port)
        try:
            again.wait_until_loaded()
            file.touch()
            assert keyed.result(60) == "done"
            runs = again.all_runs()
            assert [run["dag_run_id"] for run in runs] == list(dict.fromkeys(run["dag_run_id"] for run in runs))
            assert len(runs) == 2
            again.stop()
        finally:
            again.end()
