"""Identities: of a run, of a task instance, of an attempt."""

import uuid
from typing import NamedTuple

UNMAPPED = -1
"""The `map_index` of an instance that is not (or not yet) expanded, as in Airflow."""

_ATTEMPTS = uuid.UUID("6f0e9a1c-5a3b-4d53-9d2e-0d8f3a4b7c11")


class RunKey(NamedTuple):
    """A run: Airflow's run ids are unique within one DAG only."""

    dag_id: str
    run_id: str

    def __str__(self) -> str:
        return f"{self.dag_id}/{self.run_id}"


class TaskKey(NamedTuple):
    """A task instance within one run."""

    task_id: str
    map_index: int = UNMAPPED

    def __str__(self) -> str:
        return self.task_id if self.map_index == UNMAPPED else f"{self.task_id}[{self.map_index}]"


def attempt_uuid(run: RunKey, attempt: int) -> uuid.UUID:
    """The id Airflow knows an attempt by (`ti.id`): derived, so that every reader computes the same one."""
    return uuid.uuid5(_ATTEMPTS, f"{run.dag_id}/{run.run_id}/{attempt}")
