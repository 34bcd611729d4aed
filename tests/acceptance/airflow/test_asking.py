"""`CallDagOperator` under Airflow's own scheduler and triggerer."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..serving import Server, eventually, know_children
from .conftest import Airflow, Beside
from .test_call_view import told_where


@pytest.fixture
def triggerer(airflow: Airflow) -> Iterator[None]:
    with (airflow.messages / "triggerer.txt").open("wb") as messages:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "triggerer"],
            env=os.environ | airflow.environment,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
        )
    know_children()
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("triggerer")
def test_a_task_is_deferred_and_ends_with_its_run(airflow: Airflow, beside: Beside) -> None:
    server: Server = beside()
    with told_where(airflow, server.url), airflow.http() as http:
        made = http.post("/api/v2/dags/asking/dagRuns", json={"logical_date": None})
        assert made.status_code == 200, made.text
        run = f"/dags/asking/dagRuns/{made.json()['dag_run_id']}"

        def ended(try_number: int) -> Any:
            time.sleep(0.2)  # Airflow's scheduler needs the processor more than this question
            ask = http.get(f"/api/v2{run}/taskInstances/ask").json()
            return (
                ask if (ask["state"], ask["try_number"]) in (("success", try_number), ("failed", try_number)) else None
            )

        def called() -> str:
            run_id: str = airflow.get(f"{run}/taskInstances/ask/xcomEntries/dagcall_run_id")["value"]
            return run_id

        first = eventually(lambda: ended(1), 90, "the end of the task")
        assert first["state"] == "success", airflow.get(f"{run}/taskInstances/ask/logs/1")
        assert airflow.get(f"{run}/taskInstances/ask/xcomEntries/return_value")["value"] == 42
        assert server.http.get(f"/call/pondering/{called()}").json() == 42
        assert "Pausing task as DEFERRED" in str(airflow.get(f"{run}/taskInstances/ask/logs/1"))
        before = called()

        # Cleared, it is asked again, although there are tries left: what it had found is not wanted any more.
        cleared = {"dag_run_id": made.json()["dag_run_id"], "dry_run": False, "only_failed": False, "task_ids": ["ask"]}
        assert http.post("/api/v2/dags/asking/clearTaskInstances", json=cleared).status_code == 200
        again = eventually(lambda: ended(2), 90, "the end of the cleared task")
        assert again["state"] == "success"
        assert called() != before
