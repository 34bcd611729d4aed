from __future__ import annotations

import pendulum
from airflow.sdk import Param, dag, result, task


@dag(
    start_date=pendulum.datetime(2024, 1, 1, tz="Europe/Vienna"),
    schedule=None,
    params={"count": Param(3, type="integer", minimum=1, maximum=50, description="How many numbers")},
)
def functions():
    """Squares, summed."""

    @task
    def numbers(params: dict) -> list[int]:
        return list(range(params["count"]))

    @task
    def square(number: int) -> int:
        return number * number

    @result
    @task(multiple_outputs=False)
    def total(squares) -> dict:
        return {"total": sum(squares), "terms": len(squares)}

    @task.bash
    def announce(value: dict) -> str:
        return f"echo total is {value['total']}"

    announce(total(square.expand(number=numbers())))


functions()


@dag(schedule=None)
def shell():
    @task.bash(env={"WHO": "{{ params.get('who', 'nobody') }}"})
    def hello() -> str:
        return 'echo "hello $WHO"'

    return hello()


shell()
