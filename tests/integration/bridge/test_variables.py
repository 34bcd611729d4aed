"""Variables, Connections and the task state store, used by real task code and by DAG files while they are parsed."""

from pathlib import Path

import pytest

from dagcall.coordinator.connections import Connection
from dagcall.model.ids import TaskKey

from ..serving import Serving, eventually

HEAD = """
from datetime import timedelta
from airflow.sdk import BaseHook, Connection, DAG, Variable, dag, task
"""


def test_variables(served: Serving) -> None:
    served.write(
        "variables.py",
        HEAD
        + """
@dag(schedule=None)
def variables():
    @task
    def write():
        Variable.set("v_text", "plain", description="of a test")
        Variable.set("v_json", {"rows": [1, None]}, serialize_json=True)
        Variable.set("v_gone", "soon gone")
        Variable.set("v_gone", "replaced")
        before = Variable.get("v_gone")
        Variable.delete("v_gone")
        Variable.delete("v_gone")
        return before
    @task
    def read(before, ti=None, var=None):
        return {
            "before": before,
            "text": Variable.get("v_text"),
            "json": Variable.get("v_json", deserialize_json=True),
            "accessor": [var["value"].v_text, var["json"].v_json, var["value"].get("v_gone", "default")],
            "template": ti.task.render_template("{{ var.value.v_text }}", {"var": var}),
            "gone": Variable.get("v_gone", default=None),
            "keys": Variable.keys(prefix="v_"),
            "like": Variable.keys(prefix="v%"),
            # The environment goes before what is kept here, as in Airflow.
            "environment": [Variable.get("greeting"), Variable.set("greeting", "kept"), Variable.get("greeting")],
        }
    return read(write())
variables()
""",
    )
    served.wait_for_dag("variables")
    assert served.call("variables") == {
        "before": "replaced",
        "text": "plain",
        "json": {"rows": [1, None]},
        "accessor": ["plain", {"rows": [1, None]}, "default"],
        "template": "plain",
        "gone": None,
        "keys": ["v_json", "v_text"],
        "like": [],
        "environment": ["hello", None, "hello"],
    }
    kept = served.do(served.coordinator.kept.variables.get("v_text"))
    assert kept is not None
    assert (kept.value, kept.description) == ("plain", "of a test")


def test_connections(served: Serving) -> None:
    extra = '{"sslmode": "require", "api_key": "extra-secret"}'
    connection = Connection("kept", "postgres", None, "db.example", "me", "sales", 5432, "s3cr3t-word", extra)
    served.do(served.coordinator.kept.connections.put(connection))
    served.write(
        "connections.py",
        HEAD
        + """
@dag(schedule=None)
def connections():
    @task
    def read(ti=None, conn=None):
        found = BaseHook.get_connection("kept")
        print("the password is", found.password)
        print("the key is", found.extra_dejson["api_key"])
        try:
            BaseHook.get_connection("nobody")
        except Exception as error:
            missing = str(error)
        return {
            "hook": [found.conn_type, found.host, found.login, found.schema, found.port, found.password],
            "extra": found.extra_dejson["sslmode"],
            "accessor": conn.kept.host,
            "environment": BaseHook.get_connection("from_env").host,
            "missing": missing,
        }
    return read()
connections()
""",
    )
    served.wait_for_dag("connections")
    run = served.start("connections")
    assert served.value_of(run) == {
        "hook": ["postgres", "db.example", "me", "sales", 5432, "s3cr3t-word"],
        "extra": "require",
        "accessor": "db.example",
        "environment": "host.example",
        "missing": "The conn_id `nobody` isn't defined",
    }
    log = served.log(run, "read")
    assert "the password is ***" in log
    assert "the key is ***" in log


def test_a_dag_file_sees_them_while_it_is_parsed_and_is_parsed_again_when_they_change(served: Serving) -> None:
    variables = served.coordinator.kept.variables
    served.do(variables.put("parse_width", "2", None))
    served.write(
        "parse_time.py",
        HEAD
        + """
width = int(Variable.get("parse_width"))
try:
    host = BaseHook.get_connection("parse_host").host
except Exception:
    host = None
names = Variable.keys(prefix="parse_")

@dag(schedule=None)
def parse_time():
    @task
    def each(n):
        return n
    @task
    def look(values):
        return [list(values), host, names]
    return look(each.expand(n=list(range(width))))
parse_time()
""",
    )
    served.wait_for_dag("parse_time")
    first = served.version("parse_time")
    assert served.call("parse_time") == [[0, 1], None, ["parse_width"]]
    served.do(variables.put("parse_width", "2", None))  # nothing has changed
    served.do(served.coordinator.kept.connections.put(Connection("parse_host", "http", host="h.example")))
    eventually(lambda: served.version("parse_time") != first, "it was parsed again")
    assert served.call("parse_time") == [[0, 1], "h.example", ["parse_width"]]
    second = served.version("parse_time")
    served.do(variables.put("parse_width", "3", None))
    eventually(lambda: served.version("parse_time") != second, "it was parsed again")
    assert served.call("parse_time") == [[0, 1, 2], "h.example", ["parse_width"]]


def test_a_dag_file_that_changes_what_it_reads_is_not_parsed_for_ever(served: Serving) -> None:
    served.write(
        "parse_writes.py",
        HEAD
        + """
count = int(Variable.get("parse_count", default="0")) + 1
Variable.set("parse_count", str(count))

@dag(schedule=None)
def parse_writes():
    @task
    def look():
        return Variable.get("parse_count")
    return look()
parse_writes()
""",
    )
    served.wait_for_dag("parse_writes")
    first = served.call("parse_writes")
    assert served.call("parse_writes") == first


def test_what_a_task_keeps_for_its_next_try(served: Serving) -> None:
    served.write(
        "keeps.py",
        HEAD
        + """
@dag(schedule=None)
def keeps():
    @task(retries=2, retry_delay=timedelta(0))
    def each(n, ti=None, task_state_store=None):
        store = task_state_store
        if ti.try_number == 1:
            assert store.get("job") is None and store.get("job", "none") == "none"
            store.set("job", {"id": n, "at": [1, None, "x/y"]}, retention=timedelta(hours=1))
            store.set("gone", True)
            store.delete("gone")
            store.delete("gone")
            raise ValueError("once more")
        if ti.try_number == 2:
            first = store.get("job")
            store.set("job", [first, store.get("gone")])
            raise ValueError("once more")
        last = store.get("job")
        store.clear()
        return [last, store.get("job")]
    return each.expand(n=[0, 1])
keeps()
""",
    )
    served.wait_for_dag("keeps")
    assert served.call("keeps") == [[[{"id": n, "at": [1, None, "x/y"]}, None], None] for n in (0, 1)]


def test_another_tasks_store_is_refused(served: Serving) -> None:
    served.write(
        "not_own.py",
        HEAD
        + """
from uuid import UUID
@dag(schedule=None)
def not_own():
    @task
    def ask():
        from airflow.sdk.execution_time import comms, task_runner
        task_runner.SUPERVISOR_COMMS.send(comms.GetTaskStateStore(ti_id=UUID(int=7), key="k"))
    return ask()
not_own()
""",
    )
    served.wait_for_dag("not_own")
    assert "own task state store" in served.failure("not_own").message


@pytest.mark.parametrize("clears", [False, True])
def test_what_a_task_keeps_may_end_with_its_success(tmp_path: Path, clears: bool) -> None:
    with Serving(tmp_path / "dags", AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS=str(clears)) as serving:
        serving.write(
            "clears.py",
            HEAD
            + """
@dag(schedule=None)
def clears():
    @task
    def keep(task_state_store=None):
        task_state_store.set("k", 1)
        return 1
    return keep()
clears()
""",
        )
        serving.wait_for_dag("clears")
        run = serving.start("clears")
        assert serving.value_of(run) == 1
        kept = serving.do(serving.coordinator.kept.task_states.get(run.key, TaskKey("keep"), "k"))
        assert kept == (None if clears else b"\x01")
