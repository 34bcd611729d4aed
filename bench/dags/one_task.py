"""A call that does nothing: what is left is the cost of calling."""

from airflow.sdk import dag, result, task


@dag(schedule=None)
def one_task():
    @result
    @task
    def answer() -> int:
        return 42

    answer()


one_task()
