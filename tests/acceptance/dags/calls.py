"""DAGs that behave: what many callers call at once, and what is answered before the run has ended."""

import os
import time
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, dag, result, task

import dagcall

SLOW = 5.0
"""Seconds that nobody who waits for an answer should wait."""


@dag(schedule=None, params={"n": Param(0, type="integer")})
def squares() -> None:
    @task
    def numbers(params: dict[str, Any]) -> list[int]:
        return [params["n"], params["n"] + 1]

    @task
    def square(x: int) -> int:
        return x * x

    @result
    @task
    def total(values: list[int], params: dict[str, Any], dag_run: Any = None) -> dict[str, Any]:
        return {"n": params["n"], "sum": sum(values), "logical_date": dag_run.logical_date, "run_id": dag_run.run_id}

    total(square.expand(x=numbers()))


@dag(schedule=None, params={"status": 404, "detail": "no guest 'G-7'"})
def rejects() -> None:
    @task(retries=3, retry_delay=0.01)
    def look_up(params: dict[str, Any]) -> str:
        raise dagcall.Reject(status=params["status"], detail=params["detail"])

    @result
    @task
    def greet(guest: str) -> str:
        return f"Hello, {guest}"

    greet(look_up())


@dag(schedule=None, params={"file": Param("", type="string")})
def waits_together() -> None:
    """Runs until a file exists, without asking for it so often that hundreds would keep a CPU busy."""

    @result
    @task
    def t(params: dict[str, Any]) -> int:
        while not os.path.exists(params["file"]):
            time.sleep(0.2)
        return os.getpid()

    t()


@dag(schedule=None)
def value_before_cleanup() -> None:
    @task
    def start() -> str:
        return "resource"

    @result
    @task
    def value(name: str) -> str:
        return f"value of {name}"

    @task
    def side(name: str) -> None:
        time.sleep(SLOW)

    @task
    def finish() -> None:
        time.sleep(SLOW)

    resource = start()
    answer = value(resource)
    side(resource)
    answer >> finish().as_teardown(setups=resource)


@dag(schedule=None)
def failure_before_cleanup() -> None:
    @task
    def start() -> str:
        return "resource"

    @task
    def breaks(name: str) -> str:
        raise LookupError(f"no {name} today")

    @result
    @task
    def value(name: str) -> str:
        return name

    @task
    def sibling(name: str) -> None:
        time.sleep(SLOW)

    @task
    def finish() -> None:
        time.sleep(SLOW)

    resource = start()
    broken = breaks(resource)
    answer = value(broken)
    sibling(resource)
    answer >> finish().as_teardown(setups=resource)


@dag(schedule=None, params={"seconds": Param(0.05, type="number")})
def three_steps() -> None:
    """What is called while processes are killed: may be retried, takes a while."""

    @task(retries=1, retry_delay=0.01)
    def first(params: dict[str, Any]) -> float:
        time.sleep(params["seconds"])
        return float(params["seconds"])

    @task(retries=1, retry_delay=0.01)
    def second(value: float) -> float:
        time.sleep(value)
        return value

    @result
    @task(retries=1, retry_delay=0.01)
    def third(values: list[float]) -> int:
        return len(list(values))

    third(second.expand(value=[first(), first()]))  # type: ignore[arg-type]


@dag(schedule=None, params={"file": Param("", type="string")})
def waits() -> None:
    """Runs until a file exists, or is ended."""

    @result
    @task
    def t(params: dict[str, Any]) -> str:
        while not os.path.exists(params["file"]):
            time.sleep(0.01)
        return "done"

    t()


@dag(schedule=None)
def nothing() -> None:
    """No result task: its own state is the answer."""

    @task
    def t() -> None:
        pass

    t()


with DAG("shell", schedule=None, params={"word": "shell"}):
    shell = BashOperator(task_id="t", bash_command="echo {{ params.word }}")
shell.dag.add_result(shell.output)

squares()
rejects()
waits_together()
value_before_cleanup()
failure_before_cleanup()
three_steps()
waits()
nothing()
