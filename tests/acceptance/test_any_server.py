"""Servers that share one PostgreSQL journal: whatever is asked about a run is answered by any of them, the same way."""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import httpx
import psycopg2
import pytest

import dagcall
from dagcall.testing.postgres_server import PostgresServer

from .serving import Server, eventually, know_children

READERS = 100
NDJSON = {"Accept": "application/x-ndjson"}


class Database(PostgresServer):
    def start(self) -> None:
        super().start()
        know_children()


class Pair(NamedTuple):
    """Two servers with one journal."""

    here: Server
    there: Server
    database: Database

    @property
    def servers(self) -> tuple[Server, Server]:
        return self.here, self.there

    def cut_wires(self) -> int:
        """End the connections over which the servers talk to each other. How many they were."""
        connection = psycopg2.connect(self.database.url())
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
                "WHERE application_name = 'dagcall journal wire'"
            )
            (count,) = cursor.fetchone() or (0,)
            return int(count)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Database("fsync=off") as database:
        homes = [tmp_path_factory.mktemp(name) for name in ("here", "there")]
        here, there = (Server(home, workers=20, journal=database.url()) for home in homes)
        pair = Pair(here, there, database)
        try:
            for server in pair.servers:
                server.wait_until_loaded()
            yield pair
            for server in pair.servers:
                if server.process.poll() is None:
                    server.stop()
        finally:
            for server in pair.servers:
                server.end()


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.iter_lines() if line]


def events_of(server: Server, path: str) -> list[dict[str, Any]]:
    with server.http.stream("GET", f"{path}/events", headers=NDJSON) as answer:
        assert answer.status_code == 200, answer.read()
        return lines(answer)


def in_airflow(path: str) -> str:
    """The path of a run in Airflow's API."""
    _, _, dag_id, run_id = path.split("/")
    return f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"


def wait_for_chunks(server: Server, path: str, count: int) -> None:
    with server.http.stream("GET", f"{path}/events", headers=NDJSON) as answer:
        seen = 0
        for line in answer.iter_lines():
            seen += '"event":"chunk"' in line
            if seen == count:
                return
    raise AssertionError(f"the stream has ended after {seen} chunks")


def test_whatever_is_asked_about_a_run_is_answered_by_the_other_server(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    gate = tmp_path / "gate"
    path = here.start("emits", n=6, file=str(gate))
    wait_for_chunks(there, path, 3)
    running = there.http.get(path)
    assert running.status_code == 202
    assert running.headers["Dagcall-Run-State"] == "running"
    run, all_runs = in_airflow(path), "/api/v2/dags/~/dagRuns"
    assert there.http.get(run).json() == here.http.get(run).json()
    assert there.task_states(path) == {"count": "running"}
    listed = there.http.get(all_runs, params={"state": "running"}).json()
    assert unquote(path.rpartition("/")[2]) in [one["dag_run_id"] for one in listed["dag_runs"]]
    assert listed == here.http.get(all_runs, params={"state": "running"}).json()

    def wait_in_airflow() -> list[dict[str, Any]]:
        with there.http.stream("GET", f"{run}/wait", params={"interval": 60, "result": "count"}) as answer:
            assert answer.status_code == 200
            return lines(answer)

    with ThreadPoolExecutor(3) as pool:
        attached = pool.submit(there.http.get, path, headers={"Prefer": "wait=60"})
        waited, streamed = pool.submit(wait_in_airflow), pool.submit(events_of, there, path)
        gate.touch()
        answer, events = attached.result(), streamed.result()
        assert waited.result()[-1] == {"state": "success", "results": {"count": 6}}
    assert (answer.status_code, answer.json()) == (200, 6)
    assert events == events_of(here, path)
    assert [one["id"] for one in events] == list(range(1, len(events) + 1))
    assert [one["data"]["value"] for one in events if one["event"] == "chunk"] == list(range(6))
    for server in (here, there):
        assert server.http.get(f"{path}/value").json() == 6
        assert server.http.get(f"{run}/taskInstances/count/xcomEntries/return_value").json()["value"] == 6
        assert server.http.get(path, headers={"Prefer": "wait=1"}).json() == 6
    log = f"{run}/taskInstances/count/logs/1"
    assert "Log message source details" in here.http.get(log).text
    assert "not in this server's log folder" in there.http.get(log).text, "each has a folder of its own"


def test_the_other_server_hears_of_an_answer_at_once(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    delays = []
    for number in range(10):
        gate = tmp_path / str(number)
        path = here.start("emits", n=2, file=str(gate))
        wait_for_chunks(there, path, 1)
        with ThreadPoolExecutor(1) as pool:
            streamed = pool.submit(_times, there, path)
            gate.touch()
            decided, arrived = streamed.result()
        delays.append((arrived - decided) * 1e3)
    print(
        f"a reader at the other server had the result {statistics.median(delays):.1f} ms after it was decided", delays
    )


def _times(server: Server, path: str) -> tuple[float, float]:
    with server.http.stream("GET", f"{path}/events", headers=NDJSON) as answer:
        for line in answer.iter_lines():
            if '"event":"result"' in line:
                return datetime.fromisoformat(json.loads(line)["time"]).timestamp(), time.time()
    raise AssertionError("the stream has ended without a result")


def test_a_stream_that_is_cut_at_one_server_goes_on_at_the_other(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    gate = tmp_path / "gate"
    path = here.start("emits", n=40, file=str(gate))
    seen: list[dict[str, Any]] = []
    servers = [here, there]
    while not seen or seen[-1]["event"] != "end":
        server = servers.pop(0)
        servers.append(server)
        headers = NDJSON | {"Last-Event-ID": str(len(seen))}
        with server.http.stream("GET", f"{path}/events", headers=headers) as answer:
            for line in answer.iter_lines():
                if line:
                    seen.append(json.loads(line))
                if len(seen) == 12:
                    gate.touch()
                if len(seen) % 7 == 0:
                    break
    assert [one["id"] for one in seen] == list(range(1, len(seen) + 1))
    assert [one["data"]["value"] for one in seen if one["event"] == "chunk"] == list(range(40))
    assert seen == events_of(here, path)


def test_a_stream_goes_on_when_the_servers_cannot_hear_each_other_for_a_while(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    gate = tmp_path / "gate"
    path = here.start("emits", n=20, file=str(gate), seconds=0.01)
    wait_for_chunks(there, path, 10)
    with ThreadPoolExecutor(1) as pool:
        streamed = pool.submit(events_of, there, path)
        eventually(lambda: "dagcall_runs_watched 1" in here.http.get("/metrics").text, 10, "that its server is asked")
        assert "dagcall_runs_followed 1" in there.http.get("/metrics").text
        assert pair.cut_wires() == 2
        gate.touch()
        while not streamed.done():
            pair.cut_wires()
            wait([streamed], timeout=0.2)
        assert streamed.result() == events_of(here, path)


def test_a_hundred_readers_elsewhere(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    gate = tmp_path / "gate"
    path = here.start("emits", n=20, file=str(gate))
    wait_for_chunks(there, path, 10)

    async def read(client: httpx.AsyncClient, began: asyncio.Semaphore) -> list[str]:
        found: list[str] = []
        async with client.stream("GET", f"{path}/events", headers=NDJSON) as answer:
            async for line in answer.aiter_lines():
                if line and not found:
                    began.release()
                if line:
                    found.append(line)
        return found

    async def main() -> list[list[str]]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=there.url, timeout=60, limits=limits) as client:
            began = asyncio.Semaphore(0)
            readers = [asyncio.create_task(read(client, began)) for _ in range(READERS)]
            for _ in readers:
                await began.acquire()
            gate.touch()
            return await asyncio.gather(*readers)

    found = asyncio.run(main())
    expected = events_of(here, path)
    assert all([json.loads(line) for line in one] == expected for one in found)


def test_a_run_is_cancelled_by_the_other_server(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    path = here.start("interrupted_without", file=str(tmp_path / "notes"))
    eventually(lambda: there.task_states(path).get("interrupted") == "running", 30, "a task that runs")
    answer = there.http.delete(path)
    assert answer.status_code == 202, answer.text
    for server in (there, here):
        told = server.http.get(path, headers={"Prefer": "wait=30"})
        assert (told.status_code, told.headers["Dagcall-Outcome"]) == (409, "cancelled")
    eventually(lambda: there.run_state(path) == "failed", 30, "the end of the run")
    assert there.http.delete(path).status_code == 200

    path = here.start("interrupted_without", file=str(tmp_path / "more"))
    patched = there.http.patch(in_airflow(path), json={"state": "failed"})
    assert patched.status_code == 200, patched.text
    eventually(lambda: here.run_state(path) == "failed", 30, "the end of the run")


def test_a_run_ends_with_the_last_caller_of_all_servers(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    answer = here.http.post(
        "/call/interrupted_without",
        json={"file": str(tmp_path / "notes")},
        params={"on_disconnect": "cancel"},
        headers={"Prefer": "respond-async"},
    )
    path = answer.headers["Location"]
    eventually(lambda: there.task_states(path).get("interrupted") == "running", 30, "a task that runs")
    with there.http.stream("GET", f"{path}/events", headers=NDJSON) as elsewhere:
        events = elsewhere.iter_lines()  # kept: the connection ends with it
        next(events)
        with here.http.stream("GET", f"{path}/events", headers=NDJSON) as local:
            next(local.iter_lines())
        assert here.http.get(path, headers={"Prefer": "wait=1"}).status_code == 202, "somebody waits elsewhere"
    eventually(lambda: here.run_state(path) == "failed", 30, "the end of the run")
    told = here.http.get(path)
    assert (told.status_code, told.headers["Dagcall-Outcome"]) == (409, "cancelled")


def test_a_person_answers_at_the_other_server(pair: Pair) -> None:
    here, there = pair.here, pair.there
    path = here.start("asks_for_approval")
    details = in_airflow(path) + "/taskInstances/approve/-1/hitlDetails"
    eventually(lambda: there.http.get(details).status_code == 200, 30, "a task that asks")
    answered = there.http.patch(details, json={"chosen_options": ["Approve"], "params_input": {}})
    assert answered.status_code == 200, answered.text
    assert here.http.patch(details, json={"chosen_options": ["Approve"]}).status_code == 409
    assert there.http.get(path, headers={"Prefer": "wait=30"}).json() == "shipped"


def test_a_task_sets_an_xcom_of_a_run_of_the_other_server(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    gate = tmp_path / "gate"
    path = here.start("squares_one", n=3, file=str(gate))
    eventually(lambda: there.task_states(path).get("square") == "running", 30, "a task that runs")
    written = f"{in_airflow(path)}/taskInstances/square/xcomEntries/written"
    run_id = unquote(path.rpartition("/")[2])

    def read(server: Server) -> Any:
        answer = server.http.get(written)
        return answer.json()["value"] if answer.status_code == 200 else None

    assert there.value("writes_to_a_square", run_id=run_id, value=1) == 1
    assert (read(here), read(there)) == (1, 1)
    gate.touch()
    assert there.http.get(path, headers={"Prefer": "wait=30"}).json() == 9
    eventually(lambda: {here.run_state(path), there.run_state(path)} == {"success"}, 30, "the end of the run")
    assert there.value("writes_to_a_square", run_id=run_id, value=2) == 2, "it has ended: any server may write"
    assert read(there) == 2
    eventually(lambda: read(here) == 2, 10, "that the other has heard of it")


def test_a_call_with_a_key_meets_its_run_at_the_other_server(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    gate = tmp_path / "gate"
    with ThreadPoolExecutor(2) as pool, dagcall.Client(here.url) as one, dagcall.Client(there.url) as other:
        first = one.with_options(key="the same").submit("emits", n=4, file=str(gate))
        second = pool.submit(other.with_options(key="the same").call, "emits", n=4, file=str(gate))
        wait_for_chunks(there, f"/call/emits/{quote(first.id)}", 2)
        gate.touch()
        assert second.result() == first.result() == 4
        with pytest.raises(dagcall.errors.IdempotencyMismatch):
            other.with_options(key="the same").call("emits", n=5)


def test_a_run_that_is_deleted_at_one_server_is_gone_at_both(pair: Pair) -> None:
    here, there = pair.here, pair.there
    path = here.start("emits", n=1)
    for server in (here, there):
        assert server.http.get(path, headers={"Prefer": "wait=30"}).json() == 1
    eventually(lambda: {here.run_state(path), there.run_state(path)} == {"success"}, 30, "its end")
    assert there.http.delete(in_airflow(path)).status_code == 204
    assert there.http.get(path).status_code == 404
    eventually(lambda: here.http.get(path).status_code == 404, 10, "that the other has heard of it")


def test_a_run_in_memory_is_its_servers_own(pair: Pair, tmp_path: Path) -> None:
    path = pair.here.start("kept_in_memory", file=str(tmp_path / "notes"))
    (tmp_path / "notes.go").touch()
    assert pair.here.http.get(path, headers={"Prefer": "wait=30"}).json() == 2
    unknown = pair.there.http.get(path)
    assert unknown.status_code == 404
    assert "durability=none" in unknown.json()["detail"]


def test_a_sensor_waits_for_a_run_of_the_other_server(pair: Pair, tmp_path: Path) -> None:
    here, there = pair.here, pair.there
    date = "2026-03-01T00:00:00Z"

    def trigger(server: Server, dag_id: str, **conf: Any) -> str:
        answer = server.http.post(f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": date, "conf": conf})
        assert answer.status_code == 200, answer.text
        return f"/call/{dag_id}/{quote(answer.json()['dag_run_id'])}"

    waiting = trigger(there, "waits_for_a_square")
    eventually(lambda: there.task_states(waiting).get("wait") == "deferred", 30, "a sensor that waits")
    gate = tmp_path / "gate"
    awaited = trigger(here, "squares_one", n=3, file=str(gate))
    eventually(lambda: there.task_states(awaited).get("square") == "running", 30, "what is waited for")
    assert there.task_states(waiting)["wait"] == "deferred"
    gate.touch()
    assert here.http.get(waiting, headers={"Prefer": "wait=30"}).status_code == 204


def test_readers_of_a_run_whose_server_dies_see_its_end(pair: Pair, tmp_path: Path) -> None:
    """The last one: it takes a server away."""
    here, there = pair.here, pair.there
    path = here.start("interrupted_with_a_retry", file=str(tmp_path / "notes"))
    eventually(lambda: there.task_states(path).get("interrupted") == "running", 30, "a task that runs")
    with ThreadPoolExecutor(2) as pool:
        attached = pool.submit(there.http.get, path, headers={"Prefer": "wait=100"})
        streamed = pool.submit(events_of, there, path)
        assert there.http.get(path).status_code == 202
        here.process.kill()
        here.process.wait(10)
        (tmp_path / "notes.go").touch()
        answer, events = attached.result(), streamed.result()
    assert (answer.status_code, answer.json()) == (200, 44), "the second try had the value"
    assert [one["id"] for one in events] == list(range(1, len(events) + 1))
    assert events[-1]["event"] == "end"
    assert events == events_of(there, path)
