"""A DAG whose task waits for 100 ms: how many calls a second are answered is set by the number of workers."""

import time

from airflow.sdk import dag, result, task


@dag(schedule=None)
def sleep_100ms():
    @result
    @task
    def wait() -> str:
        time.sleep(0.1)
        return "waited"

    wait()


sleep_100ms()
