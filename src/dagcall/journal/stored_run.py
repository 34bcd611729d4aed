"""A run as whoever looks after a journal finds it in its storage."""

from dataclasses import dataclass

from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import JournalRecord, RunHead


@dataclass(frozen=True)
class StoredRun:
    """A run as of one moment; `damage` in words, where it could not be read whole."""

    key: RunKey
    head: RunHead | None = None
    plan: DagPlan | None = None
    records: tuple[JournalRecord, ...] = ()
    damage: str | None = None
