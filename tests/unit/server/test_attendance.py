"""`on_disconnect`: what becomes of a run when those who wait for it go away."""

import asyncio

import httpx
import pytest
from starlette.types import ASGIApp

from dagcall.coordinator.api import Shared

from .scripted import ScriptedCoordinator, ScriptedRun, hold
from .wire import Wire

pytestmark = pytest.mark.anyio


async def begun(http: httpx.AsyncClient, coordinator: ScriptedCoordinator, query: str = "") -> ScriptedRun:
    coordinator.work["make"] = hold
    await http.post(f"/call/simple?run_id=r&on_disconnect=cancel{query}", headers={"Prefer": "respond-async"})
    return await coordinator.called("simple", "r")


async def gone(wire: Wire) -> None:
    wire.drop()
    await asyncio.wait_for(wire.task, 5)


async def test_only_the_last_waiter_takes_the_run_along(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    await begun(http, coordinator)
    async with (
        Wire(app, "GET", "/call/simple/r", "wait=5") as attached,
        Wire(app, "GET", "/call/simple/r/events", accept="text/event-stream") as following,
    ):
        await following.until(b"accepted")
        await gone(following)
        assert not coordinator.cancels
        await gone(attached)
    assert [key for key, _, _ in coordinator.cancels] == [("simple", "r")]


async def test_a_waiter_that_was_answered_has_not_left(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    await begun(http, coordinator)
    assert (await http.get("/call/simple/r?wait=0.01")).status_code == 202
    assert not coordinator.cancels


async def test_leaving_after_the_outcome_changes_nothing(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    run = await begun(http, coordinator)
    coordinator.work["after"] = hold
    async with Wire(app, "GET", "/call/simple/r/events", accept="*/*") as following:
        await following.until(b'"accepted"')
        await run.release("make", 1)
        await following.until(b'"result"')
        await gone(following)
    assert not coordinator.cancels


async def test_a_call_that_continues_keeps_a_run_that_it_shares(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    run = await begun(http, coordinator)
    admit = coordinator.admit

    async def share(request: object) -> tuple[ScriptedRun, Shared]:
        return run, "key"

    coordinator.admit = share  # type: ignore[assignment, method-assign]
    await http.post("/call/simple", headers={"Prefer": "respond-async"})
    coordinator.admit = admit  # type: ignore[method-assign]
    async with Wire(app, "GET", "/call/simple/r/events", accept="*/*") as following:
        await following.until(b'"accepted"')
        await gone(following)
    assert not coordinator.cancels


async def test_a_server_elsewhere_is_told_who_waits_here(
    app: ASGIApp, http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    """What the server that drives a run is asked when the last one leaves elsewhere."""
    run = await begun(http, coordinator)
    (attending,) = coordinator.attending
    assert not attending.is_attended(run)
    async with Wire(app, "GET", "/call/simple/r/events", accept="text/event-stream") as following:
        await following.until(b"accepted")
        assert attending.is_attended(run)
        attending.keep(run)
        await gone(following)
    assert attending.is_attended(run)
    assert not coordinator.cancels, "a call elsewhere wants it to go on"
