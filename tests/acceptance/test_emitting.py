"""Partial results reach the caller while the task runs."""

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
import pytest

import dagcall

from .conftest import ServerFactory
from .serving import Server


def follow(server: Server, dag_id: str, **params: Any) -> list[dagcall.RunEvent]:
    with dagcall.Client(server.url) as client:
        events = list(client.stream(dag_id, params))
    assert [one.id for one in events] == list(range(1, len(events) + 1))
    return events


def test_chunks_come_while_the_task_runs(shared: Server, tmp_path: Path) -> None:
    file = tmp_path / "go"
    kinds, values = [], []
    with dagcall.Client(shared.url) as client:
        for event in client.stream("emits", n=4, file=str(file)):
            kinds.append(event.event)
            if event.event == "chunk":
                assert event.data["task_id"] == "count"
                assert (event.data["map_index"], event.data["try_number"]) == (-1, 1)
                values.append(event.data["value"])
            if values == [0, 1]:
                file.touch()  # only now can the task go on
    assert values == [0, 1, 2, 3]
    assert kinds == ["accepted", "task", *["chunk"] * 4, "task", "result", "end"]


def test_mapped_tasks_threads_and_coroutines_emit(shared: Server) -> None:
    events = follow(shared, "emits_from_everywhere")
    said = [(one.data["map_index"], one.data["value"]) for one in events if one.event == "chunk"]
    for index, name in enumerate("ab"):
        assert [value for i, value in said if i == index] == [f"{name} main", f"{name} thread", f"{name} async"]
    assert [one.data for one in events if one.event == "result"] == [{"value": ["a", "b"]}]


@pytest.mark.parametrize("how", ["fails", "dies"])
def test_chunks_of_a_failed_try_are_taken_back(shared: Server, how: str) -> None:
    events = follow(shared, "emits_then_fails", how=how)
    told = [(one.event, one.data["try_number"]) for one in events if one.event in ("chunk", "rollback")]
    assert told == [("chunk", 1), ("rollback", 1), ("chunk", 2)]
    assert events[-2].data == {"value": "done"}


def test_a_handle_iterates_chunks_and_tells_of_rollbacks(shared: Server) -> None:
    with dagcall.Client(shared.url) as client:
        told: list[dagcall.Rollback] = []
        run = client.submit("emits_then_fails")
        assert [one.value for one in run.chunks(on_rollback=told.append)] == [{"try": 1}, {"try": 2}]
        assert told == [dagcall.Rollback("t", -1, 1, count=1)]
        with pytest.raises(dagcall.RolledBack, match="on_rollback"):
            list(run.chunks())
        assert run.result() == "done"
        assert list(run.chunks("no_such_task")) == []


def test_chunks_of_an_asynchronous_handle(shared: Server) -> None:
    async def values() -> list[Any]:
        async with dagcall.AsyncClient(shared.url) as client:
            run = await client.submit("emits", n=3)
            return [one.value async for one in run.chunks("count")]

    assert asyncio.run(values()) == [0, 1, 2]


def test_after_the_death_of_the_server_chunks_are_still_there_and_void(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve()
    path = server.start("emits", n=4, file=str(tmp_path / "never"))
    run_id = unquote(path.rsplit("/", 1)[1])
    seen: list[dagcall.RunEvent] = []
    with dagcall.Client(server.url) as client:
        for event in client.run("emits", run_id).events():
            seen.append(event)
            if event.event == "chunk" and event.data["value"] == 1:
                break
    server.process.kill()
    server.process.wait(10)
    again = Server(server.home)
    try:
        again.wait_until_loaded()
        with dagcall.Client(again.url) as client:
            events = list(client.run("emits", run_id).events())
        assert events[: len(seen)] == seen
        assert [one.event for one in events[len(seen) :]] == ["rollback", "task", "failure", "end"]
        assert [one.id for one in events] == list(range(1, len(events) + 1))
        again.stop()
    finally:
        again.end()


def test_a_tight_loop_loses_nothing_and_leaves_the_worker_usable(shared: Server) -> None:
    events = follow(shared, "emits", n=20_000)
    assert [one.data["value"] for one in events if one.event == "chunk"] == list(range(20_000))


def test_readers_that_do_not_read_slow_nobody_and_cost_no_memory(shared: Server) -> None:
    path = shared.start("emits", n=10_000, seconds=0.0)
    server = psutil.Process(shared.process.pid)
    before = server.memory_info().rss
    with ExitStack() as open_sockets:
        for _ in range(100):
            stalled = open_sockets.enter_context(socket.create_connection(("127.0.0.1", shared.port)))
            stalled.sendall(f"GET {path}/events HTTP/1.1\r\nHost: 127.0.0.1:{shared.port}\r\n\r\n".encode())
        assert shared.http.get(path, params={"wait": 60}).json() == 10_000
        kept = len(shared.http.get(f"{path}/events").content)
        assert server.memory_info().rss - before < 100 * kept / 2  # each would have its own copy
    with dagcall.Client(shared.url) as client:
        assert (
            sum(one.event == "chunk" for one in client.run("emits", unquote(path.rsplit("/", 1)[1])).events()) == 10_000
        )


def test_a_value_that_is_too_large_fails_its_task(shared: Server) -> None:
    answer = shared.call("emits_too_much")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "ValueError"
    assert "over the limit" in answer.json()["error"]["message"]


def test_the_command_line_shows_them(shared: Server) -> None:
    command = [sys.executable, "-m", "dagcall.cli", "call", "emits", "-p", "n=2", "--stream"]
    done = subprocess.run(
        command, env={"DAGCALL_URL": shared.url, "PYTHONPATH": "src"}, capture_output=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["data"]["value"] for one in lines if one["event"] == "chunk"] == [0, 1]
