"""`fanout_200`, ten times as wide. Stock Airflow maps no list this long unless `[core] max_map_length` is raised."""

from airflow.sdk import dag, result, task


@dag(schedule=None)
def fanout_2000():
    @task
    def numbers() -> list[int]:
        return list(range(2000))

    @task
    def double(number: int) -> int:
        return 2 * number

    @result
    @task
    def total(doubled: list[int]) -> int:
        return sum(doubled)

    total(double.expand(number=numbers()))


fanout_2000()
