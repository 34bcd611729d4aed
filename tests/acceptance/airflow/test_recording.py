"""Runs of dagcall in Airflow: seen there with all they left, run there again, and nothing else touched."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg2
import pytest

from ..examples.test_explain_python import BROWSER, CHROMIUM
from ..serving import Server, eventually
from .conftest import Airflow, Beside

PICTURES = Path(__file__).parents[3] / ".cache" / "screenshots"


@pytest.fixture(scope="module")
def server(airflow: Airflow, beside_module: Beside) -> Server:
    """Called by olga, who has logged in at Airflow."""
    server = beside_module(environment={"AIRFLOW__DAGCALL__AUTH": "airflow"})
    server.http.headers["Authorization"] = f"Bearer {airflow.token('olga')}"
    return server


def called(server: Server, dag_id: str, **params: Any) -> tuple[httpx.Response, str]:
    answer = server.call(dag_id, **params)
    return answer, answer.headers["Dagcall-Run-Id"]


def recorded(airflow: Airflow, dag_id: str, run_id: str) -> dict[str, Any]:
    """The run in Airflow's API, once it is there."""

    def found() -> Any:
        with airflow.http() as http:
            answer = http.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        return answer.json() if answer.status_code == 200 else None

    run: dict[str, Any] = eventually(found, 60, f"{dag_id}/{run_id} in Airflow")
    return run


def log_of(airflow: Airflow, instances: str, task_id: str, try_number: int) -> str:
    return json.dumps(airflow.get(f"{instances}/{task_id}/logs/{try_number}"))


def test_a_run_is_seen_with_its_values_and_logs(airflow: Airflow, server: Server) -> None:
    answer, run_id = called(server, "greeting", name="Ada")
    assert answer.json() == "Hello, Ada!"
    run = recorded(airflow, "greeting", run_id)
    assert run["triggering_user_name"] == "olga"
    here = server.http.get(f"/api/v2/dags/greeting/dagRuns/{run_id}").json()
    same = ("run_id", "state", "queued_at", "start_date", "end_date", "run_after", "conf", "run_type", "triggered_by")
    same += ("logical_date", "note", "triggering_user_name", "data_interval_start")
    assert {name: run.get(name) for name in same} == {name: here.get(name) for name in same}
    assert [version["version_number"] for version in run["dag_versions"]] == [1]
    instances = f"/dags/greeting/dagRuns/{run_id}/taskInstances"
    (greet,) = airflow.get(instances)["task_instances"]
    (ours,) = server.http.get(f"/api/v2{instances}").json()["task_instances"]
    same = ("id", "state", "try_number", "max_tries", "start_date", "end_date", "hostname", "pid", "pool")
    same += (
        "queue",
        "priority_weight",
        "operator",
        "queued_when",
        "rendered_fields",
        "map_index",
        "rendered_map_index",
    )
    assert {name: greet[name] for name in same} == {name: ours[name] for name in same}
    assert greet["operator_name"] == "@task"
    assert greet["duration"] == pytest.approx(ours["duration"], abs=1e-5)
    xcom = airflow.get(f"{instances}/greet/xcomEntries/return_value")
    assert (xcom["value"], xcom["dag_id"], xcom["run_id"]) == ("Hello, Ada!", "greeting", run_id)
    assert "about to greet Ada" in log_of(airflow, instances, "greet", 1)


def test_who_may_not_run_dags_in_airflow_may_not_call_them(airflow: Airflow, server: Server) -> None:
    before = server.http.get("/api/v2/dags/greeting/dagRuns").json()["total_entries"]
    for headers, status in (({"Authorization": f"Bearer {airflow.token('victor')}"}, 403), ({}, 401)):
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as http:
            assert http.post("/call/greeting", json={}).status_code == status
    assert server.http.get("/api/v2/dags/greeting/dagRuns").json()["total_entries"] == before


def test_tries_and_mapped_instances_are_seen(airflow: Airflow, server: Server) -> None:
    answer, run_id = called(server, "shopping")
    assert answer.json() == 12
    recorded(airflow, "shopping", run_id)
    instances = f"/dags/shopping/dagRuns/{run_id}/taskInstances"
    mapped = airflow.get(f"{instances}/price/listMapped")["task_instances"]
    assert [(one["map_index"], one["rendered_map_index"], one["state"]) for one in mapped] == [
        (0, "bread", "success"), (1, "milk", "success"), (2, "tea", "success"),
    ]  # fmt: skip
    values = airflow.get(f"{instances}/price/xcomEntries", map_index=1)["xcom_entries"]
    assert [one["key"] for one in values] == ["return_value"]
    tries = airflow.get(f"{instances}/receipt/tries")["task_instances"]
    assert [(one["try_number"], one["state"]) for one in tries] == [(1, "failed"), (2, "failed"), (3, "success")]
    assert "no paper in attempt 2" in log_of(airflow, instances, "receipt", 2)


def test_a_failure_is_seen(airflow: Airflow, server: Server) -> None:
    answer, run_id = called(server, "stumbling")
    assert answer.status_code == 500
    assert recorded(airflow, "stumbling", run_id)["state"] == "failed"
    instances = f"/dags/stumbling/dagRuns/{run_id}/taskInstances"
    states = {one["task_id"]: one["state"] for one in airflow.get(instances)["task_instances"]}
    assert states == {"stumble": "failed", "arrive": "upstream_failed"}
    assert "over a stone" in log_of(airflow, instances, "stumble", 1)


def test_asset_events_start_dags_in_airflow_and_only_there(airflow: Airflow, server: Server) -> None:
    _, run_id = called(server, "harvest")

    def baked() -> Any:
        return [one for one in airflow.get("/dags/bakery/dagRuns")["dag_runs"] if one["state"] == "success"]

    (run,) = eventually(baked, 90, "the run that Airflow's scheduler starts")
    assert run["run_type"] == "asset_triggered"
    events = airflow.get(f"/dags/bakery/dagRuns/{run['dag_run_id']}/upstreamAssetEvents")["asset_events"]
    assert [(one["source_run_id"], one["source_task_id"], one["extra"]) for one in events] == [
        (run_id, "reap", {"bales": 12})
    ]
    value = airflow.get(f"/dags/bakery/dagRuns/{run['dag_run_id']}/taskInstances/bake/xcomEntries/return_value")
    assert value["value"] == [12]
    assert server.http.get("/api/v2/dags/bakery/dagRuns").json()["total_entries"] == 0
    assert server.http.get("/api/v2/dags/bakery/assets/queuedEvents").json()["total_entries"] == 0


def rows(airflow: Airflow) -> dict[tuple[str, ...], Any]:
    """All runs and task instances that Airflow has, with when they were changed."""
    with psycopg2.connect(airflow.database.replace("+psycopg2", "")) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT dag_id, run_id, '', 0, state, updated_at, clear_number, last_scheduling_decision FROM dag_run"
        )
        found = cursor.fetchall()
        cursor.execute(
            "SELECT dag_id, run_id, task_id, map_index, state, updated_at, try_number, id FROM task_instance"
        )
        found += cursor.fetchall()
    database.close()
    return {row[:4]: row[4:] for row in found}


def test_a_cleared_task_runs_again_there_and_nothing_else_is_touched(airflow: Airflow, server: Server) -> None:
    _, other = called(server, "greeting", name="Grace")
    _, run_id = called(server, "greeting", name="Edsger")
    recorded(airflow, "greeting", other)
    recorded(airflow, "greeting", run_id)
    before = rows(airflow)
    cleared = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["greet"], "only_failed": False}
    with airflow.http("olga") as http:
        http.post("/api/v2/dags/greeting/clearTaskInstances", json=cleared).raise_for_status()
    instances = f"/dags/greeting/dagRuns/{run_id}/taskInstances"
    again = eventually(
        lambda: [one for one in airflow.get(instances)["task_instances"] if one["state"] == "success"],
        90,
        "the task's second try",
    )
    assert [one["try_number"] for one in again] == [2]
    assert airflow.get(f"{instances}/greet/xcomEntries/return_value")["value"] == "Hello, Edsger!"
    tries = airflow.get(f"{instances}/greet/tries")["task_instances"]
    assert [(one["try_number"], one["state"]) for one in tries] == [(1, "success"), (2, "success")]
    assert "about to greet Edsger" in log_of(airflow, instances, "greet", 2)
    eventually(lambda: recorded(airflow, "greeting", run_id)["state"] == "success", 60, "the run's second end")
    after = rows(airflow)
    assert {key[:2] for key in before if before[key] != after[key]} == {("greeting", run_id)}
    said = airflow.said("scheduler")
    assert run_id in said
    assert other not in said


class LockedOut:
    """A user of Airflow's database of its own, who may or may not log in: to that user it is away, and to nobody else."""

    NAME = "recorder_of_the_tests"

    def __init__(self, airflow: Airflow) -> None:
        self._database = airflow.database
        self.address = airflow.database.replace("//postgres@", f"//{self.NAME}@")
        assert self.address != airflow.database
        self._do(f"CREATE ROLE {self.NAME} SUPERUSER NOLOGIN")

    def let_in(self) -> None:
        self._do(f"ALTER ROLE {self.NAME} LOGIN")

    def _do(self, sql: str) -> None:
        connection = psycopg2.connect(self._database.replace("+psycopg2", ""))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()


def test_neither_kills_nor_a_database_that_is_away_lose_a_run(airflow: Airflow, beside: Beside, tmp_path: Path) -> None:
    locked_out = LockedOut(airflow)
    options = {"journal": f"sqlite:///{tmp_path / 'journal.db'}"}
    settings = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": locked_out.address,
        "AIRFLOW__DAGCALL__METADATA_DATABASE": "ignored",
        "AIRFLOW__DAGCALL__RECORD": "all",
    }
    first = beside(environment=settings, **options)
    runs = [called(first, "greeting", name="Ada")[1] for _ in range(12)]
    eventually(lambda: "runs are not recorded in Airflow now" in first.messages.read_text(), 60, "the word in the log")
    assert "dagcall_recording_up 0" in first.http.get("/metrics").text
    family = first.family()
    first.process.kill()
    first.process.wait()
    first.assert_gone(family, within=20)
    second = beside(environment=settings, **options)
    runs += [called(second, "greeting", name="Ada")[1] for _ in range(6)]
    locked_out.let_in()
    eventually(lambda: second.processes("recorder"), 60, "the recorder")[0].kill()
    for run_id in runs:
        recorded(airflow, "greeting", run_id)
    eventually(lambda: "dagcall_recording_waiting 0" in second.http.get("/metrics").text, 60, "an empty line")
    assert "dagcall_recording_up 1" in second.http.get("/metrics").text


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no browser: `make browser`, which needs node and npm")
def test_airflows_own_pages_show_them(airflow: Airflow, server: Server) -> None:
    _, greeted = called(server, "greeting", name="Barbara")
    _, failed = called(server, "stumbling")
    recorded(airflow, "greeting", greeted)
    recorded(airflow, "stumbling", failed)
    PICTURES.mkdir(parents=True, exist_ok=True)
    looked_at = (
        ("greeting", greeted, "greet", "Success", "about to greet Barbara", "Hello, Barbara!"),
        ("stumbling", failed, "stumble", "Failed", "over a stone"),
    )
    runs = ["/".join(quote(one, safe="") for one in words) for words in looked_at]
    command = ["node", str(BROWSER / "airflow.mjs"), str(CHROMIUM), airflow.url, "victor", airflow.passwords["victor"]]
    libraries = {"LD_LIBRARY_PATH": str(CHROMIUM.parent / "al2023" / "lib")}
    used = subprocess.run(
        [*command, str(PICTURES), *runs],
        env=os.environ | libraries,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert used.returncode == 0, used.stderr
    pages = ["greeting-run", "greeting-log", "greeting-xcom", "stumbling-run", "stumbling-log"]
    assert json.loads(used.stdout) == pages
    assert all((PICTURES / f"{page}.png").stat().st_size > 10_000 for page in pages)
