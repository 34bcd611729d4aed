"""A DAG of Airflow's that calls one at dagcall, long enough for Airflow to defer its task."""

import time

from airflow.sdk import DAG, result, task

from dagcall.provider import CallDagOperator

with DAG("pondering", tags=["dagcall"]) as pondering:

    @result
    @task
    def ponder() -> int:
        time.sleep(2)
        return 42

    ponder()

with DAG("asking") as asking:
    CallDagOperator(task_id="ask", call_dag_id="pondering", deferrable=True, defer_after=0, retries=1)
