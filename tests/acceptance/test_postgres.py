"""`dagcall serve --journal postgresql://`: the same answers, while the database and the server are killed."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from dagcall.testing.postgres_server import PostgresServer

from .serving import Server, eventually, know_children

PASSWORD, OTHER_PASSWORD = "geheim-in-the-url", "geheim-in-the-environment"


class Database(PostgresServer):
    def start(self) -> None:
        super().start()
        know_children()


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    with Database("fsync=off") as server:
        yield server


@pytest.fixture(scope="module")
def url(database: PostgresServer) -> str:
    return database.url().replace("postgres@", f"postgres:{PASSWORD}@")


@pytest.fixture(scope="module")
def server(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """The server that is there now, in a list, since it is followed by others."""
    now = [start(url, tmp_path_factory.mktemp("postgres"))]
    try:
        yield now
        now[-1].stop()
        assert not any(PASSWORD in one.messages.read_text() for one in now)
    finally:
        for one in now:
            one.end()


def start(url: str, home: Path) -> Server:
    server = Server(home, journal=url, environment={"PGPASSWORD": OTHER_PASSWORD})
    server.wait_until_loaded()
    return server


def begin(server: Server, name: str, dag_id: str, **query: Any) -> str:
    """A run whose task waits until it is let go."""
    answer = server.http.post(
        f"/call/{dag_id}", json={"file": str(server.home / name)}, params=query, headers={"Prefer": "respond-async"}
    )
    assert answer.status_code == 202, answer.text
    notes = server.home / name
    eventually(lambda: notes.exists() and "interrupted 1" in notes.read_text(), 30, name)
    return answer.headers["Location"]


def let_go(server: Server, name: str) -> None:
    (server.home / f"{name}.go").touch()


def database_health(server: Server) -> dict[str, Any]:
    health: dict[str, Any] = server.http.get("/api/v2/monitor/health").json()["metadatabase"]
    return health


def test_calls_are_answered_and_keys_shared(server: list[Server]) -> None:
    http = server[-1].http
    answers = [http.post("/call/squares", json={"n": 3}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].headers["Dagcall-Run-Id"] == answers[1].headers["Dagcall-Run-Id"]
    assert http.post("/call/rejects").status_code == 404
    assert len(server[-1].all_runs()) == 2


def test_no_task_sees_the_databases_password(server: list[Server]) -> None:
    seen = server[-1].value("pries")
    assert "dagcall: server" in seen
    assert PASSWORD not in seen
    assert OTHER_PASSWORD not in seen


def check(url: str) -> tuple[int, Any]:
    """`dagcall journal check`: exit code, and what was printed, or the message."""
    command = [sys.executable, "-m", "dagcall.cli", "journal", "check", "--journal", url, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert PASSWORD not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_its_journal_is_checked_while_it_serves(server: list[Server], url: str, database: PostgresServer) -> None:
    async def change(statement: str) -> None:
        connection = await asyncpg.connect(database.url(), server_settings={"search_path": "dagcall"})
        await connection.execute(statement)
        await connection.close()

    server[-1].value("squares", n=2)
    code, found = check(url)
    assert (code, found["damaged"]) == (0, 0), found
    assert found["runs"] == len(server[-1].all_runs())
    asyncio.run(change("UPDATE runs SET outcome = 'failed' WHERE dag_id = 'squares'"))
    try:
        code, found = check(url)
        assert code == 1
        assert {"squares"} == {one["what"].removeprefix("run ").partition("/")[0] for one in found}
        assert all("its head has the outcome failed, its events lead to success" in one["found"] for one in found)
    finally:
        asyncio.run(change("UPDATE runs SET outcome = 'success' WHERE dag_id = 'squares'"))
    code, said = check(f"{url}?schema=nobodys")
    assert code == 5
    assert "there is no journal postgresql://" in said


def test_a_server_that_starts_says_that_it_waits_for_its_database(database: PostgresServer, tmp_path: Path) -> None:
    database.stop()
    server = Server(tmp_path, journal=database.url(schema="starting"))
    try:
        ready = eventually(lambda: waits_for_its_database(server), what="a server that says so")
        assert ready == [
            "the journal cannot be written: the journal's database cannot be reached or used now: Connection refused"
        ]
        assert database_health(server)["status"] == "unhealthy"
        for path in (
            "/call/squares",
            "/api/v2/variables",
            "/api/v2/connections",
            "/api/v2/pools",
            "/api/v2/dags/~/dagRuns",
        ):
            assert server.http.get(path).status_code == 503, path
        database.start()
        server.wait_until_loaded()
        assert server.value("squares", n=3)
        assert server.http.get("/health/ready").status_code == 200
        server.stop()
    finally:
        if database.process is None:
            database.start()
        server.end()


def waits_for_its_database(server: Server) -> list[str]:
    """What it says besides that it has no DAG file yet."""
    try:
        answer = server.http.get("/health/ready")
    except httpx.TransportError:
        return []
    return [reason for reason in answer.json()["reasons"] if "loaded" not in reason]


def test_a_run_outlives_its_database(server: list[Server], database: PostgresServer) -> None:
    """A task ends while the database is away: its end is told when it is kept."""
    path = begin(server[-1], "outlives", "interrupted_without")
    database.stop()
    try:
        eventually(lambda: database_health(server[-1])["status"] == "unhealthy", what="bad health")
        assert "cannot be reached" in database_health(server[-1])["reason"]
        assert "127.0.0.1" not in database_health(server[-1])["reason"]
        let_go(server[-1], "outlives")
        called: list[httpx.Response] = []
        caller = threading.Thread(target=lambda: called.append(server[-1].call("squares", n=2)))
        caller.start()
        assert server[-1].http.get(path, params={"wait": 1}).status_code == 202
    finally:
        database.start()
    caller.join(60)
    assert [one.status_code for one in called] == [200]
    answer = server[-1].http.get(path, params={"wait": 30})
    assert (answer.status_code, answer.json()) == (200, 42)
    assert database_health(server[-1]) == {"status": "healthy"}


def test_a_restart_goes_on_with_the_runs_and_knows_the_keys(server: list[Server], url: str) -> None:
    killed = server[-1]
    path = begin(killed, "goes on", "interrupted_with_a_retry")
    killed.process.kill()
    killed.process.wait(10)
    server.append(start(url, killed.home))
    let_go(killed, "goes on")
    answer = server[-1].http.get(path, params={"wait": 30})
    assert (answer.status_code, answer.json()) == (200, 44)
    known = server[-1].http.post("/call/squares", json={"n": 3}, headers={"Idempotency-Key": "k"})
    assert known.headers["Dagcall-Shared"] == "key"
    assert (killed.home / "goes on").read_text().split("\n").count("before 1") == 1


def test_killing_the_database_again_and_again_fails_no_run(server: list[Server], database: PostgresServer) -> None:
    answers: list[httpx.Response] = []

    def call() -> None:
        for _ in range(8):
            answer = server[-1].call("three_steps", seconds=0.05)
            answers.append(answer)  # one by one: others look at how many there are

    callers = [threading.Thread(target=call) for _ in range(6)]
    for caller in callers:
        caller.start()
    for count in (6, 18, 30):
        eventually(lambda count=count: len(answers) >= count, 60, "some answers")  # type: ignore[misc]
        database.restart()
    for caller in callers:
        caller.join(90)
    assert [one.status_code for one in answers] == [200] * 48
    told = {one.headers["Dagcall-Run-Id"] for one in answers}
    server[-1].wait_until_idle()
    kept = {run["dag_run_id"] for run in server[-1].all_runs() if run["dag_id"] == "three_steps"}
    assert kept == told
    assert all(run["state"] == "success" for run in server[-1].all_runs() if run["dag_id"] == "three_steps")
