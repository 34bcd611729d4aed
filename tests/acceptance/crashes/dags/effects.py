"""DAGs whose tasks say in a file that they run: one line for each try, before anything else."""

import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, BaseOperator, get_current_context, task
from airflow.triggers.base import BaseTrigger, TriggerEvent

FILE = os.environ["EFFECTS"]
stock = Asset("stock")


def write(**line: Any) -> None:
    with open(FILE, "ab", buffering=0) as file:  # one write: lines of several processes do not mix
        file.write(json.dumps(line).encode() + b"\n")


def effect() -> Any:
    ti = get_current_context()["ti"]
    write(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index, try_number=ti.try_number)
    time.sleep(0.01)
    return ti


def told(context: Any) -> None:
    write(callback=context["dag_run"].run_id)


with DAG("once", schedule=None, on_success_callback=told, on_failure_callback=told) as once:

    @task(retries=0)
    def first() -> int:
        effect()
        return 1

    @task(retries=0)
    def second(before: int) -> int:
        effect()
        return before + 1

    once.add_result(second(first()))

with DAG("again", schedule=None) as again:

    @task(retries=3, retry_delay=0.05)
    def flaky(params: Any) -> int:
        ti = effect()
        ti.xcom_push("tried", ti.try_number)
        if ti.try_number == 1:
            raise RuntimeError("not yet")
        return 7

    again.add_result(flaky())

with DAG("wide", schedule=None) as wide:

    @task(retries=2, retry_delay=0.05)
    def make() -> list[int]:
        effect()
        return [1, 2, 3]

    @task(retries=2, retry_delay=0.05)
    def double(one: int) -> int:
        ti = effect()
        ti.xcom_pull(task_ids="make", key="nothing")  # a question
        return 2 * one

    @task(retries=2, retry_delay=0.05)
    def total(all_of_them: Any) -> int:
        effect()
        return sum(all_of_them)

    wide.add_result(total(double.expand(one=make())))


class Soon(BaseTrigger):
    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent("soon")


class Defers(BaseOperator):
    def execute(self, context: Any) -> None:
        effect()
        self.defer(trigger=Soon(), method_name="resume")

    def resume(self, context: Any, event: Any) -> str:
        return str(event)


with DAG("defers", schedule=None) as defers:
    defers.add_result(Defers(task_id="waits", retries=3, retry_delay=0.05).output)

with DAG("parent", schedule=None) as parent:
    starts = TriggerDagRunOperator(
        task_id="starts", trigger_dag_id="once", trigger_run_id="of_{{ run_id }}_{{ ti.try_number }}", retries=3,
        retry_delay=0.05,
    )  # fmt: skip

    @task(retries=3, retry_delay=0.05)
    def after() -> str:
        effect()
        return "done"

    starts >> (end := after())
    parent.add_result(end)

with DAG("produces", schedule=None) as produces:

    @task(retries=3, retry_delay=0.05, outlets=[stock])
    def fill() -> int:
        effect()
        return 3

    produces.add_result(fill())

with DAG("consumes", schedule=[stock]):

    @task(retries=3, retry_delay=0.05)
    def take() -> None:
        effect()

    take()

with DAG("long", schedule=None) as long:

    @task(retries=0)
    def sleep() -> str:
        effect()
        time.sleep(20)
        return "awake"

    long.add_result(sleep())
