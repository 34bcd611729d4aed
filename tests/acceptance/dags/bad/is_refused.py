"""A DAG that needs what dagcall does not do."""

from airflow.sdk import dag, task


@dag(schedule=None)
def is_refused() -> None:
    @task(run_as_user="somebody")
    def t() -> None:
        pass

    t()


is_refused()
