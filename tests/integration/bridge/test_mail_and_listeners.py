"""E-mail and listeners: from the task's own process, and for tasks whose process is gone."""

import json
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string
from email.message import Message

import pytest

from ..serving import Serving, eventually

DAGS = """
import os

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag, result, task

@dag(schedule=None, params={"how": "fine"})
def mails():
    @result
    @task(
        email="ann@example.com",
        email_on_failure=True,
        email_on_retry=True,
        retries=1,
        retry_delay=0,
    )
    def maybe(params, ti):
        if params["how"] == "dies":
            os.kill(os.getpid(), 9)
        if params["how"] == "fails":
            raise ValueError("the <reason>")
        return 1

    maybe()

mails()

@dag(schedule=None, on_success_callback=lambda context: os._exit(3))
def leaves():
    @result
    @task
    def one():
        return 1

    one()

leaves()

@dag(schedule=None, on_success_callback=lambda context: __import__("time").sleep(60))
def slow():
    @result
    @task
    def one():
        return 1

    one()

slow()

@dag(schedule=None)
def empty():
    EmptyOperator(task_id="nothing")

empty()
"""

PLUGIN = """
import json
import os
import sys

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

def heard(hook, **what):
    with open(os.path.join(os.environ["AIRFLOW_HOME"], "heard"), "a") as file:
        file.write(json.dumps({"hook": hook, "pid": os.getpid(), **what}) + "\\n")

class Listener:
    @hookimpl
    def on_dag_run_running(self, dag_run, msg):
        heard("running", dag_id=dag_run.dag_id, run_id=dag_run.run_id, state=dag_run.state, msg=msg)

    @hookimpl
    def on_dag_run_success(self, dag_run, msg):
        heard("success", dag_id=dag_run.dag_id, run_id=dag_run.run_id, state=dag_run.state, msg=msg)

    @hookimpl
    def on_dag_run_failed(self, dag_run, msg):
        heard("failed", dag_id=dag_run.dag_id, run_id=dag_run.run_id, state=dag_run.state, msg=msg)
        raise RuntimeError("a listener broke")

    @hookimpl
    def on_task_instance_failed(self, previous_state, task_instance, error):
        heard("task failed", run_id=task_instance.run_id, task_id=task_instance.task_id, msg=str(error))

class Plugin(AirflowPlugin):
    name = "listening"
    listeners = [Listener()]
"""


class Mailbox(socketserver.ThreadingTCPServer):
    """As much of an SMTP server as a client needs to leave its mail."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.mails: list[Message] = []


class _Smtp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.say("220 here")
        while line := self.rfile.readline().decode():
            command = line.split()[0].upper()
            if command == "DATA":
                self.say("354 go on")
                lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                mail = message_from_string("".join(lines))
                assert isinstance(self.server, Mailbox)
                self.server.mails.append(mail)
            self.say("221 bye" if command == "QUIT" else "250 fine")

    def say(self, answer: str) -> None:
        self.wfile.write(f"{answer}\r\n".encode())


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        threading.Thread(target=mailbox.serve_forever, daemon=True).start()
        yield mailbox
        mailbox.shutdown()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, mailbox: Mailbox) -> Iterator[Serving]:
    base = tmp_path_factory.mktemp("mails")
    plugins = base / "plugins"
    plugins.mkdir()
    (plugins / "listening.py").write_text(PLUGIN)
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.com"}
    smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": mailbox.server_address[1], "extra": extra}
    with Serving(
        base / "dags",
        AIRFLOW_CONN_SMTP_DEFAULT=json.dumps(smtp),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(plugins),
        AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT="1",
    ) as serving:
        serving.write("mails.py", DAGS)
        serving.wait_for_dag("mails", "leaves", "slow")
        yield serving


def subjects(mailbox: Mailbox, run_id: str) -> list[tuple[str, str]]:
    found = [(str(mail["Subject"]), str(mail["To"])) for mail in mailbox.mails if run_id in str(mail["Subject"])]
    return sorted(found)


@pytest.mark.parametrize("how", ["fails", "dies"])
def test_a_failed_try_sends_mail_whether_its_process_lives_or_not(serving: Serving, mailbox: Mailbox, how: str) -> None:
    run = serving.start("mails", {"how": how}, run_id=f"run-that-{how}")
    assert serving.outcome(run).failure is not None
    eventually(lambda: len(subjects(mailbox, run.key.run_id)) == 2, "a mail for each try")
    for subject, to in subjects(mailbox, run.key.run_id):
        assert subject.startswith("Airflow alert: ")
        assert "task_id='maybe' dag_id='mails'" in subject
        assert to == "ann@example.com"


def heard(serving: Serving, run_id: str) -> list[tuple[str, ...]]:
    path = serving.home / "heard"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(line["hook"], line.get("state", ""), line["msg"]) for line in lines if line["run_id"] == run_id]


def test_listeners_hear_of_runs_in_order_and_outside_the_server(serving: Serving) -> None:
    expected = [("running", "running", "started"), ("success", "success", "success")]
    for dag_id in ("mails", "empty"):
        run = serving.start(dag_id, run_id=f"heard-of-{dag_id}")
        serving.value_of(run)
        eventually(lambda key=run.key: heard(serving, key.run_id) == expected, f"both of {dag_id}")


def test_a_listener_that_fails_is_recorded_and_hears_of_lost_tasks(serving: Serving) -> None:
    run = serving.start("mails", {"how": "dies"})
    assert serving.outcome(run).failure is not None
    eventually(lambda: any(hook == "failed" for hook, *_ in heard(serving, run.key.run_id)), "the run's failure")
    hooks = [hook for hook, *_ in heard(serving, run.key.run_id)]
    assert hooks == ["running", "task failed", "task failed", "failed"]
    eventually(lambda: callbacks(run)[-1:] == [("failed", "RuntimeError")], "a record", lambda: callbacks(run))


def callbacks(run: object) -> list[tuple[str, str]]:
    records = [record.data for record in run.records if record.kind == "callback"]  # type: ignore[attr-defined]
    return [(data["state"], data.get("error", {}).get("type", "")) for data in records]


def test_a_callback_that_ends_its_process_or_takes_too_long_is_recorded(serving: Serving) -> None:
    runs = [serving.start(dag_id) for dag_id in ("leaves", "slow", "leaves")]
    assert [serving.value_of(run) for run in runs] == [1, 1, 1]
    for run in runs:
        eventually(lambda run=run: callbacks(run)[-1:] == [("failed", "WorkerLost")], "it is lost")
    assert serving.call("mails") == 1
    serving.do(serving.coordinator._notices.wait())
