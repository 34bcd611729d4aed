"""What a restart finds in the middle of its work. Each task notes every try it begins in the params' `file`; those that
wait do so until a file named after it, with `.go`, exists."""

import os
import time
from typing import Any

from airflow.sdk import Param, dag, result, task

PARAMS = {"file": Param("", type="string")}


def note(params: dict[str, Any], ti: Any) -> str:
    with open(params["file"], "a") as file:
        file.write(f"{ti.task_id} {ti.try_number}\n")
    return str(params["file"]) + ".go"


@task
def before(params: dict[str, Any], ti: Any = None) -> int:
    note(params, ti)
    return 20


def wait(params: dict[str, Any], ti: Any, value: int) -> int:
    go = note(params, ti)
    while not os.path.exists(go):
        time.sleep(0.01)
    return value + ti.try_number


@result
@task
def after(params: dict[str, Any], value: int, ti: Any = None) -> int:
    note(params, ti)
    return value * 2


@dag(schedule=None, params=PARAMS)
def interrupted_with_a_retry() -> None:
    interrupted = task(task_id="interrupted", retries=1, retry_delay=0)(wait)
    after(value=interrupted(value=before()))


@dag(schedule=None, params=PARAMS)
def interrupted_without() -> None:
    interrupted = task(task_id="interrupted")(wait)
    after(value=interrupted(value=before()))


@dag(schedule=None, params=PARAMS, tags=["dagcall:on_restart=fail"])
def fails_on_restart() -> None:
    @task
    def clean(params: dict[str, Any], ti: Any = None) -> None:
        note(params, ti)

    interrupted = task(task_id="interrupted", retries=5, retry_delay=0)(wait)
    first = before()
    after(value=interrupted(value=first)) >> clean().as_teardown(setups=first.as_setup())


@dag(schedule=None, params=PARAMS, tags=["dagcall:durability=none"])
def kept_in_memory() -> None:
    result(task(task_id="interrupted")(wait))(value=1)


interrupted_with_a_retry()
interrupted_without()
fails_on_restart()
kept_in_memory()
