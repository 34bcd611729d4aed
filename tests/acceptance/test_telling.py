"""What a server tells of itself on standard error, and to listeners: of slow calls, of its state, of what happens."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

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
    def on_dag_run_failed(self, dag_run, msg):
        tell("on_dag_run_failed", dag_run.dag_id)

class Plugin(AirflowPlugin):
    name = "listening"
    listeners = [Listener()]
"""


def lines(server: Server) -> list[dict[str, Any]]:
    """The JSON lines among the messages: those of other processes may be text."""
    return [json.loads(line) for line in server.messages.read_text().splitlines() if line.startswith('{"timestamp')]


def test_a_slow_call_is_told_with_where_its_time_went(serve: ServerFactory) -> None:
    server = serve(
        dags=DAGS, environment={"AIRFLOW__DAGCALL__SLOW_CALL": "0.4", "AIRFLOW__DAGCALL__LOG_FORMAT": "json"}
    )
    assert {one["event"] for one in lines(server) if one["logger"] == "dagcall.server"}, "from the first message on"
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    server.value("squares", n=1)
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    answer = server.http.post("/call/slow_to_answer", json={"secret": "xyzzy"}, headers=headers)
    run_id = answer.headers["Dagcall-Run-Id"]

    def told() -> list[dict[str, Any]]:
        return [one for one in lines(server) if one["logger"] == "dagcall.slow_calls"]

    [slow] = [one for one in eventually(told, 20, "the line") if one["dag_id"] == "slow_to_answer"]
    assert (slow["run_id"], slow["trace_id"], slow["outcome"], slow["level"]) == (
        run_id,
        trace_id,
        "success",
        "warning",
    )
    assert slow["seconds"] > 0.4
    assert slow["parts"]["task"] > 0.4
    assert slow["longest"][0]["task_id"] == "sleeps"
    assert "xyzzy" not in server.messages.read_text()


def test_sigusr1_tells_the_state_of_a_busy_server(serve: ServerFactory) -> None:
    server = serve(dags=DAGS, workers=4)
    waiting = server.start("waits_for_open", secret="xyzzy")
    eventually(lambda: server.task_states(waiting).get("waits") == "running", 30, "the task")
    with ThreadPoolExecutor(8) as callers:
        calls = [callers.submit(server.value, "squares", n=number) for number in range(80)]
        for _ in range(3):
            server.process.send_signal(signal.SIGUSR1)
        for call in calls:
            call.result()
        server.process.send_signal(signal.SIGUSR1)
        eventually(lambda: server.messages.read_text().count("the state of this server:") >= 2, 20, "the state")
    (server.home / "open").touch()
    eventually(lambda: "event loop:" in server.messages.read_text().rpartition("the state of this server:")[2], 20)
    text = server.messages.read_text()
    state = text.rpartition("the state of this server:")[2]
    run_id = unquote(waiting.rpartition("/")[2])
    assert f"run waits_for_open/{run_id}: running for" in state
    assert "waits try 1 runs for" in state
    assert "journal: well" in state
    assert "takes calls" in state
    assert "tasks wait" in state
    assert "dagcall-http" in state
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
    ]
    eventually(lambda: sorted(heard()) == sorted(wanted), 30, "what is to be heard")
    assert server.call("fails_for_listeners").status_code == 500
    eventually(lambda: ["on_task_instance_failed", "says"] in heard(), 30, "of the task")
    eventually(lambda: ["on_dag_run_failed", "fails_for_listeners"] in heard(), 30, "of the run")

    answer = server.http.post("/call/squares", json={"n": 3})
    assert answer.status_code == 200
    assert ["on_task_instance_success", "total"] not in heard(), "the answer did not wait for the listener"
    eventually(lambda: ["on_task_instance_success", "total"] in heard(), 40, "of it all the same")
