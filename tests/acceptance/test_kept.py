"""Variables, Connections, task states and XComs across a `kill -9`, as a user of the HTTP API and a DAG see them."""

import base64
import sqlite3
from contextlib import closing
from pathlib import Path
from textwrap import dedent

from .serving import Server, eventually

FERNET_KEY = base64.urlsafe_b64encode(b"not-random-at-all-32-bytes-long!").decode()
DAG = """
    import time
    from datetime import timedelta
    from pathlib import Path
    from airflow.sdk import BaseHook, Variable, dag, task
    from airflow.sdk.execution_time.xcom import XCom

    @dag(schedule=None, params={"go": ""})
    def keeps():
        @task
        def pushes(ti=None):
            ti.xcom_push(key="deleted", value=1)
            return BaseHook.get_connection("kept_db").password

        @task(retries=2, retry_delay=timedelta(0))
        def waits(password, ti=None, params=None, task_state_store=None):
            here = dict(task_id="pushes", dag_id=ti.dag_id, run_id=ti.run_id, map_index=-1)
            if ti.try_number == 1:
                task_state_store.set("job", 42)
                Variable.set("set by the task", "yes")
                XCom.delete(key="deleted", **here)
                XCom.set(key="added", value="by waits", **here)
                Path(params["go"]).touch()
                time.sleep(600)
            found = [ti.xcom_pull(task_ids="pushes", key=key, map_indexes=-1) for key in ("deleted", "added")]
            return [len(password), task_state_store.get("job"), Variable.get("set by the task"), *found]

        return waits(pushes())

    keeps()
"""


def test_what_is_kept_survives_a_kill(tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "keeps.py").write_text(dedent(DAG))
    environment = {"AIRFLOW__CORE__FERNET_KEY": FERNET_KEY}
    server = Server(tmp_path, dags, workers=2, environment=environment)
    try:
        server.wait_until_loaded()
        body = {"connection_id": "kept_db", "conn_type": "http", "password": "a-very-secret-word"}
        assert server.http.post("/api/v2/connections", json=body).json()["password"] == "***"
        made = server.http.post("/api/v2/variables", json={"key": "kept", "value": "over http"})
        assert made.json()["is_encrypted"] is True
        path = server.start("keeps", go=str(tmp_path / "go"))
        eventually((tmp_path / "go").exists, 30, "the first try")
        server.process.kill()
        server.process.wait(10)
    finally:
        server.end()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
        stored = b"".join(value for (value,) in journal.execute("SELECT value FROM items WHERE kind != 'task_state'"))
    assert stored
    assert b"a-very-secret-word" not in stored
    assert b"over http" not in stored
    again = Server(tmp_path, dags, workers=2, environment=environment)
    try:
        again.wait_until_loaded()
        answer = again.http.get(path, params={"wait": 30})
        assert answer.status_code == 200, (answer.text, again.task_states(path), again.messages.read_text())
        assert answer.json() == [len("a-very-secret-word"), 42, "yes", None, "by waits"]
        assert again.http.get("/api/v2/variables/kept").json()["value"] == "over http"
        assert "a-very-secret-word" not in again.messages.read_text()
        again.stop()
    finally:
        again.end()
