"""Three servers on one PostgreSQL journal: they come and go, and nobody who calls one of them loses anything."""

import asyncio
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from dagcall.testing.postgres_server import PostgresServer

from .serving import DAGS, Server, eventually, know_children

LIMIT = 60.0
NAMED = """
from airflow.sdk import DAG, Variable, task

with DAG("named", schedule=None, description=Variable.get("name", default="unnamed")):
    task(lambda: 1, task_id="t")()
"""
TELLING = """
import os
import time

from airflow.sdk import dag, result, task

def tell(context):
    folder = context["dag_run"].conf["folder"]
    with open(folder + "/told", "a") as told:
        told.write("begun\\n")
    while not os.path.exists(folder + "/gate"):
        time.sleep(0.01)

@dag(schedule=None, params={"folder": ""}, on_success_callback=tell)
def tells_its_end():
    result(task(lambda: "answer", task_id="t"))()

tells_its_end()
"""


class Cluster:
    """The servers of one journal, and those who call them."""

    def __init__(self, folder: Path, database: PostgresServer) -> None:
        self.folder = folder
        self.database = database
        self.dags = folder / "dags"
        self.dags.mkdir()
        for name in ("steady.py", "assets.py"):
            shutil.copy(DAGS / name, self.dags)
        (self.dags / "named.py").write_text(NAMED)
        (self.dags / "telling.py").write_text(TELLING)
        self.servers: list[Server] = []
        self.started: list[Server] = []
        self.notes = folder / "notes"
        self.notes.touch()
        self.told: dict[str, set[tuple[str, int]]] = {}
        """By key: the run's id, and the value."""
        self.failures: list[str] = []

    def start(self, count: int = 1) -> None:
        new = []
        for _ in range(count):
            home = self.folder / str(len(self.started))
            home.mkdir()
            new.append(
                Server(home, self.dags, journal=self.database.url(), environment={"AIRFLOW__DAGCALL__DRAIN_LIMIT": "1"})
            )
            self.started.append(new[-1])
        for server in new:
            server.wait_until_loaded()
        self.servers += new

    def fetch(self, statement: str, *values: object) -> list[Any]:
        async def fetch() -> list[Any]:
            connection = await asyncpg.connect(self.database.url(), server_settings={"search_path": "dagcall"})
            try:
                return list(await connection.fetch(statement, *values))
            finally:
                await connection.close()

        return asyncio.run(fetch())

    def epoch(self, server: Server) -> int:
        epoch: int = self.fetch("SELECT epoch FROM servers WHERE pid = $1 AND fenced_by IS NULL", server.process.pid)[
            0
        ][0]
        return epoch

    def owned(self, epoch: int) -> int:
        """How many unfinished runs the server has."""
        count: int = self.fetch("SELECT count(*) FROM runs WHERE owner = $1 AND state IN ('queued', 'running')", epoch)[
            0
        ][0]
        return count

    def call(self, key: str, chance: random.Random) -> None:
        """As a client behind a load balancer: any server, and again with the key until there is an answer."""
        end = time.monotonic() + LIMIT
        last = "never asked"
        while time.monotonic() < end:
            server = chance.choice(self.servers)
            try:
                answer = httpx.post(
                    f"{server.url}/call/steady",
                    json={"file": str(self.notes)},
                    params={"wait": 20},
                    headers={"Idempotency-Key": key},
                    timeout=30,
                )
            except httpx.TransportError as error:
                last = repr(error)
                time.sleep(0.05)
                continue
            last = f"{answer.status_code} {answer.text}"
            if answer.status_code == 200:
                self.told.setdefault(key, set()).add((answer.headers["Dagcall-Run-Id"], answer.json()))
                return
            if answer.status_code not in (202, 503):
                break
            time.sleep(0.05)
        self.failures.append(f"{key}: {last}")

    @contextmanager
    def under_load(self, name: str, callers: int = 6) -> Iterator[Callable[[int], None]]:
        """Gives a function that waits until so many more calls were answered."""
        stopping = threading.Event()

        def one(caller: int) -> None:
            chance = random.Random(f"{name} {caller}")
            number = 0
            while not stopping.is_set():
                self.call(f"{name} {caller} {number}", chance)
                number += 1

        with ThreadPoolExecutor(callers) as pool:
            working = [pool.submit(one, caller) for caller in range(callers)]
            try:

                def more(count: int) -> None:
                    enough = len(self.told) + count
                    eventually(lambda: len(self.told) >= enough or self.failures, LIMIT, "answers")

                more(callers)
                yield more
            finally:
                stopping.set()
        for work in working:
            work.result()

    def check(self) -> None:
        """Every key got one run and one answer, and no try was begun twice."""
        assert self.failures == []
        assert {key: runs for key, runs in self.told.items() if len(runs) != 1} == {}
        eventually(lambda: not self.fetch("SELECT 1 FROM runs WHERE state IN ('queued', 'running')"), LIMIT, "the ends")
        kept = self.fetch("SELECT idempotency_key, run_id, state FROM runs WHERE idempotency_key IS NOT NULL")
        assert {key: run_id for key, run_id, _ in kept} == {key: run_id for key, ((run_id, _),) in self.told.items()}
        assert len(kept) == len(self.told)
        assert {state for _, _, state in kept} == {"success"}
        tries = Counter(self.notes.read_text().splitlines())
        assert [line for line, count in tries.items() if count > 1] == []
        doubled = self.fetch(
            "SELECT run, data::json->>'task_id', data::json->>'try_number' FROM records "
            "WHERE kind = 'task' AND data::json->>'state' IN ('success', 'failed') "
            "GROUP BY 1, 2, 3 HAVING count(*) > 1"
        )
        assert doubled == []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with PostgresServer("fsync=off") as database:
        know_children()
        cluster = Cluster(tmp_path_factory.mktemp("cluster"), database)
        try:
            cluster.start(3)
            yield cluster
            for server in cluster.servers:
                server.stop()
        finally:
            for server in cluster.started:
                server.end()


def test_one_key_at_three_servers_at_once_is_one_run(cluster: Cluster) -> None:
    for number in range(5):
        with ThreadPoolExecutor(3) as pool:
            asked = [
                pool.submit(
                    server.http.post,
                    "/call/steady",
                    json={"file": str(cluster.notes), "seconds": 0.0},
                    headers={"Idempotency-Key": f"same {number}"},
                )
                for server in cluster.servers
            ]
            answers = [one.result() for one in asked]
        assert [one.status_code for one in answers] == [200, 200, 200], [one.text for one in answers]
        assert len({one.headers["Dagcall-Run-Id"] for one in answers}) == 1
        cluster.told[f"same {number}"] = {(one.headers["Dagcall-Run-Id"], one.json()) for one in answers}
    cluster.check()


def test_events_at_several_servers_start_one_run(cluster: Cluster) -> None:
    """A DAG that waits for two assets, of which one is updated at one server and the other at another, at once."""
    found = [
        {asset["name"]: asset["id"] for asset in server.http.get("/api/v2/assets").json()["assets"]}
        for server in cluster.servers
    ]
    assert found[0] == found[1] == found[2]

    def joined() -> list[Any]:
        return cluster.fetch("SELECT conf FROM runs WHERE dag_id = 'joins'")

    with ThreadPoolExecutor(2) as pool:
        for count in range(1, 6):
            posted = [
                pool.submit(server.http.post, "/api/v2/assets/events", json={"asset_id": found[0][name], "extra": {}})
                for server, name in zip(cluster.servers, ("left", "right"), strict=False)
            ]
            assert [one.result().status_code for one in posted] == [200, 200]
            eventually(lambda count=count: len(joined()) >= count, LIMIT, "the run")  # type: ignore[misc]
            assert len(joined()) == count
            assert cluster.fetch("SELECT 1 FROM asset_queue") == []
    for name in ("left", "right"):
        events = cluster.servers[2].http.get("/api/v2/assets/events", params={"asset_id": found[0][name]}).json()
        created = [[run["run_id"] for run in event["created_dagruns"]] for event in events["asset_events"]]
        assert len(created) == 5
        assert sorted(map(len, created)) == [1] * 5
        assert len({run_id for (run_id,) in created}) == 5


def test_pools_and_variables_change_at_all_servers(cluster: Cluster) -> None:
    first, second, third = cluster.servers
    pool = {"name": "narrow", "slots": 2}
    assert first.http.post("/api/v2/pools", json=pool).status_code == 201
    eventually(lambda: third.http.get("/api/v2/pools/narrow").status_code == 200, LIMIT, "the pool")
    assert (
        third.http.patch(
            "/api/v2/pools/narrow", json={"pool": "narrow", "slots": 5, "include_deferred": False}
        ).status_code
        == 200
    )
    eventually(lambda: second.http.get("/api/v2/pools/narrow").json()["slots"] == 5, LIMIT, "its slots")
    assert second.http.delete("/api/v2/pools/narrow").status_code == 204
    eventually(lambda: first.http.get("/api/v2/pools/narrow").status_code == 404, LIMIT, "its end")
    eventually(lambda: second.http.get("/call/named").json()["description"] == "unnamed", LIMIT, "the DAG")
    assert first.http.post("/api/v2/variables", json={"key": "name", "value": "ann"}).status_code == 201
    eventually(lambda: second.http.get("/call/named").json()["description"] == "ann", LIMIT, "the DAG read again")


def test_a_server_that_is_killed_under_load_loses_nobody(cluster: Cluster) -> None:
    with cluster.under_load("killed") as more:
        killed = cluster.servers[0]
        epoch = cluster.epoch(killed)
        eventually(lambda: cluster.owned(epoch), what="runs of the server")
        killed.process.kill()
        began = time.monotonic()
        cluster.servers.remove(killed)
        eventually(lambda: not cluster.owned(epoch), LIMIT, "other owners of its runs")
        print(f"its runs were owned again after {time.monotonic() - began:.2f} s")
        more(20)
    cluster.check()


def test_what_a_killed_server_had_still_to_tell_callbacks_is_told_by_another(cluster: Cluster, tmp_path: Path) -> None:
    told, killed = tmp_path / "told", cluster.servers.pop(0)
    assert killed.value("tells_its_end", folder=str(tmp_path)) == "answer"
    eventually(told.exists, LIMIT, "the callback")
    assert not cluster.owned(cluster.epoch(killed)), "it has nothing else that anybody could go on with"
    killed.process.kill()
    eventually(lambda: told.read_text().count("begun") == 2, LIMIT, "the callback at another server")
    (tmp_path / "gate").touch()
    cluster.start()


def test_a_server_that_stood_still_writes_nothing_more_and_ends(cluster: Cluster) -> None:
    with cluster.under_load("still") as more:
        still = cluster.servers[0]
        epoch = cluster.epoch(still)
        eventually(lambda: cluster.owned(epoch), what="runs of the server")
        still.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            eventually(lambda: not cluster.owned(epoch), LIMIT, "other owners of its runs")
            print(f"its runs were owned again after {time.monotonic() - began:.2f} s")
        finally:
            still.process.send_signal(signal.SIGCONT)
        assert still.process.wait(LIMIT) == 5
        cluster.servers.remove(still)
        more(10)
    cluster.check()
    assert "has taken over what this one" in still.messages.read_text()


def test_servers_are_replaced_one_after_the_other_without_a_failed_call(cluster: Cluster) -> None:
    with cluster.under_load("replaced") as more:
        for _ in range(2):
            cluster.start()
            old = cluster.servers.pop(0)  # as a load balancer does when a server is not ready any more
            old.stop()
            more(5)
    cluster.check()
