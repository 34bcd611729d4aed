"""DAGs that are called."""

import time
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, result, task

import dagcall

TEXT: Any = Param("", type="string")


@dag(schedule=None, params={"left": Param(0, type="integer"), "right": ""})
def pair() -> None:
    @task
    def left(params: dict[str, Any]) -> Any:
        return params["left"]

    @result
    @task
    def both(one: Any, params: dict[str, Any]) -> list[Any]:
        time.sleep(params["left"] / 1000)
        return [one, params["right"]]

    both(left())


@dag(schedule=None)
def large() -> None:
    @result
    @task
    def text() -> str:
        return "x" * (2 << 20)

    text()


@dag(schedule=None)
def breaks() -> None:
    @result
    @task
    def divide() -> float:
        return 1 / 0

    divide()


@dag(schedule=None, params={"file": TEXT, "good_from": 1})
def counts() -> None:
    """Its value is how many runs of it with this file there were; the first ones may fail."""

    @result
    @task
    def count(params: dict[str, Any]) -> int:
        with Path(params["file"]).open("a+") as file:
            file.write("run\n")
            file.seek(0)
            number = len(file.readlines())
        if number < params["good_from"]:
            raise ValueError(f"run {number} is no good")
        return number

    count()


@dag(schedule=None)
def says_no() -> None:
    @result
    @task
    def no() -> None:
        raise dagcall.Reject(status=409, detail="no room at the inn")

    no()


@dag(schedule=None)
def never_ends() -> None:
    @result
    @task
    def wait() -> None:
        while True:
            time.sleep(0.05)

    wait()


for each in (pair, large, breaks, counts, says_no, never_ends):
    each()
