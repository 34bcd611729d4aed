"""What the coordinator keeps beside the records of runs, as one thing to pass around."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol, cast

from dagcall.coordinator.asset_states import AssetStates, FindAsset
from dagcall.coordinator.cipher import Cipher
from dagcall.coordinator.connections import Connection, Connections
from dagcall.coordinator.notes import Notes
from dagcall.coordinator.task_states import TaskStates
from dagcall.coordinator.variables import Variable, Variables
from dagcall.errors import Loading
from dagcall.journal.store import Store


class VariablesView(Protocol):
    """`variables.Variables`, or those of an existing Airflow."""

    async def find(self, key: str) -> Variable | None:
        """As a task's question is answered."""
        ...

    async def get(self, key: str) -> Variable | None:
        """As it is stored."""
        ...

    async def all(self) -> list[Variable]: ...
    async def keys(self, prefix: str = "") -> list[str]: ...
    async def put(
        self, key: str, value: str, description: str | None, *, only_new: bool = False, tell: bool = True
    ) -> None: ...
    async def remove(self, key: str, *, tell: bool = True) -> bool: ...

    def refuse_changes(self) -> None:
        """Raises NotSupported where they are changed elsewhere, but by tasks."""


class ConnectionsView(Protocol):
    """`connections.Connections`, or those of an existing Airflow. Methods as of `VariablesView`."""

    async def find(self, conn_id: str) -> Connection | None: ...
    async def get(self, conn_id: str) -> Connection | None: ...
    async def all(self) -> list[Connection]: ...
    async def put(self, connection: Connection, *, only_new: bool = False) -> None: ...
    async def remove(self, conn_id: str) -> bool: ...
    def refuse_changes(self) -> None: ...


class BackendView(Protocol):
    """Airflow's secrets backend: a value, or a Connection's fields, and its mark."""

    async def variable(self, key: str) -> object: ...
    async def connection(self, conn_id: str) -> object: ...


@dataclass(frozen=True)
class Kept:
    variables: VariablesView
    connections: ConnectionsView
    task_states: TaskStates
    asset_states: AssetStates
    notes: Notes
    backend: BackendView | None = None
    """None: none is configured."""


class _NotYet:
    """In its place until the server has its journal."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Loading(retry_after=1.0)


NOT_YET = cast(Kept, _NotYet())


def keep(
    store: Store,
    cipher: Cipher,
    now: Callable[[], float],
    changed: Callable[[str], None],
    asset_id: FindAsset = lambda name, uri: None,
) -> Kept:
    """`changed` is called with the name (`variable:KEY`, `connection:ID`) of what reads differently from now on."""
    return Kept(
        Variables(store, cipher, now, lambda key: changed(f"variable:{key}")),
        Connections(store, cipher, now, lambda conn_id: changed(f"connection:{conn_id}")),
        TaskStates(store, now),
        AssetStates(store, now, asset_id),
        Notes(store, now),
    )
