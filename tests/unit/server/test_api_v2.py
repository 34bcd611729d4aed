"""Airflow's API: bodies, filters, paging and errors as stock gives them."""

import json
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from dagcall.coordinator.api import CallRequest, ImportErrorInfo
from dagcall.error_details import ParamProblem
from dagcall.errors import BadRequest, InvalidParams, RunExists, ShuttingDown
from dagcall.model.events import RetryDue
from dagcall.model.ids import RunKey, attempt_uuid
from dagcall.model.plan import Retry, TaskPlan
from dagcall.server.api_v2 import runs

from .conftest import plan
from .scripted import ScriptedCoordinator, Skip, fail, hold
from .wire import Wire

pytestmark = pytest.mark.anyio

RUNS = "/api/v2/dags/simple/dagRuns"


async def ids(http: httpx.AsyncClient, path: str, key: str, name: str) -> tuple[list[Any], int]:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return [entry[name] for entry in answer.json()[key]], answer.json()["total_entries"]


async def test_version_and_health(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    assert (await http.get("/api/v2/version")).json() == {"version": "3.3.2", "git_version": None}
    health = (await http.get("/api/v2/monitor/health")).json()
    assert [health[part]["status"] for part in ("metadatabase", "scheduler", "dag_processor")] == ["healthy"] * 3
    coordinator.is_stopping = True
    assert (await http.get("/api/v2/monitor/health")).json()["scheduler"]["status"] == "unhealthy"


async def test_health_says_why_nothing_can_be_kept(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.journal_trouble = "the database is restarting"
    health = (await http.get("/api/v2/monitor/health")).json()
    assert health["metadatabase"] == {"status": "unhealthy", "reason": "the database is restarting"}


async def test_dags_filters_and_paging(http: httpx.AsyncClient) -> None:
    async def found(query: str) -> tuple[list[Any], int]:
        return await ids(http, f"/api/v2/dags?{query}", "dags", "dag_id")

    assert await found("") == (["mapped", "none", "simple", "two"], 4)
    assert await found("order_by=-dag_id&limit=2&offset=1") == (["simple", "none"], 4)
    assert await found("limit=0") == ([], 4)
    assert await found("tags=a") == (["simple", "two"], 2)
    assert await found("tags=a&tags=b&tags_match_mode=all") == (["simple"], 1)
    assert await found("dag_id_pattern=S%25e") == (["simple"], 1)
    assert await found("dag_id_pattern=tw|on") == (["none", "two"], 2)
    assert await found("owners=me") == (["simple"], 1)
    assert await found("paused=true") == ([], 0)
    assert await found("paused=false&exclude_stale=true") == (["mapped", "none", "simple", "two"], 4)


async def test_dag_and_details(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    dag = (await http.get("/api/v2/dags/simple")).json()
    assert dag["is_paused"] is False
    assert [tag["name"] for tag in dag["tags"]] == ["a", "b"]
    details = (await http.get("/api/v2/dags/simple/details")).json()
    assert details["params"]["n"] == {
        "value": 3,
        "schema": {"type": "integer"},
        "description": "how many",
        "source": None,
    }
    missing = await http.get("/api/v2/dags/nowhere")
    assert (missing.status_code, missing.json()) == (404, {"detail": "The Dag with ID: `nowhere` was not found"})
    paused = await http.patch("/api/v2/dags/simple", json={"is_paused": True})
    assert paused.status_code == 501
    assert "never paused" in paused.json()["detail"]


async def test_tasks(http: httpx.AsyncClient) -> None:
    tasks = (await http.get("/api/v2/dags/simple/tasks?order_by=-task_id")).json()
    assert [task["task_id"] for task in tasks["tasks"]] == ["make", "after"]
    assert tasks["tasks"][0]["downstream_task_ids"] == ["after"]
    one = (await http.get("/api/v2/dags/mapped/tasks/each")).json()
    assert (one["is_mapped"], one["class_ref"]["class_name"]) == (True, "EmptyOperator")
    assert (await http.get("/api/v2/dags/simple/tasks/x")).status_code == 404
    assert (await http.get("/api/v2/dags/simple/tasks?order_by=secret")).status_code == 400


async def test_import_errors(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.catalog.errors = [
        ImportErrorInfo(7, "bad.py", "ImportError: x", 1_767_225_600.0),
        ImportErrorInfo(8, "simple.py", "SyntaxError", 1_767_225_601.0),
    ]
    assert await ids(http, "/api/v2/importErrors?order_by=-id", "import_errors", "import_error_id") == ([8, 7], 2)
    assert await ids(http, "/api/v2/importErrors?filename_pattern=bad", "import_errors", "filename") == (["bad.py"], 1)
    assert (await http.get("/api/v2/importErrors/7")).json()["stack_trace"] == "ImportError: x"
    assert (await http.get("/api/v2/importErrors/99")).status_code == 404
    assert (await http.get("/api/v2/importErrors/x")).status_code == 422
    assert (await http.get("/api/v2/dags/simple")).json()["has_import_errors"] is True
    assert await ids(http, "/api/v2/dags?has_import_errors=true", "dags", "dag_id") == (["simple"], 1)


async def test_trigger(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    body = {"logical_date": None, "conf": {"n": 1}, "dag_run_id": "mine", "note": "hello"}
    answer = await http.post(RUNS, json=body)
    run = answer.json()
    assert answer.status_code == 200
    assert (run["dag_run_id"], run["conf"], run["note"], run["run_type"]) == ("mine", {"n": 1}, "hello", "manual")
    assert (run["logical_date"], run["triggered_by"]) == (None, "rest_api")
    assert (await http.get(f"{RUNS}/mine")).json() == run
    await http.post(
        RUNS, json={"logical_date": "2026-01-02T03:04:05+01:00", "conf": None}, headers={"Referer": "http://x"}
    )
    assert coordinator.requests[1].logical_date == 1_767_319_445.0
    assert (coordinator.requests[1].triggered_by, coordinator.requests[1].conf) == ("ui", {})


@pytest.mark.parametrize(
    "body, kind, where",
    [
        ({}, "missing", "logical_date"),
        ({"logical_date": None, "x": 1}, "extra_forbidden", "x"),
        ({"logical_date": None, "conf": [1]}, "dict_type", "conf"),
        ({"logical_date": None, "dag_run_id": 5}, "string_type", "dag_run_id"),
        ({"logical_date": "soon"}, "datetime_parsing", "logical_date"),
        ({"logical_date": "2026-01-01T00:00:00"}, "timezone_aware", "logical_date"),
    ],
)
async def test_trigger_checks_as_fastapi_does(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator, body: dict[str, Any], kind: str, where: str
) -> None:
    answer = await http.post(RUNS, json=body)
    (error,) = answer.json()["detail"]
    assert (answer.status_code, error["type"], error["loc"]) == (422, kind, ["body", where])
    assert not coordinator.requests


async def test_trigger_refusals(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    async def status(path: str = RUNS, **body: Any) -> tuple[int, Any]:
        answer = await http.post(path, json={"logical_date": None, **body})
        return answer.status_code, answer.json()["detail"]

    malformed = await http.post(RUNS, content=b"{", headers={"Content-Type": "application/json"})
    assert (malformed.status_code, malformed.json()["detail"][0]["type"]) == (422, "json_invalid")
    assert (await http.post(RUNS)).status_code == 422
    assert await status("/api/v2/dags/x/dagRuns") == (404, "Dag with dag_id: 'x' not found")
    coordinator.catalog.broken["x"] = "x.py does not import"
    assert (await status("/api/v2/dags/x/dagRuns"))[0] == 400
    assert (await status(partition_key="p"))[0] == 501
    assert (await status(run_after="2999-01-01T00:00:00Z"))[0] == 501
    coordinator.refusal = RunExists(dag_id="simple", run_id="r")
    code, detail = await status()
    assert (code, detail["reason"]) == (409, "Unique constraint violation")
    coordinator.refusal = InvalidParams(dag_id="simple", errors=(ParamProblem("n", "'x' is not of type 'integer'"),))
    code, detail = await status()
    assert (code, "n: 'x' is not of type" in detail) == (400, True)
    coordinator.refusal = BadRequest("The run_id provided 'a b' does not match")
    assert (await status())[0] == 400


async def test_runs_list(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    async def found(query: str, dag_id: str = "simple") -> tuple[list[Any], int]:
        return await ids(http, f"/api/v2/dags/{dag_id}/dagRuns?{query}", "dag_runs", "dag_run_id")

    assert await found("") == ([], 0)
    await http.post("/call/simple?run_id=a")
    await http.post("/call/two?run_id=b")
    coordinator.work["make"] = fail
    await http.post("/call/simple?run_id=c")
    coordinator.work["make"] = hold
    await http.post("/call/simple?run_id=d&wait=0")
    assert await found("") == (["a", "c", "d"], 3)
    assert await found("limit=1&offset=1&order_by=-id") == (["c"], 3)
    assert await found("order_by=-run_id", "~") == (["d", "c", "b", "a"], 4)
    assert await found("state=failed&state=running") == (["c", "d"], 2)
    assert await found("state=none") == ([], 0)
    assert await found("run_type=manual") == (["a", "c", "d"], 3)
    assert await found("run_id_pattern=a|d", "~") == (["a", "d"], 2)
    ends = (await http.get(f"{RUNS}/a")).json()["end_date"]
    assert await found(f"end_date_lte={ends}") == (["a"], 1)
    assert await found(f"end_date_gt={ends}") == (["c"], 1)
    assert await found("start_date_gte=2999-01-01") == ([], 0)


@pytest.mark.parametrize(
    "query, status",
    [
        ("limit=x", 422),
        ("limit=-1", 422),
        ("offset=1.5", 422),
        ("run_after_gte=yesterday", 422),
        ("state=happy", 422),
        ("run_type=odd", 422),
        ("order_by=conf.secret", 400),
        ("&".join(["order_by=id"] * 11), 400),
        ("conf_contains=x", 501),
        ("cursor=", 501),
    ],
)
async def test_runs_list_errors(http: httpx.AsyncClient, query: str, status: int) -> None:
    answer = await http.get(f"{RUNS}?{query}")
    assert (answer.status_code, list(answer.json())) == (status, ["detail"])


async def test_page_limits_are_airflows_settings(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.settings |= {"maximum_page_limit": 2, "fallback_page_limit": 1}
    assert len((await http.get("/api/v2/dags")).json()["dags"]) == 1
    assert len((await http.get("/api/v2/dags?limit=1000")).json()["dags"]) == 2


async def test_run_not_found(http: httpx.AsyncClient) -> None:
    text = "The DagRun with dag_id: `simple` and run_id: `x` was not found"
    for path in (f"{RUNS}/x", f"{RUNS}/x/wait?interval=1"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()) == (404, {"detail": text})
    answer = await http.get(f"{RUNS}/x/taskInstances")  # Airflow says this one in other words
    assert (answer.status_code, answer.json()) == (404, {"detail": text.removeprefix("The ")})
    assert (await http.get(f"{RUNS}/x/taskInstances/make/xcomEntries")).json()["total_entries"] == 0
    assert (await http.get("/api/v2/dags/nowhere/dagRuns")).status_code == 404


async def test_patch_to_failed_cancels(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = hold
    await http.post("/call/simple?run_id=r&wait=0")
    answer = await http.patch(f"{RUNS}/r", json={"state": "failed"})
    assert (answer.status_code, answer.json()["state"]) == (200, "failed")
    assert len(coordinator.cancels) == 1
    assert (await http.patch(f"{RUNS}/r", json={"state": "failed"})).status_code == 200
    assert len(coordinator.cancels) == 1
    assert (await http.patch(f"{RUNS}/r", json={"state": "success"})).status_code == 501
    noted = await http.patch(f"{RUNS}/r", json={"note": "x"})
    assert (noted.status_code, noted.json()["note"]) == (200, "x")
    assert (await http.patch(f"{RUNS}/r", json={"note": None})).json()["note"] is None
    assert (await http.get(f"{RUNS}/r")).json()["note"] is None
    assert (await http.patch(f"{RUNS}/r", json={"note": "x" * 1001})).status_code == 422
    assert (await http.patch(f"{RUNS}/r", json={"state": "running"})).status_code == 422
    coordinator.work.clear()
    await http.post("/call/simple?run_id=good")
    assert (await http.patch(f"{RUNS}/good", json={"state": "failed"})).status_code == 501


async def test_a_run_that_has_ended_can_be_deleted(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = hold
    await http.post("/call/simple?wait=0&run_id=r")
    active = await http.delete(f"{RUNS}/r")
    assert active.status_code == 409
    assert active.json()["detail"].endswith("run_id: `r` cannot be deleted in running state")
    await http.delete("/call/simple/r")
    assert (await http.delete(f"{RUNS}/r")).status_code == 204
    missing = await http.delete(f"{RUNS}/r")
    assert (missing.status_code, missing.json()["detail"].endswith("was not found")) == (404, True)


async def test_wait_pushes_each_state_and_the_results(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    coordinator.work["after"] = hold
    await http.post("/call/simple?run_id=r")
    async with Wire(app, "GET", f"{RUNS}/r/wait", "interval=3600") as wire:
        await wire.until(b'{"state":"running"}\n')
        assert "content-type" not in wire.headers
        await coordinator.runs[RunKey("simple", "r")].release("after", 5)
        lines = [json.loads(line) for line in (await wire.all()).splitlines()]
    assert lines == [{"state": "running"}, {"state": "success", "results": {"make": "make"}}]
    chosen = await http.get(f"{RUNS}/r/wait?interval=0.5&result=after&result=none")
    assert json.loads(chosen.text) == {"state": "success", "results": {"after": 5}}


async def test_wait_goes_on_while_the_server_drains(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    coordinator.work |= {"make": hold, "after": hold}
    await http.post("/call/simple?run_id=r&wait=0")
    run = coordinator.runs[RunKey("simple", "r")]
    async with Wire(app, "GET", f"{RUNS}/r/wait", "interval=3600") as wire:
        await wire.until(b'{"state":"running"}\n')
        coordinator.is_stopping = True
        await run.release("make", 1)
        await run.release("after", 1)
        assert json.loads((await wire.all()).splitlines()[-1])["state"] == "success"
    await coordinator.call(CallRequest("simple", run_id="given-up"))
    async with Wire(app, "GET", f"{RUNS}/given-up/wait", "interval=3600") as wire:
        await wire.until(b'{"state":"running"}\n')
        coordinator.runs[RunKey("simple", "given-up")].gives_up = ShuttingDown()
        coordinator.runs[RunKey("simple", "given-up")].notify()
        assert (await wire.all()).splitlines() == [b'{"state":"running"}']


async def test_wait_early_ends_with_the_outcome(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["after"] = hold
    await http.post("/call/simple?run_id=r")
    early = await http.get(f"{RUNS}/r/wait?interval=1&early=true")
    assert json.loads(early.text) == {"state": "running", "outcome": "success", "results": {"make": "make"}}
    coordinator.work["make"] = fail
    await http.post("/call/simple?run_id=bad")
    early = await http.get(f"{RUNS}/bad/wait?interval=1&early=true")
    assert json.loads(early.text) == {"state": "failed", "outcome": "failed", "results": {}}


@pytest.mark.parametrize("query", ["", "interval=0", "interval=-1", "interval=x", "interval=nan"])
async def test_wait_needs_an_interval(http: httpx.AsyncClient, query: str) -> None:
    await http.post("/call/simple?run_id=r")
    answer = await http.get(f"{RUNS}/r/wait?{query}")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "interval"])


async def test_wait_of_a_mapped_result(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work |= {"make": lambda params, index: [1], "each": lambda params, index: {"i": index}}
    await http.post("/call/mapped?run_id=r")
    answer = await http.get("/api/v2/dags/mapped/dagRuns/r/wait?interval=1")
    assert json.loads(answer.text)["results"] == {"each": [{"i": 0}]}


async def test_task_instances(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    def skip_second(params: object, index: int) -> int:
        if index == 1:
            raise Skip
        return index

    coordinator.work |= {"make": lambda params, index: [1, 2, 3], "each": skip_second}
    await http.post("/call/mapped?run_id=r")
    await http.post("/call/simple?run_id=s")
    base = "/api/v2/dags/mapped/dagRuns/r/taskInstances"

    async def found(path: str) -> tuple[list[Any], int]:
        answer = (await http.get(path)).json()
        return [(ti["task_id"], ti["map_index"]) for ti in answer["task_instances"]], answer["total_entries"]

    each = [("each", 0), ("each", 1), ("each", 2)]
    assert await found(base) == ([("make", -1), *each], 4)
    assert await found(f"{base}?order_by=-map_index&limit=2") == ([("each", 2), ("each", 1)], 4)
    assert await found(f"{base}?state=skipped") == ([("each", 1)], 1)
    assert await found(f"{base}?task_id=make") == ([("make", -1)], 1)
    assert await found(f"{base}?map_index=2&map_index=-1") == ([("make", -1), ("each", 2)], 2)
    assert await found(f"{base}/each/listMapped") == (each, 3)
    assert await found(f"{base}/each/listMapped?run_after_lt=2000-01-01T00:00:00Z") == ([], 0)
    assert (await found("/api/v2/dags/~/dagRuns/~/taskInstances"))[1] == 6
    assert (await found("/api/v2/dags/~/dagRuns/~/taskInstances?dag_id_pattern=simple"))[1] == 2
    assert (await found("/api/v2/dags/simple/dagRuns/~/taskInstances"))[1] == 2
    assert await found(f"{base}?run_after_gte=2999-01-01") == ([], 0)
    assert (await http.get("/api/v2/dags/~/dagRuns/r/taskInstances")).status_code == 400

    one = (await http.get(f"{base}/each/2")).json()
    assert (one["state"], one["try_number"], one["rendered_map_index"], one["pid"]) == ("success", 1, "2", 4711)
    assert one["rendered_fields"] == {"bash_command": "echo"}
    mapped = await http.get(f"{base}/each")
    assert (mapped.status_code, mapped.json()["detail"]) == (
        404,
        "Task instance is mapped, add the map_index value to the URL",
    )
    assert (await http.get(f"{base}/make")).json()["map_index"] == -1
    for path in ("x", "each/9", "make/listMapped", "x/listMapped", "each/-1"):
        assert (path, (await http.get(f"{base}/{path}")).status_code) == (path, 404)
    for index in ("x", "--1", "1" * 5000):
        assert (await http.get(f"{base}/each/{index}")).status_code == 422


async def test_instance_id_is_of_the_latest_attempt(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.serve(
        plan("again", TaskPlan("make", retry=Retry(retries=1, delay=0.0)), TaskPlan("after", upstream=("make",)))
    )
    coordinator.work["make"] = fail
    await http.post("/call/again?run_id=r&wait=0")
    key = RunKey("again", "r")
    path = "/api/v2/dags/again/dagRuns/r/taskInstances"
    first = (await http.get(f"{path}/make")).json()
    assert (first["state"], first["id"]) == ("up_for_retry", attempt_uuid(key, 1))
    await coordinator.runs[key].feed(RetryDue("make", -1, 1))
    listed = (await http.get(f"{path}?order_by=id")).json()["task_instances"]
    by_task = {one["task_id"]: one["id"] for one in listed}
    assert by_task["make"] == attempt_uuid(key, 2)
    assert by_task["after"] not in (attempt_uuid(key, n) for n in (1, 2, 3))


async def test_lists_over_too_many_runs_are_refused(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_RUNS", 1)
    await http.post("/call/simple?run_id=a")
    assert (await http.get("/api/v2/dags/~/dagRuns/~/taskInstances")).status_code == 200
    await http.post("/call/simple?run_id=b")
    answer = await http.get("/api/v2/dags/~/dagRuns/~/taskInstances")
    assert (answer.status_code, "2 runs" in answer.json()["detail"]) == (501, True)


async def test_xcoms(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    serialized = {"__classname__": "datetime.datetime", "__version__": 2, "__data__": {"timestamp": 1.5}}
    coordinator.work |= {"make": lambda params, index: [1, serialized], "each": lambda params, index: index}
    await http.post("/call/mapped?run_id=r")
    base = "/api/v2/dags/mapped/dagRuns/r/taskInstances"

    async def found(path: str) -> tuple[list[Any], int]:
        answer = (await http.get(path)).json()
        return [(x["task_id"], x["map_index"], x["key"]) for x in answer["xcom_entries"]], answer["total_entries"]

    each = [("each", 0, "return_value"), ("each", 1, "return_value")]
    assert await found(f"{base}/each/xcomEntries") == (each, 2)
    assert await found(f"{base}/~/xcomEntries") == ([*each, ("make", -1, "return_value")], 3)
    assert await found(f"{base}/~/xcomEntries?map_index=1") == (each[1:], 1)
    assert await found(f"{base}/~/xcomEntries?xcom_key=other") == ([], 0)
    assert (await found("/api/v2/dags/~/dagRuns/~/taskInstances/~/xcomEntries"))[1] == 3

    one = (await http.get(f"{base}/make/xcomEntries/return_value")).json()
    assert one["value"] == [1, serialized]
    text = (await http.get(f"{base}/make/xcomEntries/return_value?stringify=true")).json()
    assert text["value"] == str([1, serialized])
    assert (await http.get(f"{base}/each/xcomEntries/return_value?map_index=1")).json()["value"] == 1
    for missing in ("each/xcomEntries/return_value", "make/xcomEntries/a/b"):
        assert (await http.get(f"{base}/{missing}")).status_code == 404
    assert (await http.get(f"{base}/make/xcomEntries/return_value?deserialize=true")).status_code == 501


async def test_a_run_of_a_date_has_its_data_interval(http: httpx.AsyncClient) -> None:
    """Of a DAG without a schedule it is that moment."""
    answer = await http.post(RUNS, json={"logical_date": "2026-01-31T12:00:00+01:00", "dag_run_id": "dated"})
    run = answer.json()
    assert run["data_interval_start"] == run["data_interval_end"] == run["logical_date"] == "2026-01-31T11:00:00Z"
    assert (await http.post(RUNS, json={"logical_date": None})).json()["data_interval_start"] is None
