"""Tasks that wait without a worker: many at once, while the triggerer is killed, across a restart of the server."""

from pathlib import Path

import psutil
import pytest

from .conftest import ServerFactory
from .serving import Server, eventually, is_alive

MANY = 200


def _count(server: Server, dag_id: str, state: str) -> int:
    path = f"/api/v2/dags/{dag_id}/dagRuns/~/taskInstances"
    found: int = server.http.get(path, params={"state": state, "limit": 1}).json()["total_entries"]
    return found


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)


def test_200_deferred_runs_hold_no_worker_and_survive_the_triggerers_death(
    serve: ServerFactory, tmp_path: Path
) -> None:
    server: Server = serve(workers=2)
    file = tmp_path / "go"
    paths = [server.start("deferred_until_file", file=str(file)) for _ in range(MANY)]
    eventually(lambda: _count(server, "deferred_until_file", "deferred") == MANY, 60, "all wait")
    assert server.value("three_steps", seconds=0) == 2

    def triggerer() -> psutil.Process | None:
        found = server.processes("triggerer")
        return found[0] if len(found) == 1 else None

    for _ in range(2):
        victim = eventually(triggerer, 20, "one triggerer")
        victim.kill()
        eventually(lambda victim=victim: not is_alive(victim), what="its end")  # type: ignore[misc]
        assert server.value("three_steps", seconds=0) == 2
    assert _count(server, "deferred_until_file", "deferred") == MANY

    _write(file, "gone")
    eventually(triggerer, 20, "another triggerer").kill()  # in the middle of it
    server.wait_until_idle(90)
    for path in paths:
        answer = server.http.get(path, params={"wait": 10})
        assert (answer.status_code, answer.json()) == (200, ["gone", True, 1]), answer.text
    assert server.value("deferred_until_file", file=str(file)) == ["gone", True, 1]


@pytest.mark.parametrize("dag_id", ["deferred_until_file", "rescheduled_until_file"])
def test_a_restarted_server_goes_on_waiting(tmp_path: Path, dag_id: str) -> None:
    file = tmp_path / "go"
    state = "deferred" if dag_id == "deferred_until_file" else "up_for_reschedule"
    first = Server(tmp_path, workers=2)
    try:
        first.wait_until_loaded()
        path = first.start(dag_id, file=str(file))
        eventually(lambda: state in first.task_states(path).values(), 20, "it waits")
        family = first.family()
        first.process.kill()
        first.process.wait(10)
        first.assert_gone(family)
    finally:
        first.end()
    second = Server(tmp_path, workers=2)
    try:
        second.wait_until_loaded()
        eventually(lambda: second.run_state(path) == "running", 20, "the run is taken up")
        _write(file, "later")
        answer = second.http.get(path, params={"wait": 30})
        assert answer.status_code == 200, answer.text
        assert answer.json() == (["later", True, 1] if state == "deferred" else ["later", 1])
        second.stop()
    finally:
        second.end()
