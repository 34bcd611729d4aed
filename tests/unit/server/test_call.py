"""What POST /call answers, outcome by outcome, as users are promised."""

import asyncio
import json

import httpx
import pytest

from dagcall.errors import BadRequest, Overloaded, RateLimited, RunExists, ShuttingDown, Unavailable
from dagcall.model.events import RunTimedOut, TimeoutKind
from dagcall.model.ids import RunKey
from dagcall.model.plan import Refusal, TaskPlan

from .conftest import plan
from .scripted import Refuse, ScriptedCoordinator, Skip, hold

pytestmark = pytest.mark.anyio

RUN_HEADERS = ("dagcall-run-id", "dagcall-outcome", "location", "preference-applied", "server-timing")


def skip(params: object, index: int) -> None:
    raise Skip


def fail(params: object, index: int) -> None:
    raise ValueError("no such hotel")


async def test_value_is_the_body(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = lambda params, index: {"got": params}
    answer = await http.post("/call/simple", json={"n": 4})
    assert (answer.status_code, answer.json()) == (200, {"got": {"n": 4}})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["dagcall-outcome"] == "success"
    assert answer.headers["location"] == f"/call/simple/{answer.headers['dagcall-run-id']}"
    timing = answer.headers["server-timing"]
    assert [part.split(";")[0].strip() for part in timing.split(",")] == ["queue", "run", "total"]


async def test_empty_body_is_no_params(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    assert (await http.post("/call/simple")).json() == "make"
    assert coordinator.requests[0].conf == {}


async def test_null_result_is_null(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = lambda params, index: None
    answer = await http.post("/call/simple")
    assert (answer.status_code, answer.content) == (200, b"null")


async def test_mapped_result_is_a_list(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work |= {"make": lambda params, index: [1, 2, 3], "each": lambda params, index: index * 10}
    assert (await http.post("/call/mapped")).json() == [0, 10, 20]


async def test_several_results_are_an_object_without_the_skipped(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    assert (await http.post("/call/two")).json() == {"left": "left", "right": "right"}
    coordinator.work["left"] = skip
    assert (await http.post("/call/two")).json() == {"right": "right"}


async def test_chosen_results(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    assert (await http.post("/call/simple?result=after")).json() == "after"
    assert (await http.post("/call/simple?result=after&result=make")).json() == {"make": "make", "after": "after"}
    assert coordinator.requests[1].results == ("after", "make")


@pytest.mark.parametrize("dag_id", ["none", "two"])
async def test_no_result_and_success_is_204(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator, dag_id: str
) -> None:
    coordinator.work |= {"left": skip, "right": skip}
    answer = await http.post(f"/call/{dag_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["dagcall-outcome"] == "success"
    assert all(name in answer.headers for name in RUN_HEADERS)


async def test_failure_names_task_error_and_cause(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = fail
    answer = await http.post("/call/simple?result=after&run_id=r1")
    problem = answer.json()
    assert answer.status_code == problem["status"] == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["dagcall-outcome"] == "failed"
    assert problem["type"].endswith("/run-failed")
    assert (
        problem
        | {
            "dag_id": "simple",
            "run_id": "r1",
            "state": "failed",
            "failed_task": "make",
            "map_index": -1,
            "try_number": 1,
            "error": {"type": "ValueError", "message": "no such hotel"},
            "cause": [
                {"task_id": "make", "map_index": -1, "state": "failed"},
                {"task_id": "after", "map_index": -1, "state": "upstream_failed"},
            ],
            "cleanup": "done",
            "log": "/api/v2/dags/simple/dagRuns/r1/taskInstances/make/logs/1?map_index=-1",
        }
        == problem
    )


async def test_failure_has_the_values_of_the_others_and_tells_of_cleanup(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    coordinator.serve(
        plan(
            "messy",
            TaskPlan("good", is_result=True),
            TaskPlan("bad", is_result=True),
            TaskPlan("slow"),
        )
    )
    coordinator.work |= {"bad": fail, "slow": hold}
    problem = (await http.post("/call/messy")).json()
    assert (problem["cleanup"], problem["state"], problem["results"]) == ("running", "running", {"good": "good"})


@pytest.mark.parametrize("status", [404, 409, 422])
async def test_author_chooses_the_status(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator, status: int
) -> None:
    def refuse(params: object, index: int) -> None:
        raise Refuse(status, "no room left")

    coordinator.work["make"] = refuse
    answer = await http.post("/call/simple")
    assert (answer.status_code, answer.headers["dagcall-outcome"]) == (status, "failed")
    assert answer.json()["type"].endswith("/rejected")
    assert answer.json()["detail"] == "no room left"


async def test_not_finished_is_202_with_links(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = hold
    answer = await http.post("/call/simple?run_id=a:b", headers={"Prefer": "wait=0"})
    assert answer.status_code == 202
    path = "/call/simple/a%3Ab"
    links = {"attach": path, "events": f"{path}/events", "cancel": path}
    assert answer.json() == {"dag_id": "simple", "run_id": "a:b", "state": "running", "links": links}
    assert answer.headers["dagcall-outcome"] == "running"
    assert answer.headers["preference-applied"] == "wait=0"
    assert answer.headers["retry-after"].isdecimal()
    assert answer.headers["location"] == path


async def test_default_wait_then_202(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = hold
    answer = await http.post("/call/simple")
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=0.2")


async def test_who_shares_a_run_is_told(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    assert "dagcall-shared" not in (await http.post("/call/simple")).headers
    coordinator.shared = "cache"
    for headers in ({}, {"Prefer": "respond-async"}, {"Accept": "text/event-stream"}):
        assert (await http.post("/call/simple", headers=headers)).headers["dagcall-shared"] == "cache"


async def test_respond_async_does_not_wait(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    answer = await http.post("/call/simple", headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")


async def test_wait_is_capped_and_said_so(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    answer = await http.post("/call/simple", headers={"Prefer": "respond-async, wait=9999"})
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "respond-async, wait=5"


async def test_answer_comes_when_it_is_known_not_when_the_run_ends(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    coordinator.work["make"] = hold
    coordinator.work["after"] = hold
    call = asyncio.ensure_future(http.post("/call/simple?wait=5&run_id=r"))
    run = await coordinator.called("simple", "r")
    await run.release("make", [1])
    answer = await call
    assert (answer.status_code, answer.json()) == (200, [1])
    attached = await http.get("/call/simple/r")
    assert attached.json() == [1]
    assert attached.headers["dagcall-run-state"] == "running"
    await run.release("after")
    assert (await http.get("/call/simple/r")).headers["dagcall-run-state"] == "success"


async def test_attach_does_not_wait_unless_asked(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = hold
    await http.post("/call/simple?wait=0&run_id=r")
    attached = await http.get("/call/simple/r")
    assert (attached.status_code, attached.headers["preference-applied"]) == (202, "wait=0")
    waiting = asyncio.ensure_future(http.get("/call/simple/r", headers={"Prefer": "wait=5"}))
    await asyncio.sleep(0)
    await coordinator.runs[RunKey("simple", "r")].release("make", 7)
    assert (await waiting).json() == 7


async def test_deadline_and_cancel(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = hold
    await http.post("/call/simple?wait=0&run_id=late&timeout=2.5")
    assert coordinator.requests[0].timeout == 2.5
    await coordinator.runs[RunKey("simple", "late")].feed(RunTimedOut(TimeoutKind.DEADLINE))
    answer = await http.get("/call/simple/late")
    assert (answer.status_code, answer.headers["dagcall-outcome"]) == (504, "deadline")
    assert answer.json()["type"].endswith("/deadline-exceeded")

    await http.post("/call/simple?wait=0&run_id=off")
    first, second = await http.delete("/call/simple/off"), await http.delete("/call/simple/off")
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["run_id"] == "off"
    answer = await http.get("/call/simple/off")
    assert (answer.status_code, answer.headers["dagcall-outcome"]) == (409, "cancelled")
    assert answer.json()["type"].endswith("/run-cancelled")


async def test_dagrun_timeout_is_a_failure(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = hold
    coordinator.serve(plan("limited", TaskPlan("make", is_result=True), dagrun_timeout=1.0))
    await http.post("/call/limited?wait=0&run_id=r")
    await coordinator.runs[RunKey("limited", "r")].feed(RunTimedOut(TimeoutKind.DAGRUN_TIMEOUT))
    answer = await http.get("/call/limited/r")
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "DagRunTimeout")
    assert answer.json()["failed_task"] is None


@pytest.mark.parametrize(
    "body, status, slug",
    [
        (b"{", 400, "malformed-json"),
        (b'{"a":NaN}', 400, "malformed-json"),
        (b'"\\ud800"', 400, "malformed-json"),
        (b"[" * 100_00, 400, "malformed-json"),
        (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", 400, "malformed-json"),
        (b"[1]", 422, "not-an-object"),
        (b"null", 422, "not-an-object"),
        (b'{"a":"' + b"x" * 10_000 + b'"}', 413, "too-large"),
    ],
)
async def test_bad_bodies_leave_no_run(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator, body: bytes, status: int, slug: str
) -> None:
    answer = await http.post("/call/simple", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "dagcall-outcome" not in answer.headers
    assert not coordinator.requests


async def test_body_without_a_length_is_limited_too(http: httpx.AsyncClient) -> None:
    async def chunks():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield b" " * 1000

    answer = await http.post("/call/simple", content=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


async def test_dags_that_cannot_be_called(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    assert (await http.post("/call/nowhere")).json()["type"].endswith("/dag-not-found")
    coordinator.catalog.broken["bad"] = "bad.py does not import: ImportError: no module named numpyy"
    broken = await http.post("/call/bad")
    assert (broken.status_code, broken.json()["type"]) == (503, "/problems/dag-broken")
    assert "numpyy" in broken.json()["detail"]
    refusals = (Refusal("t", "run_as_user", "tasks run as the server's user"),)
    coordinator.serve(plan("refused", TaskPlan("t"), refusals=refusals))
    refused = await http.post("/call/refused")
    assert (refused.status_code, refused.json()["type"]) == (501, "/problems/dag-unsupported")
    assert refused.json()["features"] == [
        {"task_id": "t", "feature": "run_as_user", "reason": "tasks run as the server's user"}
    ]


@pytest.mark.parametrize(
    "refusal, status",
    [
        (RateLimited(retry_after=2.3), 429),
        (Overloaded(retry_after=0.2), 503),
        (ShuttingDown(), 503),
        (BadRequest("run_id 'x y' does not match"), 400),
    ],
)
async def test_refusals(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator, refusal: Unavailable | BadRequest, status: int
) -> None:
    coordinator.refusal = refusal
    answer = await http.post("/call/simple")
    assert answer.status_code == status
    if isinstance(refusal, Unavailable):
        assert answer.headers["retry-after"] == ("3" if status == 429 else "1")


async def test_run_exists_says_where(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.refusal = RunExists(dag_id="simple", run_id="r/1")
    answer = await http.post("/call/simple?run_id=r/1")
    assert (answer.status_code, answer.headers["location"]) == (409, "/call/simple/r%2F1")


async def test_until_all_files_are_loaded(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.catalog.is_loaded = False
    for path in ("/call", "/call/simple", "/call/simple/r", "/api/v2/dags", "/api/v2/dags/simple/dagRuns"):
        answer = await http.get(path)
        assert (path, answer.status_code, "retry-after" in answer.headers) == (path, 503, True)
    assert (await http.post("/call/simple")).status_code == 503
    assert (await http.get("/api/v2/version")).status_code == 200


async def test_server_gives_up_on_a_run(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = hold
    await http.post("/call/simple?wait=0&run_id=r")
    run = coordinator.runs[RunKey("simple", "r")]
    run.gives_up = ShuttingDown()
    answer = await http.get("/call/simple/r?wait=5")
    assert (answer.status_code, answer.json()["run_id"]) == (202, "r")
    run.gives_up = Unavailable("the journal cannot be written")
    answer = await http.get("/call/simple/r?wait=5")
    assert (answer.status_code, answer.headers["dagcall-run-id"]) == (503, "r")


@pytest.mark.parametrize(
    "query",
    [
        "waits=5",
        "wait=abc",
        "wait=-1",
        "wait=nan",
        "wait=inf",
        "wait=1&wait=2",
        "timeout=0",
        "timeout=1e300",
        "on_disconnect=maybe",
        "run_id=",
        "until=outcome",
    ],
)
async def test_query_is_not_misread(http: httpx.AsyncClient, coordinator: ScriptedCoordinator, query: str) -> None:
    answer = await http.post(f"/call/simple?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["detail"]
    assert not coordinator.requests


async def test_a_key_goes_to_the_coordinator(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    await http.post("/call/simple", headers={"Idempotency-Key": "k"})
    assert [one.idempotency_key for one in coordinator.requests] == ["k"]
    assert (await http.post("/call/simple", headers={"Idempotency-Key": "k" * 256})).status_code == 400


async def test_a_value_that_is_in_the_answer_has_an_address_too(http: httpx.AsyncClient) -> None:
    answer = await http.post("/call/simple?run_id=r")
    for path in ("/call/simple/r/value", "/call/simple/r/value/make"):
        value = await http.get(path)
        assert (value.status_code, value.content) == (200, answer.content)
        assert value.headers["content-type"] == "application/json"
    problem = await http.get("/call/simple/r/value/after")
    assert (problem.status_code, problem.json()["run_id"]) == (404, "r")
    assert problem.headers["dagcall-run-id"] == "r"
    assert (await http.get("/call/simple/r/value?part=1")).status_code == 404
    assert (await http.get("/call/simple/r/value?part=x")).status_code == 400
    assert (await http.get("/call/simple/other/value/make")).status_code == 404


async def test_our_own_fault_tells_nothing(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    async def break_down(*args: object) -> None:
        raise RuntimeError("secret")

    coordinator.admit = break_down  # type: ignore[assignment, method-assign]
    answer = await http.post("/call/simple")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/server-error")
    assert "secret" not in answer.text
    assert "dagcall-outcome" not in answer.headers


async def test_contract_and_list(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.serve(plan("refused", TaskPlan("t"), refusals=(Refusal("t", "executor", "why"),)))
    listed = {dag["dag_id"]: dag for dag in (await http.get("/call")).json()["dags"]}
    assert listed["simple"]["callable"] is True
    assert listed["refused"]["callable"] is False
    assert listed["refused"]["features"] == [{"task_id": "t", "feature": "executor", "reason": "why"}]
    contract = (await http.get("/call/simple")).json()
    assert contract["description"] == "One value"
    assert contract["result_tasks"] == ["make"]
    assert contract["params_schema"]["properties"]["n"]["default"] == 3
    assert contract["example"]["params"] == {"n": 3}
    assert json.dumps({"n": 3}) in contract["example"]["curl"]
    assert contract["result_schema"] == {}
    assert (await http.get("/call/none")).json()["result_schema"] is None
    assert contract["example"]["cli"] == "dagcall call simple -p n=3"
    assert (await http.get("/call/nowhere")).status_code == 404


async def test_where_the_time_went(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    """The run document, and the task instances that the answer waited for."""
    called = await http.post("/call/simple", json={})
    answer = await http.get(f"{called.headers['location']}/critical-path")
    assert answer.status_code == 200
    document = answer.json()
    assert (document["dag_id"], document["state"]) == ("simple", "success")
    assert document["links"]["attach"] == called.headers["location"]
    assert [step["task_id"] for step in document["critical_path"]] == ["make"]
    parts = {"queue", "worker", "task", "journal", "wait"}
    assert set(document["critical_path"][0]["ms"]) == parts
    assert set(document["ms"]) == {"total", *parts}
    assert (await http.get("/call/simple/none/critical-path")).status_code == 404
