"""The end of a server that is told to stop: what it still waits for, and what it says of what it did not wait for."""

import asyncio
import logging
from collections.abc import Sized

from dagcall.coordinator.notices import Notices
from dagcall.coordinator.recording import Recording

log = logging.getLogger("dagcall.coordinator")


async def drain(limit: float, idle: asyncio.Event, runs: Sized, notices: Notices, recording: Recording) -> None:
    """At most `limit` seconds: for the end of the runs (`idle`), then for their callbacks, then for what can be recorded."""
    try:
        async with asyncio.timeout(limit):
            await idle.wait()
            await notices.wait()
            await recording.drain()
    except TimeoutError:
        log.warning(
            "%d run(s) and %d callback(s) were not finished within the drain limit of %g s",
            len(runs),
            notices.count,
            limit,
        )
