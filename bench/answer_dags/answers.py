"""Runs that are answered long before they end: by a value, or by a failure that is certain.

Each has a side branch, a teardown and callbacks of five seconds. The task that decides the answer stamps it with the
time, as the last thing it does. With `gate`, a named pipe, it does so when somebody opens that.
"""

import time
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, result, task
from airflow.sdk.exceptions import AirflowFailException

LONG = 5.0
PARAMS = {"gate": Param("", type="string")}


def wait_for(gate: str) -> None:
    if gate:
        Path(gate).read_bytes()


def called_back(context: Any) -> None:
    time.sleep(LONG)


CALLBACKS: dict[str, Any] = {"on_success_callback": called_back, "on_failure_callback": called_back}


@task
def prepare() -> None:
    pass


@task
def clean_up() -> None:
    time.sleep(LONG)


@task
def aside() -> None:
    time.sleep(LONG)


@dag(schedule=None, params=PARAMS, **CALLBACKS)
def value() -> None:
    @result
    @task(**CALLBACKS)
    def answer(params: dict[str, Any]) -> float:
        wait_for(params["gate"])
        return time.time()

    with clean_up().as_teardown(setups=prepare()):
        aside()
        answer()


@dag(schedule=None, params=PARAMS, **CALLBACKS)
def chain() -> None:
    """What readers are told last before the answer is told a moment before it: the answer overtakes them."""

    @task
    def opened(params: dict[str, Any]) -> float:
        wait_for(params["gate"])
        return time.time()

    @result
    @task(**CALLBACKS)
    def answer(found: float) -> float:
        return time.time()

    with clean_up().as_teardown(setups=prepare()):
        aside()
        answer(opened())


@dag(schedule=None, params=PARAMS, **CALLBACKS)
def failure() -> None:
    """The task that fails is two above the result task."""

    @task(**CALLBACKS)
    def fails(params: dict[str, Any]) -> float:
        wait_for(params["gate"])
        raise AirflowFailException(str(time.time()))

    @task
    def between(found: float) -> float:
        return found

    @result
    @task
    def answer(found: float) -> float:
        return found

    with clean_up().as_teardown(setups=prepare()):
        aside()
        answer(between(fails()))


value()
chain()
failure()
