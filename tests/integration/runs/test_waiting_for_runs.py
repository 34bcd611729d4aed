"""Tasks that wait for runs here: told when it is so, holding no worker meanwhile. Every poll interval is an hour."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dagcall.coordinator.run import Run
from dagcall.model.ids import TaskKey

from ..serving import Serving, eventually

HEAD = """
from pathlib import Path
import time

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskMarker, ExternalTaskSensor
from airflow.sdk import DAG, task, task_group

HOUR = 3600

def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.005)
"""

CHILD = """
with DAG("held", schedule=None, params={"gate": "", "fail": False}) as held:
    @task
    def work(params=None):
        wait_for(params["gate"])
        if params["fail"]:
            raise ValueError("told to")
        return "done"
    held.add_result(work())
"""


def state(run: Run, task_id: str) -> str:
    instance = run.machine.instance(TaskKey(task_id))
    assert instance is not None
    return instance.state.value


def ended(run: Run) -> dict[str, str]:
    """The states of all tasks, once the run has ended."""
    eventually(lambda: run.head.state.is_final, "the end", lambda: [str(ti) for ti in run.machine.instances()])
    return {ti.task.task_id: ti.state.value for ti in run.machine.instances()}


PARENTS = """
with DAG("parents", schedule=None, params={"gate": "", "fail": False}):
    class Counted(TriggerDagRunOperator):
        def pre_execute(self, context):
            with open(context["params"]["gate"] + ".begun", "a") as count:
                count.write("x")
    def trigger(name, **more):
        return Counted(
            task_id=name, trigger_dag_id="held", conf={"gate": "{{ params.gate }}", "fail": "{{ params.fail }}"},
            wait_for_completion=True, poke_interval=HOUR, **more)
    trigger("plain")
    trigger("deferrable", deferrable=True)
    trigger("failing_is_good", allowed_states=["failed"], failed_states=["success"])
""".replace('"fail": "{{ params.fail }}"', '"fail": False')


@pytest.fixture(scope="module")
def served(runs: Serving) -> Serving:
    runs.write("held.py", HEAD + CHILD)
    runs.write("parents.py", HEAD + PARENTS)
    runs.wait_for_dag("held", "parents")
    return runs


def test_a_parent_is_suspended_until_its_child_has_ended(served: Serving, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = served.start("parents", {"gate": str(gate)})
    tasks = ("plain", "deferrable", "failing_is_good")
    eventually(lambda: [state(run, one) for one in tasks] == ["deferred"] * 3, "all have let go of their workers")
    eventually(lambda: served.coordinator.statistics()["runs"] == 4, "the children run")
    gate.touch()
    assert ended(run) == {"plain": "success", "deferrable": "success", "failing_is_good": "failed"}
    assert Path(f"{gate}.begun").read_text() == "x" * (1 + 2 + 1), "only `deferrable` runs operator code a second time"
    failed = run.machine.instance(TaskKey("failing_is_good"))
    assert failed is not None
    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == ("AirflowException", "held failed with failed state success")
    plain = run.machine.instance(TaskKey("plain"))
    assert plain is not None
    assert plain.try_number == 1
    assert run.machine.xcoms.get("plain", -1, "trigger_run_id") is not None


def test_a_child_that_fails(runs: Serving, tmp_path: Path) -> None:
    runs.write("held.py", HEAD + CHILD)
    runs.write(
        "unlucky.py",
        HEAD
        + """
with DAG("unlucky", schedule=None, params={"gate": ""}):
    common = dict(trigger_dag_id="held", conf={"gate": "{{ params.gate }}", "fail": True},
                  wait_for_completion=True, poke_interval=HOUR)
    TriggerDagRunOperator(task_id="plain", retries=1, retry_delay=0, **common)
    TriggerDagRunOperator(task_id="deferrable", deferrable=True, **common)
""",
    )
    runs.wait_for_dag("held", "unlucky")
    (tmp_path / "gate").touch()
    run = runs.start("unlucky", {"gate": str(tmp_path / "gate")})
    assert ended(run) == {"plain": "failed", "deferrable": "failed"}
    plain, deferrable = (run.machine.instance(TaskKey(one)) for one in ("plain", "deferrable"))
    assert plain is not None
    assert plain.error is not None
    assert (plain.try_number, plain.error.message) == (2, "held failed with failed state failed")
    assert deferrable is not None
    assert deferrable.error is not None
    assert deferrable.error.message.startswith("held failed with failed states [<DagRunState.FAILED: 'failed'>]")


def test_three_levels_on_one_worker(tmp_path: Path) -> None:
    with Serving(tmp_path / "dags", workers=1) as one:
        for level in range(3):
            one.write(
                f"level_{level}.py",
                HEAD
                + f"""
with DAG("level_{level}", schedule=None) as dag:
    down = TriggerDagRunOperator(task_id="down", trigger_dag_id="level_{level + 1}", wait_for_completion=True,
                                 poke_interval=HOUR, deferrable={level % 2 == 1})
    @task
    def up():
        return "level {level}"
    down >> (answer := up())
    dag.add_result(answer)
""",
            )
        one.write(
            "level_3.py",
            HEAD + 'with DAG("level_3", schedule=None):\n    @task\n    def leaf():\n        return 1\n    leaf()\n',
        )
        one.wait_for_dag(*(f"level_{level}" for level in range(4)))
        assert one.call("level_0") == "level 0"


SENSORS = """
with DAG("sensor_{name}", schedule=None):
    ExternalTaskSensor(task_id="wait", external_dag_id="watched", poke_interval=HOUR, {arguments})
"""
WATCHED = """
with DAG("watched", schedule=None, params={"fail": False}):
    ExternalTaskMarker(task_id="marks", external_dag_id="sensor_poke", external_task_id="wait")
    @task_group
    def group():
        @task
        def inside():
            return 1
        inside()
    @task
    def work(params=None):
        if params["fail"]:
            raise ValueError("told to")
    @task(trigger_rule="all_done")
    def last(_):
        pass
    group()
    last(work())
"""


@pytest.mark.parametrize(
    ("name", "arguments", "fail", "suspended", "expected"),
    [
        ("poke", "", False, "up_for_reschedule", "success"),
        ("reschedule", "mode='reschedule'", False, "up_for_reschedule", "success"),
        ("deferrable", "deferrable=True", False, "deferred", "success"),
        ("task", "external_task_id='work'", False, "up_for_reschedule", "success"),
        ("tasks", "external_task_ids=['work', 'last'], deferrable=True", False, "deferred", "success"),
        ("group", "external_task_group_id='group'", False, "up_for_reschedule", "success"),
        ("group_deferred", "external_task_group_id='group', deferrable=True", False, "deferred", "success"),
        ("fails", "external_task_id='work', failed_states=['failed']", True, "up_for_reschedule", "failed"),
        ("fails_deferred", "external_task_id='work', failed_states=['failed'], deferrable=True", True, "deferred", "failed"),
        ("soft", "external_task_id='work', failed_states=['failed'], soft_fail=True", True, "up_for_reschedule", "skipped"),
        ("skips", "external_task_id='work', skipped_states=['failed']", True, "up_for_reschedule", "skipped"),
    ],
)  # fmt: skip
def test_a_sensor_sees_what_it_waits_for_at_once(
    runs: Serving, days: Callable[[], float], name: str, arguments: str, fail: bool, suspended: str, expected: str
) -> None:
    runs.write("watched.py", HEAD + WATCHED)
    runs.write(f"sensor_{name}.py", HEAD + SENSORS.format(name=name, arguments=arguments))
    runs.wait_for_dag("watched", f"sensor_{name}")
    date = days()
    before = runs.start(f"sensor_{name}", logical_date=date)
    eventually(lambda: state(before, "wait") == suspended, "it waits, without a worker", lambda: ended_or_not(before))
    ended(runs.start("watched", {"fail": fail}, logical_date=date))
    assert ended(before) == {"wait": expected}


def ended_or_not(run: Run) -> list[Any]:
    return [(ti, ti.error) for ti in run.machine.instances()]


@pytest.mark.parametrize("arguments", ["", "deferrable=True"])
def test_a_sensor_for_a_dag_that_is_not_here_fails(runs: Serving, arguments: str) -> None:
    name = f"sensor_lost{'_deferred' if arguments else ''}"
    text = f'with DAG("{name}", schedule=None):\n'
    text += f'    ExternalTaskSensor(task_id="wait", external_dag_id="nowhere", {arguments})\n'
    runs.write(f"{name}.py", HEAD + text)
    runs.wait_for_dag(name)
    failure = runs.failure(name)
    assert (failure.type, failure.message) == (
        "ExternalDagNotFoundError",
        "The external DAG nowhere does not exist here.",
    )


def test_a_sensor_with_a_poke_of_its_own_keeps_its_worker(runs: Serving, days: Callable[[], float]) -> None:
    runs.write("watched.py", HEAD + WATCHED)
    runs.write(
        "own_poke.py",
        HEAD
        + """
class Twice(ExternalTaskSensor):
    pokes = 0
    def poke(self, context):
        self.pokes += 1
        return self.pokes == 2
with DAG("own_poke", schedule=None):
    Twice(task_id="wait", external_dag_id="watched", poke_interval=0.01)
""",
    )
    runs.wait_for_dag("watched", "own_poke")
    assert ended(runs.start("own_poke", logical_date=days())) == {"wait": "success"}


@pytest.fixture(scope="module")
def days() -> Callable[[], float]:
    """A logical date that no run had before."""
    given = iter(range(1, 1000))
    first = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    return lambda: first + 86_400 * next(given)
