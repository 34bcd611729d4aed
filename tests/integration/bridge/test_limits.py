"""Pools and the limits of tasks with real workers; weights as Airflow computes them."""

import pytest

from dagcall.errors import DagUnsupported
from dagcall.model.pool import Pool
from dagcall.model.states import TaskState

from ..serving import Serving, eventually

LIMITED = """
import time
from pathlib import Path

from airflow.sdk import dag, result, task

def span(number):
    begun = time.time()
    time.sleep(0.05)
    return [begun, time.time()]

def spans(all):
    return list(all)

@dag(schedule=None)
def in_a_pool():
    result(task(spans))(task(span, pool="narrow", pool_slots=2).expand(number=list(range(4))))

in_a_pool()

@dag(schedule=None)
def within_the_run():
    result(task(spans))(task(span, max_active_tis_per_dagrun=1).expand(number=list(range(3))))

within_the_run()

@dag(schedule=None, params={"gate": ""})
def one_of_all_runs():
    @result
    @task(max_active_tis_per_dag=1)
    def wait(params):
        while not Path(params["gate"]).exists():
            time.sleep(0.005)
        return 1

    wait()

one_of_all_runs()

@dag(schedule=None)
def nowhere():
    result(task(span, pool="missing"))(1)

nowhere()

@dag(schedule=None)
def too_big():
    result(task(span, pool="narrow", pool_slots=4))(1)

too_big()
"""

WEIGHTS = """
from airflow.providers.standard.operators.empty import EmptyOperator as E
from airflow.sdk import DAG

for rule in ("downstream", "upstream", "absolute"):
    with DAG(f"weights_{rule}", schedule=None, default_args={"weight_rule": rule}) as dag:
        a = E(task_id="a", priority_weight=5)
        b, c = E(task_id="b", priority_weight=2), E(task_id="c")
        a >> [b, c] >> E(task_id="d")
    globals()[dag.dag_id] = dag

with DAG("weights_unwritten", schedule=None) as unwritten:
    E(task_id="a") >> E(task_id="b")
"""

NEVER = """
from airflow.sdk import DAG, task

with DAG("never", schedule=None, max_active_tasks=0, max_active_runs=0):
    @task(max_active_tis_per_dag=0, max_active_tis_per_dagrun=-1)
    def t():
        pass

    t()
"""


@pytest.fixture(scope="module", autouse=True)
def dags(served: Serving) -> None:
    served.do(served.coordinator.pools.put(Pool("narrow", 3)))
    served.write("limited.py", LIMITED)
    served.write("weights.py", WEIGHTS)
    served.write("never.py", NEVER)
    served.wait_for_dag("in_a_pool", "weights_unwritten", "never")


def at_once(spans: list[list[float]]) -> int:
    return max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)


def test_a_pool_bounds_what_runs_at_once(served: Serving) -> None:
    runs = [served.start("in_a_pool") for _ in range(2)]
    assert at_once([span for run in runs for span in served.value_of(run)]) == 1
    waits = [record.data["waits_for"] for record in runs[0].records if record.data.get("state") == "scheduled"]
    assert waits
    assert set(waits) == {"pool 'narrow': 2 of 3 slots are taken, 2 needed"}
    status = served.coordinator.pools.find("narrow")
    assert status is not None
    assert (status.occupied, status.open) == (0, 3)


def test_max_active_tis_per_dagrun_bounds_a_run(served: Serving) -> None:
    assert at_once(served.call("within_the_run")) == 1


def test_max_active_tis_per_dag_bounds_all_runs(served: Serving) -> None:
    gates = [served.home / f"tis-{number}" for number in range(2)]
    first, second = (served.start("one_of_all_runs", {"gate": str(gate)}) for gate in gates)
    (running,), (waiting,) = first.machine.instances(), second.machine.instances()
    eventually(lambda: running.state is TaskState.RUNNING, "the first runs")
    assert (waiting.state, waiting.waits_for) == (TaskState.SCHEDULED, "max_active_tis_per_dag=1 of task 'wait'")
    for gate in gates:
        gate.touch()
    assert [served.value_of(run) for run in (first, second)] == [1, 1]


def test_a_call_that_would_wait_for_ever_is_refused(served: Serving) -> None:
    with pytest.raises(DagUnsupported, match="there is no pool 'missing'; create it with POST /api/v2/pools"):
        served.call("nowhere")
    with pytest.raises(DagUnsupported, match="it takes 4 slots, and pool 'narrow' has 3"):
        served.call("too_big")
    served.do(served.coordinator.pools.put(Pool("missing", 1)))
    assert len(served.call("nowhere")) == 2


@pytest.mark.parametrize(
    "rule, weights",
    [
        ("downstream", {"a": 9, "b": 3, "c": 2, "d": 1}),
        ("upstream", {"a": 5, "b": 7, "c": 6, "d": 9}),
        ("absolute", {"a": 5, "b": 2, "c": 1, "d": 1}),
    ],
)
def test_weights_are_airflows(served: Serving, rule: str, weights: dict[str, int]) -> None:
    plan = served.coordinator.catalog.find(f"weights_{rule}")
    assert {task.task_id: task.effective_weight for task in plan.tasks} == weights
    assert plan.has_weights
    assert not served.coordinator.catalog.find("weights_unwritten").has_weights


def test_limits_that_let_nothing_run_are_refused(served: Serving) -> None:
    refused = {(refusal.task_id, refusal.feature) for refusal in served.coordinator.catalog.find("never").refusals}
    assert refused == {
        (None, "max_active_tasks"),
        (None, "max_active_runs"),
        ("t", "max_active_tis_per_dag"),
        ("t", "max_active_tis_per_dagrun"),
    }


def test_airflows_configured_limits_bind_where_they_are_inherited(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("inherits") / "dags"
    with Serving(
        folder,
        AIRFLOW__DAGCALL__INHERIT_AIRFLOW_LIMITS="True",
        AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG="3",
        AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT="1",
    ) as serving:
        serving.write("limited.py", LIMITED)
        serving.wait_for_dag("within_the_run")
        plan = serving.coordinator.catalog.find("within_the_run")
        assert (plan.max_active_tasks, plan.max_active_runs) == (3, 16)
        run = serving.start("within_the_run")
        serving.value_of(run)
        waits = {record.data["waits_for"] for record in run.records if record.data.get("state") == "scheduled"}
        assert "pool 'default_pool': 1 of 1 slots are taken, 1 needed" in waits
