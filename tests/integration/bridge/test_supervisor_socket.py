"""Processes of virtualenv and external-python operators ask as the task itself would."""

import json

import pytest
from airflow.sdk._shared.secrets_masker import _secrets_masker

from dagcall.airflow_bridge.supervisor_socket import masked
from dagcall.coordinator.connections import Connection

from ..serving import Serving


def test_another_python_with_airflow_asks_for_everything(served: Serving) -> None:
    """This environment's own Python stands for the other one."""
    served.do(served.coordinator.kept.variables.put("for_venv", "from the store", None))
    served.do(served.coordinator.kept.connections.put(Connection("venv_db", "http", host="h", password="venv-s3cret")))
    served.write(
        "external.py",
        """
import sys
from airflow.sdk import dag, task

@dag(schedule=None)
def external():
    @task
    def before():
        return {"n": [1, None]}

    @task.external_python(python=sys.executable)
    def ask(value, of_dag, of_run):
        import logging
        from airflow.sdk import BaseHook, Variable
        from airflow.sdk.execution_time.xcom import XCom
        found = BaseHook.get_connection("venv_db")
        logging.getLogger("mine").warning("the password is %s", found.password)
        print("printed")
        try:
            Variable.get("no_such_variable")
        except Exception as error:
            missing = type(error).__name__
        Variable.set("set_in_venv", "a value")
        where = dict(dag_id=of_dag, run_id=of_run)
        XCom.set(key="k", value=[1], task_id="before", **where)
        return {
            "value": value,
            "variables": [Variable.get("for_venv"), Variable.get("greeting"), Variable.get("set_in_venv")],
            "connection": [found.host, found.password],
            "xcom": [XCom.get_one(key=key, task_id="before", **where) for key in ("return_value", "k", "none")],
            "missing": missing,
        }

    return ask(before(), "{{ dag.dag_id }}", "{{ run_id }}")
external()
""",
    )
    served.wait_for_dag("external")
    runs = [served.start("external") for _ in range(2)]
    for run in runs:
        assert served.value_of(run) == {
            "value": {"n": [1, None]},
            "variables": ["from the store", "hello", "a value"],
            "connection": ["h", "venv-s3cret"],
            "xcom": [{"n": [1, None]}, [1], None],
            "missing": "AirflowRuntimeError",
        }
        log = served.log(run, "ask")
        assert "the password is ***" in log
        assert "venv-s3cret" not in log
        assert "printed" in log


@pytest.fixture
def secret() -> str:
    _secrets_masker().add_mask("h1dden-word", None)
    return "h1dden-word"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"level": "info", "event": "a h1dden-word"}, {"level": "info", "event": "a ***"}),
        ({"level": "error", "event": "e", "exception": [1]}, {"level": "error", "event": "e", "error_detail": [1]}),
        ("no JSON h1dden-word\n", {"level": "info", "event": "no JSON ***"}),
        ("[1]", {"level": "info", "event": "[1]"}),
    ],
)
def test_log_lines(secret: str, line: object, expected: object) -> None:
    text = line if isinstance(line, str) else json.dumps(line)
    assert json.loads(masked(text.encode())) == expected
