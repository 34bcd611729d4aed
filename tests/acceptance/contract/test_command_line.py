"""The commands, each in a real process. The docstrings are the promises."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..serving import SOURCE, Server, eventually

COMMAND = [sys.executable, "-m", "dagcall.cli"]


def environment(url: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DAGCALL")}
    return inherited | {"PYTHONPATH": str(SOURCE), "DAGCALL_URL": url}


class Ran:
    """One command that has ended."""

    def __init__(self, url: str, *arguments: str, stdin: str = "") -> None:
        ended = subprocess.run(
            [*COMMAND, *arguments], env=environment(url), input=stdin, capture_output=True, text=True, timeout=60
        )
        self.code, self.out, self.err = ended.returncode, ended.stdout, ended.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def test_call(shared: Server) -> None:
    """`-p key=value`: the value is JSON if it parses, else a string; stdout is data, stderr is messages, progress only
    on a terminal; 0: ok."""
    ran = Ran(shared.url, "call", "echo", "-p", "question=What is 1 + 1?", "-p", "top_k=2")
    assert (ran.code, ran.json, ran.err) == (0, {"question": "What is 1 + 1?", "top_k": 2}, "")


def test_conf_from_stdin_and_a_table(shared: Server) -> None:
    """`--conf -`; `-o table`."""
    ran = Ran(shared.url, "call", "echo", "--conf", "-", "-p", "top_k=4", "-o", "table", stdin='{"question": "why"}')
    rows = [line.split() for line in ran.out.splitlines()]
    assert (ran.code, rows) == (0, [["NAME", "VALUE"], ["question", "why"], ["top_k", "4"]])


def test_a_failed_run(shared: Server) -> None:
    """1: what failed is told on stderr."""
    ran = Ran(shared.url, "call", "chain_of_causes")
    assert (ran.code, ran.out) == (1, "")
    for words in ("each[1]", "ZeroDivisionError: division by zero", "last upstream_failed", "dagcall runs logs"):
        assert words in ran.err


@pytest.mark.parametrize(
    "arguments, code",
    [
        pytest.param(["call", "echo", "-p", "nothing"], 2, id="no value"),
        pytest.param(["call", "echo", "--conf", "[1]"], 2, id="no object"),
        pytest.param(["call", "echo", "-p", "top_k=many"], 2, id="bad params"),
        pytest.param(["call"], 2, id="no DAG"),
        pytest.param(["call", "no_such_dag"], 3, id="unknown DAG"),
        pytest.param(["runs", "show", "echo", "no_such_run"], 3, id="unknown run"),
        pytest.param(["call", "does_not_import"], 5, id="broken file"),
    ],
)
def test_usage_and_not_found(shared: Server, arguments: list[str], code: int) -> None:
    """2 usage, 3 not found, 5 unavailable: a message, and nothing on stdout."""
    ran = Ran(shared.url, *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert "Traceback" not in ran.err
    assert ran.err.strip()


def test_not_allowed(shared: Server) -> None:
    """4: here by a name that is not one of this server's."""
    ran = Ran(f"http://127.1:{shared.port}", "call", "echo")
    assert (ran.code, "Host" in ran.err) == (4, True)


def test_unavailable() -> None:
    """5: nobody listens there."""
    ran = Ran("http://127.0.0.1:9", "call", "echo")
    assert (ran.code, "127.0.0.1:9" in ran.err) == (5, True)


def test_not_finished_within_the_wait(shared: Server) -> None:
    """124, and how to go on; `runs cancel` then ends it."""
    ran = Ran(shared.url, "call", "ends_with_its_file", "-p", "file=/nowhere/at/all", "--wait", "0.2")
    assert (ran.code, ran.out) == (124, "")
    attach = next(line for line in ran.err.splitlines() if "dagcall runs attach" in line)
    run_id = attach.split()[-1]
    cancelled = Ran(shared.url, "runs", "cancel", "ends_with_its_file", run_id, "-o", "json")
    assert (cancelled.code, cancelled.json["cancelled"]) == (0, True)
    attached = Ran(shared.url, "runs", "attach", "ends_with_its_file", run_id)
    assert (attached.code, "cancelled" in attached.err) == (1, True)


@pytest.mark.parametrize("how, outcome", [([], "running"), (["--on-disconnect", "cancel"], "cancelled")])
def test_interrupted(shared: Server, how: list[str], outcome: str) -> None:
    """130; the run goes on, or is cancelled where that was asked for."""
    run_id = f"interrupted-{outcome}"
    arguments = ["call", "ends_with_its_file", "-p", "file=/nowhere/at/all", "--run-id", run_id, *how]
    running = subprocess.Popen(
        [*COMMAND, *arguments], env=environment(shared.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    path = f"/call/ends_with_its_file/{run_id}"
    eventually(lambda: shared.http.get(path).status_code == 202, what="the run")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (130, "")
    assert ("goes on" if outcome == "running" else "is cancelled") in err
    eventually(lambda: shared.http.get(path).headers["Dagcall-Outcome"] == outcome)
    shared.http.delete(path)


def test_stream(shared: Server) -> None:
    """`--stream`: the events, one JSON a line, as they happen."""
    ran = Ran(shared.url, "call", "speaks", "--stream")
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert (ran.code, ran.err) == (0, "")
    assert [one["id"] for one in events] == list(range(1, len(events) + 1))
    assert [one["event"] for one in events if one["event"] not in ("task", "chunk")] == [
        *("accepted", "rollback", "result", "end")
    ]


def test_detach(shared: Server, tmp_path: Path) -> None:
    """`--detach`: starts the run and prints its id; `runs attach` prints the result, `runs logs` its log."""
    file = tmp_path / "go"
    started = Ran(shared.url, "call", "ends_with_its_file", "-p", f"file={file}", "--detach")
    assert (started.code, started.json["dag_id"]) == (0, "ends_with_its_file")
    file.touch()
    run = [started.json["dag_id"], started.json["run_id"]]
    attached = Ran(shared.url, "runs", "attach", *run)
    assert (attached.code, attached.json) == (0, "done")
    shown = Ran(shared.url, "runs", "show", *run, "-o", "json")
    assert shown.json["task_instances"][0]["state"] == "success"
    assert Ran(shared.url, "runs", "logs", *run).code == 0


def test_lists(shared: Server) -> None:
    """`dags list|show|check`, `runs list`: tables for readers, JSON for programs."""
    dags = Ran(shared.url, "dags", "list", "-o", "json")
    assert {"echo", "is_refused"} <= {one["dag_id"] for one in dags.json}
    assert Ran(shared.url, "dags", "show", "echo").json["dag_id"] == "echo"
    checked = Ran(shared.url, "dags", "check", "-o", "json")
    assert checked.code == 1
    assert {"ok", "refused", "import-error"} <= {one["kind"] for one in checked.json}
    shared.value("echo")
    runs = Ran(shared.url, "runs", "list", "echo", "--state", "success", "--limit", "1")
    assert runs.out.splitlines()[0].split()[:2] == ["DAG", "ID"]
    assert len(runs.out.splitlines()) == 2


def test_doctor_and_version(shared: Server) -> None:
    assert "ok" in Ran(shared.url, "doctor").out
    assert Ran(shared.url, "version").out.startswith("dagcall ")


@pytest.mark.parametrize("arguments", [["--host", "0.0.0.0"], ["/no/such/folder"], ["--journal", "oracle://x"]])
def test_a_server_that_cannot_be(tmp_path: Path, arguments: list[str]) -> None:
    """Addresses beyond loopback are refused while there is no authentication; so are folders and journals that are
    none: 2, and nothing is started."""
    folder = [] if arguments[0].startswith("/") else [str(tmp_path)]
    ran = Ran("", "serve", *folder, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert arguments[-1].partition(":")[0] in ran.err
