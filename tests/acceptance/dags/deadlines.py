"""What a deadline of the call ends, and what it does not."""

import time
from typing import Any

from airflow.sdk import Param, dag, result, task

import dagcall


@dag(schedule=None)
def never_ends() -> None:
    @result
    @task
    def t() -> None:
        while True:
            time.sleep(0.01)

    t()


def note_failure(context: Any) -> None:
    with open(context["params"]["file"], "a") as file:
        file.write(f"{context['ti'].task_id} failed")


def note_retry(context: Any) -> None:
    with open(context["params"]["file"], "a") as file:
        file.write("tried again; ")


@dag(schedule=None, params={"file": Param("", type="string")})
def would_be_tried_again() -> None:
    @result
    @task(retries=3, retry_delay=600, on_failure_callback=note_failure, on_retry_callback=note_retry)
    def t() -> None:
        raise LookupError("not there yet")

    t()


@dag(schedule=None, params={"file": Param("", type="string")})
def tells_the_time_left() -> None:
    @task
    def start() -> None:
        pass

    @result
    @task
    def t() -> float | None:
        return dagcall.time_left()

    @task
    def finish(params: dict[str, Any]) -> None:
        with open(params["file"], "w") as file:
            file.write(str(dagcall.time_left()))

    opened = start()
    opened >> t() >> finish().as_teardown(setups=opened)


never_ends()
would_be_tried_again()
tells_the_time_left()
