"""A notice: user code that is to be told of something, and that nobody waits for."""

from dataclasses import dataclass
from enum import StrEnum


class Call(StrEnum):
    """What is called, named as in Airflow: a DAG's callbacks, a task's, and the listeners of plugins."""

    DAG_SUCCESS = "on_success_callback"
    DAG_FAILURE = "on_failure_callback"
    TASK_FAILURE = "task.on_failure_callback"
    TASK_RETRY = "task.on_retry_callback"
    EMAIL_FAILURE = "task.email_on_failure"
    EMAIL_RETRY = "task.email_on_retry"
    TASK_FAILED = "on_task_instance_failed"
    RUN_RUNNING = "on_dag_run_running"
    RUN_SUCCESS = "on_dag_run_success"
    RUN_FAILED = "on_dag_run_failed"
    ASSET_CHANGED = "on_asset_changed"
    ASSET_EVENT = "on_asset_event_emitted"


@dataclass(frozen=True)
class AssetNews:
    """An asset event, as listeners are told of it. Extras are JSON objects."""

    name: str
    uri: str
    group: str
    asset_extra: bytes
    extra: bytes
    task_id: str | None
    map_index: int
    aliases: tuple[str, ...] = ()
    partition_key: str | None = None


@dataclass(frozen=True)
class Notice:
    """`calls` are made in order, whether the ones before failed or not. The other fields are what they are told.

    `reason`: Airflow's `msg`. `task_id` and the fields after it: the task instance it is about, as it was then; empty
    when it is about none. `first_attempt`: what its try is known by. Times: seconds since the epoch.
    """

    calls: tuple[Call, ...]
    reason: str
    run_state: str
    run_end: float | None = None
    task_id: str = ""
    map_index: int = -1
    try_number: int = 0
    first_attempt: int = 0
    state: str = ""
    start_date: float | None = None
    end_date: float | None = None
    assets: bytes = b""
    """Of asset listeners: MessagePack of a list of `AssetNews`."""
