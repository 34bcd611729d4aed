"""Identities: of a run, of a task instance, of an attempt."""

import hashlib
import uuid
from typing import NamedTuple

UNMAPPED = -1
"""The `map_index` of an instance that is not (or not yet) expanded, as in Airflow."""

_ATTEMPTS = uuid.UUID("6f0e9a1c-5a3b-4d53-9d2e-0d8f3a4b7c11")
_TRIES = uuid.UUID("c2a9b3de-6d0c-4e0b-8f5e-3f1f6f0f9a57")


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


def attempt_uuid(run: RunKey, attempt: int) -> str:
    """The id Airflow knows an attempt by (`ti.id`): derived, so that every reader computes the same one.

    What `uuid.uuid5` gives as text, without the object, at a third of its cost: one for each start of a task.
    """
    name = f"{run.dag_id}/{run.run_id}/{attempt}".encode()
    digest = bytearray(hashlib.sha1(_ATTEMPTS.bytes + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # version 5
    digest[8] = digest[8] & 0x3F | 0x80  # RFC 9562's variant
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def try_uuid(run: RunKey, task: TaskKey, try_number: int) -> str:
    """Of an earlier try, or (0) of a task instance that never had one: Airflow's history has an id for each."""
    return str(uuid.uuid5(_TRIES, f"{run}/{task}/{try_number}"))
