"""What a call is answered with: one test for each outcome, over HTTP. The docstrings are the promises."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from ..serving import Server, eventually, failure


def finish(server: Server, answer: httpx.Response, file: Path) -> None:
    """Let the run's last task go on, and wait for its end."""
    file.touch()
    eventually(lambda: server.run_state(answer.headers["Location"]) in ("success", "failed"), what="the run's end")


def test_result(shared: Server) -> None:
    """200, body = the value as plain JSON."""
    answer = shared.call("echo", question="why", top_k=2)
    assert (answer.status_code, answer.json()) == (200, {"question": "why", "top_k": 2})
    assert answer.headers["Content-Type"] == "application/json"


def test_mapped_result(shared: Server) -> None:
    """200, the list that a downstream task would get: what was skipped is not in it."""
    assert shared.value("mapped", values=[1, 2, 4]) == [1.0, 0.5, 0.25]
    assert shared.value("mapped", values=[4, -1, 1]) == [0.25, 1.0]


def test_result_task_that_returned_nothing(shared: Server) -> None:
    """200, null."""
    answer = shared.http.post("/call/two_results?result=left", json={"left": "nothing"})
    assert (answer.status_code, answer.content) == (200, b"null")


def test_several_result_tasks(shared: Server) -> None:
    """200, an object by task id; skipped ones are left out, one that returned nothing is null."""
    assert shared.value("two_results") == {"left": "value", "right": "value"}
    assert shared.value("two_results", left="skip") == {"right": "value"}
    assert shared.value("two_results", left="nothing") == {"left": None, "right": "value"}


def test_several_result_tasks_are_answered_when_each_is_decided(shared: Server, tmp_path: Path) -> None:
    """Not before: a value alone is no answer while another result is open."""
    file = tmp_path / "go"
    path = shared.start("two_results", right=str(file))
    eventually(lambda: shared.task_states(path)["left"] == "success", what="the first result")
    assert shared.http.get(path).status_code == 202
    file.touch()
    assert shared.http.get(path, headers={"Prefer": "wait=10"}).json() == {"left": "value", "right": str(file)}


def test_several_result_tasks_fail_with_the_first_that_certainly_fails(shared: Server, tmp_path: Path) -> None:
    """As soon as one is certain to be failed the call fails, with the values of the others under `results`."""
    file = tmp_path / "go"
    answer = shared.call("two_results", left="fail", right=str(file))
    problem = failure(answer)
    assert (problem["failed_task"], problem["cleanup"]) == ("left", "running")
    finish(shared, answer, file)
    file.unlink()
    path = shared.start("two_results", left="value", right=str(file))
    eventually(lambda: shared.task_states(path)["left"] == "success", what="the first result")
    assert shared.http.delete(path).status_code == 202
    cancelled = shared.http.get(path, headers={"Prefer": "wait=10"})
    assert (cancelled.status_code, cancelled.json()["results"]) == (409, {"left": "value"})


def test_no_result_task(shared: Server, tmp_path: Path) -> None:
    """The run's own final state as soon as it is certain, teardowns that cannot change it not waited for: success 204,
    failed 500."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    answer = shared.call("state_only", file=str(good))
    assert (answer.status_code, answer.content, answer.headers["Dagcall-Outcome"]) == (204, b"", "success")
    assert shared.run_state(answer.headers["Location"]) == "running"
    finish(shared, answer, good)
    answer = shared.call("state_only", file=str(bad), how="fail")
    problem = failure(answer)
    assert (problem["failed_task"], problem["cleanup"]) == ("work", "running")
    finish(shared, answer, bad)


def test_all_result_tasks_skipped(shared: Server) -> None:
    """As without a result task: the run's own state."""
    answer = shared.call("two_results", left="skip", right="skip")
    assert (answer.status_code, answer.content) == (204, b"")
    assert shared.call("mapped", values=[-1]).status_code == 204


def test_an_asset(shared: Server) -> None:
    """A result task with nothing but an asset outlet: 200, the asset; with a value too, the value wins, and the asset is
    in a Link header."""
    asset = {"name": "report", "uri": "s3://reports/today", "extra": {"rows": 3}}
    assert shared.value("updates_an_asset") == {"asset": asset}
    answer = shared.call("updates_an_asset", with_value=True)
    assert (answer.json(), answer.headers["Link"]) == ("written", '<s3://reports/today>; rel="asset"')


def test_not_finished_within_the_wait(shared: Server, tmp_path: Path) -> None:
    """202 with {dag_id, run_id, state, links{attach,events,cancel}}, Location and Retry-After."""
    file = tmp_path / "go"
    answer = shared.http.post("/call/ends_with_its_file?wait=0.05", json={"file": str(file)})
    assert answer.status_code == 202
    run_id, path = answer.headers["Dagcall-Run-Id"], answer.headers["Location"]
    body = answer.json()
    links = {"attach": path, "events": f"{path}/events", "cancel": path}
    assert body == {"dag_id": "ends_with_its_file", "run_id": run_id, "state": body["state"], "links": links}
    assert body["state"] in ("queued", "running")
    assert answer.headers["Dagcall-Outcome"] == "running"
    assert int(answer.headers["Retry-After"]) >= 0
    file.touch()
    assert shared.http.get(links["attach"], headers={"Prefer": "wait=10"}).json() == "done"


def test_the_result_failed(shared: Server) -> None:
    """500 problem+json, `type` ends in `/run-failed`."""
    problem = failure(shared.call("two_results", left="fail", right="skip"))
    assert problem["error"] == {"type": "LookupError", "message": "no such room"}


def test_the_result_failed_where_the_run_succeeds(shared: Server) -> None:
    """500 all the same."""
    answer = shared.call("fails_in_success")
    failure(answer)
    path = answer.headers["Location"]
    eventually(lambda: shared.run_state(path) == "success", what="the run's success")
    assert failure(shared.http.get(path))["state"] == "success"


@pytest.mark.parametrize(
    "dag_id, error", [("out_of_time", "DagRunTimeout"), ("task_out_of_time", "AirflowTaskTimeout")]
)
def test_dagrun_timeout_and_execution_timeout(shared: Server, dag_id: str, error: str) -> None:
    """500 `/run-failed`; `error.type` says which."""
    answer = shared.call(dag_id)
    problem = answer.json()
    assert (answer.status_code, answer.headers["Dagcall-Outcome"]) == (500, "failed")
    assert problem["type"].endswith("/run-failed")
    assert problem["error"]["type"] == error


def test_the_calls_own_deadline(shared: Server) -> None:
    """504 `/deadline-exceeded`."""
    answer = shared.http.post("/call/ends_with_its_file?timeout=0.2", json={"file": "/nowhere/at/all"})
    assert (answer.status_code, answer.headers["Dagcall-Outcome"]) == (504, "deadline")
    problem = answer.json()
    assert problem["type"].endswith("/deadline-exceeded")
    assert problem["error"]["type"] == "DeadlineExceeded"


def test_cancelled(shared: Server) -> None:
    """DELETE: 202; the answer is then 409 `/run-cancelled`; 200 when the run had already ended."""
    path = shared.start("ends_with_its_file", file="/nowhere/at/all")
    cancelled = shared.http.delete(path)
    assert (cancelled.status_code, cancelled.json()["links"]["attach"]) == (202, path)
    answer = shared.http.get(path, headers={"Prefer": "wait=10"})
    assert (answer.status_code, answer.headers["Dagcall-Outcome"]) == (409, "cancelled")
    assert answer.json()["type"].endswith("/run-cancelled")
    eventually(lambda: shared.run_state(path) == "failed", what="the run's end")
    assert shared.http.delete(path).status_code == 200


def test_teardowns_of_a_cancelled_run_still_run(shared: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    answer = shared.call("a_teardown_follows", file=str(file))
    path = answer.headers["Location"]
    assert shared.http.delete(path).status_code == 202
    finish(shared, answer, file)
    assert shared.task_states(path)["finish"] == "success"
    assert shared.http.get(path).json() == "value of resource"


def test_bad_params(shared: Server) -> None:
    """422 problem+json, naming each field and why."""
    answer = shared.call("echo", question="", top_k="many")
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    errors = {one["field"]: one["reason"] for one in answer.json()["errors"]}
    assert set(errors) == {"question", "top_k"}
    assert "integer" in errors["top_k"]


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "request_, status",
    [
        pytest.param({"content": b'{"question":', "headers": JSON}, 400, id="malformed JSON"),
        pytest.param({"content": b"[]", "headers": JSON}, 422, id="not an object"),
        pytest.param({"content": b'"text"', "headers": JSON}, 422, id="a text"),
        pytest.param({"content": b"null", "headers": JSON}, 422, id="null"),
        pytest.param({"json": {"question": "x" * (17 << 20)}}, 413, id="too large"),
        pytest.param({"content": b"question=why"}, 415, id="no content type"),
        pytest.param({"data": {"question": "why"}}, 415, id="a form"),
        pytest.param({"json": {}, "headers": {"Host": "evil.example"}}, 421, id="a foreign Host"),
        pytest.param({"json": {}, "headers": {"Origin": "http://evil.example"}}, 403, id="a foreign Origin"),
        pytest.param({"json": {}, "headers": {"Origin": "null"}}, 403, id="an opaque Origin"),
    ],
)
def test_what_no_run_is_started_for(shared: Server, request_: dict[str, Any], status: int) -> None:
    """Malformed JSON 400, a body that is no object 422, too large 413; other content types 415, a foreign Host 421, a
    foreign Origin 403: each a problem document."""
    answer = shared.http.post("/call/echo", **request_)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    assert "Dagcall-Run-Id" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_own_origin_and_own_host(shared: Server) -> None:
    for host in (f"127.0.0.1:{shared.port}", f"localhost:{shared.port}"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert shared.http.post("/call/echo", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "method, path, slug",
    [
        ("POST", "/call/no_such_dag", "dag-not-found"),
        ("GET", "/call/no_such_dag", "dag-not-found"),
        ("GET", "/call/echo/no_such_run", "run-not-found"),
        ("DELETE", "/call/echo/no_such_run", "run-not-found"),
        ("GET", "/call/echo/no_such_run/events", "run-not-found"),
        ("GET", "/call/echo/no_such_run/value", "run-not-found"),
        ("GET", "/call/echo/no/such/path", "not-found"),
    ],
)
def test_unknown(shared: Server, method: str, path: str, slug: str) -> None:
    """Unknown DAG or run: 404."""
    answer = shared.http.request(method, path)
    assert (answer.status_code, answer.json()["type"]) == (404, f"/problems/{slug}")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_file_that_does_not_import(shared: Server) -> None:
    """503 `/dag-broken` with the import error's summary."""
    for answer in (shared.call("does_not_import"), shared.http.get("/call/does_not_import")):
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("/dag-broken")
        assert "no_such_module_anywhere" in answer.json()["detail"]
        assert "Dagcall-Outcome" not in answer.headers


def test_a_feature_that_is_refused(shared: Server) -> None:
    """501 `/dag-unsupported` naming task, feature, reason; `GET /call` lists the DAG as not callable."""
    answer = shared.call("is_refused")
    assert answer.status_code == 501
    assert answer.json()["type"].endswith("/dag-unsupported")
    (feature,) = answer.json()["features"]
    assert (feature["task_id"], feature["feature"]) == ("t", "run_as_user")
    assert feature["reason"]
    listed = {one["dag_id"]: one["callable"] for one in shared.http.get("/call").json()["dags"]}
    assert (listed["is_refused"], listed["echo"]) == (False, True)


def test_same_idempotency_key(shared: Server) -> None:
    """Same key, same DAG and equal body attaches to that run, ended in any way; another body: 422
    `/idempotency-mismatch`; a refused call uses no key. Who shares a run is told."""
    key = {"Idempotency-Key": "row-1"}
    assert shared.http.post("/call/two_results", json={"left": 1}, headers=key).status_code == 422
    first = shared.http.post("/call/two_results", json={"left": "fail"}, headers=key)
    again = shared.http.post("/call/two_results", json={"left": "fail"}, headers=key)
    assert first.status_code == again.status_code == 500
    assert first.headers["Dagcall-Run-Id"] == again.headers["Dagcall-Run-Id"]
    assert ("Dagcall-Shared" in first.headers, again.headers["Dagcall-Shared"]) == (False, "key")
    other = shared.http.post("/call/two_results", json={"left": "value"}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-mismatch")
    assert shared.http.post("/call/echo", json={}, headers=key).status_code == 200  # a key belongs to one DAG


def test_same_idempotency_key_while_it_runs(shared: Server, tmp_path: Path) -> None:
    """Running: the call waits for that run like any other."""
    file, key = tmp_path / "go", {"Idempotency-Key": "row-2"}
    ask = {"json": {"file": str(file)}, "headers": {**key, "Prefer": "respond-async"}}
    first, again = (shared.http.post("/call/ends_with_its_file", **ask) for _ in range(2))
    assert first.headers["Location"] == again.headers["Location"]
    file.touch()
    answer = shared.http.post("/call/ends_with_its_file", json={"file": str(file)}, headers=key)
    assert (answer.json(), answer.headers["Location"]) == ("done", first.headers["Location"])


def test_run_id_already_used(shared: Server) -> None:
    """409 `/run-exists` with Location; the id must match Airflow's allowed_run_id_pattern."""
    first = shared.http.post("/call/echo?run_id=my:job-1", json={})
    assert first.headers["Dagcall-Run-Id"] == "my:job-1"
    taken = shared.http.post("/call/echo?run_id=my:job-1", json={})
    assert (taken.status_code, taken.json()["type"]) == (409, "/problems/run-exists")
    assert taken.headers["Location"] == first.headers["Location"] == "/call/echo/my%3Ajob-1"
    assert shared.http.get(taken.headers["Location"]).json() == first.json()
    refused = shared.http.post("/call/echo?run_id=my%20job", json={})
    assert refused.status_code == 400
    assert "allowed_run_id_pattern" in refused.json()["detail"]


@pytest.mark.parametrize("status", [404, 409, 422])
def test_reject(shared: Server, status: int) -> None:
    """An author chooses another status by raising `dagcall.Reject(status=404|409|422, detail=...)`."""
    answer = shared.call("rejects", status=status, detail="no guest of that name")
    assert (answer.status_code, answer.headers["Dagcall-Outcome"]) == (status, "failed")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"] == "no guest of that name"


def test_plain_json(shared: Server) -> None:
    """Datetimes ISO 8601, Decimal as string, dataclass and Pydantic as objects, tuples and sets as lists, NaN null."""
    assert shared.value("plain_json") == {
        "datetime": "2026-01-02T03:04:05+00:00",
        "decimal": "1.50",
        "dataclass": {"name": "Ada", "since": "2026-01-02"},
        "pydantic": {"number": 7, "price": "99.90"},
        "tuple": [1, "a"],
        "set": [3],
        "nan": None,
        "infinity": None,
        "none": None,
        "text": "Zo\u00eb",
        "integer": 2**63,
    }
