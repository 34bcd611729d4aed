"""Live DAGs as plans, and what `dagcall dags check` says of a folder."""

from textwrap import indent

import pytest

from dagcall.check import CheckRow, check_folder
from dagcall.model.plan import DagPlan, Mapping, MapSource, Retry
from dagcall.model.states import TriggerRule

from ..serving import Serving

HEAD = """
from datetime import timedelta
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, BaseOperator, Param, TaskGroup, dag, setup, task, task_group, teardown
"""

REFUSED = {
    "run_as_user": ("B(task_id='t', bash_command='true', run_as_user='root')", "t", "run_as_user"),
    "executor_config": ("B(task_id='t', bash_command='true', executor_config={'a': 1})", "t", "executor_config"),
    "executor": ("B(task_id='t', bash_command='true', executor='LocalExecutor')", "t", "executor"),
    "mapped_run_as_user": ("B.partial(task_id='t', run_as_user='r').expand(bash_command=['a'])", "t", "run_as_user"),
    "per_dag": ("B(task_id='t', bash_command='true', max_active_tis_per_dag=0)", "t", "max_active_tis_per_dag"),
}

FINE = {
    "ports": "B(task_id='t', bash_command='true', outlets=[Asset('a')], inlets=[Asset('b')])",
    "trigger": (
        "from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator\n"
        "TriggerDagRunOperator(task_id='t', trigger_dag_id='x', wait_for_completion=True, deferrable=True)"
    ),
    "external": (
        "from airflow.providers.standard.sensors.external_task import ExternalTaskMarker, ExternalTaskSensor\n"
        "ExternalTaskSensor(task_id='t', external_dag_id='x', deferrable=True)\n"
        "ExternalTaskMarker(task_id='m', external_dag_id='x', external_task_id='y', logical_date='2026-01-01')"
    ),
    "approval": (
        "from airflow.providers.standard.operators.hitl import ApprovalOperator\n"
        "ApprovalOperator(task_id='t', subject='s')"
    ),
    "depends_on_past": "B(task_id='t', bash_command='true', depends_on_past=True, wait_for_downstream=True)",
    "latest_only": (
        "from airflow.providers.standard.operators.latest_only import LatestOnlyOperator\n"
        "LatestOnlyOperator(task_id='t')"
    ),
    "task_callbacks": "B(task_id='t', bash_command='true', on_failure_callback=print, on_success_callback=print)",
    "dag_callback": "dag.on_failure_callback = print\nB(task_id='t', bash_command='true')",
    "group": "with TaskGroup('g'):\n    EmptyOperator(task_id='t')",
    "mapped_group": "@task_group\ndef group(n):\n    B(task_id='t', bash_command=n)\ngroup.expand(n=['true'])",
    "sensor": "from airflow.providers.standard.sensors.bash import BashSensor\n"
    "BashSensor(task_id='t', bash_command='true')",
    "reschedule": "from airflow.providers.standard.sensors.bash import BashSensor\n"
    "BashSensor(task_id='t', bash_command='true', mode='reschedule')",
    "deferrable": "from airflow.providers.standard.sensors.filesystem import FileSensor\n"
    "FileSensor(task_id='t', filepath='/x', deferrable=True)",
    "priority": "B(task_id='t', bash_command='true', priority_weight=5, weight_rule='upstream', queue='q')",
    "email": "B(task_id='t', bash_command='true', email_on_failure=False)",
    "outlets": "B(task_id='t', bash_command='true', inlets=[Asset('a')], outlets=[Asset('b')])",
    "limits": "B(task_id='t', bash_command='true', pool='p', pool_slots=2, max_active_tis_per_dag=1)",
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[CheckRow]:
    folder = tmp_path_factory.mktemp("checked")
    for name, body in {**{name: case[0] for name, case in REFUSED.items()}, **FINE}.items():
        text = f"{HEAD}\nB = BashOperator\nwith DAG({name!r}, schedule=None) as dag:\n{indent(body, '    ')}\n"
        (folder / f"{name}.py").write_text(text)
    (folder / "broken.py").write_text("from airflow.sdk import DAG\n1 / 0\n")
    (folder / "no_manual.py").write_text(
        "from airflow.sdk import DAG\nwith DAG('no_manual', schedule='@daily', allowed_run_types={'scheduled'}):\n    pass\n"
    )
    (folder / "scheduled.py").write_text(
        "from datetime import datetime\nfrom airflow.sdk import DAG\n"
        "with DAG('scheduled', schedule='@daily', start_date=datetime(2024, 1, 1), catchup=True):\n    pass\n"
    )
    return [row for row in check_folder(str(folder)) if row.kind != "hint"]


@pytest.mark.parametrize("name", REFUSED)
def test_each_refused_feature_is_named_once(rows: list[CheckRow], name: str) -> None:
    (row,) = [row for row in rows if row.file == f"{name}.py"]
    _, task_id, feature = REFUSED[name]
    assert (row.kind, row.dag_id, row.task_id, row.feature) == ("refused", name, task_id, feature)
    assert len(row.reason) > 15


@pytest.mark.parametrize("name", FINE)
def test_what_runs_as_in_airflow_is_not_refused(rows: list[CheckRow], name: str) -> None:
    assert [(row.kind, row.dag_id) for row in rows if row.file == f"{name}.py"] == [("ok", name)]


def test_import_errors_and_notes(rows: list[CheckRow]) -> None:
    (broken,) = [row for row in rows if row.file == "broken.py"]
    assert broken.kind == "import-error"
    assert broken.reason.endswith("ZeroDivisionError: division by zero")
    found = [(row.kind, row.dag_id) for row in rows if row.file == "scheduled.py"]
    assert found == [("ok", "scheduled"), ("note", "scheduled"), ("note", "scheduled")]


def test_dag_without_manual_runs_is_refused(rows: list[CheckRow]) -> None:
    found = [(row.kind, row.feature) for row in rows if row.file == "no_manual.py"]
    assert found == [("refused", "allowed_run_types"), ("note", "schedule")]


COMPILED = f"""{HEAD}
with DAG("compiled", schedule=None, dagrun_timeout=timedelta(minutes=2), fail_fast=False, tags=["b", "a"],
         default_args={{"retries": 2, "owner": "ann"}}, description="d", params={{
             "p": Param(1, type="integer", title="P"), "q": Param(type="string"), "plain": [1],
         }}) as dag:
    @setup
    @task
    def open_it():
        return 1

    @teardown(on_failure_fail_dagrun=True)
    @task
    def close_it(x):
        pass

    @task(retry_delay=timedelta(seconds=3), retry_exponential_backoff=True, max_retry_delay=timedelta(seconds=9),
          execution_timeout=timedelta(seconds=1.5), trigger_rule="none_failed")
    def work(x):
        return [1, 2]

    @task(retries=0)
    def each(a, b=None):
        return a

    opened = open_it()
    closed = close_it(opened)
    begun = EmptyOperator(task_id="begun")
    worked = work(one := each.override(task_id="one")(1))
    opened >> begun >> one
    product = each.override(task_id="product").expand(a=worked, b=[1, 2, 3])
    zipped = each.override(task_id="zipped").expand(a=worked.zip(one, fillvalue=0))
    joined = each.override(task_id="joined").expand_kwargs(worked.concat(product).map(lambda a: {{"a": a}}))
    mixed = each.override(task_id="mixed").partial(b=worked["x"]).expand(a={{"k": 1, "l": 2}})
    empty = EmptyOperator(task_id="empty")
    watched = EmptyOperator(task_id="watched", on_success_callback=print)
    [product, zipped, joined, mixed] >> empty >> watched >> closed
    dag.add_result(product)

    @task_group(prefix_group_id=False)
    def expanded(a, b):
        each.override(task_id="in_group")(a, b)

    expanded.expand(a=one, b=[1, 2])
"""


@pytest.fixture(scope="module")
def plan(served: Serving) -> DagPlan:
    served.write("compiled.py", COMPILED)
    served.wait_for_dag("compiled")
    return served.coordinator.catalog.find("compiled")


def test_the_dag(plan: DagPlan) -> None:
    assert (plan.description, plan.owners, plan.tags) == ("d", ("ann",), ("a", "b"))
    assert plan.dagrun_timeout == 120
    assert plan.result_tasks == ("product",)
    assert plan.params_schema == {
        "type": "object",
        "properties": {
            "p": {"type": "integer", "title": "P", "default": 1},
            "q": {"type": "string"},
            "plain": {"default": [1]},
        },
        "required": ["q"],
    }


def test_topological_order(plan: DagPlan) -> None:
    order = [task.task_id for task in plan.tasks]
    for task in plan.tasks:
        assert all(order.index(task.task_id) < order.index(below) for below in task.downstream)
        assert all(task.task_id in plan.by_id[above].downstream for above in task.upstream)


def test_retries_timeouts_and_rules(plan: DagPlan) -> None:
    work = plan.by_id["work"]
    assert work.retry == Retry(2, 3.0, 2.0, 9.0)
    assert work.execution_timeout == 1.5
    assert work.trigger_rule is TriggerRule.NONE_FAILED
    assert plan.by_id["product"].retry == Retry(0)
    assert plan.by_id["empty"].retry.retries == 2


def test_setup_and_teardown(plan: DagPlan) -> None:
    opened, closed = plan.by_id["open_it"], plan.by_id["close_it"]
    assert (opened.is_setup, opened.is_teardown) == (True, False)
    assert (closed.is_setup, closed.is_teardown, closed.on_failure_fail_dagrun) == (False, True, True)
    assert closed.trigger_rule is TriggerRule.ALL_DONE_SETUP_SUCCESS


def test_mappings(plan: DagPlan) -> None:
    of = {task.task_id: task.mapping for task in plan.tasks}
    worked = MapSource("xcom", task_id="work")
    assert of["product"] == Mapping((worked, MapSource("literal", 3)))
    assert of["zipped"] == Mapping((MapSource("zip", parts=(worked, MapSource("xcom", task_id="one")), longest=True),))
    assert of["joined"] == Mapping((MapSource("concat", parts=(worked, MapSource("xcom", task_id="product"))),))
    assert of["mixed"] == Mapping((MapSource("literal", 2),))
    assert of["work"] is None


def test_reads(plan: DagPlan) -> None:
    of = {task.task_id: {(ref.task_id, ref.key, ref.whole) for ref in task.reads} for task in plan.tasks}
    assert of["product"] == {("work", "return_value", False)}
    assert of["zipped"] == {("work", "return_value", True), ("one", "return_value", True)}
    assert of["joined"] == {("work", "return_value", True), ("product", "return_value", True)}
    assert of["mixed"] == {("work", "x", True)}
    assert of["work"] == {("one", "return_value", True)}
    assert of["empty"] == set()
    assert of["in_group"] == {("one", "return_value", False)}
    (ref,) = plan.by_id["in_group"].reads
    assert ref.group == "expanded"


def test_mapped_groups(plan: DagPlan) -> None:
    assert plan.by_id["in_group"].mapped_groups == ("expanded",)
    assert plan.mappings == {"expanded": Mapping((MapSource("xcom", task_id="one"), MapSource("literal", 2)))}


def test_empty_tasks_need_no_worker(plan: DagPlan) -> None:
    assert plan.by_id["empty"].is_empty
    assert not plan.by_id["watched"].is_empty
