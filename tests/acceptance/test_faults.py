"""Tasks that break: their own run gets a clear failure that names task and cause, nobody else notices."""

import re
from pathlib import Path

import psutil
import pytest

from .serving import Server, eventually, failure, is_alive

FAULTS = {
    "raises": ("ValueError", r"boom"),
    "raises_base": ("NotAnException", r"not even an Exception"),
    "raises_interrupt": ("KeyboardInterrupt", r""),
    "raises_unprintable": ("Unprintable", r"cannot be shown"),
    "raises_surrogates": ("ValueError", r"half a pair"),
    "raises_at_length": ("ValueError", r"long long"),
    "recurses": ("RecursionError", r"recursion"),
    "exits": ("SystemExit", r"sys\.exit\(3\)"),
    "exits_at_once": ("WorkerLost", r"exit code 0"),
    "segfaults": ("WorkerLost", r"SIGSEGV"),
    "aborts": ("WorkerLost", r"SIGABRT"),
    "kills_itself": ("WorkerLost", r"SIGKILL"),
    "kills_its_group": ("WorkerLost", r"SIGKILL"),
    "runs_out_of_memory": ("MemoryError", r""),
    "sleeps_too_long": ("AirflowTaskTimeout", r"."),
    "is_stuck": ("AirflowTaskTimeout", r"execution_timeout"),
    "stops_itself": ("AirflowTaskTimeout", r"execution_timeout"),
    "becomes_another_program": ("WorkerLost", r"connection"),
    "closes_everything": ("WorkerLost", r"descriptors"),
    "returns_a_lock": ("TypeError|AttributeError|PydanticSerializationError", r"lock"),
    "fails_with_stuck_callback": ("ValueError", r"never returns"),
}


@pytest.mark.parametrize("dag_id", FAULTS)
def test_a_broken_task_fails_its_own_run_and_no_other(shared: Server, tmp_path: Path, dag_id: str) -> None:
    """P3, P10: an answer with task and cause; a run beside it and the runs after it are untouched."""
    server, file = shared, tmp_path / "go"
    kind, message = FAULTS[dag_id]
    bystander = server.start("waits_for_file", file=str(file))
    try:
        problem = failure(server.call(dag_id))
    finally:
        file.touch()
    answer = server.http.get(bystander, params={"wait": 10})
    assert answer.status_code == 200, answer.text
    assert server.value("pid") > 0

    assert problem["dag_id"] == dag_id
    assert problem["failed_task"] == "t"
    assert re.fullmatch(kind, problem["error"]["type"])
    assert re.search(message, problem["error"]["message"])
    assert len(problem["error"]["message"]) < 100_000
    assert problem["cause"][0] == {"task_id": "t", "map_index": -1, "state": "failed"}


def test_a_lost_worker_uses_up_a_try(shared: Server) -> None:
    """P2, P3: retried by the task's own `retries`, the third try being the first that ends well."""
    assert shared.value("fails_twice") == 3


def test_a_failure_names_the_chain_to_the_result(shared: Server) -> None:
    problem = failure(shared.call("fails_upstream"))
    assert (problem["failed_task"], problem["try_number"]) == ("first", 1)
    assert "exit code 9" in problem["error"]["message"]
    assert [(link["task_id"], link["state"]) for link in problem["cause"]] == [
        ("first", "failed"),
        ("second", "upstream_failed"),
        ("third", "upstream_failed"),
    ]


def test_what_is_printed_goes_to_the_log_of_the_try(shared: Server) -> None:
    path = shared.start("prints")
    eventually(lambda: shared.run_state(path) == "success")
    run = f"/api/v2/dags/prints/dagRuns/{path.split('/')[-1]}"
    log = shared.http.get(f"{run}/taskInstances/t/logs/1").text
    for line in ("to stdout", "to stderr", "to descriptor 1", "from a child", "from a child too", "no newline"):
        assert line in log


def test_closed_standard_streams_hurt_nobody(shared: Server) -> None:
    assert shared.value("closes_standard_streams") == "told"
    assert shared.value("prints") == "printed"


def test_a_fork_that_returns_answers_once(shared: Server) -> None:
    """The copy of the worker must not speak for it, now or in later tasks."""
    for _ in range(3):
        assert shared.value("pushes_after_fork") == "parent"
        assert shared.value("pid") > 0


@pytest.mark.parametrize("dag_id", ["leaves_a_thread", "leaves_descriptors"])
def test_a_worker_with_leftovers_is_retired(shared: Server, dag_id: str) -> None:
    pid = shared.value(dag_id)
    eventually(lambda: not psutil.pid_exists(pid), what="the end of the worker")
    assert shared.value("pid") != pid


def test_a_daemon_ends_with_its_task(shared: Server, tmp_path: Path) -> None:
    """P8: although it has a session of its own and nothing of us in its environment."""
    worker = shared.value("leaves_a_daemon", file=str(tmp_path / "pid"))
    daemon = int((tmp_path / "pid").read_text())
    eventually(lambda: not psutil.pid_exists(daemon) or not is_alive(psutil.Process(daemon)), what="the daemon's end")
    assert shared.value("pid") != worker


def test_a_daemon_ends_with_its_killed_worker(shared: Server, tmp_path: Path) -> None:
    """P8: nobody but the side process can find it then."""
    path = shared.start("leaves_a_daemon_and_waits", file=str(tmp_path / "pid"))
    daemon = psutil.Process(int(eventually(lambda: _text(tmp_path / "pid"))))
    worker = daemon.parent()
    assert worker is not None
    assert worker.cmdline()[0].startswith("dagcall: worker")
    worker.kill()
    eventually(lambda: not is_alive(daemon), what="the daemon's end")
    assert "SIGKILL" in failure(shared.http.get(path, params={"wait": 10}))["error"]["message"]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
