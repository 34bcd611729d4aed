"""One task, 200 mapped ones over its list, one that adds up."""

from airflow.sdk import dag, result, task


@dag(schedule=None)
def fanout_200():
    @task
    def numbers() -> list[int]:
        return list(range(200))

    @task
    def double(number: int) -> int:
        return 2 * number

    @result
    @task
    def total(doubled: list[int]) -> int:
        return sum(doubled)

    total(double.expand(number=numbers()))


fanout_200()
