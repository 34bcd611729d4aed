"""What of a run is there after `kill -9` of the server and a restart: one server is killed in the middle of several runs,
and each test looks at what became of one of them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .serving import Server, eventually, failure

UNTIL_DEADLINE = 4.0


class Story:
    """The runs of two servers, one after the other, by what they are about."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.paths: dict[str, str] = {}
        self.server: Server

    def begin(self, name: str, dag_id: str, *, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
        answer = self.server.http.post(
            f"/call/{dag_id}",
            json={"file": str(self.home / name)},
            params=query,
            headers={"Prefer": "respond-async", **(headers or {})},
        )
        assert answer.status_code in (202, 200), answer.text
        self.paths[name] = answer.headers["Location"]
        return answer

    def notes(self, name: str) -> list[str]:
        """Every try of every task that ever began."""
        path = self.home / name
        return path.read_text().splitlines() if path.exists() else []

    def let_go(self, name: str) -> None:
        (self.home / f"{name}.go").touch()

    def attach(self, name: str) -> httpx.Response:
        return self.server.http.get(self.paths[name], params={"wait": 30})


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    told = Story(tmp_path_factory.mktemp("survival"))
    first = told.server = Server(told.home)
    try:
        first.wait_until_loaded()
        told.begin("by key", "interrupted_with_a_retry", headers={"Idempotency-Key": "order-17"})
        told.begin("by power", "interrupted_with_a_retry", durability="power")
        told.begin("no retry", "interrupted_without")
        told.begin("abandoned", "fails_on_restart")
        told.begin("memory", "kept_in_memory", run_id="in-memory")
        told.begin("memory by call", "interrupted_without", durability="none", run_id="by-call")
        told.begin("saved by call", "kept_in_memory", durability="process")
        late = time.time() + UNTIL_DEADLINE
        told.begin("late", "interrupted_with_a_retry", timeout=UNTIL_DEADLINE)
        for name in told.paths:
            eventually(lambda name=name: "interrupted 1" in told.notes(name), 30, name)  # type: ignore[misc]
        assert {run["dag_run_id"] for run in first.all_runs()} >= {"in-memory", "by-call"}
        first.process.kill()
        first.process.wait(10)
        eventually(lambda: time.time() > late, UNTIL_DEADLINE + 1)
        told.server = Server(told.home)
        told.server.wait_until_loaded()
        yield told
        told.server.stop()
    finally:
        first.end()
        told.server.end()


def test_p2_p3_p4_what_had_ended_stays_and_the_lost_try_is_followed_by_the_next(story: Story) -> None:
    story.let_go("by key")
    answer = story.attach("by key")
    assert (answer.status_code, answer.json()) == (200, (20 + 2) * 2)
    assert story.notes("by key") == ["before 1", "interrupted 1", "interrupted 2", "after 1"]


def test_p5_the_key_leads_to_the_same_run(story: Story) -> None:
    story.let_go("by key")
    path = story.paths["by key"]
    again = story.begin("by key", "interrupted_with_a_retry", headers={"Idempotency-Key": "order-17"})
    assert again.headers["Location"] == path


def test_a_run_that_would_survive_a_power_cut_survives_this_too(story: Story) -> None:
    story.let_go("by power")
    assert story.attach("by power").json() == (20 + 2) * 2
    assert story.notes("by power") == ["before 1", "interrupted 1", "interrupted 2", "after 1"]


@pytest.mark.parametrize("name", ["no retry", "saved by call"])
def test_p3_without_a_retry_the_lost_task_has_failed(story: Story, name: str) -> None:
    problem = failure(story.attach(name))
    assert problem["error"] == {
        "type": "WorkerLost",
        "message": "the server was restarted while the task ran",
    }
    assert (problem["failed_task"], problem["try_number"]) == ("interrupted", 1)
    assert "interrupted 2" not in story.notes(name)


def test_the_deadline_is_the_one_that_was_accepted(story: Story) -> None:
    """It passed while no server ran: nothing of the run is tried again, whatever its retries."""
    answer = story.attach("late")
    assert (answer.status_code, answer.json()["type"]) == (504, "/problems/deadline-exceeded")
    assert "after 1" not in story.notes("late")


def test_on_restart_fail_ends_the_run_and_runs_its_teardowns(story: Story) -> None:
    answer = story.attach("abandoned")
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "ServerRestarted")
    eventually(lambda: story.server.run_state(story.paths["abandoned"]) == "failed", what="the run's end")
    assert story.notes("abandoned") == ["before 1", "interrupted 1", "clean 1"]


@pytest.mark.parametrize("name", ["memory", "memory by call"])
def test_durability_none_loses_the_run_with_the_server(story: Story, name: str) -> None:
    assert story.attach(name).status_code == 404
    dag_id = story.paths[name].split("/")[2]
    assert story.server.http.get(f"/api/v2/dags/{dag_id}/dagRuns/{story.paths[name].split('/')[3]}").status_code == 404
    story.let_go(name)
    run_id = story.paths[name].split("/")[3]
    again = story.begin(name, dag_id, run_id=run_id)  # its id is free
    assert again.headers["Dagcall-Run-Id"] == run_id


def test_an_unknown_level_is_refused(story: Story) -> None:
    answer = story.server.http.post("/call/kept_in_memory", json={}, params={"durability": "disk"})
    assert answer.status_code == 400
    assert "none, process, power" in answer.json()["detail"]
