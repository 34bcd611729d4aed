"""The folders that are served: which they are, and when they are looked at again.

A server that was given a folder serves that one. Otherwise it serves Airflow's DAG bundles: folders of this machine are
known from the configuration, and watched through the kernel; all others are fetched and refreshed by the Airflow side
(`airflow_bridge.bundles`), every `refresh_interval` seconds. What such a bundle holds changes only then, and the version
that it has is told with it. One that cannot be fetched keeps nobody waiting: the others are served, and it is tried again.
"""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dagcall.coordinator.catalog import Catalog
from dagcall.coordinator.settings import CoordinatorSettings
from dagcall.coordinator.watcher import watch
from dagcall.errors import ConfigError, DagcallError
from dagcall.model.bundle import Bundle, Bundles
from dagcall.workers.base import AirflowRefused, Workers

log = logging.getLogger("dagcall.bundles")

FIRST_LIMIT = 60.0
"""Seconds for which a starting server waits for its bundles."""
FETCH_LIMIT = 600.0
"""Seconds for a bundle to be fetched or refreshed."""
RETRY = 10.0
"""Seconds after which a bundle is asked for again that could not be asked for."""
MISSING = 5.0
"""Seconds after which a folder that is not there is looked for again."""


@dataclass(frozen=True)
class Fetched:
    """A bundle as the Airflow side has it now. `error`: why it could not be fetched or refreshed."""

    name: str
    refresh_interval: float
    path: str = ""
    version: str | None = None
    is_versioned: bool = False
    error: str | None = None

    @property
    def bundle(self) -> Bundle:
        return Bundle(self.name, os.path.realpath(self.path), self.version, self.is_versioned)


class FollowedBundles:
    """Keeps the workers' and the catalog's bundles up to date."""

    def __init__(
        self, workers: Workers, catalog: Catalog, stopped: asyncio.Event, settings: CoordinatorSettings
    ) -> None:
        self._workers = workers
        self._catalog = catalog
        self._stopped = stopped
        self._settings = settings
        self._watches = settings.watch
        self._known: dict[str, Bundle | None] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, settings: Mapping[str, Any]) -> None:
        """`settings`: Airflow's. When it returns, watching has begun: what changes from now on is noticed. Raises
        ConfigError, Unavailable."""
        if self._settings.folder is not None:
            self._watch_all([next(iter(self._catalog.bundles))])
        elif settings.get("bundles") is not None:
            self._begin_local([Fetched(name, 0.0, path).bundle for name, path in settings["bundles"]])
        else:
            await self._begin_fetched()
        await asyncio.sleep(0)  # the watchers take their first step

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin_local(self, bundles: list[Bundle]) -> None:
        self._known = {bundle.name: bundle for bundle in bundles}
        self._serve()
        there = [bundle for bundle in bundles if _is_there(bundle)]
        if not there:
            paths = ", ".join(repr(bundle.path) for bundle in bundles) or "(none is configured)"
            raise ConfigError(
                f"the DAGs folder {paths} is not a directory: name one (dagcall serve FOLDER), or configure Airflow's "
                "[core] dags_folder or [dag_processor] dag_bundle_config_list"
            )
        for bundle in bundles:
            if bundle not in there:
                log.warning("bundle %r: the folder %r is not there (yet)", bundle.name, bundle.path)
        self._watch_all(bundles)

    async def _begin_fetched(self) -> None:
        side = self._workers.airflow
        side.use("bundles", {"has_database": self._settings.database.exists})
        try:
            names = await side.ask("bundles.names", {}, list[str], limit=FIRST_LIMIT)
        except AirflowRefused as refusal:
            raise ConfigError(str(refusal)) from None
        self._known = dict.fromkeys(names)
        fetched = {name: asyncio.Event() for name in names}
        for name in names:
            self._spawn(self._follow(name, fetched[name]), f"dagcall-bundle {name}")
        waiting = [asyncio.create_task(event.wait()) for event in fetched.values()]
        _, late = await asyncio.wait(waiting, timeout=FIRST_LIMIT) if waiting else (set(), set())
        for one in late:
            one.cancel()
        missing = [name for name, event in fetched.items() if not event.is_set()]
        if missing:
            log.warning("not fetched within %g s, and served when they come: %s", FIRST_LIMIT, ", ".join(missing))

    async def _follow(self, name: str, first: asyncio.Event) -> None:
        """Fetch a bundle, then refresh it for as long as the server lives."""
        while True:
            interval = RETRY
            try:
                fetched = await self._workers.airflow.ask("bundles.fetch", {"name": name}, Fetched, limit=FETCH_LIMIT)
                interval = fetched.refresh_interval
                if self._take(fetched):
                    self._serve()
                    if first.is_set():
                        await self._look()
            except (DagcallError, AirflowRefused, msgspec.ValidationError) as error:
                log.warning("bundle %r could not be asked for: %s", name, error)
            first.set()
            if not self._watches:
                return
            await asyncio.sleep(interval)

    def _take(self, fetched: Fetched) -> bool:
        """Whether it is another one now."""
        before = self._known[fetched.name]
        if fetched.error is not None:
            log.error(
                "bundle %r could not be %s: %s", fetched.name, "refreshed" if before else "fetched", fetched.error
            )
            return False
        self._known[fetched.name] = bundle = fetched.bundle
        if before is None or before.path != bundle.path:
            log.info(
                "bundle %r: %s%s", bundle.name, bundle.path, f", version {bundle.version}" if bundle.version else ""
            )
            if not bundle.is_versioned:
                self._watch_all([bundle])
        elif before.version != bundle.version:
            log.info("bundle %r has changed: version %s", bundle.name, bundle.version)
        return bundle != before

    def _serve(self) -> None:
        bundles = Bundles(bundle for bundle in self._known.values() if bundle is not None)
        self._workers.serve(bundles)
        self._catalog.serve(bundles)

    async def _look(self) -> None:
        try:
            await self._catalog.look()
        except DagcallError as error:
            log.warning("the DAG files could not be looked at again: %s", error)

    def _watch_all(self, bundles: Sequence[Bundle]) -> None:
        for bundle in bundles if self._watches else ():
            self._spawn(self._watch(bundle), f"dagcall-watcher {bundle.name}")

    async def _watch(self, bundle: Bundle) -> None:
        if not _is_there(bundle):
            while not _is_there(bundle):  # noqa: ASYNC110 # nobody tells that a folder has come
                await asyncio.sleep(MISSING)
            await self._look()
        if self._known.get(bundle.name, bundle) == bundle:
            await watch(bundle.path, self._catalog, self._stopped)

    def _spawn(self, work: Any, name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))


def _is_there(bundle: Bundle) -> bool:
    return os.path.isdir(bundle.path)
