"""A DAG whose tasks note every try they begin, for servers that come and go."""

import time
from typing import Any

from airflow.sdk import Param, dag, result, task


def step(params: dict[str, Any], value: int, ti: Any = None) -> int:
    with open(params["file"], "a") as file:
        file.write(f"{ti.run_id} {ti.task_id} {ti.try_number}\n")
    time.sleep(params["seconds"])
    return value + 1


@dag(schedule=None, params={"file": Param("", type="string"), "seconds": 0.05})
def steady() -> None:
    first = task(task_id="first", retries=9, retry_delay=0)(step)(value=0)
    second = task(task_id="second", retries=9, retry_delay=0)(step)(value=1)
    third = result(task(task_id="third", retries=9, retry_delay=0)(step))(value=2)
    first >> second >> third


steady()
