"""Assets in the journal: their events, which are lists to read, and what is kept of everything else.

**Order and atomicity.** The asset changes of a batch are kept with its records or not at all; those of `write` stand in
the same line. Whoever sees an event sees everything written before it.

**Numbers and times** are the caller's, who must not use an event's id twice. Where servers share a journal, none knows
which the others have used: there an event gets a number and a time above those of all before it, and its entries of the
queue that time; `write` says which.

**A start** (`started`, with a batch that begins a run) is kept only if all entries that it takes out of the queue are
there. Otherwise the batch is refused with `RunExists`: another server has started a run for some of them, or one of them
has been made anew by a later event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from dagcall.journal.times import ANY_TIME, TimeRange
from dagcall.model.assets import AssetChanges, AssetEvent, Consumption, KeptAssets
from dagcall.model.ids import RunKey

EventColumn = Literal["id", "timestamp", "source_dag_id", "source_task_id", "source_run_id", "source_map_index"]
EVENT_COLUMNS: frozenset[str] = frozenset(get_args(EventColumn))
"""What events may be ordered by: Airflow's names."""


@dataclass(frozen=True)
class AssetEventQuery:
    """Which events a list shows, and in what order. `None` means: any; an empty set matches nothing.

    With `aliases`, an event matches by its asset or by an alias it was made through. `consumed_by`: those that a run
    was started for. Ties are broken by `id`, in the direction of the first name; a missing value is less than any
    other. No `limit`: all.

    Raises `ValueError` for an unknown name, or a negative limit or offset.
    """

    asset_ids: frozenset[int] | None = None
    aliases: frozenset[str] | None = None
    source_dag_id: str | None = None
    source_dag_ids: frozenset[str] | None = None
    """Only from these DAGs, and those that are from none."""
    source_task_id: str | None = None
    source_run_id: str | None = None
    source_map_index: int | None = None
    timestamp: TimeRange = ANY_TIME
    consumed_by: RunKey | None = None
    order_by: Sequence[str] = ("timestamp",)
    limit: int | None = 50
    offset: int = 0

    def __post_init__(self) -> None:
        for name in self.order_by:
            if name.removeprefix("-") not in EVENT_COLUMNS:
                raise ValueError(f"events cannot be ordered by {name!r}; known: {', '.join(sorted(EVENT_COLUMNS))}")
        if (self.limit or 0) < 0 or self.offset < 0:
            raise ValueError(f"limit ({self.limit}) and offset ({self.offset}) must not be negative")

    @property
    def ordering(self) -> tuple[tuple[str, bool], ...]:
        """(column, descending) in order of weight, `id` last."""
        names = list(self.order_by)
        last = "-id" if names and names[0].startswith("-") else "id"
        return tuple((name.removeprefix("-"), name.startswith("-")) for name in [*names, last])


class AssetLog(Protocol):
    """See the module's text for what every implementation guarantees."""

    async def load(self) -> KeptAssets:
        """Everything but the events, and the last of those."""
        ...

    async def write(self, changes: AssetChanges) -> AssetChanges:
        """Make changes that belong to no run; returns them as they are kept. Raises `JournalFenced`, `JournalError`."""
        ...

    async def events(self, query: AssetEventQuery) -> tuple[list[AssetEvent], int]:
        """One page of the events that match, and exactly how many match in all, as of one moment."""
        ...

    async def consumptions(self, event_ids: Sequence[int]) -> list[Consumption]:
        """Who consumed these events, in the order of the runs' acceptance."""
        ...
