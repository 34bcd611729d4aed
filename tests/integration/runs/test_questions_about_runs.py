"""What tasks ask about runs and task instances, and the runs they start; asked by real task code in real workers."""

from datetime import UTC, datetime

import msgspec
import pytest

from dagcall.model.ids import RunKey

from ..serving import Serving, eventually

HEAD = """
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, dag, task, task_group
from airflow.sdk.execution_time import comms
from airflow.sdk.execution_time import task_runner
"""

DAYS = [datetime(2026, 1, day, tzinfo=UTC).timestamp() for day in (1, 2, 3)]


def test_its_own_run(runs: Serving) -> None:
    runs.write(
        "states.py",
        HEAD
        + """
@dag(schedule=None)
def states():
    @task
    def before(n):
        return n
    @task_group
    def group(value):
        @task
        def inside(_):
            return 1
        inside(value)
    @task
    def ask(_, ti=None):
        run = [ti.run_id]
        return {
            "count": ti.get_ti_count("states", run_ids=run),
            "succeeded": ti.get_ti_count("states", run_ids=run, states=["success"]),
            "mapped": ti.get_ti_count("states", run_ids=run, task_ids=["before"]),
            "one": ti.get_ti_count("states", run_ids=run, task_ids=["before"], map_index=1),
            "by date": ti.get_ti_count("states", logical_dates=[]),
            "states": ti.get_task_states("states", run_ids=run)[ti.run_id],
            "some": ti.get_task_states("states", run_ids=run, task_ids=["ask"])[ti.run_id],
            "group": ti.get_task_states("states", run_ids=run, task_group_id="group"),
            "run": ti.get_dagrun_state("states", ti.run_id),
            "detail": task_runner.SUPERVISOR_COMMS.send(comms.GetDagRun(dag_id="states", run_id=ti.run_id)).model_dump(
                mode="json", include={"state", "run_type", "conf", "data_interval_start", "end_date"}),
            "runs": ti.get_dr_count("states", states=["running"]),
            "previous": ti.get_previous_dagrun(),
            "crumbs": sorted([one["task_id"], one["map_index"], one["state"]] for one in ti.get_task_breadcrumbs("states", ti.run_id)),
            "dag": ti.get_dag("states").model_dump(include={"is_paused", "relative_fileloc"}),
        }
    asked = ask(mapped := before.expand(n=[1, 2]))
    group(mapped)
    return asked
states()
""",
    )
    runs.wait_for_dag("states")
    answer = runs.call("states")
    group = answer.pop("group")
    assert list(next(iter(group.values()))) == ["group.inside"]
    inside = answer["states"].pop("group.inside")
    assert inside in (None, "queued", "running", "success")
    crumbs = [one for one in answer.pop("crumbs") if one[0] != "group.inside"]
    assert crumbs == [["before", 0, "success"], ["before", 1, "success"]]
    assert answer.pop("succeeded") in (2, 3)
    assert answer == {
        "count": 4,
        "mapped": 2,
        "one": 1,
        "by date": 4,
        "states": {"before_0": "success", "before_1": "success", "ask": "running"},
        "some": {"ask": "running"},
        "run": "running",
        "detail": {
            "state": "running",
            "run_type": "manual",
            "conf": {},
            "data_interval_start": None,
            "end_date": None,
        },
        "runs": 1,
        "previous": None,
        "dag": {"is_paused": False, "relative_fileloc": "states.py"},
    }


def test_runs_of_other_logical_dates(runs: Serving) -> None:
    runs.write(
        "dated.py",
        HEAD
        + """
from datetime import datetime, timezone
DAYS = [datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2, 3)]

@dag(schedule=None, params={"fail": False})
def dated():
    @task
    def work(params=None, ti=None, prev_start_date_success=None):
        if params["fail"]:
            raise ValueError("told to")
        previous, good = ti.get_previous_dagrun(), ti.get_previous_dagrun(state="success")
        before = ti.get_previous_ti()
        return {
            "runs": ti.get_dr_count("dated", logical_dates=DAYS),
            "failed": ti.get_dr_count("dated", logical_dates=DAYS, states=["failed"]),
            "tasks": ti.get_ti_count("dated", task_ids=["work"], logical_dates=DAYS, states=["success", "failed"]),
            "previous": previous and [previous.run_id, previous.state.value, previous.logical_date.isoformat()],
            "good": good and good.run_id,
            "before": before and [before.run_id, before.state, before.try_number],
            "after a success": bool(prev_start_date_success),
        }
    work()
dated()
""",
    )
    runs.wait_for_dag("dated")

    def run(day: int, *, fail: bool = False) -> dict[str, object]:
        run = runs.start("dated", {"fail": fail}, run_id=f"day_{day}", logical_date=DAYS[day - 1])
        eventually(lambda: run.head.state.is_final, "it has ended")
        item = run.machine.xcoms.get("work", -1, "return_value")
        return {} if item is None else msgspec.msgpack.decode(item.value)

    assert run(1) == {
        "runs": 1,
        "failed": 0,
        "tasks": 0,
        "previous": None,
        "good": None,
        "before": None,
        "after a success": False,
    }
    run(2, fail=True)
    assert run(3) == {
        "runs": 3,
        "failed": 1,
        "tasks": 2,
        "previous": ["day_2", "failed", "2026-01-02T00:00:00+00:00"],
        "good": "day_1",
        "before": ["day_2", "failed", 1],
        "after a success": True,
    }


CHILD = """
@dag(schedule=None, params={"n": 1})
def child():
    @task
    def seen(params=None, dag_run=None):
        return [params["n"], dag_run.run_type.value, dag_run.conf, dag_run.logical_date is not None]
    return seen()
child()
"""


def test_triggering_a_run(runs: Serving) -> None:
    runs.write("child.py", HEAD + CHILD)
    runs.write(
        "parent.py",
        HEAD
        + """
with DAG("parent", schedule=None):
    trigger = TriggerDagRunOperator(
        task_id="trigger", trigger_dag_id="child", trigger_run_id="from_{{ dag_run.conf.get('id') }}",
        conf={"n": 7, "more": [1]}, note="hello",
    )
    @task
    def told(ti=None):
        return ti.xcom_pull(task_ids="trigger", key="trigger_run_id")
    trigger >> told()
""",
    )
    runs.wait_for_dag("parent", "child")
    run = runs.start("parent", {"id": "a"})
    assert runs.outcome(run).failure is None
    child = runs.do(runs.coordinator.run(RunKey("child", "from_a")))
    assert runs.value_of(child) == [7, "operator_triggered", {"n": 7, "more": [1]}, True]
    assert (child.head.run_type, child.head.triggered_by, child.head.note) == (
        "operator_triggered",
        "operator",
        "hello",
    )

    again = runs.failure("parent", {"id": "a"})
    assert again.type == "DagRunAlreadyExists"
    assert "child" in again.message


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("to_nowhere", "trigger_dag_id='nowhere'", "Dag with dag_id: 'nowhere' not found"),
        ("wrong_conf", "trigger_dag_id='strict', conf={'n': 'x'}", "is not of type 'integer'"),
        ("refused", "trigger_dag_id='refused_child'", "tasks run as the user of the server"),
        ("broken", "trigger_dag_id='broken_child'", "has import errors and cannot be triggered"),
        (
            "later",
            "trigger_dag_id='strict', run_after='2999-01-01T00:00:00+00:00'",
            "run_after is in the future",
        ),
        ("bad_id", "trigger_dag_id='strict', trigger_run_id='a b'", "allowed_run_id_pattern"),
    ],
)
def test_what_cannot_be_triggered_fails_the_task(runs: Serving, name: str, arguments: str, sentence: str) -> None:
    if "strict" not in runs.dag_ids():
        runs.write("broken_child.py", "from airflow.sdk import DAG\nDAG('broken_child', schedule=None)\n1 / 0\n")
        runs.write(
            "strict.py",
            "from airflow.sdk import Param, dag\n@dag(schedule=None, params={'n': Param(1, type='integer')})\ndef strict(): pass\nstrict()\n",
        )
        runs.write(
            "refused_child.py",
            HEAD + "with DAG('refused_child', schedule=None, default_args={'run_as_user': 'root'}):\n"
            "    @task\n    def t(): pass\n    t()\n",
        )
        runs.wait_for_dag("strict", "refused_child")
        eventually(lambda: "broken_child.py" in runs.errors(), "it is known to be broken")
    runs.write(
        f"{name}.py",
        HEAD + f"with DAG({name!r}, schedule=None):\n    TriggerDagRunOperator(task_id='t', {arguments})\n",
    )
    runs.wait_for_dag(name)
    failure = runs.failure(name)
    assert failure.type == "AirflowRuntimeError"
    assert sentence in failure.message


def test_skip_and_reset_when_the_run_exists(runs: Serving) -> None:
    runs.write("child.py", HEAD + CHILD)
    runs.write(
        "twice.py",
        HEAD
        + """
with DAG("twice", schedule=None):
    def trigger(name, **more):
        return TriggerDagRunOperator(task_id=name, trigger_dag_id="child", trigger_run_id="only_once", **more)
    trigger("first") >> trigger("second", skip_when_already_exists=True)
with DAG("resets", schedule=None):
    TriggerDagRunOperator(task_id="t", trigger_dag_id="child", trigger_run_id="only_once", reset_dag_run=True)
with DAG("new", schedule=None):
    TriggerDagRunOperator(task_id="t", trigger_dag_id="child", reset_dag_run=True, fail_when_dag_is_paused=True)
""",
    )
    runs.wait_for_dag("twice", "resets", "new", "child")
    run = runs.start("twice")
    assert runs.outcome(run).failure is None
    eventually(lambda: run.head.state.is_final, "it has ended")
    assert {ti.task.task_id: ti.state.value for ti in run.machine.instances()} == {
        "first": "success",
        "second": "skipped",
    }
    assert "dagcall does not clear runs" in runs.failure("resets").message
    assert runs.call("new") is None


def test_a_date_that_is_taken(runs: Serving) -> None:
    runs.write("child.py", HEAD + CHILD)
    runs.write(
        "same_date.py",
        HEAD
        + """
with DAG("same_date", schedule=None):
    TriggerDagRunOperator(task_id="t", trigger_dag_id="child", logical_date="2026-05-01T00:00:00+00:00")
""",
    )
    runs.wait_for_dag("same_date", "child")
    runs.call("child", run_id="first", logical_date=datetime(2026, 5, 1, tzinfo=UTC).timestamp())
    assert "already has a run for the logical date 2026-05-01" in runs.failure("same_date").message
