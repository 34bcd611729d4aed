"""The folders that are served: which they are, and when they are looked at again.

A server that was given a folder serves that one. Otherwise it serves Airflow's DAG bundles: folders of this machine, which
are known from the configuration, and watched through the kernel.
"""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from dagcall.coordinator.catalog import Catalog
from dagcall.coordinator.watcher import watch
from dagcall.errors import ConfigError, DagcallError
from dagcall.model.bundle import Bundle, Bundles
from dagcall.workers.base import Workers

log = logging.getLogger("dagcall.bundles")

MISSING = 5.0
"""Seconds after which a folder that is not there is looked for again."""


class FollowedBundles:
    """Keeps the workers' and the catalog's bundles up to date. `watches`: they are looked at again when they change."""

    def __init__(self, workers: Workers, catalog: Catalog, stopped: asyncio.Event, *, watches: bool) -> None:
        self._workers = workers
        self._catalog = catalog
        self._stopped = stopped
        self._watches = watches
        self._known: dict[str, Bundle | None] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, folder: str | None, settings: Mapping[str, Any]) -> None:
        """Raises ConfigError, Unavailable. When it returns, watching has begun: what changes from now on is noticed."""
        if folder is not None:
            self._watch_all([next(iter(self._catalog.bundles))])
        elif settings.get("bundles") is not None:
            self._begin_local([_local(name, path) for name, path in settings["bundles"]])
        else:
            raise ConfigError(
                "[dag_processor] dag_bundle_config_list has bundles that are no LocalDagBundle, or cannot be read: name a "
                "folder (dagcall serve FOLDER)"
            )
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


def _local(name: str, path: str) -> Bundle:
    return Bundle(name, os.path.realpath(path))


def _is_there(bundle: Bundle) -> bool:
    return os.path.isdir(bundle.path)
