"""Writes down which task instances it is told of."""

import os

from airflow.listeners import hookimpl


def note(what, task_instance):
    with open(os.path.join(os.environ["HOUSE"], "told"), "a") as file:
        file.write(f"{what} {task_instance.task_id}\n")


@hookimpl
def on_task_instance_running(previous_state, task_instance):
    note("running", task_instance)


@hookimpl
def on_task_instance_success(previous_state, task_instance):
    note("success", task_instance)


@hookimpl
def on_task_instance_failed(previous_state, task_instance, error):
    note(f"failed with {error}", task_instance)
