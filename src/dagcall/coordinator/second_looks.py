"""DAG files are parsed again when something that they had asked for while they were parsed is another one now."""

import asyncio
import logging

from dagcall.coordinator.catalog import Catalog

log = logging.getLogger("dagcall.coordinator")


class SecondLooks:
    """`tasks`: where what is under way is kept, to be cancelled with the server."""

    def __init__(self, catalog: Catalog, tasks: "list[asyncio.Task[None]]", *, watches: bool) -> None:
        self._catalog = catalog
        self._tasks = tasks
        self._watches = watches

    def look(self, name: str) -> None:
        """`variable:KEY`, `connection:ID` has changed."""
        if self._watches and self._catalog.depends_on(name):
            looking = asyncio.create_task(self._catalog.look({name}), name=f"dagcall-look {name}")
            self._tasks.append(looking)
            looking.add_done_callback(self._looked)

    def _looked(self, looking: "asyncio.Task[None]") -> None:
        self._tasks.remove(looking)
        if not looking.cancelled() and (error := looking.exception()) is not None:
            log.warning("the DAG files could not be looked at again: %s", error)
