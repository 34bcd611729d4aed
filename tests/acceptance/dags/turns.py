"""For a server with one worker: who goes first."""

import time
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, result, task


@dag(schedule=None)
def answer_between_side_branches() -> None:
    """The side branches come first in the file, and are ready at the same moment."""

    @task
    def root() -> int:
        return 1

    @task
    def aside(found: int, number: int) -> int:
        return number

    @task
    def between(found: int) -> int:
        return found + 1

    @result
    @task
    def answer(found: int) -> int:
        return found + 1

    found = root()
    for number in range(4):
        aside(found, number)
    answer(between(found))


@dag(schedule=None, params={"file": Param("", type="string")})
def holds_the_worker() -> None:
    @result
    @task
    def hold(params: dict[str, Any]) -> float:
        while params["file"] and not Path(params["file"]).exists():
            time.sleep(0.01)
        return time.time()

    hold()


answer_between_side_branches()
holds_the_worker()
