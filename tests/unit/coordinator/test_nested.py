"""What becomes of a task's `TriggerDagRun`."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.nested import NestedRuns
from dagcall.coordinator.run_questions import Refused
from dagcall.error_details import UnsupportedFeature
from dagcall.errors import (
    BadRequest,
    DagBroken,
    DagNotFound,
    DagUnsupported,
    InvalidParams,
    RunExists,
    RunNotFound,
    Unavailable,
)
from dagcall.model.events import RunAccepted
from dagcall.model.ids import RunKey

NOW = 1000.0
PARENT: Any = SimpleNamespace(
    key=RunKey("parent", "p"),
    machine=SimpleNamespace(
        accepted=RunAccepted("parent", "p", "v", caller="ann", durability="power", traceparent="t")
    ),
)


def trigger(
    fails: Exception | None = None,
    *,
    is_there: bool = True,
    conf: bytes = b'{"a": 1}',
    run_after: float | None = None,
    reset: bool = False,
    allowed: tuple[str, ...] | None = None,
) -> tuple[str, CallRequest]:
    requests: list[CallRequest] = []

    async def call(request: CallRequest) -> Any:
        requests.append(request)
        if fails is not None:
            raise fails

    async def find(key: RunKey) -> Any:
        if not is_there:
            raise RunNotFound(dag_id=key.dag_id, run_id=key.run_id)

    clock: Any = SimpleNamespace(now=lambda: NOW)
    catalog: Any = SimpleNamespace(find=lambda dag_id: SimpleNamespace(allowed_run_types=allowed))
    runs = NestedRuns(catalog, call, find, clock)
    answer = asyncio.run(runs.trigger(PARENT, "child", "c", conf, 5.0, run_after, reset, "a note"))
    return answer, requests[0]


def test_it_is_a_call_of_the_parents_caller() -> None:
    answer, request = trigger()
    assert answer == "started"
    assert request == CallRequest(
        dag_id="child",
        conf={"a": 1},
        run_id="c",
        caller="ann",
        durability="power",
        logical_date=5.0,
        note="a note",
        triggered_by="operator",
        run_type="operator_triggered",
        traceparent="t",
        started_by=RunKey("parent", "p"),
    )


def test_a_run_that_exists() -> None:
    assert trigger(RunExists(dag_id="child", run_id="c"))[0] == "exists"
    with pytest.raises(Refused, match="dagcall does not clear runs"):
        trigger(RunExists(dag_id="child", run_id="c"), reset=True)
    assert trigger(reset=True)[0] == "started"


def test_a_logical_date_that_is_taken_is_not_the_run_that_exists() -> None:
    with pytest.raises(Refused, match="for the logical date") as refused:
        trigger(RunExists("a run for the logical date", dag_id="child", run_id="c"), is_there=False)
    assert refused.value.status == 500


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (DagNotFound(dag_id="child"), 404, "Dag with dag_id: 'child' not found"),
        (DagBroken("line 3", dag_id="child"), 400, "has import errors and cannot be triggered: line 3"),
        (DagUnsupported(dag_id="child", features=(UnsupportedFeature(None, "f", "why"),)), 400, "why"),
        (InvalidParams(dag_id="child", errors=()), 400, "child"),
        (BadRequest("the run id"), 400, "the run id"),
        (Unavailable("the disk is full"), 500, "the disk is full"),
    ],
)
def test_what_cannot_be_started_is_refused_as_airflow_refuses_it(error: Exception, status: int, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as refused:
        trigger(error)
    assert refused.value.status == status


def test_a_start_in_the_future_is_refused() -> None:
    with pytest.raises(Refused, match="run_after is in the future"):
        trigger(run_after=NOW + 60)
    assert trigger(run_after=NOW - 60)[1].run_after == NOW - 60


def test_a_conf_that_is_no_object() -> None:
    with pytest.raises(Refused, match="JSON object"):
        trigger(conf=b"[1]")


def test_a_dag_that_allows_no_such_runs() -> None:
    with pytest.raises(Refused, match="does not allow operator-triggered runs"):
        trigger(allowed=("manual",))
    assert trigger(allowed=("manual", "operator_triggered"))[0] == "started"
