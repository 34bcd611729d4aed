"""`timeout=`, and `on_disconnect`."""

from pathlib import Path

import httpx
import pytest

import dagcall

from .serving import Server, eventually


def test_a_task_is_ended_at_the_deadline(shared: Server) -> None:
    answer = shared.http.post("/call/never_ends?timeout=0.5", json={})
    assert answer.status_code == 504
    problem = answer.json()
    assert problem["type"] == "/problems/deadline-exceeded"
    assert answer.headers["Dagcall-Outcome"] == "deadline"
    path = answer.headers["Location"]
    eventually(lambda: shared.run_state(path) == "failed", what="the end of the run")
    with dagcall.Client(shared.url) as client, pytest.raises(dagcall.DagcallError, match="deadline"):
        client.with_options(timeout=0.2).call("never_ends")


def test_a_retry_that_cannot_fit_is_not_waited_for(shared: Server, tmp_path: Path) -> None:
    file = tmp_path / "told"
    answer = shared.http.post("/call/would_be_tried_again?timeout=300", json={"file": str(file)})
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert error["type"] == "LookupError"
    assert error["message"].startswith("not there yet (not tried again: the next try is due in 600 s")
    assert eventually(lambda: file.exists() and file.read_text(), what="its on_failure_callback") == "t failed"


def test_tasks_know_how_long_their_caller_waits(shared: Server, tmp_path: Path) -> None:
    file = tmp_path / "left"
    answer = shared.http.post("/call/tells_the_time_left?timeout=100", json={"file": str(file)})
    assert 50 < answer.json() < 100
    assert eventually(lambda: file.exists() and file.read_text()) == "None"
    assert shared.call("tells_the_time_left", file=str(file)).json() is None


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_the_last_waiter_that_leaves_cancels_where_that_was_asked_for(shared: Server, accept: str) -> None:
    run_id = f"left-{accept[-4:]}"
    query = f"run_id={run_id}&on_disconnect=cancel&wait=60"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{shared.url}/call/never_ends?{query}", json={}, headers={"Accept": accept}, timeout=1)
    path = f"/call/never_ends/{run_id}"
    eventually(lambda: shared.http.get(path).headers["Dagcall-Outcome"] == "cancelled", what="the cancel")
    assert shared.http.get(path).status_code == 409
