"""A run's events: complete, in order, the same for every reader, and over when they are over."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message

from dagcall.errors import ShuttingDown
from dagcall.model.events import Emitted
from dagcall.model.ids import RunKey
from dagcall.model.plan import TaskPlan

from .conftest import plan
from .scripted import EPOCH, ScriptedCoordinator, ScriptedRun, hold
from .wire import Wire

pytestmark = pytest.mark.anyio

NDJSON = {"Accept": "application/x-ndjson"}
SSE = {"Accept": "text/event-stream"}


def lines(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines() if line]


async def held_run(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> ScriptedRun:
    coordinator.work |= {"make": hold, "after": hold}
    await http.post("/call/simple?wait=0&run_id=r")
    return coordinator.runs[RunKey("simple", "r")]


async def test_post_streams_the_run(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    answer = await http.post("/call/simple?run_id=r", json={"n": 1}, headers=NDJSON)
    events = lines(answer.content)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["dagcall-run-id"] == "r"
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert [event["event"] for event in events] == [
        *("accepted", "task", "task", "result", "task", "task", "end"),
    ]
    assert events[0]["data"] == {"dag_id": "simple", "run_id": "r", "params": {"n": 1}}
    assert events[0]["time"] == "2026-01-01T00:00:00Z"
    assert {event["run_id"] for event in events} == {"r"}
    assert events[3]["data"] == {"value": "make"}
    assert events[-1]["data"] == {"state": "success"}


async def test_sse_carries_the_same(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    await http.post("/call/simple?run_id=r")
    told = lines((await http.get("/call/simple/r/events", headers=NDJSON)).content)
    answer = await http.get("/call/simple/r", headers=SSE)
    assert answer.headers["content-type"].startswith("text/event-stream")
    for block, event in zip(answer.text.strip().split("\n\n"), told, strict=True):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        assert (fields["id"], fields["event"]) == (str(event["id"]), event["event"])
        assert json.loads(fields["data"]) == event


async def test_several_results_and_none(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    two = lines((await http.post("/call/two", headers=NDJSON)).content)
    assert [event["data"] for event in two if event["event"] == "result"] == [
        {"values": {"left": "left", "right": "right"}}
    ]
    none = lines((await http.post("/call/none", headers=NDJSON)).content)
    assert [event["data"] for event in none if event["event"] == "result"] == [{"value": None}]


async def test_failure_has_the_members_of_the_problem(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    def fail(params: object, index: int) -> None:
        raise ValueError("no")

    coordinator.work["make"] = fail
    events = lines((await http.post("/call/simple?run_id=r", headers=NDJSON)).content)
    problem = (await http.get("/call/simple/r")).json()
    told = next(event["data"] for event in events if event["event"] == "failure")
    changing = {"state", "cleanup"}
    assert {k: v for k, v in told.items() if k not in changing} == {
        k: v for k, v in problem.items() if k not in changing
    }


async def test_events_come_as_they_happen_then_heartbeats(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    run = await held_run(http, coordinator)
    async with Wire(app, "GET", "/call/simple/r/events", accept="application/x-ndjson") as wire:
        await wire.until(b'"accepted"')
        assert b'"result"' not in wire.body
        await wire.until(b"\n\n")  # a heartbeat
        await run.release("make", 5)
        await wire.until(b'"result"')
        assert not wire.is_done
        await run.release("after")
        events = lines(await wire.all())
    assert [event["id"] for event in events] == [record.id for record in run.records]
    assert events[-1]["event"] == "end"


async def test_sse_heartbeat_is_a_comment(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    await held_run(http, coordinator)
    async with Wire(app, "GET", "/call/simple/r", accept="text/event-stream") as wire:
        await wire.until(b": heartbeat\n\n")


async def test_until_outcome_ends_there(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    run = await held_run(http, coordinator)
    async with Wire(app, "GET", "/call/simple/r/events", "until=outcome", accept="*/*") as wire:
        await wire.until(b'"accepted"')
        await run.release("make", 5)
        assert lines(await wire.all())[-1]["event"] == "result"
    assert not run.head.state.is_final
    last = next(record.id for record in run.records if record.kind == "result")
    again = await http.get("/call/simple/r/events?until=outcome", headers={**NDJSON, "Last-Event-ID": str(last)})
    assert (again.status_code, again.content) == (204, b"")


async def test_resume_at_every_event(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    await http.post("/call/simple?run_id=r")
    told = lines((await http.get("/call/simple/r/events")).content)
    for event in told[:-1]:
        answer = await http.get("/call/simple/r/events", headers={**NDJSON, "Last-Event-ID": str(event["id"])})
        assert lines(answer.content) == told[event["id"] :]
    after_end = await http.get("/call/simple/r/events", headers={**SSE, "Last-Event-ID": str(told[-1]["id"])})
    assert (after_end.status_code, after_end.content) == (204, b"")
    assert (await http.get("/call/simple/r/events", headers={"Last-Event-ID": "x"})).status_code == 400


async def test_a_post_goes_on_with_events_only_under_a_key(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    seen = {**NDJSON, "Last-Event-ID": "3"}
    refused = await http.post("/call/simple", headers=seen)
    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/bad-request")
    assert "Idempotency-Key" in refused.json()["detail"]
    assert not coordinator.requests
    begun = lines((await http.post("/call/simple", headers={**seen, "Idempotency-Key": "k"})).content)
    assert begun[0]["id"] == 1  # another run than the one whose events were seen
    coordinator.shared = "key"
    joined = await http.post("/call/simple", headers={**seen, "Idempotency-Key": "k"})
    assert lines(joined.content)[0]["id"] == 4
    assert joined.headers["dagcall-shared"] == "key"


async def test_one_that_does_not_read_is_written_little(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    run = await held_run(http, coordinator)
    await run.feed(Emitted(1, EPOCH, tuple(b'"%s"' % (b"x" * 50_000) for _ in range(100))))
    written: list[int] = []
    is_stalled = asyncio.Event()

    async def never_read(message: Message) -> None:
        written.append(len(message.get("body", b"")))
        if written[-1]:
            is_stalled.set()
            await asyncio.Event().wait()

    async with Wire(app, "GET", "/call/simple/r/events", send=never_read, accept="*/*") as wire:
        await asyncio.wait_for(is_stalled.wait(), 5)
        assert not wire.task.done()
    assert 50_000 < sum(written) < 200_000


async def test_reader_that_leaves_leaves_nothing(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    await held_run(http, coordinator)
    before = asyncio.all_tasks()
    async with Wire(app, "GET", "/call/simple/r/events", accept="*/*") as wire:
        await wire.until(b'"accepted"')
        wire.drop()
        await asyncio.wait_for(wire.task, 5)
    assert asyncio.all_tasks() <= before
    assert not coordinator.cancels


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_on_disconnect_cancel(app: ASGIApp, coordinator: ScriptedCoordinator, accept: str) -> None:
    coordinator.work["make"] = hold
    async with Wire(app, "POST", "/call/simple", "wait=5&on_disconnect=cancel&run_id=r", accept=accept) as wire:
        await coordinator.called("simple", "r")
        if accept != "application/json":
            await wire.until(b"accepted")
        wire.drop()
        await asyncio.wait_for(wire.task, 5)
    assert [key for key, _, _ in coordinator.cancels] == [("simple", "r")]


async def test_waiter_that_leaves_leaves_the_run_alone(app: ASGIApp, coordinator: ScriptedCoordinator) -> None:
    coordinator.work["make"] = hold
    before = asyncio.all_tasks()
    async with Wire(app, "POST", "/call/simple", "wait=5&run_id=r") as wire:
        await coordinator.called("simple", "r")
        wire.drop()
        await asyncio.wait_for(wire.task, 5)  # well before the wait is over
        assert wire.status == 0
    assert asyncio.all_tasks() <= before
    assert not coordinator.cancels


async def test_stream_ends_when_the_server_stops(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    run = await held_run(http, coordinator)
    async with Wire(app, "GET", "/call/simple/r/events", accept="*/*") as wire:
        await wire.until(b'"accepted"')
        run.gives_up = ShuttingDown()
        run.notify()
        assert lines(await wire.all())[-1]["event"] != "end"


async def test_unacceptable(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.serve(plan("other", TaskPlan("t")))
    assert (await http.post("/call/other", headers={"Accept": "text/html"})).status_code == 406
    assert not coordinator.requests
    await http.post("/call/simple?run_id=r")
    answer = await http.get("/call/simple/r/events", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (406, "/problems/not-acceptable")
