"""What the journal remembers."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dagcall.model.assets import AssetChanges
from dagcall.model.events import Event
from dagcall.model.ids import RunKey
from dagcall.model.states import RunState


@dataclass(frozen=True)
class JournalRecord:
    """One entry of a run's event list: `commands.Record` with its id (1, 2, 3, ...) and time."""

    id: int
    time: float
    kind: str
    data: dict[str, Any]
    event: Event | None = None


@dataclass(frozen=True)
class RunHead:
    """The row of a run in lists: a projection of its records, kept with them in one transaction."""

    key: RunKey
    state: RunState
    plan_version: str
    queued_at: float
    run_after: float
    logical_date: float | None = None
    start_date: float | None = None
    end_date: float | None = None
    run_type: str = "manual"
    triggered_by: str = "rest_api"
    caller: str = ""
    conf: bytes = b"{}"
    note: str | None = None
    idempotency_key: str | None = None
    outcome: str = "running"
    last_record: int = 0

    def advanced(
        self, *, state: RunState, start_date: float | None, end_date: float | None, outcome: str, last_record: int
    ) -> "RunHead":
        """The head after more records. Twenty times cheaper than `dataclasses.replace`, and made for each batch."""
        head = object.__new__(RunHead)
        head.__dict__.update(
            self.__dict__,
            state=state,
            start_date=start_date,
            end_date=end_date,
            outcome=outcome,
            last_record=last_record,
        )
        return head


class StoredItem(NamedTuple):
    """An item of the journal's store, put there under its kind and key."""

    kind: str
    key: str
    value: bytes
    time: float


@dataclass(frozen=True)
class Batch:
    """Records of one run that become durable together, and the head after them."""

    head: RunHead
    records: tuple[JournalRecord, ...] = field(default=())
    assets: AssetChanges | None = None
    """What becomes durable with them, or not at all."""
    items: tuple[StoredItem, ...] = ()
    """Likewise; their keys are new."""
