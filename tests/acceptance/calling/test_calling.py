"""`CallDagOperator` in stock Airflow and in dagcall: the same ends, values and messages."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..conftest import serving
from ..serving import Server, eventually

HERE = Path(__file__).parent
ENDS = {
    "now": ("success", 1),
    "deferred": ("success", 1),
    "other_result": ("success", 1),
    "deferred_other_result": ("success", 1),
    "by_reference": ("success", 1),
    "failing": ("failed", 1),
    "failing_deferred": ("failed", 1),
    "unknown": ("failed", 1),
    "refused": ("failed", 1),
    "rejected": ("failed", 1),
    "second_try": ("success", 2),
    "lost_try": ("success", 2),
    "own_key": ("success", 2),
    "over_its_time": ("failed", 1),
}
VALUES = {
    "now": [1, "now"],
    "deferred": [400, "late"],
    "other_result": 3,
    "deferred_other_result": {"left": 400, "both": [400, ""]},
    "second_try": 2,
    "lost_try": 1,
    "own_key": 1,
}


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves the DAGs that are called, and those that call."""
    yield from serving(Server(tmp_path_factory.mktemp("calling"), HERE / "dags"))


Ended = dict[str, dict[str, Any]]


def here(server: Server, notes: Path) -> Ended:
    """Every DAG of `ENDS` called in dagcall."""

    def one(dag_id: str) -> dict[str, Any]:
        path = server.start(dag_id, folder=str(notes))
        server.http.get(path, params={"wait": 60})
        run = f"/api/v2/dags/{dag_id}/dagRuns/{path.rpartition('/')[2]}/taskInstances/ask"
        ask = eventually(lambda: ended(run), 30, f"{dag_id}: the end of ask")
        keys = eventually(lambda: pushed(run), 30, f"{dag_id}: the link of ask")
        values = {key: server.http.get(f"{run}/xcomEntries/{key}").json()["value"] for key in keys}
        return {"state": ask["state"], "try_number": ask["try_number"], "xcoms": values}

    def ended(run: str) -> dict[str, Any] | None:
        ask: dict[str, Any] = server.http.get(run).json()
        return ask if ask["state"] in ("success", "failed") else None

    def pushed(run: str) -> list[str]:
        """Links are kept after the end of a task has been told."""
        keys = [one["key"] for one in server.http.get(f"{run}/xcomEntries").json()["xcom_entries"]]
        return keys if "_link_CalledRunLink" in keys else []

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(ENDS, threads.map(one, ENDS), strict=True))


def under_stock(server: Server, notes: Path) -> Ended:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DAGCALL"))}
    environment = inherited | {
        "AIRFLOW_HOME": str(notes),
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{notes}/airflow.db",
        "AIRFLOW__DAGCALL__URL": server.url,
    }
    found = notes / "found.json"
    command = [sys.executable, str(HERE / "under_stock.py"), str(HERE / "dags"), str(notes), str(found), *ENDS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    results: Ended = json.loads(found.read_text())
    return results


@pytest.mark.parametrize("run", [here, under_stock])
def test_a_task_ends_as_the_run_that_it_called(
    server: Server, run: Callable[[Server, Path], Ended], tmp_path: Path
) -> None:
    found = run(server, tmp_path)
    assert {dag_id: (one["state"], one["try_number"]) for dag_id, one in found.items()} == ENDS
    xcoms = {dag_id: one["xcoms"] for dag_id, one in found.items()}
    assert {dag_id: xcoms[dag_id]["return_value"] for dag_id in VALUES} == VALUES
    reference = xcoms["by_reference"]["return_value"]["reference"]
    assert len(server.http.get(reference["href"]).content) == reference["size"] > 2 << 20

    def said(dag_id: str) -> str:
        note = tmp_path / f"{dag_id}.txt"
        eventually(note.exists, 30, str(note))
        return note.read_text()

    for dag_id in ("failing", "failing_deferred", "over_its_time", "rejected"):
        run_id, link = xcoms[dag_id]["dagcall_run_id"], xcoms[dag_id]["_link_CalledRunLink"]
        assert repr(run_id) in said(dag_id)
        assert said(dag_id).endswith(link)
        assert server.http.get(link).headers["Dagcall-Run-Id"] == run_id
    for dag_id in ("failing", "failing_deferred"):
        assert said(dag_id).startswith("Task 'divide' failed on try 1: ZeroDivisionError: division by zero (run ")
        assert "of DAG 'breaks'" in said(dag_id)
    assert "no room at the inn" in said("rejected")
    assert "deadline" in said("over_its_time").lower()
    assert "'nobody'" in said("unknown")
    assert "left" in said("refused")


@pytest.mark.parametrize("dag_id", ["killed", "killed_deferred"])
def test_a_killed_task_takes_its_run_with_it(server: Server, dag_id: str, tmp_path: Path) -> None:
    def called() -> list[dict[str, Any]]:
        runs = server.http.get("/api/v2/dags/never_ends/dagRuns", params={"state": "running"}).json()
        found: list[dict[str, Any]] = runs["dag_runs"]
        return found

    def waits() -> bool:
        if dag_id == "killed":
            return server.task_states(path)["ask"] == "running"
        logs = server.home.glob(f"logs/dag_id={dag_id}/*/task_id=ask/*.trigger.*.log")
        return any("starting" in log.read_text() for log in logs)

    path = server.start(dag_id, folder=str(tmp_path))
    (run,) = eventually(called, 30, "the called run")
    eventually(waits, 30, "the task that waits")
    server.http.delete(path)
    eventually(lambda: not called(), 30, "its end")
    answer = server.http.get(f"/call/never_ends/{run['dag_run_id']}")
    assert answer.headers["Dagcall-Outcome"] == "cancelled"
