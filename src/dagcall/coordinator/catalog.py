"""Which DAGs are served, in which version.

Authoritative for the current version of every file: the newest one that imported. A changed file (itself, or
anything it read while it was parsed) is parsed again in a process of its own; when that works (and, where the old version
has processes, the new one has them too) it becomes the current version for new calls, while runs that have begun keep the one they began with; when it does not, the old version goes
on serving and the error is shown. Two files with one DAG id: the one that has it keeps it (at the start, that of the
bundle configured first, then the first by path), the other shows an error, as in Airflow's DagBag, and takes over when the first is gone.

A file is looked at by one task at a time, independently of all others: one that hangs delays nobody. DAGs that are
suddenly gone are looked for again after `SETTLE`, since whoever writes a file empties or unlinks it first.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dagcall.coordinator.api import ImportErrorInfo
from dagcall.coordinator.exposure import Exposure
from dagcall.coordinator.params import ParamsValidator
from dagcall.errors import DagBroken, DagcallError, DagNotFound, Loading, Unavailable
from dagcall.model.bundle import DAGS_FOLDER, Bundles
from dagcall.model.plan import DagPlan
from dagcall.workers.base import Code, Workers

log = logging.getLogger("dagcall.catalog")

SETTLE = 0.1
"""Seconds that a file may be missing or empty while somebody replaces it."""
_PARALLEL_LOADS = 4
_SLOW = 2.0
"""Seconds after which a file that is still being parsed does not count as one of `_PARALLEL_LOADS` any more."""
_TRIES = 5
"""How often a file is parsed when the zygote is lost meanwhile."""


@dataclass(eq=False)
class DagFile:
    """One file: the version that serves, and what is wrong with the newest one."""

    path: str
    code: Code | None = None
    errors: list[ImportErrorInfo] = field(default_factory=list)
    clashes: list[ImportErrorInfo] = field(default_factory=list)
    watched: frozenset[str] = frozenset()
    is_stale: bool = False
    loading: "asyncio.Task[None] | None" = None


@dataclass(frozen=True, eq=False)
class Served:
    """One DAG that is served now."""

    plan: DagPlan
    code: Code
    file: DagFile
    params: ParamsValidator


class Catalog:
    """Implements `api.CatalogView`."""

    def __init__(
        self,
        bundles: Bundles,
        workers: Workers,
        now: Callable[[], float],
        release: Callable[[Code], None],
        changed: Callable[[], None] = lambda: None,
        exposure: Exposure | None = None,
    ) -> None:
        """`release` is told of code that does not serve any more, `changed` that other DAGs do."""
        self._bundles = bundles
        self._exposure = exposure or Exposure()
        self._workers = workers
        self._now = now
        self._release = release
        self._changed = changed
        self._files: dict[str, DagFile] = {}
        self._served: dict[str, Served] = {}
        self._hidden: dict[str, Served] = {}
        """Those that are not exposed."""
        self._loads = asyncio.Semaphore(_PARALLEL_LOADS)
        self._error_ids = 0
        self._loaded = False
        self._looking = asyncio.Lock()

    @property
    def is_loaded(self) -> bool:
        return self._loaded

    @property
    def bundles(self) -> Bundles:
        return self._bundles

    def serve(self, bundles: Bundles) -> None:
        """Serve these folders from the next look on."""
        self._bundles = bundles

    def is_paused(self, dag_id: str) -> bool:
        return self._exposure.is_paused(dag_id)

    def plans(self) -> list[DagPlan]:
        return [self._served[dag_id].plan for dag_id in sorted(self._served)]

    def find(self, dag_id: str) -> DagPlan:
        return self.served(dag_id).plan

    def import_errors(self) -> list[ImportErrorInfo]:
        files = [self._files[path] for path in sorted(self._files)]
        return [error for file in files for error in (*file.errors, *file.clashes)]

    def served(self, dag_id: str, *, hidden: bool = False) -> Served:
        """`hidden`: it need not be exposed. Raises Loading, DagNotFound, DagBroken."""
        found = self._served.get(dag_id) or (self._hidden.get(dag_id) if hidden else None)
        if found is not None:
            return found
        if not self._loaded:
            raise Loading(retry_after=1.0)
        for file in self._files.values():
            if file.code is None and file.errors and _may_define(file, dag_id):
                raise _broken(dag_id, file)
        if dag_id in self._hidden:
            raise DagNotFound(f"DAG {dag_id!r} is not exposed here: {self._exposure.why_not}.", dag_id=dag_id)
        raise DagNotFound(dag_id=dag_id)

    def asked(self) -> dict[str, str]:
        """What files have asked for while they were parsed (`variable:KEY`, `connection:ID`), and its mark."""
        return {
            one.path: one.mark
            for file in self._files.values()
            if file.code is not None
            for one in file.code.dependencies
            if not os.path.isabs(one.path)
        }

    def depends_on(self, name: str) -> bool:
        """Some file has read or asked for this while it was parsed, or is being parsed and may have."""
        return any(name in file.watched or file.loading is not None for file in self._files.values())

    async def refresh(self, changed: Iterable[str] | None = None) -> None:
        """`look`, and wait until all that is to be parsed has been parsed."""
        await self.look(changed)
        while loading := [file.loading for file in self._files.values() if file.loading is not None]:
            await asyncio.wait(loading)
        if not self._loaded:
            self._loaded = True
            self._index()

    async def look(self, changed: Iterable[str] | None = None) -> None:
        """Look at the folder again: forget removed files, begin to parse new and changed ones.

        `changed`: the paths that are known to have changed (None: everything is looked at).

        Raises:
            Unavailable: the folder could not be listed.
        """
        async with self._looking:
            known = None if changed is None else set(changed)
            paths = set(await self._workers.list_files())
            missing = self._files.keys() - paths
            if missing:
                await asyncio.sleep(SETTLE)
                paths = set(await self._workers.list_files())
                for path in missing - paths:
                    self._forget(path)
                if known is not None:
                    known |= missing & paths
            for path in sorted(paths):
                file = self._files.get(path)
                if file is None:
                    file = self._files[path] = DagFile(path)
                elif known is not None and not _depends_on(file, known):
                    continue
                self._reload(file)

    async def opened(self, served: Served) -> Served:
        """`served` with its processes started; what the file holds now, if it has changed meanwhile.

        Raises Unavailable, DagNotFound, DagBroken.
        """
        while True:
            code = await self._workers.open(served.code)
            file = served.file
            if file.code is served.code and code is not served.code:
                # No process has held the version that is listed, and the file on disk is another one by now.
                self._take(file, code)
                if file.code is not code:
                    self._workers.close(code)
                    raise _broken(served.plan.dag_id, file)
            elif file.code is not code:  # the catalog has gone on meanwhile
                self._workers.close(code)
            served = self.served(served.plan.dag_id, hidden=True)
            if served.code.is_open:
                return served

    def _reload(self, file: DagFile) -> None:
        file.is_stale = True
        if file.loading is None:
            file.loading = asyncio.get_running_loop().create_task(self._load(file), name=f"dagcall-load {file.path}")

    async def _load(self, file: DagFile) -> None:
        try:
            while file.is_stale:
                file.is_stale = False
                code = await self._settled(file)
                if file.code is not None and file.code.is_open and code.plans and code.version != file.code.version:
                    # It is being called: the next call must find processes, whatever becomes of the file until then.
                    code = await self._workers.open(code)
                if file.is_stale or self._files.get(file.path) is not file:
                    self._workers.close(code)
                    continue
                self._take(file, code)
                if file.code is not code:
                    self._workers.close(code)
        except DagcallError as error:
            log.warning("%s could not be parsed: %s", file.path, error)
            file.errors = self._errors(file.path, [(self._relative(file.path), str(error))], file.errors)
        finally:
            file.loading = None
        if file.is_stale:
            self._reload(file)

    async def _settled(self, file: DagFile) -> Code:
        """The file's code. When DAGs have gone from it, it was looked at twice."""
        code = await self._parsed(file.path)
        while file.code is not None and not code.errors and not code.plans.keys() >= file.code.plans.keys():
            await asyncio.sleep(SETTLE)
            again = await self._parsed(file.path)
            if again.version == code.version:
                return again
            code = again
        return code

    async def _parsed(self, path: str) -> Code:
        for remaining in reversed(range(_TRIES)):
            async with self._loads:
                loading = asyncio.ensure_future(self._workers.load(path))
                try:
                    await asyncio.wait({loading}, timeout=_SLOW)
                except asyncio.CancelledError:
                    loading.cancel()
                    raise
            try:
                return await loading
            except Unavailable:
                if not remaining:
                    raise
                await asyncio.sleep(SETTLE)
        raise AssertionError("unreachable")

    def _take(self, file: DagFile, code: Code) -> None:
        """`code` is what the file holds now: make it serve, unless it is broken or what serves already."""
        watched = frozenset(dependency.path for dependency in code.dependencies)
        file.errors = self._errors(file.path, code.errors, file.errors)
        if file.code is not None:
            if code.errors and not code.plans:
                file.watched |= watched  # the good version goes on serving
                return
            if code.version == file.code.version and code.errors == file.code.errors and not code.is_open:
                return
        for warning in dict.fromkeys(warning for plan in code.plans.values() for warning in plan.warnings):
            log.warning("%s: %s", self._relative(file.path), warning)
        file.watched = watched
        previous, file.code = file.code, code if code.plans else None
        self._index()
        if previous is not None and previous is not code:
            self._release(previous)

    def _forget(self, path: str) -> None:
        file = self._files.pop(path)
        self._index()
        if file.code is not None:
            self._release(file.code)

    def _index(self) -> None:
        """Decide anew which file serves which DAG. Nothing is served before every file has been looked at once."""
        if not self._loaded:
            return
        owners: dict[str, DagFile] = {}
        for dag_id, served in (self._served | self._hidden).items():
            file = served.file
            if self._files.get(file.path) is file and file.code is not None and dag_id in file.code.plans:
                owners[dag_id] = file
        for path in sorted(self._files, key=self._bundles.order):
            file = self._files[path]
            clashes = []
            for dag_id, plan in file.code.plans.items() if file.code is not None else ():
                owner = owners.setdefault(dag_id, file)
                if owner is not file:
                    where = self._relative(owner.path)
                    # The words of `AirflowDagDuplicatedIdException` (airflow/exceptions.py).
                    text = f"Ignoring DAG {dag_id} from {plan.relative_fileloc} - also found in {where}"
                    clashes.append((plan.relative_fileloc, f"AirflowDagDuplicatedIdException: {text}"))
            file.clashes = self._errors(path, clashes, file.clashes)
        found = {dag_id: self._serve(dag_id, file) for dag_id, file in owners.items()}
        self._served = {dag_id: one for dag_id, one in found.items() if self._exposure.is_exposed(one.plan)}
        self._hidden = {dag_id: one for dag_id, one in found.items() if dag_id not in self._served}
        self._changed()

    def _serve(self, dag_id: str, file: DagFile) -> Served:
        assert file.code is not None
        known = self._served.get(dag_id) or self._hidden.get(dag_id)
        if known is not None and known.code is file.code:
            return known
        plan = file.code.plans[dag_id]
        return Served(plan, file.code, file, ParamsValidator(plan))

    def _relative(self, path: str) -> str:
        return self._bundles.relative(path)

    def _errors(self, file: str, found: list[tuple[str, str]], known: list[ImportErrorInfo]) -> list[ImportErrorInfo]:
        """An error that was known keeps its number and time."""
        bundle = self._bundles.of(file)
        name = DAGS_FOLDER if bundle is None else bundle.name
        before = {(error.path, error.text): error for error in known}
        return [before.get((path, text)) or self._error(path, text, name) for path, text in found]

    def _error(self, path: str, text: str, bundle: str) -> ImportErrorInfo:
        self._error_ids += 1
        return ImportErrorInfo(self._error_ids, path, text, self._now(), bundle)


def _depends_on(file: DagFile, changed: set[str]) -> bool:
    # What a broken file lacks, a module for example, is not among what it has read; and what one that is being parsed
    # for the first time has asked for is not known yet.
    asked = file.loading is not None and any(not os.path.isabs(name) for name in changed)
    return asked or bool(file.errors) or file.path in changed or not file.watched.isdisjoint(changed)


def _broken(dag_id: str, file: DagFile) -> DagBroken:
    error = file.errors[0]
    lines = error.text.strip().splitlines() or ["for an unknown reason"]
    return DagBroken(f"DAG {dag_id!r} cannot be loaded: {error.path} does not import: {lines[-1]}", dag_id=dag_id)


def _may_define(file: DagFile, dag_id: str) -> bool:
    """A file that never imported: whether its text mentions the DAG id, or is named after it."""
    if os.path.splitext(os.path.basename(file.path))[0] == dag_id:
        return True
    with contextlib.suppress(OSError), open(file.path, encoding="utf-8", errors="replace") as text:
        return dag_id in text.read()
    return False
