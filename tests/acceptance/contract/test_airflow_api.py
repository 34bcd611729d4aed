"""`/api/v2` as scripts for Airflow use it. The docstrings are the promises."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dagcall.server.api_v2.unsupported import UNSUPPORTED
from dagcall.server.routes import TABLE

from ..serving import Server, eventually
from .airflow_document import airflow_document

UNSUPPORTED_REASONS = {(method, path.replace(":path}", "}")): reason for (method, path), reason in UNSUPPORTED.items()}
RUNS = "/api/v2/dags/echo/dagRuns"


def trigger(server: Server, dag_id: str = "echo", **body: Any) -> dict[str, Any]:
    answer = server.http.post(f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None} | body)
    assert answer.status_code == 200, answer.text
    run: dict[str, Any] = answer.json()
    return run


def wait(server: Server, dag_id: str, run_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = server.http.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/wait", params={"interval": 1} | query)
    assert answer.status_code == 200
    assert "Content-Type" not in answer.headers
    return [json.loads(line) for line in answer.text.splitlines()]


def test_version_and_health(shared: Server) -> None:
    assert shared.http.get("/api/v2/version").json()["version"].startswith("3.3.")
    assert shared.http.get("/api/v2/monitor/health").json()["scheduler"]["status"] == "healthy"


def test_dags(shared: Server) -> None:
    """List, get, details, tasks; DAGs are never paused, and pausing answers 501."""
    page = shared.http.get("/api/v2/dags", params={"limit": 2, "offset": 1, "order_by": "dag_id"}).json()
    assert len(page["dags"]) == 2
    assert page["total_entries"] > 20
    assert page["dags"] == sorted(page["dags"], key=lambda one: str(one["dag_id"]))
    dag = shared.http.get("/api/v2/dags/echo").json()
    assert (dag["dag_id"], dag["is_paused"]) == ("echo", False)
    assert "question" in shared.http.get("/api/v2/dags/echo/details").json()["params"]
    tasks = shared.http.get("/api/v2/dags/chain_of_causes/tasks").json()
    assert [one["task_id"] for one in tasks["tasks"]] == ["between", "each", "last"]
    paused = shared.http.patch("/api/v2/dags/echo", json={"is_paused": True})
    assert (paused.status_code, "pause" in paused.json()["detail"]) == (501, True)


def test_import_errors(shared: Server) -> None:
    found = shared.http.get("/api/v2/importErrors").json()
    assert found["total_entries"] == len(found["import_errors"])
    assert any("no_such_module_anywhere" in one["stack_trace"] for one in found["import_errors"])


def test_runs(shared: Server) -> None:
    """Trigger, list, get, delete; `logical_date: null` is normal; `~` is all DAGs; `total_entries` is exact."""
    ids = [trigger(shared, conf={"question": str(n)}, dag_run_id=f"listed-{n}")["dag_run_id"] for n in range(3)]
    for run_id in ids:
        assert wait(shared, "echo", run_id)[-1]["state"] == "success"
    run = shared.http.get(f"{RUNS}/listed-0").json()
    assert (run["state"], run["logical_date"], run["conf"]) == ("success", None, {"question": "0"})
    mine = {"run_id_pattern": "listed-%", "order_by": "-run_after", "limit": 2}
    for path in (RUNS, "/api/v2/dags/~/dagRuns"):
        page = shared.http.get(path, params=mine | {"state": "success"}).json()
        assert ([one["dag_run_id"] for one in page["dag_runs"]], page["total_entries"]) == (ids[:0:-1], 3)
    assert shared.http.get(RUNS, params=mine | {"state": "failed"}).json()["total_entries"] == 0
    deleted = shared.http.delete(f"{RUNS}/listed-0")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert shared.http.get(f"{RUNS}/listed-0").status_code == 404
    assert shared.http.get("/call/echo/listed-0").status_code == 404
    taken = shared.http.post(RUNS, json={"logical_date": None, "dag_run_id": "listed-1"})
    assert taken.status_code == 409


def test_patch_state(shared: Server) -> None:
    """A run that is set to failed is cancelled."""
    run = trigger(shared, "ends_with_its_file", conf={"file": "/nowhere/at/all"})
    path = f"/api/v2/dags/ends_with_its_file/dagRuns/{run['dag_run_id']}"
    assert shared.http.patch(path, json={"state": "failed"}).status_code == 200
    eventually(lambda: shared.http.get(path).json()["state"] == "failed")


def test_wait(shared: Server) -> None:
    """NDJSON lines with no Content-Type; `result` adds the values of tasks; needs `interval`."""
    run = trigger(shared, conf={"question": "why"})
    assert wait(shared, "echo", run["dag_run_id"], result="t")[-1] == {
        "state": "success",
        "results": {"t": {"question": "why", "top_k": 3}},
    }
    assert shared.http.get(f"{RUNS}/{run['dag_run_id']}/wait").status_code == 422


@pytest.mark.parametrize("fails", [False, True])
def test_wait_early(shared: Server, tmp_path: Path, fails: bool) -> None:
    """`early=true` ends it at the outcome, with {"state": "running", "outcome", "results"}."""
    file = tmp_path / "go"
    dag_id, results = ("state_only", {}) if fails else ("a_teardown_follows", {"value": "value of resource"})
    run = trigger(shared, dag_id, conf={"file": str(file)} | ({"how": "fail"} if fails else {}))
    last = wait(shared, dag_id, run["dag_run_id"], early="true")[-1]
    assert last == {"state": "running", "outcome": "failed" if fails else "success", "results": results}
    file.touch()
    assert wait(shared, dag_id, run["dag_run_id"])[-1]["state"] == ("failed" if fails else "success")


def test_task_instances_xcoms_and_logs(shared: Server) -> None:
    run = trigger(shared, conf={"question": "why"})
    run_id = run["dag_run_id"]
    wait(shared, "echo", run_id)
    found = shared.http.get(f"{RUNS}/{run_id}/taskInstances").json()
    assert [(one["task_id"], one["state"], one["try_number"]) for one in found["task_instances"]] == [
        ("t", "success", 1)
    ]
    one = shared.http.get(f"{RUNS}/{run_id}/taskInstances/t")
    assert one.json()["dag_run_id"] == run_id
    entries = shared.http.get(f"{RUNS}/{run_id}/taskInstances/t/xcomEntries").json()
    assert {entry["key"] for entry in entries["xcom_entries"]} == {"return_value", "question", "top_k"}
    entry = shared.http.get(f"{RUNS}/{run_id}/taskInstances/t/xcomEntries/return_value").json()
    assert entry["value"] == {"question": "why", "top_k": 3}
    assert shared.http.get(f"{RUNS}/{run_id}/taskInstances/t/logs/1").status_code == 200


def test_parts_that_exist_here(shared: Server) -> None:
    """Pools, variables, connections, assets and their events, HITL details: as lists with an exact count."""
    hitl = "/api/v2/dags/~/dagRuns/~/hitlDetails"
    names = ("pools", "variables", "connections", "assets", "asset_events")
    paths = [f"/api/v2/{name}" for name in names[:4]] + ["/api/v2/assets/events", hitl]
    for path, name in zip(paths, (*names, "hitl_details"), strict=True):
        page = shared.http.get(path, params={"limit": 50}).json()
        assert page["total_entries"] >= len(page[name])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_auth_token(shared: Server, method: str) -> None:
    """404 while no authentication is configured."""
    body = {"json": {"username": "u", "password": "p"}} if method == "POST" else {}
    assert shared.http.request(method, "/auth/token", **body).status_code == 404  # type: ignore[arg-type]


def test_what_is_not_supported(shared: Server) -> None:
    """501 with a sentence that says why, never a wrong 200 or 404, for all of Airflow's endpoints that are not here."""
    supported = {(route.method, route.openapi_path) for route in TABLE}
    missing = [operation for operation in airflow_document().operations if operation not in supported]
    assert len(missing) > 50
    for method, path in missing:
        answer = shared.http.request(method, re.sub(r"\{\w+\}", "1", path))
        assert answer.status_code == 501, (method, path)
        sentence = answer.json()["detail"]
        assert sentence.startswith(f"dagcall does not support {method} "), (method, path)
        assert UNSUPPORTED_REASONS[method, path] in sentence
    assert shared.http.get("/api/v2/no/such/thing").status_code == 501


def test_a_filter_is_never_ignored(shared: Server) -> None:
    """Every query parameter of Airflow on a list is taken, or answered 501 by its name."""
    document = airflow_document()
    lists = [route for route in TABLE if any(one.name == "limit" for one in route.parameters)]
    for route in lists:
        known = {one.name for one in route.parameters}
        operation = document.operation("GET", route.openapi_path)
        for name in document.query_parameters(operation):
            if name not in known:
                answer = shared.http.get(re.sub(r"\{\w+\}", "~", route.openapi_path), params={name: "1"})
                assert (answer.status_code, repr(name) in answer.json()["detail"]) == (501, True)
