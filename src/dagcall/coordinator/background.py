"""Work that goes on beside the calls for as long as the server lives: what ends it is told.

Such work deals with the errors that it expects. Any other is a bug, which must not be found days later, by what is missing.
"""

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger("dagcall.coordinator")


def in_background(work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
    """Begin it. Should it end otherwise than by being cancelled, the log says so."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_tell)
    return task


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical(
            "%s has ended by a bug of dagcall, and is not done again until this server is restarted: please report it",
            task.get_name(),
            exc_info=error,
        )
