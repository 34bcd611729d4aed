"""Watches the DAGs folder and keeps the catalog up to date.

Notified by the kernel through watchfiles (`WATCHFILES_FORCE_POLLING=true` where a file system sends no notices; chosen
by itself where the kernel refuses). Events are gathered for `SETTLE_MS` before anything is parsed, since editors and
git write in several steps. It waits for no file to be parsed: one that hangs must not hide changes of others.
"""

import asyncio
import logging
import os

from watchfiles import Change, awatch

from dagcall.coordinator.catalog import Catalog
from dagcall.errors import DagcallError

log = logging.getLogger("dagcall.catalog")

SETTLE_MS = 50
_GATHER_MS = 400
"""Changes that never pause for `SETTLE_MS` are acted upon after this long."""
_IGNORED = ("__pycache__",)


async def watch(folder: str, catalog: Catalog, stopped: asyncio.Event) -> None:
    """Run until `stopped` is set. Watching has begun when the coroutine is first suspended."""
    try:
        await _follow(folder, catalog, stopped, force_polling=None)
    except (OSError, RuntimeError) as error:
        log.warning("the DAGs folder cannot be watched through the kernel (%s); polling it", error)
        await _follow(folder, catalog, stopped, force_polling=True)


async def _follow(folder: str, catalog: Catalog, stopped: asyncio.Event, *, force_polling: bool | None) -> None:
    async for changes in awatch(
        folder,
        watch_filter=_is_relevant,
        debounce=_GATHER_MS,
        step=SETTLE_MS,
        stop_event=stopped,
        recursive=True,
        force_polling=force_polling,
    ):
        paths = {path for _, path in changes}
        # A file that came or went changes the listing of its folder, which a DAG factory may have read.
        paths |= {os.path.dirname(path) for change, path in changes if change is not Change.modified}
        try:
            await catalog.look(paths)
        except DagcallError as error:
            log.warning("the DAGs folder could not be read again: %s", error)


def _is_relevant(_: object, path: str) -> bool:
    return not any(part in _IGNORED for part in path.split(os.sep)) and not path.endswith((".pyc", ".swp", "~"))
