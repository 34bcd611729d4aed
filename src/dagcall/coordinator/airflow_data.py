"""What an existing Airflow knows that calls need: Variables, Connections, pools, and which DAGs are paused.

Decided once, when the server starts (`metadata_database`, `[dagcall] metadata_database`): either Airflow's database has
all of this, or dagcall's own store has. From then on pools and paused DAGs are read again every `airflow_refresh`
seconds, and so is what DAG files asked for while they were parsed. While the database is away, what it said last about
pools and paused DAGs counts, and the server goes on; of Variables and Connections see `airflow_store`.

It refuses to guess: DAGs of Airflow's bundles are not called before it is known whether they are paused.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dagcall.coordinator.airflow_store import AirflowBackend, AirflowConnections, AirflowVariables, ask
from dagcall.coordinator.catalog import Catalog
from dagcall.coordinator.exposure import Exposure
from dagcall.coordinator.kept import Kept
from dagcall.coordinator.pools import Pools
from dagcall.coordinator.settings import CoordinatorSettings
from dagcall.errors import ConfigError, Unavailable
from dagcall.model.pool import Pool
from dagcall.options import Options
from dagcall.workers.base import AirflowSide

log = logging.getLogger("dagcall.airflow")

_TROUBLE = "Airflow's metadata database is away"


@dataclass(frozen=True)
class AirflowPool:
    name: str
    slots: int
    description: str
    include_deferred: bool
    number: int


@dataclass(frozen=True)
class State:
    pools: list[AirflowPool]
    paused: list[str]


class AirflowData:
    """`changed`: told a name that DAG files may have asked for, when it
    reads differently."""

    def __init__(
        self,
        side: AirflowSide,
        settings: CoordinatorSettings,
        catalog: Catalog,
        exposure: Exposure,
        pools: Pools,
        changed: Callable[[str], None],
    ) -> None:
        self._side = side
        self._database = settings.database
        self._catalog = catalog
        self._exposure = exposure
        self._pools = pools
        self._changed = changed
        self._has_pauses = settings.folder is None  # Airflow's bundles are served
        self._seconds = 0.0
        self._marks: dict[str, str] = {}
        self._variables: AirflowVariables | None = None
        self._connections: AirflowConnections | None = None
        self._backend: AirflowBackend | None = None
        self._following: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self.trouble: str | None = None
        """Why Airflow's database could not be read last; None: it could, or there is none."""

    def warm_up(self) -> None:
        """Let the Airflow side start, if it looks as if it will be asked."""
        if self._database.exists:
            self._side.use("secrets", self._setup)

    @property
    def _setup(self) -> dict[str, Any]:
        return {"where": self._database.where, "has_database": self._database.exists}

    async def begin(self, kept: Kept, options: Options, now: Callable[[], float], *, has_backend: bool = False) -> Kept:
        """What is kept, from now on. `has_backend`: a secrets backend is configured. Raises ConfigError when there must be a
        database and is none."""
        self._seconds = options.airflow_refresh
        if has_backend:
            self._side.use("secrets", self._setup)
            self._backend = AirflowBackend(self._side, now, self._seconds)
            kept = replace(kept, backend=self._backend)
            self._tidying = asyncio.create_task(self._tidy(), name="dagcall-airflow-tidy")
        if self._has_pauses:
            self._exposure.apply(options.expose)
        if not await self._is_used(options.metadata_database):
            return kept
        log.info("Variables, Connections and pools are those of Airflow's metadata database, %s", self._database.where)
        await _tell_of_hidden(kept)
        self._variables = AirflowVariables(self._side, now, self._seconds, lambda key: self._changed(f"variable:{key}"))
        self._connections = AirflowConnections(self._side, now, self._seconds)
        if self._has_pauses:
            self._exposure.wait_for_airflow("Airflow's metadata database has not been read yet")
        await self._refresh()
        self._following = asyncio.create_task(self._follow(), name="dagcall-airflow-data")
        return replace(kept, variables=self._variables, connections=self._connections)

    async def stop(self) -> None:
        for task in (self._following, self._tidying):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _is_used(self, wish: str) -> bool:
        if not self._database.exists:
            if wish == "required":
                raise ConfigError(
                    f"[dagcall] metadata_database is required, and Airflow has none: {self._database.where}: "
                    f"{self._database.why}"
                )
            log.info(
                "Airflow has no metadata database here (%s): Variables, Connections and pools are dagcall's own",
                self._database.why,
            )
            return False
        try:
            missing = await ask(self._side, "check", list[str])
        except Unavailable as error:
            if wish == "required":
                raise
            log.warning("%s; it is asked again when something is needed of it", error)
            return True
        if not missing:
            return True
        text = f"{self._database.where} has not Airflow's table {missing[0]!r} (`airflow db migrate` makes it)"
        if wish == "required":
            raise ConfigError(f"[dagcall] metadata_database is required: {text}")
        log.warning("%s: Variables, Connections and pools are dagcall's own", text)
        return False

    async def _tidy(self) -> None:
        assert self._backend is not None
        while True:
            await asyncio.sleep(self._seconds)
            self._backend.tidy()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self._refresh()
            await self._look_at_what_files_asked()

    async def _refresh(self) -> None:
        try:
            state: State = await ask(self._side, "state", State, paused=self._has_pauses)
        except Unavailable as error:
            self._complain(str(error))
            return
        if self.trouble is not None:
            log.info("Airflow's metadata database can be read again")
            self.trouble = None
            await self._catalog.look(())  # files that could not be imported without it
        self._pools.follow([(_pool(one), one.number) for one in state.pools])
        if self._has_pauses:
            self._exposure.pause(state.paused)

    async def _look_at_what_files_asked(self) -> None:
        assert self._variables is not None
        assert self._connections is not None
        self._variables.remembered.tidy()
        self._connections.remembered.tidy()
        asked = self._catalog.asked()
        self._marks = {name: mark for name, mark in self._marks.items() if name in asked}
        for name in sorted(asked):
            kind, _, key = name.partition(":")
            source: Any = self._variables if kind == "variable" else self._connections
            try:
                found = await source.find(key)
            except Unavailable:
                return  # complained of where it is needed
            mark = "" if found is None else found.mark
            if self._marks.get(name, asked[name]) != mark:
                self._changed(name)
            self._marks[name] = mark

    def _complain(self, reason: str) -> None:
        if self.trouble is None:
            log.warning("%s; what it said last about pools and paused DAGs counts meanwhile", reason)
            if self._has_pauses:
                self._exposure.still_unknown(_TROUBLE)
        self.trouble = reason


def _pool(one: AirflowPool) -> Pool:
    return Pool(one.name, one.slots, one.description, one.include_deferred)


async def _tell_of_hidden(kept: Kept) -> None:
    variables, connections = len(await kept.variables.keys()), await _count(kept)
    if variables or connections:
        log.warning(
            "%d Variable(s) and %d Connection(s) that were set in dagcall's own store are not read any more",
            variables,
            connections,
        )


async def _count(kept: Kept) -> int:
    try:
        return len(await kept.connections.all())
    except Exception:  # another Fernet key: they are there, and cannot be read anyway
        return 1
