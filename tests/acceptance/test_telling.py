"""What a server tells of itself on standard error, and to listeners: of slow calls, of its state, of what happens."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from .conftest import ServerFactory
from .serving import Server, eventually

DAGS = Path(__file__).parent / "observed"

LISTENER = """
import json, os, time
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

SLOW = 5.0

def tell(*what):
    with open(os.path.join(os.environ["AIRFLOW_HOME"], "heard.txt"), "a") as file:
        file.write(json.dumps([str(one) for one in what]) + "\\n")

class Listener:
    @hookimpl
    def on_starting(self, component):
        tell("on_starting", type(component).__name__)

    @hookimpl
    def before_stopping(self, component):
        tell("before_stopping", type(component).__name__)

    @hookimpl
    def on_task_instance_running(self, previous_state, task_instance):
        tell("on_task_instance_running", task_instance.task_id)

    @hookimpl
    def on_task_instance_success(self, previous_state, task_instance):
        if task_instance.dag_id == "squares":
            time.sleep(SLOW)
        tell("on_task_instance_success", task_instance.task_id)

    @hookimpl
    def on_task_instance_failed(self, previous_state, task_instance, error):
        tell("on_task_instance_failed", task_instance.task_id)

    @hookimpl
    def on_dag_run_running(self, dag_run, msg):
        tell("on_dag_run_running", dag_run.dag_id)

    @hookimpl
    def on_dag_run_success(self, dag_run, msg):
        tell("on_dag_run_success", dag_run.dag_id)

    @hookimpl
    def on_asset_changed(self, asset):
        tell("on_asset_changed", asset.name, asset.uri)

    @hookimpl
    def on_asset_event_emitted(self, asset_event):
        tell("on_asset_event_emitted", asset_event.asset.name, asset_event.source_task_id, asset_event.extra["n"])

    @hookimpl
    def on_dag_run_failed(self, dag_run, msg):
        tell("on_dag_run_failed", dag_run.dag_id)

class Plugin(AirflowPlugin):
    name = "listening"
    listeners = [Listener()]
"""


def lines(server: Server) -> list[dict[str, Any]]:
    """The JSON lines among the messages: those of other processes may be text, and the last may not be whole yet."""
    whole = server.messages.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line.startswith('{"timestamp')]


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"AIRFLOW__DAGCALL__SLOW_CALL": "0.4", "AIRFLOW__DAGCALL__LOG_FORMAT": "json"}
    server = Server(tmp_path_factory.mktemp("telling"), DAGS, workers=4, environment=environment)
    try:
        server.wait_until_loaded()
        yield server
        server.stop()
    finally:
        server.end()


def test_a_slow_call_is_told_with_where_its_time_went(telling: Server) -> None:
    server = telling
    assert {one["event"] for one in lines(server) if one["logger"] == "dagcall.server"}, "from the first message on"
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    server.value("squares", n=1)
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    answer = server.http.post("/call/slow_to_answer", json={"secret": "xyzzy"}, headers=headers)
    run_id = answer.headers["Dagcall-Run-Id"]

    def told() -> list[dict[str, Any]]:
        found = [one for one in lines(server) if one["logger"] == "dagcall.slow_calls"]
        return [one for one in found if one["dag_id"] == "slow_to_answer"]

    [slow] = eventually(told, 20, "the line")
    assert (slow["run_id"], slow["trace_id"], slow["outcome"]) == (run_id, trace_id, "success")
    assert slow["level"] == "warning"
    assert slow["seconds"] > 0.4
    assert slow["parts"]["task"] > 0.4
    assert slow["longest"][0]["task_id"] == "sleeps"
    assert "xyzzy" not in server.messages.read_text()


def test_sigusr1_tells_the_state_of_a_busy_server(telling: Server) -> None:
    server = telling
    waiting = server.start("waits_for_open", secret="xyzzy")
    eventually(lambda: server.task_states(waiting).get("waits") == "running", 30, "the task")

    def states() -> list[str]:
        return [one["event"] for one in lines(server) if one["event"].startswith("the state of this server:")]

    with ThreadPoolExecutor(8) as callers:
        calls = [callers.submit(server.value, "squares", n=number) for number in range(80)]
        server.process.send_signal(signal.SIGUSR1)
        first = eventually(states, 20, "the state")
        for call in calls:
            call.result()
    server.process.send_signal(signal.SIGUSR1)
    eventually(lambda: len(states()) > len(first), 20, "the state again")
    (server.home / "open").touch()
    state, text = states()[-1], server.messages.read_text()
    assert f"run waits_for_open/{unquote(waiting.rpartition('/')[2])}: running for" in state
    for part in ("waits try 1 runs for", "journal: well", "takes calls", "tasks wait", "dagcall-http", "event loop:"):
        assert part in state
    assert "Current thread" in text, "where every thread stands"
    assert "xyzzy" not in text
    assert server.value("squares", n=1)["n"] == 1


def test_listeners_hear_of_everything_and_nobody_waits_for_them(serve: ServerFactory, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "listening.py").write_text(LISTENER)
    server = serve(dags=DAGS, environment={"AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins)})

    def heard() -> list[list[str]]:
        path = server.home / "heard.txt"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    server.value("echo_of_listeners")
    wanted = [
        ["on_dag_run_running", "echo_of_listeners"],
        ["on_starting", "TaskRunnerMarker"],
        ["on_task_instance_running", "says"],
        ["on_task_instance_success", "says"],
        ["before_stopping", "TaskRunnerMarker"],
        ["on_dag_run_success", "echo_of_listeners"],
        ["on_asset_changed", "spoken", "spoken"],
        ["on_asset_event_emitted", "spoken", "says", "7"],
    ]
    eventually(lambda: sorted(heard()) == sorted(wanted), 30, "what is to be heard")
    assert server.call("fails_for_listeners").status_code == 500
    eventually(lambda: ["on_task_instance_failed", "says"] in heard(), 30, "of the task")
    eventually(lambda: ["on_dag_run_failed", "fails_for_listeners"] in heard(), 30, "of the run")

    answer = server.http.post("/call/squares", json={"n": 3})
    assert answer.status_code == 200
    assert ["on_task_instance_success", "total"] not in heard(), "the answer did not wait for the listener"
    eventually(lambda: ["on_task_instance_success", "total"] in heard(), 40, "of it all the same")
