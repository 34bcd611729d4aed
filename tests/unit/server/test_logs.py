"""Task logs over Airflow's API."""

import json
from pathlib import Path

import httpx
import pytest

from dagcall.model.ids import RunKey
from dagcall.model.plan import Retry, TaskPlan

from .conftest import plan
from .scripted import ScriptedCoordinator, fail, hold

pytestmark = pytest.mark.anyio

RUNS = "/api/v2/dags/simple/dagRuns"


def write_log(coordinator: ScriptedCoordinator, content: bytes) -> Path:
    """The log of the first try of task `make` of run `r`."""
    file = Path(coordinator.log_path(RunKey("simple", "r"), "make", -1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


async def test_logs(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    await http.post("/call/simple?run_id=r")
    file = write_log(
        coordinator, b'{"timestamp":"2026-01-01T00:00:00Z","level":"info","event":"hi","n":1}\nplain \xff\n[1]\n'
    )
    path = f"{RUNS}/r/taskInstances/make/logs/1"
    answer = (await http.get(path)).json()
    assert answer["continuation_token"] is None
    assert answer["content"] == [
        {"event": "::group::Log message source details", "sources": [str(file)]},
        {"event": "::endgroup::"},
        {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "event": "hi", "n": 1},
        {"timestamp": None, "event": "plain \ufffd"},
        {"timestamp": None, "event": "[1]"},
    ]
    streamed = await http.get(path, headers={"Accept": "application/x-ndjson"})
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in streamed.text.splitlines()] == answer["content"]
    assert (await http.get(path, headers={"Accept": "text/plain"})).status_code == 406
    for missing in ("make/logs/2", "make/logs/1?map_index=0", "x/logs/1"):
        assert (await http.get(f"{RUNS}/r/taskInstances/{missing}")).status_code == 404
    for hostile in ("..%2F..%2Fetc", "%2e%2e", "..%5Cetc", "make%00"):
        assert (await http.get(f"{RUNS}/r/taskInstances/{hostile}/logs/1")).status_code in (400, 404, 501)
    assert (await http.get(f"{RUNS}/r/taskInstances/make/logs/x")).status_code == 422
    assert (await http.get(f"{path}?token=forged")).status_code == 400
    gone = (await http.get(f"{RUNS}/r/taskInstances/after/logs/1")).json()
    assert len(gone["content"]) == 3
    assert "not in this server's log folder: it was written on host" in gone["content"][-1]["event"]
    file.unlink()
    gone = (await http.get(path)).json()
    assert "base_log_folder" in gone["content"][-1]["event"]


async def test_what_triggers_logged_is_in_the_log_of_their_task(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    await http.post("/call/simple?run_id=r")
    lines = [b'{"timestamp":"2026-01-01T00:00:0%dZ","event":"%d"}\n' % (second, second) for second in range(4)]
    file = write_log(coordinator, lines[0] + b"plain\n" + lines[3])
    beside = file.with_name(f"{file.name}.trigger.7.log")
    beside.write_bytes(lines[1] + lines[2])
    answer = (await http.get(f"{RUNS}/r/taskInstances/make/logs/1")).json()
    assert answer["content"][0]["sources"] == [str(file), str(beside)]
    assert [message["event"] for message in answer["content"]][2:] == ["0", "plain", "1", "2", "3"]


async def test_log_of_a_running_try_goes_on_where_it_ended(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    coordinator.work["make"] = hold
    await http.post("/call/simple?run_id=r&wait=0")
    write_log(coordinator, b"one\ntw")
    path = f"{RUNS}/r/taskInstances/make/logs/1"
    first = (await http.get(path)).json()
    assert [message["event"] for message in first["content"]][2:] == ["one"]
    write_log(coordinator, b"one\ntwo\n")
    second = (await http.get(path, params={"token": first["continuation_token"]})).json()
    assert [message["event"] for message in second["content"]] == ["two"]
    await coordinator.runs[RunKey("simple", "r")].release("make")
    third = (await http.get(path, params={"token": second["continuation_token"]})).json()
    assert third == {"content": [], "continuation_token": None}


async def test_log_of_what_never_ran(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.serve(plan("chain", TaskPlan("make", retry=Retry()), TaskPlan("after", upstream=("make",))))
    coordinator.work["make"] = fail
    await http.post("/call/chain?run_id=r")
    answer = (await http.get("/api/v2/dags/chain/dagRuns/r/taskInstances/after/logs/0")).json()
    assert answer["content"][-1]["event"] == "Task did not run because upstream task(s) failed."
