"""Variables and Connections of an existing Airflow, in place of dagcall's own: asked of the Airflow side.

Airflow is authoritative. What a task reads is remembered for `[dagcall] airflow_refresh` seconds, a name that nobody
knows included, so that a DAG which reads a Variable in each task costs one question and not hundreds; many who ask for one
name at once wait for one answer. What a task sets here is seen here at once. An error is never remembered, and nothing
is answered from memory after its time: when Airflow's database is away, who reads gets an error that names what was
asked for. Values are in memory only, for no longer than that.

What lists and routes show is asked anew each time, and changed in Airflow only: its own API knows who may, and keeps an
audit log of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dagcall.coordinator.connections import Connection
from dagcall.coordinator.variables import Variable
from dagcall.errors import NotSupported, Unavailable
from dagcall.workers.base import AirflowRefused, AirflowSide

TASK_LIMIT = 60.0
"""Seconds that a task waits for an answer: a lost Airflow side has time to start again, on a slow machine too."""

Answer = tuple[Any, str] | None
"""A value and its mark."""


class Remembered:
    """Answers by name, each for a time; one question at once for each name."""

    def __init__(self, ask: Callable[[str], Awaitable[Answer]], now: Callable[[], float], seconds: float) -> None:
        self._ask = ask
        self._now = now
        self._seconds = seconds
        self._known: dict[str, tuple[float, Answer]] = {}
        self._asked: dict[str, asyncio.Task[Answer]] = {}

    async def get(self, name: str) -> Answer:
        known = self._known.get(name)
        if known is not None and self._now() < known[0]:
            return known[1]
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = asyncio.ensure_future(self._find(name))
        return await asyncio.shield(asked)

    def forget(self, name: str) -> None:
        """Who asks from now on is told what is there now, though somebody be asking already."""
        self._known.pop(name, None)
        self._asked.pop(name, None)

    def tidy(self) -> None:
        """Forget what is too old."""
        now = self._now()
        self._known = {name: known for name, known in self._known.items() if now < known[0]}

    async def _find(self, name: str) -> Answer:
        this = asyncio.current_task()
        begun = self._now()
        try:
            found = await self._ask(name)
            if self._asked.get(name) is this:
                self._known[name] = (begun + self._seconds, found)
            return found
        finally:
            if self._asked.get(name) is this:
                del self._asked[name]


async def ask(side: AirflowSide, what: str, answer: Any, *, limit: float = 15.0, **args: Any) -> Any:
    """Raises Unavailable, with a sentence that names what was asked for."""
    try:
        return await side.ask(f"secrets.{what}", args, answer, limit=limit)
    except AirflowRefused as refusal:
        raise Unavailable(str(refusal)) from None
    except Unavailable as error:
        named = next(
            (f"{what.removeprefix('backend_')} {args[name]!r}: " for name in ("conn_id", "key") if name in args), ""
        )
        text = str(error)
        raise Unavailable(text if repr(next(iter(args.values()), "")) in text else named + text) from None


class AirflowVariables:
    """Implements `kept.VariablesView`. `changed`: as of `Variables`."""

    def __init__(
        self, side: AirflowSide, now: Callable[[], float], seconds: float, changed: Callable[[str], None]
    ) -> None:
        self._side = side
        self._changed = changed
        self.remembered = Remembered(self._ask, now, seconds)

    async def find(self, key: str) -> Variable | None:
        found = await self.remembered.get(key)
        return None if found is None else Variable(key, found[0], mark=found[1])

    async def get(self, key: str) -> Variable | None:
        return next((one for one in await self.all() if one.key == key), None)

    async def all(self) -> list[Variable]:
        found: list[Variable] = await ask(self._side, "variables", list[Variable])
        return found

    async def keys(self, prefix: str = "") -> list[str]:
        found: list[str] = await ask(self._side, "variable_keys", list[str], prefix=prefix)
        return found

    async def put(
        self, key: str, value: str, description: str | None, *, only_new: bool = False, tell: bool = True
    ) -> None:
        try:
            await ask(self._side, "set_variable", None, key=key, value=value, description=description)
        finally:
            self._forget(key, tell)

    async def remove(self, key: str, *, tell: bool = True) -> bool:
        try:
            return bool(await ask(self._side, "delete_variable", int, key=key))
        finally:
            self._forget(key, tell)

    def refuse_changes(self) -> None:
        raise changed_in_airflow("Variables", "airflow variables set")

    def _forget(self, key: str, tell: bool) -> None:
        self.remembered.forget(key)
        if tell:
            self._changed(key)

    async def _ask(self, key: str) -> Answer:
        found: Answer = await ask(self._side, "variable", tuple[str, str] | None, limit=TASK_LIMIT, key=key)
        return found


class AirflowConnections:
    """Implements `kept.ConnectionsView`."""

    def __init__(self, side: AirflowSide, now: Callable[[], float], seconds: float) -> None:
        self._side = side
        self.remembered = Remembered(self._ask, now, seconds)

    async def find(self, conn_id: str) -> Connection | None:
        found = await self.remembered.get(conn_id)
        return None if found is None else Connection(**found[0], mark=found[1])

    async def get(self, conn_id: str) -> Connection | None:
        return next((one for one in await self.all() if one.conn_id == conn_id), None)

    async def all(self) -> list[Connection]:
        found: list[Connection] = await ask(self._side, "connections", list[Connection])
        return found

    async def put(self, connection: Connection, *, only_new: bool = False) -> None:
        self.refuse_changes()

    async def remove(self, conn_id: str) -> bool:
        self.refuse_changes()
        return False

    def refuse_changes(self) -> None:
        raise changed_in_airflow("Connections", "airflow connections add")

    async def _ask(self, conn_id: str) -> Answer:
        found: Answer = await ask(
            self._side, "connection", tuple[dict[str, Any], str] | None, limit=TASK_LIMIT, conn_id=conn_id
        )
        return found


class AirflowBackend:
    """Implements `kept.BackendView`."""

    def __init__(self, side: AirflowSide, now: Callable[[], float], seconds: float) -> None:
        self._side = side
        self._variables = Remembered(self._variable, now, seconds)
        self._connections = Remembered(self._connection, now, seconds)

    async def variable(self, key: str) -> object:
        return await self._variables.get(key)

    async def connection(self, conn_id: str) -> object:
        return await self._connections.get(conn_id)

    def tidy(self) -> None:
        self._variables.tidy()
        self._connections.tidy()

    async def _variable(self, key: str) -> Answer:
        found: Answer = await ask(self._side, "backend_variable", tuple[str, str] | None, limit=TASK_LIMIT, key=key)
        return found

    async def _connection(self, conn_id: str) -> Answer:
        found: Answer = await ask(
            self._side, "backend_connection", tuple[dict[str, Any], str] | None, limit=TASK_LIMIT, conn_id=conn_id
        )
        return found


def changed_in_airflow(what: str, command: str) -> NotSupported:
    return NotSupported(
        f"{what} are those of Airflow's metadata database here, and are changed in Airflow: in its UI, by its API, or with "
        f"`{command}`."
    )
