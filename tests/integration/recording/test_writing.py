"""The process that writes runs into Airflow's metadata database: a real one, on SQLite. PostgreSQL is in tests/acceptance."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dagcall.compose import airflow_environment
from dagcall.model.finished_run import FinishedRun, FinishedTask, FinishedTry, FinishedXCom, HandedEvent
from dagcall.model.references import STORED_XCOM
from dagcall.workers.airflow_side import AirflowProcess

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PATIENT = 110.0
DAGS = """
from airflow.sdk import DAG, Asset, task
with DAG("one"):
    @task
    def answer():
        pass
    answer()
with DAG("waits", schedule=[Asset("harvest")]):
    answer()
"""
pack = msgspec.msgpack.encode
NOW = time.time()


class Recorder:
    """The process, and the database that it writes into."""

    def __init__(self, home: Path, process: AirflowProcess) -> None:
        self.home = home
        self.process = process

    async def write(self, *runs: FinishedRun) -> list[str]:
        answer = await self.ask("write", runs=[pack(run) for run in runs])
        self.reasons = answer["reasons"]
        receipts: list[str] = answer["receipts"]
        return receipts

    async def ask(self, what: str, **args: Any) -> Any:
        return await self.process.ask(f"recording.{what}", args, object, limit=PATIENT)  # type: ignore[type-abstract]

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.home / "airflow.db", timeout=30) as database:
            return database.execute(sql, values).fetchall()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of an Airflow that knows the DAGs above."""
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    (home / "dags" / "dags.py").write_text(DAGS)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "remote_logging.LOGGING_CONFIG",
        "PYTHONPATH": f"{HERE}:{inherited.get('PYTHONPATH', '')}",
        "REMOTE_LOGS": str(home / "remote"),
    }
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return environment


@pytest.fixture(scope="module")
async def recorder(environment: dict[str, str]) -> AsyncIterator[Recorder]:
    process = AirflowProcess("recorder", airflow_environment(environment))
    process.use("recording")
    yield Recorder(Path(environment["AIRFLOW_HOME"]), process)
    await process.stop()


def run(run_id: str, dag_id: str = "one", task_id: str = "answer", **fields: Any) -> FinishedRun:
    tries = (FinishedTry(str(uuid.uuid4()), 1, "failed", NOW - 3, NOW - 2),)
    task = FinishedTask(
        *(str(uuid.uuid4()), task_id, -1, "success", 2, 1, "Python", task_id, "default_pool", 1, "default", 1),
        queued_at=NOW - 4,
        start_date=NOW - 2,
        end_date=NOW - 1,
        hostname="here",
        pid=7,
        rendered_fields=b'{"op_args": "()"}',
        tries=tries,
    )
    known: dict[str, Any] = {"tasks": (task,), "xcoms": (xcom("a value", task_id),)}
    known |= {"start_date": NOW - 3, "end_date": NOW - 1, "caller": "olga", "conf": b'{"x": 1}', "note": "noted"}
    known |= {"state": "success", "queued_at": NOW - 4, "run_after": NOW - 4}
    return FinishedRun(dag_id, run_id, run_type="manual", triggered_by="rest_api", **known | fields)


def xcom(value: object, task_id: str = "answer", **more: Any) -> FinishedXCom:
    return FinishedXCom(task_id, -1, "return_value", value if isinstance(value, bytes) else pack(value), **more)


async def test_a_run_is_written_once_and_never_changed(recorder: Recorder) -> None:
    assert await recorder.write(run("once"), run("once")) == ["recorded", "known"]
    assert await recorder.write(run("once", state="failed"), run("another")) == ["known", "recorded"]
    assert recorder.rows("SELECT state, triggering_user_name FROM dag_run WHERE run_id = 'once'") == [
        ("success", "olga")
    ]
    assert recorder.rows("SELECT content FROM dag_run_note")[0] == ("noted",)
    of_once = "WHERE run_id = 'once'"
    assert recorder.rows(f"SELECT state, try_number, dag_version_id IS NULL FROM task_instance {of_once}") == [
        ("success", 2, 0)
    ]
    assert recorder.rows(f"SELECT state, try_number FROM task_instance_history {of_once}") == [("failed", 1)]
    assert recorder.rows(f"SELECT value FROM xcom {of_once}") == [('"a value"',)]


async def test_what_airflow_does_not_know_is_not_made(recorder: Recorder) -> None:
    before = recorder.rows("SELECT dag_id FROM dag")
    unknown, other_task = run("u", dag_id="unknown"), run("o", task_id="of_another_version")
    assert await recorder.write(unknown, other_task) == ["unknown_dag", "old_version"]
    forced = run("f", task_id="of_another_version", any_version=True)
    assert await recorder.write(unknown, forced) == ["unknown_dag", "recorded"]
    assert recorder.rows("SELECT dag_id FROM dag") == before
    assert recorder.rows("SELECT 1 FROM dag_run WHERE dag_id = 'unknown'") == []


async def test_a_logical_date_that_is_taken_is_airflows(recorder: Recorder) -> None:
    assert await recorder.write(run("first", logical_date=NOW)) == ["recorded"]
    assert await recorder.write(run("second", logical_date=NOW)) == ["date_taken"]
    assert recorder.rows("SELECT 1 FROM dag_run WHERE run_id = 'second'") == []


async def test_one_that_cannot_be_written_does_not_keep_the_others(recorder: Recorder) -> None:
    gone = msgspec.msgpack.encode(msgspec.msgpack.Ext(STORED_XCOM, b"file:///nowhere/gone.xcom"))
    assert await recorder.write(run("before"), run("gone", xcoms=(xcom(gone),)), run("after")) == [
        "recorded", "refused", "recorded",
    ]  # fmt: skip
    assert "cannot be read from its store" in recorder.reasons[1]
    assert recorder.rows("SELECT 1 FROM dag_run WHERE run_id = 'gone'") == []


async def test_large_values_come_from_their_store(recorder: Recorder) -> None:
    stored = recorder.home / "large.xcom"
    stored.write_bytes(pack(["large"] * 3))
    extension = msgspec.msgpack.Ext(STORED_XCOM, f"file://{stored}".encode())
    large = run("large", xcoms=(xcom(pack(extension), mapped_length=3),))
    assert await recorder.write(large) == ["recorded"]
    assert recorder.rows("SELECT value FROM xcom WHERE run_id = 'large'") == [(json.dumps(["large"] * 3),)]
    assert recorder.rows("SELECT length, keys FROM task_map WHERE run_id = 'large'")[0][0] == 3


async def test_asset_events_are_registered_once_with_or_without_their_run(recorder: Recorder) -> None:
    event = HandedEvent("harvest", "harvest", "asset", b"{}", b'{"bales": 1}', "answer", -1)
    made = HandedEvent("new", "s3://new", "asset", b"{}", b"{}", "answer", -1, aliases=("through",))
    for _ in range(2):
        await recorder.write(run("seen", events=(event, made)), run("unseen", rows=False, events=(event,)))
    found = recorder.rows(
        "SELECT source_run_id, asset.name, asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_id "
        "ORDER BY asset_event.id"
    )
    assert found == [("seen", "harvest", '{"bales": 1}'), ("seen", "new", "{}"), ("unseen", "harvest", '{"bales": 1}')]
    assert recorder.rows("SELECT target_dag_id FROM asset_dag_run_queue") == [("waits",)]
    assert recorder.rows("SELECT 1 FROM dag_run WHERE run_id = 'unseen'") == []


async def test_who_starts_a_dag_is_asked_of_airflow(recorder: Recorder) -> None:
    assert await recorder.ask("known", dag_ids=["waits", "unknown"]) == ["waits"]


async def test_logs_are_uploaded_before_and_local_copies_go_after_the_last(recorder: Recorder) -> None:
    folder = "dag_id=one/run_id=logged/task_id=answer"
    local = recorder.home / "logs" / folder
    local.mkdir(parents=True)
    for number in (1, 2):
        (local / f"attempt={number}.log").write_text(f"said in {number}")
    assert await recorder.write(run("logged")) == ["recorded"]
    uploaded = recorder.home / "remote" / folder
    assert [(uploaded / f"attempt={number}.log").read_text() for number in (1, 2)] == ["said in 1", "said in 2"]
    assert not local.exists()


async def test_what_was_recorded_is_forgotten_and_nothing_else(recorder: Recorder) -> None:
    old = NOW - 1000
    await recorder.write(run("old", run_after=old), run("cleared", run_after=old), run("new"))
    with sqlite3.connect(recorder.home / "airflow.db", timeout=30) as database:
        database.execute("UPDATE dag_run SET clear_number = 1 WHERE run_id = 'cleared'")
        columns = "dag_id, run_type, run_after, state, clear_number, span_status"
        database.execute(
            f"INSERT INTO dag_run (run_id, {columns}) SELECT 'of airflow', {columns} FROM dag_run WHERE run_id = 'old'"
        )
    assert await recorder.ask("forget", before=NOW - 500) == 1
    left = {run_id for (run_id,) in recorder.rows("SELECT run_id FROM dag_run")}
    assert left >= {"cleared", "new", "of airflow"}
    assert "old" not in left
    for table in ("task_instance", "task_instance_history", "xcom", "rendered_task_instance_fields"):
        assert recorder.rows(f"SELECT 1 FROM {table} WHERE run_id = 'old'") == []
        assert recorder.rows(f"SELECT 1 FROM {table} WHERE run_id = 'new'") != []
