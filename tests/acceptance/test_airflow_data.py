"""A server beside an existing Airflow: its Variables, Connections, pools and paused DAGs; and what becomes of them when
its database, or the process that reads it, is away."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest

from dagcall.testing.ports import free_port

from .airflow_database import AirflowDatabase, migrated
from .conftest import ServerFactory
from .serving import Server, eventually

PASSWORD, VALUE, WRITTEN = "canary-of-a-connection", "canary-of-a-variable", "canary-that-a-task-set"
PROVIDER = Path(__file__).parent / "shelf"
LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
DAGS = """
    from datetime import timedelta
    from airflow.sdk import BaseHook, Param, Variable, dag, task

    WHILE_PARSED = Variable.get("parsed", default="nothing")

    @dag(schedule=None, params={"conn_id": "db", "key": "greeting", "default": Param(None, type=["null", "string"])})
    def reads():
        @task(retries=1, retry_delay=timedelta(seconds=0.2))
        def read(params=None):
            conn = BaseHook.get_connection(params["conn_id"])
            print("the password is", conn.password)
            default = {} if params["default"] is None else {"default": params["default"]}
            value = Variable.get(params["key"], **default)
            return [conn.host, conn.port, len(conn.password), conn.extra_dejson, len(value)]

        return read()

    @dag(schedule=None)
    def parsed():
        @task
        def read():
            return WHILE_PARSED

        return read()

    @dag(schedule=None)
    def sets():
        @task
        def write():
            Variable.set("set_by_task", "canary-that-a-task-set", description="of a task")
            Variable.set("gone", "x")
            Variable.delete("gone")
            return [len(Variable.get("set_by_task")), Variable.get("gone", default="none"), Variable.keys(prefix="set_")]

        return write()

    @dag(schedule=None)
    def pooled():
        @task(pool="narrow")
        def work():
            return "done"

        return work()

    @dag(schedule=None)
    def forbidden():
        @task
        def look():
            import os
            from airflow import settings
            from airflow.configuration import conf
            found = []
            for attempt in (
                lambda: settings.Session().connection(),
                lambda: settings.engine.connect(),
            ):
                try:
                    attempt()
                    found.append("it has the database")
                except Exception as error:
                    found.append(type(error).__name__)
            found.append(conf.get("database", "sql_alchemy_conn"))
            return [found, [value for value in os.environ.values() if "metadata.db" in value]]

        return look()

    for make in (reads, parsed, sets, pooled, forbidden):
        make()
"""
PLAIN = """
    from airflow.sdk import dag, task

    @dag(schedule=None, tags=["dagcall"])
    def plain():
        task(lambda: None, task_id="work")()

    plain()
"""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> AirflowDatabase:
    return migrated(tmp_path_factory.mktemp("metadata"))


@pytest.fixture
def database(template: AirflowDatabase, tmp_path: Path) -> AirflowDatabase:
    database = template.copy(tmp_path / "metadata.db")
    database.add_connection("db", PASSWORD, host="db.example", port=5432, extra='{"region": "north"}')
    database.set_variable("greeting", VALUE)
    database.set_pool("narrow", 3)
    return database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "dags.py").write_text(dedent(DAGS))
    return folder


def airflow_sides(server: Server) -> list[psutil.Process]:
    return [one for one in server.family() if " ".join(one.cmdline()).strip() == "dagcall: airflow"]


def assert_no_canary(server: Server, *answers: Any) -> None:
    texts = [server.messages.read_bytes(), *(str(answer).encode() for answer in answers)]
    texts += [path.read_bytes() for path in server.home.rglob("*") if path.is_file() and path.suffix != ".py"]
    for canary in (PASSWORD, VALUE, WRITTEN):
        assert not any(canary.encode() in text for text in texts), canary


def test_what_airflow_has_is_read_and_shown(database: AirflowDatabase, folder: Path, serve: ServerFactory) -> None:
    server = serve(dags=folder, environment=database.environment)
    assert "pools are those of Airflow's metadata database, sqlite:///" in server.messages.read_text()
    expected = ["db.example", 5432, len(PASSWORD), {"region": "north"}, len(VALUE)]
    assert server.value("reads") == expected
    assert server.value("parsed") == "nothing"

    database.set_variable("greeting", "short")
    database.set_variable("parsed", "something")
    eventually(lambda: server.value("reads")[-1] == len("short"), 30, "a changed Variable")
    eventually(lambda: server.value("parsed") == "something", 30, "a file that asked for a changed Variable")

    assert server.value("sets") == [len(WRITTEN), "none", ["set_by_task"]]
    ((stored, description),) = database.rows("SELECT val, description FROM variable WHERE key = 'set_by_task'")
    assert description == "of a task"
    assert WRITTEN not in stored

    variables = server.http.get("/api/v2/variables").json()
    assert [one["key"] for one in variables["variables"]] == ["greeting", "parsed", "set_by_task"]
    shown = server.http.get("/api/v2/connections/db").json()
    assert (shown["host"], shown["password"], shown["extra"]) == ("db.example", "***", '{"region": "north"}')
    refused = server.http.post("/api/v2/variables", json={"key": "new", "value": "x"})
    assert refused.status_code == 501
    assert "airflow variables set" in refused.text
    assert server.http.delete("/api/v2/connections/db").status_code == 501
    assert server.http.patch("/api/v2/pools/narrow", json={"slots": 9}).status_code == 501

    assert server.http.get("/api/v2/pools/narrow").json()["slots"] == 3
    database.set_pool("narrow", 1)
    eventually(lambda: server.http.get("/api/v2/pools/narrow").json()["slots"] == 1, 30, "a changed pool")
    assert server.value("pooled") == "done"

    assert server.value("forbidden")[0][-1] == "airflow-db-not-allowed:///"
    assert "it has the database" not in server.value("forbidden")[0]
    assert server.value("forbidden")[1] == []
    runs = server.http.get("/api/v2/dags/~/dagRuns").text
    assert_no_canary(server, runs, shown, server.http.get("/api/v2/connections").text)


def test_what_cannot_be_read_is_neither_unknown_nor_a_default(
    database: AirflowDatabase, folder: Path, serve: ServerFactory
) -> None:
    server = serve(dags=folder, environment=database.environment)
    unknown = server.call("reads", conn_id="nowhere")
    assert "`nowhere` isn't defined" in unknown.json()["error"]["message"]
    assert server.call("reads", key="nowhere").status_code == 500
    assert server.value("reads", key="nowhere", default="12")[-1] == 2

    for table in ("connection", "variable"):
        database.run(f"ALTER TABLE {table} RENAME TO {table}_aside")
    away = server.call("reads", conn_id="other")
    problem = away.json()
    assert (away.status_code, problem["error"]["type"], problem["try_number"]) == (500, "SecretUnavailable", 2)
    assert "Connection 'other' could not be read: Airflow's metadata database" in problem["error"]["message"]
    database.run("ALTER TABLE connection_aside RENAME TO connection")
    eventually(lambda: server.http.get("/api/v2/connections").status_code == 200, 30, "the table's return")
    defaulted = server.call("reads", key="unread", default="a default")
    assert defaulted.json()["error"]["type"] == "SecretUnavailable"
    assert "Variable 'unread'" in defaulted.json()["error"]["message"]
    assert server.http.get("/api/v2/variables").status_code == 503
    assert server.value("pooled") == "done"
    database.run("ALTER TABLE variable_aside RENAME TO variable")
    eventually(lambda: server.call("reads").status_code == 200, 30, "the other table's return")
    assert_no_canary(server, away.text, defaulted.text)


def test_a_database_that_cannot_be_reached(folder: Path, tmp_path: Path, serve: ServerFactory) -> None:
    address = f"postgresql+psycopg2://airflow:{PASSWORD}@127.0.0.1:{free_port()}/airflow"
    environment = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address, "AIRFLOW__DAGCALL__AIRFLOW_REFRESH": "0.5"}
    environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(folder)
    (folder / "dags.py").write_text(dedent(PLAIN))
    server = serve(dags=None, environment=environment)
    refused = server.call("plain")
    assert refused.status_code == 503
    assert "not known yet whether DAG 'plain' is paused" in refused.json()["detail"]
    unread = server.http.get("/api/v2/connections")
    assert unread.status_code == 503
    assert "postgresql+psycopg2://127.0.0.1" in unread.text
    assert_no_canary(server, refused.text, unread.text)


def test_airflows_bundles_with_paused_dags_and_a_killed_airflow_side(
    database: AirflowDatabase, folder: Path, serve: ServerFactory
) -> None:
    database.set_paused("parsed", True)
    environment = database.environment | {"AIRFLOW__CORE__DAGS_FOLDER": str(folder)}
    server = serve(dags=None, environment=environment)
    refused = server.call("parsed")
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/dag-paused")
    assert server.http.get("/api/v2/dags/parsed").json()["is_paused"] is True
    listed = server.http.get("/api/v2/dags", params={"paused": True}).json()
    assert [one["dag_id"] for one in listed["dags"]] == ["parsed"]
    assert server.http.get("/api/v2/dags", params={"paused": False}).json()["total_entries"] == 4
    assert server.http.post("/api/v2/dags/parsed/dagRuns", json={"logical_date": None}).status_code == 409
    assert server.http.patch("/api/v2/dags/parsed", json={"is_paused": False}).status_code == 501
    database.set_paused("parsed", False)
    eventually(lambda: server.call("parsed").status_code == 200, 30, "an unpaused DAG")
    database.set_paused("parsed", True)
    eventually(lambda: server.call("parsed").status_code == 409, 30, "a paused DAG")

    waiting = []
    for number in range(4):
        database.add_connection(f"c{number}", PASSWORD, host=f"h{number}")
        waiting.append(server.start("reads", conn_id=f"c{number}"))
        if number == 1:
            for process in airflow_sides(server):
                process.kill()
    for number, path in enumerate(waiting):
        eventually(lambda path=path: server.http.get(path, params={"wait": 30}).status_code != 202, 240, "an outcome")
        answer = server.http.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.json()[0] == f"h{number}"
    assert_no_canary(server)


SHELF = """
    from airflow.sdk import dag, get_current_context, task

    @dag(schedule=None)
    def shelved():
        @task
        def answer():
            bundle = get_current_context()["ti"].bundle_instance
            return ["{answer}", bundle.name, bundle.version]

        return answer()

    shelved()
"""


def test_a_bundle_that_is_fetched_and_refreshed(
    database: AirflowDatabase, folder: Path, tmp_path: Path, serve: ServerFactory
) -> None:
    shelf, aside = tmp_path / "shelf", tmp_path / "aside"
    shelf.mkdir()
    database.add_connection("shelf", PASSWORD, extra=json.dumps({"folder": str(shelf)}))

    def put(version: str) -> None:
        (shelf / "shelved.py").write_text(dedent(SHELF).format(answer=f"of {version}"))
        (shelf / "VERSION").write_text(version)

    put("v1")
    configured = [
        {
            "name": "shelf",
            "classpath": "shelf_provider.bundle.ShelfDagBundle",
            "kwargs": {"conn_id": "shelf", "refresh_interval": 1},
        },
        {"name": "here", "classpath": LOCAL, "kwargs": {"path": str(folder)}},
        {
            "name": "absent",
            "classpath": "shelf_provider.bundle.ShelfDagBundle",
            "kwargs": {"conn_id": "nowhere", "refresh_interval": 600},
        },
    ]
    environment = database.environment | {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(configured),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(tmp_path / "bundles"),
    }
    server = serve(dags=None, environment=environment, python_path=[PROVIDER])
    assert server.value("shelved") == ["of v1", "shelf", "v1"]
    shown = server.http.get("/api/v2/dags/shelved").json()
    assert (shown["bundle_name"], shown["bundle_version"], shown["relative_fileloc"]) == ("shelf", "v1", "shelved.py")
    assert server.http.get("/api/v2/dags/pooled").json()["bundle_name"] == "here"
    assert "bundle 'absent' could not be fetched: AirflowNotFoundException" in server.messages.read_text()

    put("v2")
    eventually(lambda: server.value("shelved") == ["of v2", "shelf", "v2"], 60, "the next version")
    shelf.rename(aside)
    complaint = "bundle 'shelf' could not be refreshed: RuntimeError: cannot read shelf://***@"
    eventually(lambda: complaint in server.messages.read_text(), 60, "a refresh that fails")
    assert server.value("shelved") == ["of v2", "shelf", "v2"]
    aside.rename(shelf)
    put("v3")
    eventually(lambda: server.value("shelved") == ["of v3", "shelf", "v3"], 60, "the version after that")
    assert_no_canary(server)


def test_a_secrets_backend_is_asked_on_airflows_side_only(folder: Path, tmp_path: Path, serve: ServerFactory) -> None:
    asked = tmp_path / "asked.txt"
    environment = {
        "AIRFLOW__SECRETS__BACKEND": "shelf_provider.secrets.ShelfSecrets",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"token": PASSWORD, "log": str(asked)}),
        "AIRFLOW_CONN_HERE": "http://here.example:2",
        "AIRFLOW_VAR_BROKEN_BUT_HERE": "1234",
    }
    server = serve(dags=folder, environment=environment, python_path=[PROVIDER])
    assert server.value("reads", conn_id="vault", key="vaulted") == [
        "vault.example",
        1,
        len(PASSWORD),
        {},
        len(PASSWORD),
    ]
    assert server.value("reads", conn_id="vault", key="vaulted")[0] == "vault.example"
    unknown = server.call("reads", conn_id="nowhere")
    assert "`nowhere` isn't defined" in unknown.json()["error"]["message"]
    assert server.http.post("/api/v2/variables", json={"key": "own", "value": "12345"}).status_code == 201
    assert server.value("reads", conn_id="vault", key="own")[-1] == 5
    assert server.value("reads", conn_id="vault", key="broken_but_here")[-1] == 4
    failed = server.call("reads", conn_id="vault", key="broken", default="not this").json()["error"]
    assert failed["type"] == "SecretUnavailable"
    assert "Variable 'broken' could not be read: ShelfSecrets did not answer (RuntimeError)" in failed["message"]
    lines = asked.read_text().splitlines()
    assert {line.partition(": c")[0].partition(": v")[0] for line in lines} == {"dagcall: airflow"}
    assert lines.count("dagcall: airflow: connection vault") <= 3
    assert_no_canary(server, unknown.text, str(failed))
