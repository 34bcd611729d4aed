"""Which DAGs are served, in which version.

Authoritative for the current version of every file: the newest one that imported. A changed file (itself, or
anything it read while it was parsed) is parsed again in a process of its own; when that works it becomes the current
version for new calls, while runs that have begun keep the one they began with; when it does not, the old version goes
on serving and the error is shown. Two files with one DAG id: the first keeps it, the other shows an error, as in
Airflow's DagBag.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from dagcall.coordinator.api import ImportErrorInfo
from dagcall.coordinator.params import ParamsValidator
from dagcall.errors import DagBroken, DagcallError, DagNotFound, Loading
from dagcall.model.plan import DagPlan
from dagcall.workers.base import Code, Workers

log = logging.getLogger("dagcall.catalog")

_PARALLEL_LOADS = 4


@dataclass
class DagFile:
    """One file: the version that serves, and what is wrong with the newest one."""

    path: str
    code: Code | None = None
    errors: list[ImportErrorInfo] = field(default_factory=list)
    watched: frozenset[str] = frozenset()


@dataclass
class Served:
    """One DAG that is served now."""

    plan: DagPlan
    code: Code
    file: DagFile
    params: ParamsValidator


class Catalog:
    """Implements `api.CatalogView`."""

    def __init__(
        self, folder: str, workers: Workers, now: Callable[[], float], release: Callable[[Code], None]
    ) -> None:
        self._folder = folder
        self._workers = workers
        self._now = now
        self._release = release
        self._files: dict[str, DagFile] = {}
        self._served: dict[str, Served] = {}
        self._loads = asyncio.Semaphore(_PARALLEL_LOADS)
        self._error_ids = 0
        self._loaded = False
        self._refreshing = asyncio.Lock()

    @property
    def is_loaded(self) -> bool:
        return self._loaded

    def plans(self) -> list[DagPlan]:
        return [self._served[dag_id].plan for dag_id in sorted(self._served)]

    def find(self, dag_id: str) -> DagPlan:
        return self.served(dag_id).plan

    def import_errors(self) -> list[ImportErrorInfo]:
        return [error for path in sorted(self._files) for error in self._files[path].errors]

    def served(self, dag_id: str) -> Served:
        """Raises Loading, DagNotFound, DagBroken."""
        found = self._served.get(dag_id)
        if found is not None:
            return found
        if not self._loaded:
            raise Loading(retry_after=1.0)
        for file in self._files.values():
            if file.code is None and file.errors and _may_define(file, dag_id):
                summary = file.errors[0].text.strip().splitlines()[-1]
                raise DagBroken(
                    f"DAG {dag_id!r} cannot be loaded: {file.errors[0].path} does not import: {summary}", dag_id=dag_id
                )
        raise DagNotFound(dag_id=dag_id)

    async def refresh(self, changed: set[str] | None = None) -> None:
        """Look at the folder again: parse new and changed files, forget removed ones.

        `changed`: the paths that are known to have changed (None: everything is looked at).
        """
        async with self._refreshing:
            paths = set(await self._workers.list_files())
            for path in [path for path in self._files if path not in paths]:
                self._forget(path)
            stale = [
                path
                for path in sorted(paths)
                if path not in self._files or changed is None or self._depends_on(self._files[path], changed)
            ]
            await asyncio.gather(*(self._load(path) for path in stale))
            self._loaded = True

    async def opened(self, served: Served) -> Served:
        """`served` with its processes started; what the file holds now, if it has changed meanwhile.

        Raises Unavailable, DagNotFound, DagBroken.
        """
        code = await self._workers.open(served.code)
        if code is served.code:
            return served
        if code.plans:
            self._install(served.file, code)
        else:
            self._workers.close(code)
        return self.served(served.plan.dag_id)

    def _depends_on(self, file: DagFile, changed: set[str]) -> bool:
        return file.path in changed or not file.watched.isdisjoint(changed)

    async def _load(self, path: str) -> None:
        file = self._files.setdefault(path, DagFile(path))
        async with self._loads:
            try:
                code = await self._workers.load(path)
            except DagcallError as error:
                log.warning("%s could not be parsed: %s", path, error)
                file.errors = [self._error(os.path.relpath(path, self._folder), str(error))]
                return
        file.watched = frozenset(dependency.path for dependency in code.dependencies) | file.watched
        if file.code is not None and code.version == file.code.version and not code.errors:
            file.errors = []
            return
        file.errors = [self._error(name, text) for name, text in code.errors]
        if code.errors and not code.plans and file.code is not None:
            return  # the good version goes on serving
        self._install(file, code)

    def _install(self, file: DagFile, code: Code) -> None:
        """Make `code` the version of `file` that serves."""
        previous, file.code = file.code, code if code.plans else None
        file.watched = frozenset(dependency.path for dependency in code.dependencies)
        for dag_id in [dag_id for dag_id, served in self._served.items() if served.file is file]:
            if dag_id not in code.plans:
                del self._served[dag_id]
        for dag_id, plan in code.plans.items():
            other = self._served.get(dag_id)
            if other is not None and other.file is not file:
                text = f"AirflowDagDuplicatedIdException: DAG {dag_id!r} is already defined in {other.file.path}"
                file.errors.append(self._error(plan.relative_fileloc, text))
                continue
            self._served[dag_id] = Served(plan, code, file, ParamsValidator(plan))
        if previous is not None and previous is not code:
            self._release(previous)

    def _forget(self, path: str) -> None:
        file = self._files.pop(path)
        for dag_id in [dag_id for dag_id, served in self._served.items() if served.file is file]:
            del self._served[dag_id]
        if file.code is not None:
            self._release(file.code)

    def _error(self, path: str, text: str) -> ImportErrorInfo:
        self._error_ids += 1
        return ImportErrorInfo(self._error_ids, path, text, self._now())


def _may_define(file: DagFile, dag_id: str) -> bool:
    """A file that never imported: whether its text mentions the DAG id, or is named after it."""
    if os.path.splitext(os.path.basename(file.path))[0] == dag_id:
        return True
    with contextlib.suppress(OSError), open(file.path, encoding="utf-8", errors="replace") as text:
        return dag_id in text.read()
    return False
