"""Tags that dagcall does not know, or cannot read."""

from airflow.sdk import dag, task


@dag(schedule=None, tags=["dagcall:cache=soon", "dagcall:faster", "mine"])
def asks_for_too_much() -> None:
    @task
    def t() -> None:
        pass

    t()


asks_for_too_much()
