"""What the coordinator offers to those in front of it: the HTTP server, the embedded engine.

Values only; `coordinator.Coordinator` and `run.Run` implement the protocols.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dagcall.coordinator.kept import Kept
from dagcall.core.asset_book import AssetBook
from dagcall.core.machine import RunMachine
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.base import HeadQuery
from dagcall.model.assets import AssetChanges, AssetEvent, Queued
from dagcall.model.bundle import DAGS_FOLDER
from dagcall.model.commands import Outcome
from dagcall.model.ids import RunKey, TaskKey
from dagcall.model.inputs import InputRequest, User
from dagcall.model.measures import Family
from dagcall.model.plan import DagPlan
from dagcall.model.pool import UNLIMITED, Pool
from dagcall.model.records import JournalRecord, RunHead
from dagcall.model.references import Reference
from dagcall.options import Options
from dagcall.workers.base import AirflowSide


@dataclass(frozen=True)
class CallRequest:
    """A call as the caller made it.

    `conf`: the params, a JSON object. `results`: answer with these tasks instead of the designated ones.
    `timeout`: seconds until the run's own deadline. `run_id`: chosen by the caller, else one is made.
    `may_share`: the run of an identical call will do, if the DAG allows it (`DagPlan.coalesce`, `cache_ttl`).
    `caller`: whose share of the server this counts against, and within which `idempotency_key` names one run.
    `waits`: the caller waits for the answer, so that a long queue is no use to it.
    `started_by`: the run whose task makes the call; then it is part of what was admitted already, see
    `coordinator.nested`.
    """

    dag_id: str
    conf: dict[str, Any] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    timeout: float | None = None
    run_id: str | None = None
    caller: str = ""
    idempotency_key: str | None = None
    durability: str | None = None
    on_disconnect: str = "continue"
    logical_date: float | None = None
    run_after: float | None = None
    note: str | None = None
    triggered_by: str = "rest_api"
    traceparent: str | None = None
    tracestate: str | None = None
    run_type: str = "manual"
    asset_events: bytes = b""
    asset_changes: AssetChanges | None = None
    """What becomes durable with the run's acceptance, or not at all."""
    started_by: RunKey | None = None
    may_share: bool = False
    waits: bool = False


Shared = Literal["key", "coalesced", "cache"] | None
"""Why a call is answered with a run that another call began; None: its own."""


@dataclass(frozen=True)
class ImportErrorInfo:
    """A file that does not import. `path` is relative to the folder of its bundle; `time` when it was found, epoch
    seconds."""

    id: int
    path: str
    text: str
    time: float
    bundle: str = DAGS_FOLDER


@dataclass(frozen=True)
class Timing:
    """Seconds of a call's life on the server, for `Server-Timing`.

    `queue`: until its first task was started; `run`: from then to the outcome.
    """

    queue: float = 0.0
    run: float = 0.0


class RunView(Protocol):
    """A run, active or ended, as readers see it. What it shows is durable."""

    @property
    def key(self) -> RunKey: ...
    @property
    def plan(self) -> DagPlan: ...
    @property
    def head(self) -> RunHead: ...
    @property
    def machine(self) -> RunMachine:
        """Task instances, XComs, the accepted call. For reading only."""
        ...

    @property
    def outcome(self) -> Outcome | None:
        """The answer, once it is certain and durable."""
        ...

    @property
    def was_given_up(self) -> bool:
        """Nothing more comes here: the server stops, or the journal has failed. Ask the coordinator for the run again."""
        ...

    @property
    def timing(self) -> Timing: ...

    @property
    def records(self) -> list[JournalRecord]:
        """All durable records, by id. For reading only."""
        ...

    def durable_at(self, record: int) -> float | None:
        """When the record with this id became durable; None when this server did not see it."""
        ...

    async def wait_outcome(self, timeout: float | None) -> Outcome | None:
        """Wait at most `timeout` seconds (None: for ever) for the answer; None when it did not come.

        Raises `Unavailable` when the server gives up on the run (shutdown, a journal that cannot be written)."""
        ...

    def changed(self) -> "asyncio.Future[None]":
        """Done when anything more about this run has become durable. Take it before reading, then await it; cancel it
        when it is not awaited any more."""
        ...


class CatalogView(Protocol):
    """The DAGs that are served."""

    @property
    def is_loaded(self) -> bool:
        """Every file of the folder has been parsed at least once."""
        ...

    def plans(self) -> list[DagPlan]:
        """The current version of every DAG, refused ones included, by DAG id."""
        ...

    def find(self, dag_id: str) -> DagPlan:
        """Raises Loading, DagNotFound, DagBroken (its file does not import and no good version is known)."""
        ...

    def is_paused(self, dag_id: str) -> bool:
        """In Airflow; never one of a folder that the server was given."""
        ...

    def import_errors(self) -> list[ImportErrorInfo]: ...


@dataclass(frozen=True)
class PoolStatus:
    """A pool, and how many of its slots task instances in each state take. `number`: its place by age."""

    pool: Pool
    number: int
    running: int = 0
    queued: int = 0
    scheduled: int = 0
    deferred: int = 0

    @property
    def occupied(self) -> int:
        return self.running + self.queued + (self.deferred if self.pool.include_deferred else 0)

    @property
    def open(self) -> int:
        """-1: any number."""
        return UNLIMITED if self.pool.slots == UNLIMITED else self.pool.slots - self.occupied


class PoolsView(Protocol):
    """The pools, which can be changed while tasks wait for them."""

    def find(self, name: str) -> PoolStatus | None: ...

    def all(self) -> list[PoolStatus]: ...

    def refuse_changes(self) -> None:
        """Raises NotSupported where they are changed elsewhere."""

    async def put(self, pool: Pool, *, only_new: bool = False) -> PoolStatus:
        """Create or change; durable when it returns. Raises `ItemExists` when it exists and is to be new."""
        ...

    async def remove(self, name: str) -> bool:
        """False when there is none, or when it is the `default_pool`, which stays."""
        ...


class AssetsView(Protocol):
    """Assets and their events."""

    @property
    def book(self) -> AssetBook:
        """For reading only."""
        ...

    async def create_event(self, asset_id: int, extra: bytes, partition_key: str | None = None) -> AssetEvent | None:
        """Durable when it returns; None when there is no such asset. Raises JournalError."""
        ...

    async def dequeue(self, entries: Collection[Queued]) -> None:
        """Forget that these assets were updated. Their events stay. Raises JournalError."""
        ...

    async def events(self, query: AssetEventQuery) -> tuple[list[AssetEvent], int]: ...

    async def created_runs(self, events: Sequence[AssetEvent]) -> dict[int, list[tuple[RunHead, bool]]]:
        """The runs that were started for each event, by its id, and whether it triggered them."""
        ...


class AlreadyAnswered(Exception):
    """A request for input takes one answer."""


class InputsView(Protocol):
    """What tasks ask of people (Airflow's human-in-the-loop details)."""

    async def find(self, run: RunKey, task: TaskKey, try_number: int | None = None) -> InputRequest | None:
        """The latest request of a task instance, or that of one try."""
        ...

    async def all(self, dag_id: str | None = None, run_id: str | None = None) -> list[InputRequest]:
        """The latest request of every task instance (of a DAG, of a run), in the order in which they first came."""
        ...

    async def answer(
        self, request: InputRequest, chosen: list[str], params_input: dict[str, Any], by: User
    ) -> InputRequest:
        """Answer for good; the task goes on. Raises AlreadyAnswered, BadRequest, JournalError."""
        ...


class OpenedValue(Protocol):
    """Bytes that can be read, until it is closed."""

    def read(self, begin: int, end: int) -> AsyncIterator[bytes]:
        """Piece by piece. Raises ValueGone when they cannot all be read."""
        ...

    async def close(self) -> None: ...


class StoredView(Protocol):
    """The bytes that results refer to."""

    async def open(self, reference: Reference) -> OpenedValue:
        """Raises ValueGone when they are not what the reference promises any more."""
        ...


class MetricsView(Protocol):
    """What the server counts."""

    def collect(self) -> Callable[[], list[Family]]:
        """On the event loop: the numbers of this moment. What it returns makes families of them, in any thread."""
        ...


class Attending(Protocol):
    """Who knows which runs somebody waits for here."""

    def is_attended(self, run: RunView) -> bool:
        """Somebody waits for it here, or it is to go on whoever leaves."""
        ...

    def keep(self, run: RunView) -> None:
        """The run is to go on whoever leaves."""
        ...


class ElsewhereView(Protocol):
    """Those who wait for runs at other servers that share the journal."""

    def attend(self, attending: Attending) -> None:
        """Have `attending` be asked when the last one leaves elsewhere."""
        ...

    async def let_go(self, key: RunKey, reason: str) -> None:
        """The last who waited for a run here has gone: cancel it, unless somebody waits for it elsewhere. Raises
        RunNotFound, Unavailable."""
        ...

    async def keep(self, key: RunKey) -> None:
        """A run that may be driven elsewhere is to go on whoever leaves. Raises RunNotFound, Unavailable."""
        ...


class CoordinatorView(Protocol):
    """The coordinator as its front ends see it."""

    @property
    def elsewhere(self) -> ElsewhereView: ...

    @property
    def catalog(self) -> CatalogView: ...

    @property
    def pools(self) -> PoolsView: ...

    @property
    def assets(self) -> AssetsView: ...

    @property
    def inputs(self) -> InputsView: ...

    @property
    def stored(self) -> StoredView: ...

    @property
    def settings(self) -> dict[str, Any]:
        """Airflow's settings as plain data: airflow_version, base_log_folder, maximum_page_limit, dagcall, ..."""
        ...

    @property
    def options(self) -> Options:
        """Those of `[dagcall]`; the defaults until it has started."""
        ...

    @property
    def kept(self) -> Kept:
        """What belongs to no run: Variables, Connections, ..."""
        ...

    @property
    def metrics(self) -> MetricsView: ...

    @property
    def airflow(self) -> AirflowSide:
        """What answers questions about the Airflow installation; started by the first."""
        ...

    @property
    def is_stopping(self) -> bool: ...

    @property
    def journal_trouble(self) -> str | None:
        """Why nothing can be kept now; None: all is well."""
        ...

    def obstacles(self) -> list[str]:
        """Why a call would not be taken now, in words; empty: it would."""
        ...

    async def call(self, request: CallRequest) -> RunView:
        """`admit`, for those to whom it does not matter whose run it is."""
        ...

    async def admit(self, request: CallRequest) -> tuple[RunView, Shared]:
        """Admit a call; returns when it is durable. Nothing is left behind when it is refused. The run may be one that
        another call began (`sharing`).

        Raises: Loading, ShuttingDown, DagNotFound, DagBroken, DagUnsupported, InvalidParams, TaskNotFound (in
        `results`), RunExists, IdempotencyMismatch, BadRequest (run_id), RateLimited, Overloaded, Unavailable.
        """
        ...

    async def run(self, key: RunKey) -> RunView:
        """Raises RunNotFound, DagNotFound."""
        ...

    async def dag_ids(self) -> set[str]:
        """Of which DAGs there are runs, served now or not."""
        ...

    async def list_runs(self, query: HeadQuery) -> tuple[list[RunHead], int]: ...

    async def cancel(self, key: RunKey, by: str, reason: str) -> RunView:
        """Ask for the run's end; teardowns still run. On an ended run nothing happens. Raises RunNotFound."""
        ...

    async def delete(self, key: RunKey) -> bool:
        """Forget a run, with its values and its idempotency key; False, and nothing is done, while it has not ended.
        Raises RunNotFound, JournalError."""
        ...

    def log_path(self, key: RunKey, task_id: str, map_index: int, try_number: int) -> str:
        """Absolute path of a try's log file, in Airflow's layout."""
        ...

    def statistics(self) -> dict[str, int]: ...
