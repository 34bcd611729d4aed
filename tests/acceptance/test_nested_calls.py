"""Runs that wait for runs, and for people: on fewer workers than there are waiting tasks, and over a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .serving import Server, eventually
from .test_many_callers import at_once

CALLS = 50


@pytest.mark.parametrize("dag_id", ["calls_one", "calls_two"])
def test_50_nested_calls_on_two_workers(serve: ServerFactory, dag_id: str) -> None:
    server = serve(workers=2)
    assert at_once(server, dag_id, [{"n": n} for n in range(CALLS)]) == [n * n for n in range(CALLS)]
    server.wait_until_idle()
    runs = server.all_runs()
    children = [run for run in runs if run["dag_id"] == "squares_one"]
    assert len(children) == CALLS
    assert {run["run_type"] for run in children} == {"operator_triggered"}
    assert {run["state"] for run in runs} == {"success"}


@pytest.fixture
def restarts(tmp_path: Path) -> Iterator[list[Server]]:
    """Servers one after the other with one journal."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.end()


def begin(servers: list[Server], home: Path) -> Server:
    server = Server(home, workers=2)
    servers.append(server)
    server.wait_until_loaded()
    return server


def test_a_restart_in_the_middle_of_a_nested_call(restarts: list[Server], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    server = begin(restarts, tmp_path)
    path = server.start("calls_two", n=7, file=str(gate))

    def all_wait() -> bool:
        """Both callers are suspended: a try that runs is lost with its server."""
        runs = {run["dag_id"]: f"/call/{run['dag_id']}/{run['dag_run_id']}" for run in server.all_runs()}
        if len(runs) < 3 or server.task_states(runs["squares_one"])["square"] != "running":
            return False
        return all(server.task_states(runs[one])["call"] == "deferred" for one in ("calls_one", "calls_two"))

    eventually(all_wait, 30, "two callers that wait, and a task that runs")
    server.process.kill()
    server.process.wait(10)

    server = begin(restarts, tmp_path)
    gate.touch()
    assert server.http.get(path, params={"wait": 30}).json() == 49
    server.wait_until_idle()
    assert sorted((run["dag_id"], run["state"]) for run in server.all_runs()) == [
        ("calls_one", "success"),
        ("calls_two", "success"),
        ("squares_one", "success"),
    ]


def test_a_person_answers_after_a_restart(restarts: list[Server], tmp_path: Path) -> None:
    server = begin(restarts, tmp_path)
    path = server.start("asks_for_approval")
    eventually(lambda: server.task_states(path)["approve"] == "awaiting_input", 30, "the question")
    server.process.kill()
    server.process.wait(10)

    server = begin(restarts, tmp_path)
    assert server.task_states(path)["approve"] == "awaiting_input"
    everything = server.http.get("/api/v2/dags/~/dagRuns/~/hitlDetails", params={"response_received": False}).json()
    (asked,) = everything["hitl_details"]
    assert (asked["subject"], asked["options"], asked["task_instance"]["state"]) == (
        "Ship it?",
        ["Approve", "Reject"],
        "awaiting_input",
    )
    _, _, dag_id, run_id = path.split("/")
    detail = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    assert server.http.patch(detail, json={"chosen_options": ["Approve"]}).status_code == 200
    assert server.http.get(path, params={"wait": 30}).json() == "shipped"
    assert server.http.patch(detail, json={"chosen_options": ["Reject"]}).status_code == 409
