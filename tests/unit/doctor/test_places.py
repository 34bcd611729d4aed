"""Where in a DAG file a task, a DAG or an argument stands."""

import pytest

from dagcall.doctor.places import Places

SOURCE = """
from airflow.sdk import DAG, dag, task
from somewhere import BashOperator

ARGUMENTS = {
    "run_as_user": "root",
}
with DAG("shell", default_args=ARGUMENTS,
         max_active_runs=0):
    BashOperator(
        task_id="t",
        executor_config={},
    )
    BashOperator(task_id="u")

@dag(
    schedule=None, deadline=1,
)
def decorated():
    @task.virtualenv(
        executor="X",
    )
    async def inner(): ...
    inner()
DAG(dag_id="third")
"""


@pytest.mark.parametrize(
    ("dag_id", "task_id", "argument", "line"),
    [
        ("shell", None, "", 8),
        ("shell", None, "max_active_runs", 9),
        ("shell", "t", "executor_config", 12),
        ("shell", "group.t", "", 10),
        ("shell", "u", "run_as_user", 6),
        ("shell", "made_in_a_loop", "", 8),
        ("decorated", None, "deadline", 17),
        ("decorated", "inner", "executor", 21),
        ("decorated", "inner", "", 23),
        ("third", None, "description", 25),
        ("made_in_a_loop", None, "", 1),
    ],
)
def test_places(dag_id: str, task_id: str | None, argument: str, line: int) -> None:
    assert Places(SOURCE).line(dag_id, task_id, argument) == line


@pytest.mark.parametrize("source", ["", "def (", "a\0b"])
def test_what_is_no_python_has_no_places(source: str) -> None:
    assert Places(source).line("any", "task", "pool") == 1
