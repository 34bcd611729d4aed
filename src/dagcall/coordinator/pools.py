"""Pools: kept in the store, bound through `limits`, shown with what they hold now.

Authoritative for which pools exist and how many slots they have, unless they are those of an existing Airflow
(`airflow_data`), whose slots are then counted here too, for the tasks that run here. `default_pool` exists always, with
the slots that Airflow is configured to give it; it limits nothing until somebody changes it, or `[dagcall]
inherit_airflow_limits` brings Airflow's configured limits in. Servers that share the journal have the same pools, and
each the slots for itself. A change binds at once, and at the other servers as soon as they are told: who has slots keeps
them, and who waits for slots that can never be had any more fails with the reason.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from dagcall.coordinator.airflow_store import changed_in_airflow
from dagcall.coordinator.api import PoolStatus, RunView
from dagcall.coordinator.limits import Holder, Limits
from dagcall.errors import DagcallError
from dagcall.journal.store import Put, Remove, Store
from dagcall.model.pool import DEFAULT_POOL, Pool

log = logging.getLogger("dagcall.pools")

KIND = "pool"
AIRFLOWS_DESCRIPTION = "Default pool"
"""What Airflow's `add_default_pool_if_not_exists` calls it."""

_COUNTED = ("running", "queued", "scheduled", "deferred")


class Occupant(Holder, Protocol):
    """A run, as far as pools concern it."""

    @property
    def run(self) -> RunView: ...
    @property
    def is_held(self) -> bool:
        """It has not begun: `max_active_runs`."""
        ...


class Pools:
    """Implements `api.PoolsView`."""

    def __init__(
        self, store: Store, limits: Limits, occupants: Callable[[], Iterable[Occupant]], now: Callable[[], float]
    ) -> None:
        self._store = store
        self._limits = limits
        self._occupants = occupants
        self._now = now
        self._default = limits.pools[DEFAULT_POOL]
        self._numbers: dict[str, int] = {}
        self._parallelism: int | None = None
        self._changing = asyncio.Lock()
        self._is_followed = False
        self._is_loaded = False
        self._tell: Callable[[], None] = lambda: None
        self._looking: set[asyncio.Task[None]] = set()

    async def load(self, settings: Mapping[str, Any]) -> None:
        """Read them from the store. `settings`: Airflow's, see `airflow_bridge.settings.for_coordinator`."""
        inherits = bool(settings.get("inherits_airflow_limits", False))
        slots = int(settings.get("default_pool_slots", self._default.slots))
        self._default = Pool(DEFAULT_POOL, slots, AIRFLOWS_DESCRIPTION, is_binding=inherits)
        self._parallelism = int(settings["parallelism"]) if inherits else None
        await self._read()
        self._is_loaded = True

    def share(self, tell: Callable[[], None]) -> None:
        """Have the other servers told by `tell` of what changes here. Theirs: `look_again`."""
        self._tell = tell

    def look_again(self) -> None:
        """Another server may have changed them."""
        if self._is_loaded and not self._is_followed:
            looking = asyncio.get_running_loop().create_task(self._look(), name="dagcall-pools")
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    async def _look(self) -> None:
        try:
            async with self._changing:
                await self._read()
        except DagcallError as error:
            log.warning("what other servers have changed of the pools cannot be read now: %s", error)

    async def _read(self) -> None:
        items = await self._store.items(KIND)
        self._numbers = {item.key: item.number for item in items}
        self._bind([msgspec.json.decode(item.value, type=Pool) for item in items])

    def follow(self, pools: list[tuple[Pool, int]]) -> None:
        """These are the pools from now on, with their numbers: another Airflow's, not the store's. Its `default_pool` binds
        when somebody has changed it."""
        self._is_followed = True
        found = {
            pool.name: replace(pool, is_binding=pool.name != DEFAULT_POOL or self._is_changed(pool))
            for pool, _ in pools
        }
        found.setdefault(DEFAULT_POOL, self._default)
        self._numbers = {pool.name: number for pool, number in pools}
        if found != self._limits.pools:
            self._limits.set(found, self._parallelism, self._occupants())

    def _is_changed(self, default: Pool) -> bool:
        return self._default.is_binding or default.slots != self._default.slots

    def refuse_changes(self) -> None:
        """Raises NotSupported where they are Airflow's."""
        if self._is_followed:
            raise changed_in_airflow("Pools", "airflow pools set")

    def find(self, name: str) -> PoolStatus | None:
        return next((status for status in self.all() if status.pool.name == name), None)

    def all(self) -> list[PoolStatus]:
        counts = {name: dict.fromkeys(_COUNTED, 0) for name in self._limits.pools}
        for occupant in self._occupants():
            for instance in () if occupant.is_held else occupant.run.machine.instances():
                taken = counts.get(instance.task.pool)
                if taken is not None and instance.state.value in taken:
                    taken[instance.state.value] += instance.task.pool_slots
        return [
            PoolStatus(pool, self._numbers.get(name, 0), **counts[name]) for name, pool in self._limits.pools.items()
        ]

    async def put(self, pool: Pool, *, only_new: bool = False) -> PoolStatus:
        """Create or change. Raises `ItemExists` when it exists and is to be new."""
        async with self._changing:
            (number,) = await self._store.write(
                Put(KIND, pool.name, msgspec.json.encode(pool), self._now(), only_new=only_new)
            )
            self._numbers[pool.name] = number
            self._bind([*self._written(pool.name), pool])
            self._tell()
        found = self.find(pool.name)
        assert found is not None
        return found

    async def remove(self, name: str) -> bool:
        async with self._changing:
            if name == DEFAULT_POOL or name not in self._limits.pools:
                return False
            await self._store.write(Remove(KIND, name))
            self._numbers.pop(name, None)
            self._bind(self._written(name))
            self._tell()
        return True

    def _written(self, but: str) -> list[Pool]:
        """Those that are in the store, except one."""
        return [pool for name, pool in self._limits.pools.items() if name in self._numbers and name != but]

    def _bind(self, written: list[Pool]) -> None:
        pools = {DEFAULT_POOL: self._default} | {pool.name: replace(pool, is_binding=True) for pool in written}
        self._limits.set(pools, self._parallelism, self._occupants())
