"""A run that has ended, as it is handed to Airflow's metadata database: its rows, in Airflow's words.

Made by the coordinator (`core.finished`), read by the process that writes (`airflow_bridge.recording`). Times are
seconds since the epoch, UTC.
"""

from dataclasses import dataclass
from typing import Literal

Receipt = Literal["recorded", "known", "date_taken", "unknown_dag", "old_version", "refused"]
"""What became of a run that was handed over: written; there before, under its id; Airflow has another run of its DAG with
its logical date; Airflow does not know the DAG, or does not know these tasks of it, yet; impossible."""


@dataclass(frozen=True)
class FinishedTry:
    """One that was followed by another one."""

    id: str
    try_number: int
    state: str
    start_date: float | None
    end_date: float


@dataclass(frozen=True)
class FinishedTask:
    """A task instance after its last try. `tries`: those before."""

    id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    operator: str
    task_display_name: str
    pool: str
    pool_slots: int
    queue: str
    priority_weight: int
    queued_at: float | None = None
    start_date: float | None = None
    end_date: float | None = None
    hostname: str = ""
    pid: int = 0
    rendered_map_index: str | None = None
    rendered_fields: bytes = b""
    tries: tuple[FinishedTry, ...] = ()


@dataclass(frozen=True)
class FinishedXCom:
    """`value`: MessagePack of what the Task SDK sent, or of where that is stored (`references.STORED_XCOM`)."""

    task_id: str
    map_index: int
    key: str
    value: bytes
    mapped_length: int | None = None
    is_result: bool = False


@dataclass(frozen=True)
class HandedEvent:
    """An asset event of one of its tasks. `asset_extra`, `group`: for an asset that Airflow does not know."""

    name: str
    uri: str
    group: str
    asset_extra: bytes
    extra: bytes
    task_id: str
    map_index: int
    aliases: tuple[str, ...] = ()
    partition_key: str | None = None


@dataclass(frozen=True)
class FinishedRun:
    """`rows`: whether it is to be seen in Airflow; its asset events are handed over in any case. `any_version`: also
    where Airflow knows another version of its DAG than the run had."""

    dag_id: str
    run_id: str
    state: str
    queued_at: float
    run_after: float
    run_type: str
    triggered_by: str
    logical_date: float | None = None
    start_date: float | None = None
    end_date: float | None = None
    caller: str = ""
    conf: bytes = b"{}"
    note: str | None = None
    rows: bool = True
    any_version: bool = False
    tasks: tuple[FinishedTask, ...] = ()
    xcoms: tuple[FinishedXCom, ...] = ()
    events: tuple[HandedEvent, ...] = ()
