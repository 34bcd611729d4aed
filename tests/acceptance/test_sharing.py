"""One run for several calls: idempotency keys, chosen run ids, coalescing, the cache."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import dagcall

from .conftest import ServerFactory
from .serving import Server, eventually


def keyed(server: Server, key: str, dag_id: str = "own_run", query: str = "", **params: Any) -> httpx.Response:
    return server.http.post(f"/call/{dag_id}{query}", json=params, headers={"Idempotency-Key": key})


def runs_of(server: Server, dag_id: str) -> int:
    return int(server.http.get(f"/api/v2/dags/{dag_id}/dagRuns").json()["total_entries"])


def test_a_key_attaches_to_its_run_running_or_ended(shared: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    headers = {"Idempotency-Key": "order-17", "Prefer": "respond-async"}
    first = shared.http.post("/call/own_run", json={"file": str(file)}, headers=headers)
    assert first.status_code == 202
    again = keyed(shared, "order-17", query="?wait=0", file=str(file))
    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])
    file.touch()
    answers = [keyed(shared, "order-17", file=str(file)) for _ in range(3)]
    assert {one.status_code for one in answers} == {200}
    assert {one.json() for one in answers} == {first.headers["Dagcall-Run-Id"]}


def test_a_key_attaches_to_a_failed_run(shared: Server) -> None:
    failures = [keyed(shared, "fails", fails=True) for _ in range(2)]
    assert [one.status_code for one in failures] == [500, 500]
    assert len({one.json()["run_id"] for one in failures}) == 1


def test_another_body_or_result_is_a_mismatch(shared: Server) -> None:
    first = keyed(shared, "body", fails=False, file="")
    assert keyed(shared, "body", file="", fails=False).json() == first.json()
    for other in (
        keyed(shared, "body", fails=True),
        keyed(shared, "body", query="?result=run_id", fails=False, file=""),
    ):
        assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-mismatch")
        assert other.headers["Content-Type"] == "application/problem+json"
    assert keyed(shared, "body", "coalesced", fails=False).json() != first.json()


def test_a_refused_call_uses_no_key(shared: Server) -> None:
    assert keyed(shared, "refused", fails="perhaps").status_code == 422
    assert keyed(shared, "refused", query="?result=no_such_task").status_code == 404
    assert keyed(shared, "refused", fails=False).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none(shared: Server, key: str) -> None:
    assert keyed(shared, key).status_code == 400


def test_calls_with_one_key_at_the_same_moment_are_one_run(shared: Server) -> None:
    before = runs_of(shared, "own_run")
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda _: keyed(shared, "at once"), range(20)))
    assert {one.status_code for one in answers} == {200}
    assert len({one.json() for one in answers}) == 1
    assert runs_of(shared, "own_run") == before + 1


def test_a_key_outlives_the_server(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve()
    value = keyed(server, "kept").json()
    server.process.kill()
    server.process.wait(10)
    again = Server(server.home)
    try:
        again.wait_until_loaded()
        assert keyed(again, "kept").json() == value
        assert keyed(again, "kept", fails=True).status_code == 422
        again.stop()
    finally:
        again.end()


def test_a_chosen_run_id(shared: Server) -> None:
    first = shared.http.post("/call/own_run?run_id=job-1", json={})
    assert (first.status_code, first.json()) == (200, "job-1")
    taken = shared.http.post("/call/own_run?run_id=job-1", json={})
    assert (taken.status_code, taken.json()["type"]) == (409, "/problems/run-exists")
    assert taken.headers["Location"] == first.headers["Location"] == "/call/own_run/job-1"
    both = [keyed(shared, "with id", query="?run_id=job-2") for _ in range(2)]
    assert [one.json() for one in both] == ["job-2", "job-2"]


def test_identical_calls_in_flight_share_a_run(shared: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    with ThreadPoolExecutor(10) as callers, dagcall.Client(shared.url) as client:
        calls = [callers.submit(client.call, "coalesced", file=str(file)) for _ in range(10)]
        runs = eventually(lambda: [one for one in shared.all_runs() if one["conf"].get("file") == str(file)])
        other = shared.call("coalesced").json()
        file.touch()
        values = {one.result() for one in calls}
    assert values == {runs[0]["dag_run_id"]}
    assert other not in values
    assert shared.call("coalesced", file=str(file)).json() not in values


def test_a_value_is_cached_and_a_failure_is_not(shared: Server) -> None:
    assert shared.call("cached").json() == shared.call("cached").json()
    failures = [shared.call("cached", fails=True) for _ in range(2)]
    assert len({one.json()["run_id"] for one in failures}) == 2
    assert shared.http.get("/call/cached").json()["cache"] == 600


def test_tags_that_mean_nothing_are_refused(shared: Server) -> None:
    features = {one["feature"] for one in shared.call("asks_for_too_much").json()["features"]}
    assert features == {"tag 'dagcall:cache=soon'", "tag 'dagcall:faster'"}
