"""DAG callbacks, and the callbacks of lost tasks, in processes of their own."""

import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest

from dagcall.coordinator.run import Run
from dagcall.model.states import TaskState

from ..serving import Serving, eventually

CALLBACKS = """
import json
import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, result, task, teardown, setup

HOME = Path(os.environ["AIRFLOW_HOME"])

def told(context, what):
    ti, dag_run = context.get("ti"), context.get("dag_run")
    line = {
        "what": what,
        "pid": os.getpid(),
        "run_id": context["run_id"],
        "dag_id": context["dag"].dag_id,
        "reason": context.get("reason"),
        "exception": str(context.get("exception")),
        "task_id": ti and ti.task_id,
        "try_number": ti and ti.try_number,
        "map_index": ti and ti.map_index,
        "task_state": ti and ti.state,
        "run_state": dag_run and dag_run.state,
        "conf": dag_run and dag_run.conf,
        "params": dict(context.get("params") or {}),
        "xcom": ti.xcom_pull(task_ids="first") if ti else None,
    }
    with open(HOME / "told", "a") as file:
        file.write(json.dumps(line) + "\\n")

def on_success(context):
    told(context, "success")

def on_failure(context):
    told(context, "failure")

def boom(context):
    print("about to fail")
    raise RuntimeError("the callback broke")

def hang(context):
    (HOME / "hangs").touch()
    while not (HOME / "unhang").exists():
        time.sleep(0.01)
    told(context, "unhung")

both = {"on_success_callback": on_success, "on_failure_callback": [boom, on_failure]}

@dag(schedule=None, params={"n": 1, "fail": False}, **both)
def ends():
    @task
    def first():
        return "from first"

    @result
    @task
    def last(params, before):
        if params["fail"]:
            raise ValueError("no")
        return params["n"]

    last(before=first())

ends()

@dag(schedule=None, on_success_callback=hang)
def hanging():
    @result
    @task
    def one():
        return 1

    one()

hanging()

@dag(schedule=None, params={"gate": ""}, dagrun_timeout=timedelta(seconds=1), **both)
def times_out():
    @task
    def first():
        return "from first"

    @result
    @task
    def waits(params, before):
        while not Path(params["gate"]).exists():
            time.sleep(0.01)

    waits(before=first())

times_out()

@dag(schedule=None, params={"gate": ""}, **both)
def cancelled():
    @result
    @task
    def waits(params):
        while not Path(params["gate"]).exists():
            time.sleep(0.01)

    waits()

cancelled()

@dag(schedule=None)
def dies():
    @result
    @task(
        retries=1,
        retry_delay=0,
        on_failure_callback=lambda context: told(context, "task failure"),
        on_retry_callback=lambda context: told(context, "task retry"),
    )
    def kills_itself():
        os.kill(os.getpid(), 9)

    kills_itself()

dies()
"""


@pytest.fixture(scope="module", autouse=True)
def dags(served: Serving) -> None:
    served.write("callbacks.py", CALLBACKS)
    served.wait_for_dag("ends", "hanging", "dies")


def all_told(served: Serving) -> list[dict[str, Any]]:
    path = served.home / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def told(served: Serving, run: Run, what: str, number: int = 1) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        lines = [line for line in all_told(served) if line["run_id"] == run.key.run_id and line["what"] == what]
        return lines if len(lines) >= number else []

    return eventually(found, f"{number} x {what} of {run.key}", lambda: notice_log(served))[-1]


def callback_record(run: Run, number: int = 1) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        data = [record.data for record in run.records if record.kind == "callback"]
        return data if len(data) >= number else []

    return eventually(found, f"{number} callback records of {run.key}")[-1]


def notice_log(served: Serving) -> str:
    """Where Airflow's DAG processor writes."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    path = served.home / "logs" / "dag_processor" / day / "dags-folder" / "callbacks.py.log"
    return path.read_text() if path.exists() else ""


def test_the_success_callback_sees_the_last_task_and_the_ended_run(served: Serving) -> None:
    run = served.start("ends", {"n": 7})
    assert served.value_of(run) == 7
    line = told(served, run, "success")
    assert (line["dag_id"], line["reason"], line["run_state"]) == ("ends", "success", "success")
    assert (line["task_id"], line["task_state"], line["try_number"]) == ("last", "success", 1)
    assert (line["conf"], line["params"]["n"], line["xcom"]) == ({"n": 7}, 7, "from first")
    task_pids = {instance.pid for instance in run.machine.instances()}
    assert line["pid"] not in task_pids | {os.getpid()}
    assert callback_record(run) == {
        "calls": ["on_success_callback"],
        "state": "success",
        "task_id": "last",
        "map_index": -1,
    }
    assert run.records[-1].kind == "callback"
    assert "Executing on_success dag callback" in notice_log(served)


def test_one_that_fails_is_recorded_and_logged_and_the_next_one_runs(served: Serving) -> None:
    run = served.start("ends", {"fail": True})
    assert served.outcome(run).failure is not None
    line = told(served, run, "failure")
    assert (line["reason"], line["run_state"], line["task_id"], line["task_state"]) == (
        "task_failure",
        "failed",
        "last",
        "failed",
    )
    record = callback_record(run)
    assert (record["state"], record["error"]) == (
        "failed",
        {"type": "RuntimeError", "message": "the callback broke"},
    )
    text = notice_log(served)
    assert "about to fail" in text
    assert "the callback broke" in text
    assert served.call("ends", {"n": 2}) == 2


def test_one_that_hangs_delays_no_call_of_its_file(served: Serving) -> None:
    run = served.start("hanging")
    assert served.value_of(run) == 1
    eventually((served.home / "hangs").exists, "the callback hangs")
    assert [served.call("ends", {"n": number}) for number in range(3)] == [0, 1, 2]
    (served.home / "unhang").touch()
    assert told(served, run, "unhung")["reason"] == "success"


def test_a_run_that_times_out_tells_of_the_task_that_ran(served: Serving) -> None:
    run = served.start("times_out", {"gate": str(served.home / "never")})
    line = told(served, run, "failure")
    assert (line["reason"], line["task_id"], line["task_state"]) == ("timed_out", "waits", "skipped")


def test_a_run_that_is_cancelled_calls_nothing(served: Serving) -> None:
    run = served.start("cancelled", {"gate": str(served.home / "never")})
    (instance,) = run.machine.instances()
    eventually(lambda: instance.state is TaskState.RUNNING, "it runs")

    async def cancel() -> None:
        await served.coordinator.cancel(run.key, "me", "")

    served.do(cancel())
    eventually(lambda: run.head.state.is_final, "it has ended")
    served.do(served.coordinator._notices.wait())
    assert [record.kind for record in run.records][-1] == "end"
    assert not [line for line in all_told(served) if line["run_id"] == run.key.run_id]


def test_a_task_whose_process_is_killed_has_its_callbacks_called(served: Serving) -> None:
    run = served.start("dies")
    assert served.outcome(run).failure is not None
    assert told(served, run, "task retry")["try_number"] == 1
    line = told(served, run, "task failure")
    assert (line["task_id"], line["try_number"], line["task_state"]) == ("kills_itself", 2, "failed")
    kinds = [callback_record(run, 2)]
    assert kinds[0]["calls"] == ["task.on_failure_callback"]
