"""When a call is answered, and what a call that cannot be run is told."""

import time
from typing import Any

import pytest

import dagcall

from .serving import Server, eventually, failure

WELL_BEFORE_CLEANUP = 3.0
"""Seconds; what is not waited for takes 5. How soon it is in truth: `make bench-answers`."""


def test_a_value_waits_for_neither_teardown_nor_side_branch(shared: Server) -> None:
    shared.value("shell")  # the file's processes are there
    begun = time.monotonic()
    answer = shared.call("value_before_cleanup")
    took = time.monotonic() - begun
    assert (answer.status_code, answer.json()) == (200, "value of resource")
    assert took < WELL_BEFORE_CLEANUP

    path = answer.headers["Location"]
    assert shared.run_state(path) == "running"
    eventually(lambda: shared.airflow_run(path)["state"] == "success", 15, "the end of the whole run")
    assert set(shared.task_states(path).values()) == {"success"}
    assert shared.http.get(path).json() == "value of resource"


def test_a_failure_waits_for_neither_sibling_nor_teardown(shared: Server) -> None:
    shared.value("shell")
    begun = time.monotonic()
    answer = shared.call("failure_before_cleanup")
    took = time.monotonic() - begun
    problem = failure(answer)
    assert took < WELL_BEFORE_CLEANUP
    assert (problem["failed_task"], problem["error"]) == (
        "breaks",
        {"type": "LookupError", "message": "no resource today"},
    )
    assert [(link["task_id"], link["state"]) for link in problem["cause"]] == [
        ("breaks", "failed"),
        ("value", "upstream_failed"),
    ]
    assert (problem["state"], problem["cleanup"]) == ("running", "running")

    path = answer.headers["Location"]
    eventually(lambda: shared.airflow_run(path)["state"] == "failed", 15, "the end of the whole run")
    assert shared.task_states(path) == {
        "start": "success",
        "breaks": "failed",
        "value": "upstream_failed",
        "sibling": "success",
        "finish": "success",
    }
    assert shared.http.get(path).json()["cleanup"] == "done"


@pytest.mark.parametrize("status", [404, 409, 422])
def test_a_task_chooses_the_status_of_its_callers_answer(shared: Server, status: int) -> None:
    answer = shared.call("rejects", status=status, detail="no guest \u2018Zo\u00eb\u2019")
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Dagcall-Outcome"] == "failed"
    problem = answer.json()
    assert problem["detail"] == "no guest \u2018Zo\u00eb\u2019"
    assert (problem["failed_task"], problem["try_number"]) == ("look_up", 1)
    assert [link["task_id"] for link in problem["cause"]] == ["look_up", "greet"]
    with dagcall.Client(shared.url) as client, pytest.raises(dagcall.RunFailed) as caught:
        client.call("rejects", status=status)
    assert getattr(caught.value, "status", None) == status
    assert "no guest 'G-7'" in str(caught.value)


def test_a_status_that_a_task_may_not_choose_is_a_failure_like_any_other(shared: Server) -> None:
    problem = failure(shared.call("rejects", status=500))
    assert problem["error"]["type"] == "ValueError"
    assert "404, 409, 422" in problem["error"]["message"]


JSON = {"Content-Type": "application/json"}

BAD_REQUESTS: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "malformed JSON": ("squares", {"content": b'{"n": 1', "headers": JSON}, 400, "malformed-json"),
    "not UTF-8": ("squares", {"content": b'{"n": "\xff"}', "headers": JSON}, 400, "malformed-json"),
    "not an object": ("squares", {"content": b"[1]", "headers": JSON}, 422, "not-an-object"),
    "wrong type": ("squares", {"json": {"n": "one"}}, 422, "invalid-params"),
    "too large": ("squares", {"json": {"n": 1, "more": "x" * (17 << 20)}}, 413, "too-large"),
    "no content type": ("squares", {"content": b"{}"}, 415, "unsupported-media-type"),
    "unknown DAG": ("no_such_dag", {"json": {}}, 404, "dag-not-found"),
    "unknown result task": ("squares?result=no_such_task", {"json": {}}, 404, "task-not-found"),
    "bad run id": ("squares?run_id=a/b%20c", {"json": {}}, 400, "bad-request"),
    "bad wait": ("squares?wait=soon", {"json": {}}, 400, "bad-request"),
    "broken file": ("does_not_import", {"json": {}}, 503, "dag-broken"),
    "crashing file": ("exits_at_import", {"json": {}}, 503, "dag-broken"),
    "refused DAG": ("is_refused", {"json": {}}, 501, "dag-unsupported"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_what_cannot_be_run_is_refused_and_leaves_no_run(shared: Server, case: str) -> None:
    path, request, status, slug = BAD_REQUESTS[case]
    before = _entries(shared)
    answer = shared.http.post(f"/call/{path}", **request)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Dagcall-Run-Id" not in answer.headers
    assert _entries(shared) == before


def test_a_broken_file_is_explained(shared: Server) -> None:
    assert "no_such_module_anywhere" in shared.call("does_not_import").json()["detail"]
    assert "exit code 7" in shared.call("exits_at_import").json()["detail"]
    errors = shared.http.get("/api/v2/importErrors").json()["import_errors"]
    assert sorted(error["filename"] for error in errors) == ["bad/does_not_import.py", "bad/exits_at_import.py"]


def _entries(server: Server) -> int:
    entries: int = server.http.get("/api/v2/dags/~/dagRuns", params={"limit": 1}).json()["total_entries"]
    return entries
