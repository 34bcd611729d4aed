"""Callers that wait: they cost little memory, and no CPU time."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from .conftest import ServerFactory
from .serving import Server, eventually

BENCH = Path(__file__).parents[2] / "bench"
CALLERS = 250
KILOBYTES = 40


DAG = "waits_for_a_trigger"
CANCELLED = 409


def test_waiting_costs_little_memory_and_no_cpu(serve: ServerFactory) -> None:
    server = serve(dags=BENCH / "waiting_dags")
    process = psutil.Process(server.process.pid)
    server.call(DAG, until=0)
    never = time.time() + 3600
    watched = server.start(DAG, until=never)
    before = process.memory_full_info().pss
    with (
        callers(server, "POST", f"/call/{DAG}", json.dumps({"until": never})),  # a run each
        callers(server, "GET", watched, ""),  # all of them one run
    ):
        eventually(lambda: used_meanwhile(process) < 0.05, 30, "a server at rest")
        assert (process.memory_full_info().pss - before) / (2 * CALLERS) < KILOBYTES * 1024
        # Of the server as a whole, not a caller.
        assert min(used_meanwhile(process) for _ in range(3)) < 0.05
        runs = server.all_runs()
        assert len([run for run in runs if run["state"] == "running"]) == CALLERS + 1
        for run in runs:
            server.http.delete(f"/call/{DAG}/{run['dag_run_id']}")


@contextmanager
def callers(server: Server, method: str, path: str, body: str) -> Iterator[None]:
    """All have sent their request, and get an answer in the end: that the run was cancelled."""
    script = [sys.executable, str(BENCH / "waiting_callers.py"), str(server.port), str(CALLERS), method, path, body]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        try:
            assert waiting.stdout.readline() == "waiting\n"
            yield
            assert json.loads(waiting.stdout.readline()) == {"statuses": {str(CANCELLED): CALLERS}, "early": 0}
        finally:
            waiting.kill()


def used_meanwhile(process: psutil.Process) -> float:
    """Seconds of CPU in half a second."""
    before = process.cpu_times()
    time.sleep(0.5)
    after = process.cpu_times()
    return after.user + after.system - before.user - before.system
