"""What the coordinator keeps beside the records of runs, as one thing to pass around."""

from collections.abc import Callable
from dataclasses import dataclass

from dagcall.coordinator.asset_states import AssetStates, FindAsset
from dagcall.coordinator.cipher import Cipher
from dagcall.coordinator.connections import Connections
from dagcall.coordinator.notes import Notes
from dagcall.coordinator.task_states import TaskStates
from dagcall.coordinator.variables import Variables
from dagcall.journal.store import Store


@dataclass(frozen=True)
class Kept:
    variables: Variables
    connections: Connections
    task_states: TaskStates
    asset_states: AssetStates
    notes: Notes


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
