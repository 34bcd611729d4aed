"""A DAG whose author wants a fresh process for each task."""

import os

from airflow.sdk import dag, result, task


@dag(schedule=None, tags=["dagcall:isolation=task"])
def isolated() -> None:
    @task
    def before() -> int:
        return os.getpid()

    @result
    @task
    def t(other: int) -> list[int]:
        return [other, os.getpid()]

    t(before())


isolated()
