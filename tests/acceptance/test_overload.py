"""P7: more calls than a server can do are refused quickly, and what is accepted is done."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .serving import Server

OPEN_LOOP = Path(__file__).parents[2] / "bench" / "open_loop.py"
DAG = """
import time
from airflow.sdk import dag, result, task

@dag(schedule=None)
def slow():
    @result
    @task
    def wait():
        time.sleep(0.05)
        return "waited"
    wait()

slow()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "slow.py").write_text(DAG)
    return dags


def offer(server: Server, target: str, rate: float, seconds: float) -> list[tuple[int, int]]:
    """Status and Retry-After of each call."""
    command = [sys.executable, str(OPEN_LOOP), str(server.port), target, str(rate), str(seconds)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=100).stdout)
    return [(int(status), int(retry_after)) for _, _, status, retry_after in found]


def test_calls_that_cannot_make_their_deadline_are_refused_and_leave_nothing(
    serve: ServerFactory, folder: Path
) -> None:
    server = serve(dags=folder, workers=2)
    answers = offer(server, "slow?timeout=1", rate=400, seconds=4)
    counts = {status: [status for status, _ in answers].count(status) for status, _ in answers}
    assert set(counts) <= {200, 503, 504}, counts
    assert counts[200] > 20
    assert counts[503] > 20
    assert all(1 <= retry_after <= 60 for status, retry_after in answers if status == 503)
    server.wait_until_idle()
    assert server.http.get("/api/v2/dags/slow/dagRuns").json()["total_entries"] == len(answers) - counts[503]
    assert server.value("slow") == "waited"


def test_a_full_server_says_so(serve: ServerFactory, folder: Path) -> None:
    server = serve(dags=folder, workers=2, environment={"AIRFLOW__DAGCALL__MAX_RUNS": "5"})
    answers = offer(server, "slow", rate=400, seconds=0.5)
    assert {status for status, _ in answers} == {200, 503}
    assert all(retry_after >= 1 for status, retry_after in answers if status == 503)
    assert server.http.get("/api/v2/monitor/health").status_code == 200
    assert server.value("slow") == "waited"
