"""The journal: the one durable record of every run. This module is its promise, in words; engines keep it.

**Authority.** What the journal holds happened; what it does not hold did not. A run *is* its list of records
(ids 1, 2, 3, ...); the heads, which lists of runs are made of, are a projection of the records, and are kept with
them in one transaction. Values are opaque.

**Order.** Batches become durable in the order of the calls of `append`; those of `put_plan` and `delete` stand in the
same line. Whoever sees a batch sees everything before it. Whatever waits when the writer is free goes into one
transaction (group commit), and the futures of a group are resolved together, after its commit.

**Atomicity.** A batch is kept whole or not at all, with its changes of assets and its items of the store. A batch that
is refused (`RunExists`, a gap in the ids, a value that cannot be encoded) is refused alone: the others of its group are
kept. When the medium fails (disk full, I/O error) the whole group fails with `JournalError`, nothing of it is kept, and
the journal stays usable. Later batches of a run that lost one are refused as gaps, so a run's records never have holes.

**Durability**, chosen per batch; the future is resolved when it is reached:

- `process`: survives the death of this process at any moment, SIGKILL included. A power cut or a crash of the
  operating system may lose the last commits (never the middle, never half of one).
- `power`: also survives those, as far as the disk tells the truth about flushing. Everything appended before is
  then as safe.

Engines know these two. `levels.LeveledJournal` adds `none` over any of them: runs kept in the server's memory only.

**Who owns a run** drives it, and is the only one to write to it: the server that accepted it, or one that took it over.
Each `open` counts the journal's *epoch* up; it is the server's name in the journal, and each commit checks that the
server has not been *fenced*. What a fenced server writes fails with `JournalFenced`, and its `trouble` is final.

- A file, and memory, have one server: `open` takes an exclusive lock, a second server gets `JournalLocked`, and the
  runs of the one before are the new one's. A server whose lock was lost (lock file removed, file system without locks)
  is fenced by its successor.
- Servers share a database. Each has a lease; one that has given it up (`close`) or let it run out is fenced by another,
  which from then on owns its unfinished runs (`taken_over`). A run's owner is fenced before it is another's: at no time
  can two write to it.

**States.** new -> `open` -> open -> `close` -> closed. Not reusable; every use in another state raises
`JournalError`. All methods are called from the event loop that called `open`; none of them blocks it.
"""

import asyncio
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast, get_args

from dagcall.journal.assets import AssetLog
from dagcall.journal.store import Store
from dagcall.journal.times import ANY_TIME
from dagcall.journal.times import TimeRange as TimeRange
from dagcall.journal.wire import Wire
from dagcall.model.ids import RunKey
from dagcall.model.measures import SIZES, Histogram
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState

OrderColumn = Literal[
    "id", "dag_id", "run_id", "state", "run_type", "logical_date", "run_after", "queued_at", "start_date", "end_date",
    "duration",
]  # fmt: skip
_KEPT_LEVELS = ("process", "power")
ORDER_COLUMNS: frozenset[str] = frozenset(get_args(OrderColumn))
"""What lists may be ordered by: Airflow's names for its dagRuns list. `id` is the order of acceptance."""


@dataclass(frozen=True)
class HeadQuery:
    """Which runs a list shows, and in what order. `None` means: any; an empty set matches nothing.

    Patterns are Airflow's: case-insensitive (ASCII letters) substrings in which `%` stands for any text and `_` for
    any character; `a|b` is either. Prefixes are Airflow's too: `a|b` is either, upper and lower case differ, and what is
    no letter or digit at their end does not count. A run without a caller matches no pattern or prefix of callers.
    `order_by` has names of `ORDER_COLUMNS`, `-` in front for descending; ties are
    broken by `id`, in the direction of the first name. Strings are compared by code point, and a missing value is
    less than any other (what stock Airflow does on SQLite).

    Raises `ValueError` for an unknown name, or a negative limit or offset.
    """

    dag_ids: frozenset[str] | None = None
    states: frozenset[RunState] | None = None
    run_types: frozenset[str] | None = None
    run_id: str | None = None
    run_ids: frozenset[str] | None = None
    logical_dates: frozenset[float] | None = None
    """Exactly these dates; a run without one never matches."""
    idempotency_key: str | None = None
    caller: str | None = None
    plan_versions: frozenset[str] | None = None
    dag_id_pattern: str | None = None
    run_id_pattern: str | None = None
    caller_pattern: str | None = None
    dag_id_prefix: str | None = None
    run_id_prefix: str | None = None
    caller_prefix: str | None = None
    logical_date: TimeRange = ANY_TIME
    run_after: TimeRange = ANY_TIME
    start_date: TimeRange = ANY_TIME
    end_date: TimeRange = ANY_TIME
    duration: TimeRange = ANY_TIME
    """Seconds; a run that has not ended has none."""
    order_by: Sequence[str] = ("id",)
    limit: int = 50
    offset: int = 0

    def __post_init__(self) -> None:
        for name in self.order_by:
            if name.removeprefix("-") not in ORDER_COLUMNS:
                raise ValueError(f"runs cannot be ordered by {name!r}; known: {', '.join(sorted(ORDER_COLUMNS))}")
        if self.limit < 0 or self.offset < 0:
            raise ValueError(f"limit ({self.limit}) and offset ({self.offset}) must not be negative")

    @property
    def ordering(self) -> tuple[tuple[OrderColumn, bool], ...]:
        """(column, descending) in order of weight, `id` last."""
        names = [name for name in self.order_by if name.removeprefix("-") != "id"]
        by_id = [name for name in self.order_by if name.removeprefix("-") == "id"]
        if by_id:  # nothing after an id can make a difference
            names, last = list(self.order_by[: self.order_by.index(by_id[0])]), by_id[0]
        else:
            last = "-id" if names and names[0].startswith("-") else "id"
        return tuple((cast(OrderColumn, name.removeprefix("-")), name.startswith("-")) for name in [*names, last])


def pattern_terms(pattern: str) -> list[str]:
    """The alternatives of a pattern: `a | b` is `a` or `b`; blank ones do not count, unless there is nothing else."""
    terms = [term.strip() for term in pattern.split("|")] if "|" in pattern else [pattern]
    return [term for term in terms if term] or [pattern]


def prefix_terms(pattern: str) -> tuple[str, ...]:
    """The alternatives of a prefix (`_PrefixPatternParam` in airflow/api_fastapi/common/parameters.py)."""
    return tuple(re.sub(r"[\W_]+$", "", term) for term in pattern_terms(pattern))


@dataclass(frozen=True)
class Trouble:
    """Why nothing can be written now, in words for anybody, and since when (the event loop's time)."""

    reason: str
    since: float
    is_final: bool = False
    """Another server has taken over: this one will never write again."""


@dataclass(slots=True)
class Commits:
    """What an engine's writer has done since it was opened, each transaction a commit. One thread counts; whoever reads
    meanwhile may see one that is counted in part."""

    seconds: Histogram = field(default_factory=Histogram)
    entries: Histogram = field(default_factory=lambda: Histogram(SIZES))
    """In one commit."""
    failed: int = 0
    """Entries that were not kept."""

    def add(self, seconds: float, entries: int, failed: int) -> None:
        self.seconds.add(seconds)
        self.entries.add(entries)
        self.failed += failed


class Journal(Protocol):
    """See the module's text for what every engine guarantees."""

    @property
    def commits(self) -> Commits: ...

    @property
    def waiting(self) -> int:
        """Entries that wait for the writer."""
        ...

    def size(self) -> int | None:
        """Bytes on this machine's disk; None: it has none here. Asks the file system."""
        ...

    @property
    def trouble(self) -> Trouble | None:
        """Set while the storage is away and what is appended waits for it, or while what is appended fails; None: all is
        well, as far as is known."""
        ...

    @property
    def store(self) -> Store:
        """What belongs to no run, in the same storage: open and closed with the journal."""
        ...

    @property
    def assets(self) -> AssetLog:
        """Assets and their events, likewise."""
        ...

    @property
    def wire(self) -> Wire | None:
        """How servers that share the journal talk to each other; None: this engine has one server. Its owner opens it."""
        ...

    async def open(self) -> int:
        """Make or upgrade the storage, become a server of it, and return this server's epoch: 1 at the first open ever,
        then one more at each.

        Raises `JournalLocked` (names the process that has it), `JournalCorrupt`, `JournalError` (a newer dagcall
        wrote it; the place cannot be written).
        """
        ...

    def append(self, batch: Batch, durability: str = "process") -> asyncio.Future[None]:
        """Enqueue a batch now; the future is resolved when it is durable, or fails when nothing of it was kept.

        A run begins with the batch whose first record has id 1; its records go on without gaps, and
        `head.last_record` is the id of the last. Await a run's first batch before appending its second: after
        `RunExists` the id belongs to somebody else. A batch without records changes the head only. Of a head, only
        `state`, `start_date`, `end_date`, `note`, `outcome` and `last_record` may change after the first batch.
        Cancelling the future does not take the batch back.

        The future raises `RunExists` (this dag_id and run_id are taken, or this dag_id and logical date: Airflow has
        one run for a date, and sensors that wait for a date count on it; on a journal that servers share, also this
        dag_id, caller and idempotency key), `JournalFenced`, `JournalError` (refused,
        medium failed, journal not open). Raises `ValueError` at once for an unknown durability.
        """
        ...

    async def put_plan(self, plan: DagPlan) -> None:
        """Keep a plan. Putting the same (dag_id, version) again changes nothing: the first one stays."""
        ...

    async def get_plan(self, dag_id: str, version: str) -> DagPlan | None: ...

    async def head(self, key: RunKey) -> RunHead | None: ...

    async def records(self, key: RunKey, after: int = 0) -> list[JournalRecord]:
        """The run's records with an id above `after`, in order; empty for an unknown run."""
        ...

    async def unfinished(self) -> list[RunHead]:
        """The heads of all runs of this server whose state is not final, in the order of acceptance."""
        ...

    async def taken_over(self) -> None:
        """Wait until this server goes on for another one, since `open` or the last return: `unfinished` has that one's
        runs, if it had left any. For one at a time."""
        ...

    async def stands_for(self) -> Container[int]:
        """The epochs of this server and of those it goes on for: whom it has fenced, and whom they had."""
        ...

    async def is_eldest(self) -> bool:
        """Whether, of the servers that live, this one was the first: it does what one of them has to do for all."""
        ...

    async def list_heads(self, query: HeadQuery) -> tuple[list[RunHead], int]:
        """One page of the runs that match, and exactly how many match in all, as of one moment."""
        ...

    async def dag_ids(self) -> set[str]:
        """Of which DAGs there are runs."""
        ...

    async def delete(self, key: RunKey) -> bool:
        """Forget a run, its records and what events it consumed; False when there is none. Plans and events stay."""
        ...

    async def close(self) -> None:
        """Write what was appended, release everything. A second close, or one without an open, does nothing."""
        ...


def check_durability(durability: str) -> bool:
    """Whether the level is `power`. Raises `ValueError` when it is neither that nor `process`."""
    if durability not in _KEPT_LEVELS:
        raise ValueError(f"unknown durability {durability!r}; known: {', '.join(_KEPT_LEVELS)}")
    return durability == "power"
