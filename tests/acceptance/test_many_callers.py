"""Many runs of one DAG at once, without a unique logical date, and what they cost."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from .serving import Server, eventually

CALLERS = 200


def test_200_callers_each_get_their_own_answer(shared: Server) -> None:
    answers = at_once(shared, "squares", [{"n": n} for n in range(CALLERS)])
    assert [answer["n"] for answer in answers] == list(range(CALLERS))
    assert [answer["sum"] for answer in answers] == [n * n + (n + 1) * (n + 1) for n in range(CALLERS)]
    assert {answer["logical_date"] for answer in answers} == {None}
    assert len({answer["run_id"] for answer in answers}) == CALLERS


def test_200_tasks_that_wait_run_at_once_in_bounded_memory(shared: Server, tmp_path: Path) -> None:
    """As many processes: none of them waits for another, and they share what they have in common."""
    go = tmp_path / "go"
    with ThreadPoolExecutor(1) as thread:
        calls = thread.submit(at_once, shared, "waits_together", [{"file": str(go)}] * CALLERS)
        eventually(lambda: running(shared, "waits_together") == CALLERS, 60, "all of them at once")
        memory = shared.memory()
        go.touch()
        assert len(set(calls.result())) == CALLERS
    assert memory < 6 << 30


def running(server: Server, dag_id: str) -> int:
    """Its tasks that run now."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/~/taskInstances"
    found: int = server.http.get(path, params={"state": "running", "limit": 1}).json()["total_entries"]
    return found


def at_once(server: Server, dag_id: str, params: list[dict[str, Any]]) -> list[Any]:
    """Values of as many calls at once, each on a connection of its own.

    By `http.client`: two hundred clients of a fuller kind would take the CPUs that the server is measured on.
    """

    def call(own: dict[str, Any]) -> Any:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        with closing(connection):
            connection.request("POST", f"/call/{dag_id}", json.dumps(own), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = json.load(answer)
            assert answer.status == 200, body
            return body

    with ThreadPoolExecutor(len(params)) as callers:
        return list(callers.map(call, params))
