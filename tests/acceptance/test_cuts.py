"""A client whose connections are cut at random moments sees every event exactly once, and exactly one run.

`DAGCALL_CUTS` says how many cuts are made: `make test-cuts` makes 1,000.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import dagcall

from .cutting import Cutter, cutting
from .serving import Server

CUTS = int(os.environ.get("DAGCALL_CUTS", "50"))
READERS = 8
CHUNKS = 40


def follow(cutter: Cutter, key: str) -> list[dagcall.RunEvent]:
    with dagcall.Client(cutter.url) as client:
        return list(client.with_options(key=key, retry=60).stream("emits", n=CHUNKS))


def call(cutter: Cutter, key: str) -> object:
    with dagcall.Client(cutter.url) as client:
        return client.with_options(key=key, retry=60).call("own_run", fails=False)


def test_every_event_once_and_one_run(shared: Server) -> None:
    before = {dag_id: runs_of(shared, dag_id) for dag_id in ("emits", "own_run")}
    numbers, lock, made = iter(range(10**6)), threading.Lock(), {"emits": 0, "own_run": 0}

    def reader(cutter: Cutter) -> None:
        while cutter.cuts < CUTS:
            with lock:
                number = next(numbers)
            events = follow(cutter, f"cut-{number}")
            assert [one.id for one in events] == list(range(1, len(events) + 1))
            assert [one.data["value"] for one in events if one.event == "chunk"] == list(range(CHUNKS))
            assert events[-1].event == "end"
            assert len({one.run_id for one in events}) == 1
            first, second = call(cutter, f"cut-{number}"), call(cutter, f"cut-{number}")
            assert first == second
            with lock:
                made["emits"] += 1
                made["own_run"] += 1

    with cutting(shared.port, seed=CUTS) as cutter, ThreadPoolExecutor(READERS) as readers:
        for done in [readers.submit(reader, cutter) for _ in range(READERS)]:
            done.result()
    assert cutter.cuts >= CUTS
    assert {dag_id: runs_of(shared, dag_id) - before[dag_id] for dag_id in made} == made


def runs_of(server: Server, dag_id: str) -> int:
    return int(server.http.get(f"/api/v2/dags/{dag_id}/dagRuns").json()["total_entries"])
