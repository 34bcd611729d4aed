"""SIGTERM: runs in flight are drained, everyone who waits is answered, no process is left."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from .conftest import ServerFactory
from .serving import Server, eventually


def test_a_drain_lets_runs_end_and_takes_no_new_ones(serve: ServerFactory, tmp_path: Path) -> None:
    server, file = serve(), tmp_path / "go"
    with ThreadPoolExecutor(4) as callers:
        waiting = [callers.submit(server.call, "waits", file=str(file)) for _ in range(4)]
        eventually(lambda: len(_running(server)) == 4, what="the start of the runs")
        family = server.family()
        server.process.send_signal(signal.SIGTERM)
        refused = eventually(lambda: _refused(server), what="the refusal of new calls")
        assert refused.json()["type"] == "/problems/shutting-down"
        assert int(refused.headers["Retry-After"]) >= 1
        assert server.process.poll() is None
        file.touch()
        answers = [each.result() for each in waiting]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, "done")] * 4
    assert server.process.wait(20) == 0
    server.assert_gone(family)


def test_a_second_signal_ends_the_drain_and_waiters_get_202(serve: ServerFactory, tmp_path: Path) -> None:
    """P8, P10: the runs are durable and go on when the server is back; their processes do not outlive it."""
    server = serve()
    with ThreadPoolExecutor(4) as callers:
        waiting = [callers.submit(server.call, "waits", file=str(tmp_path / "never")) for _ in range(3)]
        waiting.append(callers.submit(server.call, "leaves_a_daemon_and_waits", file=str(tmp_path / "pid")))
        eventually(lambda: len(_running(server)) == 4 and (tmp_path / "pid").exists(), what="the start of the runs")
        family = server.family()
        assert server.strangers()
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: _refused(server), what="the start of the drain")
        server.process.send_signal(signal.SIGTERM)
        answers = [each.result() for each in waiting]
    for answer in answers:
        assert answer.status_code == 202, answer.text
        assert answer.headers["Dagcall-Outcome"] == "running"
        assert answer.json()["links"]["attach"] == answer.headers["Location"]
    assert server.process.wait(20) == 0
    server.assert_gone(family)


def _running(server: Server) -> list[str]:
    return [run["dag_run_id"] for run in server.all_runs() if run["state"] == "running"]


def _refused(server: Server) -> httpx.Response | None:
    answer = server.http.post("/call/shell", json={}, headers={"Prefer": "respond-async"})
    return answer if answer.status_code == 503 else None
