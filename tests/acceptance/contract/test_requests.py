"""The requests on `/call`, their headers and query, and the headers of the answers. The docstrings are the promises."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..serving import Server, eventually

STREAM = {"Accept": "application/x-ndjson"}


def test_post_with_params(shared: Server) -> None:
    """The body is a JSON object: the params (DAG conf); an empty body is `{}`."""
    assert shared.value("echo", question="why") == {"question": "why", "top_k": 3}
    empty = shared.http.post("/call/echo")
    assert (empty.status_code, empty.json()) == (200, {"question": "?", "top_k": 3})
    path = empty.headers["Location"]
    assert shared.airflow_run(path)["conf"] == {}


def test_get_dag(shared: Server) -> None:
    """The contract: description, params JSON schema, result tasks, example call."""
    contract = shared.http.get("/call/echo").json()
    assert contract["dag_id"] == "echo"
    assert contract["description"] == "Its params are its value."
    assert contract["result_tasks"] == ["t"]
    question = contract["params_schema"]["properties"]["question"]
    assert (question["type"], question["minLength"], question["description"]) == ("string", 1, "What is asked")
    assert "/call/echo" in contract["example"]["curl"]
    assert "dagcall" in contract["example"]["python"]


def test_get_all(shared: Server) -> None:
    """The callable DAGs."""
    answer = shared.http.get("/call").json()
    assert answer["total_entries"] == len(answer["dags"])
    echo = next(one for one in answer["dags"] if one["dag_id"] == "echo")
    assert (echo["callable"], echo["href"]) == (True, "/call/echo")


def test_attach(shared: Server, tmp_path: Path) -> None:
    """The same answers as the POST, any number of times; waits 0 s unless `Prefer: wait` or `wait=` is given; the state
    of the whole run is in `Dagcall-Run-State`."""
    file = tmp_path / "go"
    path = shared.start("a_teardown_follows", file=str(file))
    first = shared.http.get(path, params={"wait": 10})
    assert (first.status_code, first.json()) == (200, "value of resource")
    assert first.headers["Dagcall-Run-State"] == "running"
    for _ in range(3):
        assert shared.http.get(path).json() == "value of resource"
    file.touch()
    eventually(lambda: shared.http.get(path).headers["Dagcall-Run-State"] == "success")
    path = shared.start("ends_with_its_file", file=str(file) + "-not")
    now = shared.http.get(path)
    assert (now.status_code, now.headers["Preference-Applied"]) == (202, "wait=0")
    waited = shared.http.get(path, headers={"Prefer": "wait=0"})
    assert waited.status_code == 202
    shared.http.delete(path)


def test_attach_to_a_failure(shared: Server) -> None:
    """Of a run that has failed the same problem, its cleanup done."""
    failed = shared.call("chain_of_causes")
    path = failed.headers["Location"]
    eventually(lambda: shared.run_state(path) == "failed")
    again = shared.http.get(path)
    assert (again.status_code, again.json()["cleanup"], again.json()["state"]) == (500, "done", "failed")
    changing = ("state", "cleanup")
    assert {k: v for k, v in again.json().items() if k not in changing} == {
        k: v for k, v in failed.json().items() if k not in changing
    }


@pytest.mark.parametrize(
    "prefer, query, status, applied",
    [
        ("respond-async", {}, 202, "respond-async"),
        ("wait=0", {}, 202, "wait=0"),
        ("respond-async, wait=0", {}, 202, "respond-async, wait=0"),
        ("respond-async, wait=20", {}, 200, "respond-async, wait=20"),
        ("wait=20", {}, 200, "wait=20"),
        ("Wait=20; x=y, handling=lenient", {}, 200, "wait=20"),
        ("wait=100000", {}, 200, "wait=300"),
        ("wait=0", {"wait": "20"}, 200, "wait=20"),
        ("respond-async", {"wait": "20"}, 200, "respond-async, wait=20"),
        ("wait=soon", {}, 200, "wait=30"),
        ("", {}, 200, "wait=30"),
        ("", {"wait": "0"}, 202, "wait=0"),
        ("", {"wait": "2.5"}, 200, "wait=2.5"),
    ],
)
def test_prefer(shared: Server, prefer: str, query: dict[str, str], status: int, applied: str) -> None:
    """`Prefer: wait=S`: seconds to wait; default 30, at most the server's maximum. `respond-async`: 202 at once; with
    `wait`, when S is over. `wait` in the query for clients that cannot set headers. What was applied is told."""
    answer = shared.http.post("/call/echo", json={}, params=query, headers={"Prefer": prefer} if prefer else {})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (status, applied)


def test_respond_async_with_a_wait_that_is_over(shared: Server) -> None:
    """202 when S is over."""
    headers = {"Prefer": "respond-async, wait=0.1"}
    answer = shared.http.post("/call/ends_with_its_file", json={"file": "/nowhere/at/all"}, headers=headers)
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "respond-async, wait=0.1")
    shared.http.delete(answer.headers["Location"])


@pytest.mark.parametrize(
    "query",
    ["wait=soon", "wait=-1", "timeout=0", "timeout=x", "on_disconnect=stay", "run_id=", "weit=1", "until=never"],
)
def test_a_query_that_is_not_understood(shared: Server, query: str) -> None:
    """400: a misspelt or impossible parameter is never ignored."""
    answer = shared.http.post(f"/call/echo?{query}", json={})
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert query.partition("=")[0] in answer.json()["detail"]


def test_result_of_the_callers_choice(shared: Server) -> None:
    """`result=TASK_ID`, repeatable: answers with these tasks instead."""
    assert shared.http.post("/call/chain_of_causes?result=no_such_task", json={}).status_code == 404
    one = shared.http.post("/call/a_teardown_follows?result=start", json={})
    assert (one.status_code, one.json()) == (200, "resource")
    several = shared.http.post("/call/a_teardown_follows?result=start&result=value", json={})
    assert several.json() == {"start": "resource", "value": "value of resource"}
    mapped = shared.http.post("/call/mapped?result=numbers", json={"values": [0]})
    assert (mapped.status_code, mapped.json()) == (200, [0])  # that another task fails does not matter


def test_on_disconnect(shared: Server) -> None:
    """`on_disconnect=cancel` cancels when the last waiter has left; `continue` is the default."""
    for how, query in (("continue", ""), ("cancel", "&on_disconnect=cancel")):
        url = f"{shared.url}/call/ends_with_its_file?run_id=left-{how}{query}"
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json={"file": "/nowhere/at/all"}, timeout=1)
    left = "/call/ends_with_its_file/left-cancel"
    eventually(lambda: shared.http.get(left).headers["Dagcall-Outcome"] == "cancelled")
    assert shared.http.get(left).status_code == 409
    stayed = "/call/ends_with_its_file/left-continue"
    assert shared.http.get(stayed).headers["Dagcall-Outcome"] == "running"
    shared.http.delete(stayed)


def test_what_no_preference_is_needed_for(shared: Server) -> None:
    """`traceparent` is taken as it comes, malformed too."""
    for value in ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "nonsense"):
        assert shared.http.post("/call/echo", json={}, headers={"traceparent": value}).status_code == 200


def test_accept(shared: Server) -> None:
    """JSON for whoever takes it, events for who asks for them, 406 as a problem for the rest."""
    for accept in ("*/*", "application/json", "text/html,application/xhtml+xml,*/*;q=0.8", "application/*"):
        answer = shared.http.post("/call/echo", json={}, headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "application/json"
    for accept in ("text/event-stream", "application/x-ndjson"):
        answer = shared.http.post("/call/echo", json={}, headers={"Accept": accept})
        assert answer.headers["Content-Type"].partition(";")[0] == accept
    refused = shared.http.post("/call/echo", json={}, headers={"Accept": "image/png"})
    assert (refused.status_code, refused.json()["type"]) == (406, "/problems/not-acceptable")


METHODS = {"/call": "GET", "/call/echo": "GET, POST", "/call/echo/x": "DELETE, GET", "/call/echo/x/events": "GET"}


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH"])
def test_other_methods(shared: Server, method: str, path: str) -> None:
    """405 with `Allow`, and nothing that would let another site in."""
    answer = shared.http.request(method, path, headers={"Access-Control-Request-Method": "POST"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, METHODS[path])
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert not [name for name in answer.headers if name.startswith("access-control-")]


ANSWERS: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "a value": ("/call/echo", {"json": {}}, 200, "success"),
    "no content": ("/call/state_only", {"json": {}}, 204, "success"),
    "a failure": ("/call/fails_in_success", {"json": {}}, 500, "failed"),
    "a refusal by the author": ("/call/rejects", {"json": {}}, 404, "failed"),
    "a deadline": ("/call/ends_with_its_file?timeout=0.1", {"json": {"file": "/no/where"}}, 504, "deadline"),
    "accepted": ("/call/echo", {"json": {}, "headers": {"Prefer": "respond-async"}}, 202, "running"),
    "a stream": ("/call/echo", {"json": {}, "headers": STREAM}, 200, "running"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_headers_of_every_answer_about_a_run(shared: Server, case: str) -> None:
    """`Dagcall-Run-Id`, `Dagcall-Outcome`, `Location` (a path without host), `Preference-Applied`, and `Server-Timing`
    with queue, run and total. Nothing is to be cached."""
    path, request, status, outcome = ANSWERS[case]
    posted = shared.http.post(path, **request)
    assert (posted.status_code, posted.headers["Dagcall-Outcome"]) == (status, outcome)
    attached = shared.http.get(posted.headers["Location"], params={"wait": 10})
    for answer in (posted, attached, shared.http.delete(posted.headers["Location"])):
        headers = answer.headers
        assert headers["Location"].startswith(f"{path.partition('?')[0]}/")
        assert headers["Dagcall-Run-Id"] == posted.headers["Dagcall-Run-Id"]
        assert headers["Dagcall-Outcome"] in ("success", "failed", "deadline", "cancelled", "running")
        assert headers["Preference-Applied"]
        timings = {one.split(";")[0].strip(): one for one in headers["Server-Timing"].split(",")}
        assert {"queue", "run", "total"} <= set(timings)
        assert all(re.search(r";dur=\d+(\.\d+)?", one) for one in timings.values())
        assert "no-store" in headers["Cache-Control"]


def test_a_server_error_without_an_outcome_is_the_servers_own(shared: Server) -> None:
    """A 5xx without `Dagcall-Outcome` says nothing about a run."""
    for dag_id in ("does_not_import", "is_refused"):
        answer = shared.call(dag_id)
        assert answer.status_code >= 500
        assert "Dagcall-Outcome" not in answer.headers


def test_failure_document(shared: Server) -> None:
    """dag_id, run_id, state, failed_task, map_index, try_number, error{type,message}, cause: the chain from the failed
    task to the result task, and cleanup; no stack trace: that is in the task's log, linked."""
    answer = shared.call("chain_of_causes")
    problem = answer.json()
    assert answer.status_code == problem["status"] == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "instance"} <= set(problem)
    assert problem["dag_id"] == "chain_of_causes"
    assert problem["run_id"] == answer.headers["Dagcall-Run-Id"]
    assert problem["state"] in ("running", "failed")
    assert (problem["failed_task"], problem["map_index"], problem["try_number"]) == ("each", 1, 1)
    assert problem["error"] == {"type": "ZeroDivisionError", "message": "division by zero"}
    assert problem["cause"] == [
        {"task_id": "each", "map_index": 1, "state": "failed"},
        {"task_id": "between", "map_index": -1, "state": "upstream_failed"},
        {"task_id": "last", "map_index": -1, "state": "upstream_failed"},
    ]
    assert problem["cleanup"] in ("running", "done")
    assert "Traceback" not in answer.text
    log = shared.http.get(problem["log"])
    assert log.status_code == 200
    assert "ZeroDivisionError" in log.text


def test_a_failing_task_with_tries_left_is_not_yet_a_failure(shared: Server, tmp_path: Path) -> None:
    """The answer waits for its last try."""
    file = tmp_path / "go"
    path = shared.start("tried_again", file=str(file))
    instance = f"/api/v2/dags/tried_again/dagRuns/{path.rsplit('/', 1)[1]}/taskInstances/t"
    eventually(lambda: shared.http.get(instance).json()["try_number"] == 2, what="the second try")
    assert shared.http.get(path).status_code == 202
    file.touch()
    assert shared.http.get(path, params={"wait": 10}).json() == 2
