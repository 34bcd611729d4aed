"""Waiting for a run on behalf of a connection that may go away."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from dagcall.coordinator.api import RunView
from dagcall.model.commands import Outcome

T = TypeVar("T")

_UNWATCHED = 0.25
"""Seconds. Most calls are answered sooner, and watching a connection costs a task: it begins after this."""


async def outcome_within(
    view: RunView, seconds: float, receive: Receive, *, watch_at_once: bool = False
) -> Outcome | None:
    """The outcome, or None when `seconds` are over. Raises `ClientDisconnect` once the client has gone, `Unavailable`
    when the server gives up on the run."""
    if view.outcome is not None or seconds <= 0:
        return view.outcome
    if not watch_at_once:
        first = min(seconds, _UNWATCHED)
        outcome = await view.wait_outcome(first)
        seconds -= first
        if outcome is not None or seconds <= 0:
            return outcome
    return await unless_gone(view.wait_outcome(seconds), receive)


async def unless_gone(work: Coroutine[object, object, T], receive: Receive) -> T:
    """`work`'s result; cancels it and raises `ClientDisconnect` when the client disconnects first."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
