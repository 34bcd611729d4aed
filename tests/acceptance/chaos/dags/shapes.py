"""DAGs of several shapes, each with a number of retries, whose result is the param `n` that went through all of them.

Their tasks say in a file that they run: one line for each try, before anything else.
"""

import json
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param, get_current_context, setup, task, teardown
from airflow.triggers.base import BaseTrigger, TriggerEvent

FILE = os.environ["EFFECTS"]
LONGEST = 0.08
"""Seconds that a task takes: long enough that a kill finds some of them running."""


def effect(*, goes_on: bool = False) -> Any:
    ti = get_current_context()["ti"]
    line = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    line |= {"try_number": ti.try_number, "goes_on": goes_on}
    with open(FILE, "ab", buffering=0) as file:  # one write: lines of several processes do not mix
        file.write(json.dumps(line).encode() + b"\n")
    time.sleep(random.uniform(0, LONGEST))
    return ti


class Soon(BaseTrigger):
    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent("soon")


class Defers(BaseOperator):
    def execute(self, context: Any) -> None:
        effect()
        self.defer(trigger=Soon(), method_name="resume")

    def resume(self, context: Any, event: Any) -> int:
        effect(goes_on=True)
        n: int = context["params"]["n"]
        return n


def shapes(prefix: str, retries: int) -> Sequence[DAG]:
    def dag(name: str) -> DAG:
        arguments = {"retries": retries, "retry_delay": timedelta(seconds=0.05)}
        return DAG(f"{prefix}_{name}", schedule=None, default_args=arguments, params={"n": Param(0, type="integer")})

    with dag("chain") as chain:

        @task
        def first(params: Any) -> int:
            ti = effect()
            if ti.max_tries and ti.try_number == 1 and params["n"] % 4 == 0:
                raise RuntimeError("not yet")
            return params["n"]

        @task
        def second(n: int) -> int:
            effect()
            return n

        chain.add_result(second(first()))

    with dag("wide") as wide:

        @task
        def make(params: Any) -> list[int]:
            effect()
            return [params["n"] - 1, params["n"], params["n"] + 1]

        @task
        def through(n: int) -> int:
            effect()
            return n

        @task
        def mean(all_of_them: Any) -> int:
            effect()
            return sum(all_of_them) // 3

        wide.add_result(mean(through.expand(n=make())))

    with dag("cleaned") as cleaned:

        @setup
        def prepare(params: Any) -> int:
            effect()
            return params["n"]

        @task
        def work(n: int) -> int:
            effect()
            return n

        @teardown
        def clean() -> None:
            effect()

        prepared = prepare()
        worked = work(prepared)
        worked >> clean().as_teardown(setups=prepared)
        cleaned.add_result(worked)

    with dag("deferred") as deferred:
        deferred.add_result(Defers(task_id="waits").output)

    with dag("failing") as failing:

        @task
        def fail(params: Any) -> None:
            effect()
            raise ValueError(f"{params['n']} is not wanted")

        failing.add_result(fail())

    return chain, wide, cleaned, deferred, failing
