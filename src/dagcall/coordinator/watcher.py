"""Watches the DAGs folder and refreshes the catalog.

Notified by the kernel through watchfiles (`WATCHFILES_FORCE_POLLING=true` where a file system sends no notices);
events are gathered for `SETTLE` before anything is parsed, since editors and git write in several steps.
"""

import asyncio
import logging
import os

from watchfiles import awatch

from dagcall.coordinator.catalog import Catalog
from dagcall.errors import DagcallError

log = logging.getLogger("dagcall.catalog")

SETTLE_MS = 50
_IGNORED = ("__pycache__",)


async def watch(folder: str, catalog: Catalog, stopped: asyncio.Event) -> None:
    """Run until `stopped` is set."""
    async for changes in awatch(
        folder, watch_filter=_is_relevant, debounce=400, step=SETTLE_MS, stop_event=stopped, recursive=True
    ):
        paths = {path for _, path in changes}
        # A file that came or went changes the listing of its folder, which a DAG factory may have read.
        paths |= {os.path.dirname(path) for path in paths}
        try:
            await catalog.refresh(paths)
        except DagcallError as error:
            log.warning("the DAGs folder could not be read again: %s", error)


def _is_relevant(_: object, path: str) -> bool:
    return not any(part in _IGNORED for part in path.split(os.sep)) and not path.endswith((".pyc", ".swp", "~"))
