"""Invoke by data: as a user of the HTTP API sees it, and across a `kill -9`."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import serving
from .serving import Server, eventually

CALLERS = 4


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose events are this module's: a run is told of all since the run before it."""
    yield from serving(Server(tmp_path_factory.mktemp("assets"), workers=4))


def asset_id(server: Server, name: str) -> int:
    (asset,) = server.http.get("/api/v2/assets", params={"name_prefix_pattern": name}).json()["assets"]
    assert asset["name"] == name
    found: int = asset["id"]
    return found


def post_event(server: Server, name: str, **extra: Any) -> dict[str, Any]:
    answer = server.http.post("/api/v2/assets/events", json={"asset_id": asset_id(server, name), "extra": extra})
    assert answer.status_code == 200, answer.text
    event: dict[str, Any] = answer.json()
    return event


def runs_of(server: Server, dag_id: str, count: int) -> list[dict[str, Any]]:
    """Its runs, once there are so many and all have succeeded."""

    def found() -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = server.http.get(f"/api/v2/dags/{dag_id}/dagRuns").json()["dag_runs"]
        return runs if len(runs) >= count and all(run["state"] == "success" for run in runs) else []

    runs = eventually(found, 20, f"{count} run(s) of {dag_id}")
    assert len(runs) == count
    return runs


def seen(server: Server, run: dict[str, Any]) -> Any:
    path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/seen/xcomEntries/return_value"
    return server.http.get(path).json()["value"]


def all_events(server: Server) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while True:
        page = server.http.get("/api/v2/assets/events", params={"limit": 100, "offset": len(events)}).json()
        events += page["asset_events"]
        if len(events) >= page["total_entries"]:
            return events


def test_a_call_updates_an_asset_and_starts_the_dag_that_waits_for_it(own: Server) -> None:
    answer = own.call("takes_order", n=7)
    assert answer.json() == 7
    assert answer.headers["Link"] == '<orders>; rel="asset"'
    (run,) = runs_of(own, "ships_orders", 1)
    assert (run["run_type"], run["triggered_by"]) == ("asset_triggered", "asset")
    assert seen(own, run) == {"orders": [{"n": 7}]}
    path = f"/api/v2/dags/ships_orders/dagRuns/{run['dag_run_id']}/upstreamAssetEvents"
    (event,) = own.http.get(path).json()["asset_events"]
    assert (event["source_dag_id"], event["source_task_id"]) == ("takes_order", "take")
    assert event["source_run_id"] == answer.headers["Dagcall-Run-Id"]
    (created,) = event["created_dagruns"]
    assert (created["run_id"], created["triggering"]) == (run["dag_run_id"], True)


def test_an_event_over_the_api_starts_it_too(own: Server) -> None:
    post_event(own, "left", side="left")
    queued = own.http.get("/api/v2/dags/joins/assets/queuedEvents").json()
    assert [one["asset_id"] for one in queued["queued_events"]] == [asset_id(own, "left")]
    post_event(own, "right", side="right")
    (run,) = runs_of(own, "joins", 1)
    told = {"side": "left", "from_rest_api": True}, {"side": "right", "from_rest_api": True}
    assert seen(own, run) == {"left": [told[0]], "right": [told[1]]}
    assert own.http.get("/api/v2/dags/joins/assets/queuedEvents").json()["total_entries"] == 0


def test_a_kill_loses_no_event_and_starts_nothing_twice(tmp_path: Path) -> None:
    first = Server(tmp_path, workers=4)
    try:
        first.wait_until_loaded()
        post_event(first, "left")
        post_event(first, "gate", n=1)
        eventually(lambda: [run for run in first.all_runs() if run["dag_id"] == "one_at_a_time"], what="the first run")
        post_event(first, "gate", n=2)  # due, but one at a time
        orders = _call_until_killed(first)
    finally:
        first.end()

    second = Server(tmp_path, workers=4)
    try:
        second.wait_until_loaded()
        (tmp_path / "open").touch()
        post_event(second, "right")
        assert set(seen(second, runs_of(second, "joins", 1)[0])) == {"left", "right"}
        gates = [seen(second, run)["gate"][0]["n"] for run in runs_of(second, "one_at_a_time", 2)]
        assert sorted(gates) == [1, 2]
        second.wait_until_idle()
        events = [event for event in all_events(second) if event["name"] == "orders"]
        succeeded = {
            run["dag_run_id"]
            for run in second.all_runs()
            if (run["dag_id"], run["state"]) == ("takes_order", "success")
        }
        assert orders <= succeeded, "who was told of a success"
        assert sorted(event["source_run_id"] for event in events) == sorted(succeeded), "one event for each success"
        started = [(run["run_id"], event["id"]) for event in events for run in event["created_dagruns"]]
        assert sorted(id for _, id in started) == sorted(event["id"] for event in events), "each is consumed once"
        shipped = {run["dag_run_id"] for run in second.all_runs() if run["dag_id"] == "ships_orders"}
        assert {run_id for run_id, _ in started} == shipped
        second.stop()
    finally:
        second.end()


def _call_until_killed(server: Server) -> set[str]:
    """Callers that call until the server is killed under them. The ids of the runs that were answered."""
    answered: set[str] = set()
    enough = threading.Event()

    def call() -> None:
        while True:
            try:
                answer = server.call("takes_order")
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                answered.add(answer.headers["Dagcall-Run-Id"])
            if len(answered) > 10 * CALLERS:
                enough.set()

    with ThreadPoolExecutor(CALLERS) as callers:
        calling = [callers.submit(call) for _ in range(CALLERS)]
        assert enough.wait(30)
        server.process.kill()
        for one in calling:
            one.result(30)
    return answered
