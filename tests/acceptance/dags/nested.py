"""DAGs that call DAGs, and that ask people."""

import time
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, Param, task
from airflow.sdk.execution_time.xcom import XCom

NATIVE = {"schedule": None, "render_template_as_native_obj": True}
NUMBER = {"n": Param(0, type="integer"), "file": ""}


def call(dag_id: str) -> TriggerDagRunOperator:
    return TriggerDagRunOperator(
        task_id="call",
        trigger_dag_id=dag_id,
        conf={"n": "{{ params.n }}", "file": "{{ params.file }}"},
        wait_for_completion=True,
        poke_interval=3600,
    )


def value_of(dag_id: str, task_id: str) -> Any:
    @task
    def value(ti: Any = None) -> Any:
        run_id = ti.xcom_pull(task_ids="call", key="trigger_run_id")
        return ti.xcom_pull(dag_id=dag_id, run_id=run_id, task_ids=task_id)

    return value()


with DAG("squares_one", params=NUMBER, **NATIVE) as child:

    @task(retries=1, retry_delay=0)
    def square(params: dict[str, Any]) -> int:
        while params["file"] and not Path(params["file"]).exists():
            time.sleep(0.01)
        return params["n"] ** 2

    child.add_result(square())

for level, below in (("calls_one", ("squares_one", "square")), ("calls_two", ("calls_one", "value"))):
    with DAG(level, params=NUMBER, **NATIVE) as dag:
        call(below[0]) >> (found := value_of(*below))
        dag.add_result(found)
    globals()[level] = dag

with DAG("asks_for_approval", schedule=None) as approval:

    @task
    def shipped() -> str:
        return "shipped"

    ApprovalOperator(task_id="approve", subject="Ship it?") >> (done := shipped())
    approval.add_result(done)

with DAG("waits_for_a_square", schedule=None):
    ExternalTaskSensor(task_id="wait", external_dag_id="squares_one", external_task_id="square", deferrable=True)

with DAG("writes_to_a_square", schedule=None, params={"run_id": "", "value": 0}) as writer:

    @task
    def write(params: dict[str, Any], ti: Any = None) -> Any:
        where = {"dag_id": "squares_one", "run_id": params["run_id"], "task_id": "square"}
        XCom.set(key="written", value=params["value"], **where)
        return ti.xcom_pull(dag_id=where["dag_id"], run_id=where["run_id"], task_ids="square", key="written")

    writer.add_result(write())
