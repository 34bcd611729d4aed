"""DAGs whose servers have something to tell."""

import os
import time

from airflow.sdk import Asset, dag, task


@dag(schedule=None, params={"n": 0})
def squares():
    @task
    def total(params):
        return {"n": params["n"]}

    return total()


@dag(schedule=None)
def slow_to_answer():
    @task
    def sleeps():
        time.sleep(0.6)

    @task
    def tells():
        return 1

    return sleeps() >> tells()


@dag(schedule=None)
def waits_for_open():
    @task
    def waits():
        while not os.path.exists(os.environ["AIRFLOW_HOME"] + "/open"):
            time.sleep(0.01)

    waits()


@dag(schedule=None)
def echo_of_listeners():
    @task(outlets=[Asset("spoken")])
    def says(outlet_events):
        outlet_events[Asset("spoken")].extra = {"n": 7}
        return 1

    return says()


@dag(schedule=None)
def fails_for_listeners():
    @task
    def says():
        raise ValueError("no")

    return says()


for one in (squares, slow_to_answer, waits_for_open, echo_of_listeners, fails_for_listeners):
    one()
