"""Events: what happened to a run. The only inputs of `RunMachine.step`, and all that a replay needs.

Times are seconds since the epoch, UTC. Values of XComs are opaque bytes (MessagePack of what the Task SDK sent).
"""

from dataclasses import dataclass
from enum import StrEnum

from dagcall.model.assets import Outlets
from dagcall.model.ids import UNMAPPED
from dagcall.model.references import Reference


class EndKind(StrEnum):
    """How an attempt ended, as its worker (or whoever watched it) reports it; the machine decides what follows."""

    SUCCESS = "success"
    SKIPPED = "skipped"
    FAILED = "failed"
    """For good: no tries left, or the task forbade another one (`AirflowFailException`, retry policy)."""
    RETRY = "retry"
    """Failed, and the Task SDK asks for another try (`RetryTask`)."""
    LOST = "lost"
    """Ended without a word: killed, crashed, timed out hard, or its server was restarted."""
    RESCHEDULED = "rescheduled"
    """The attempt is over, its try is not: it runs again at a date (`RescheduleTask`)."""
    DEFERRED = "deferred"
    """... it goes on when a trigger fires (`DeferTask`)."""
    AWAITING_INPUT = "awaiting_input"
    """... it goes on when a person answers (`AwaitInputTask`)."""


@dataclass(frozen=True)
class ErrorInfo:
    """Why something failed: the exception's type name and its message, never a stack trace."""

    type: str
    message: str


@dataclass(frozen=True)
class XComItem:
    """One pushed XCom."""

    key: str
    value: bytes
    mapped_length: int | None = None
    """Length of a value that a downstream task is mapped over; None when nothing maps over it."""


@dataclass(frozen=True)
class RejectInfo:
    """The task chose the caller's status with `dagcall.Reject`."""

    status: int
    detail: str


@dataclass(frozen=True)
class Suspension:
    """What a try that let go of its worker waits for, and how it goes on. Bytes are opaque here: made and read on the
    worker's side."""

    next_method: str | None = None
    """Airflow's: the method to resume with; None runs the task from its beginning."""
    next_kwargs: bytes = b""
    due: float | None = None
    """Rescheduled: when it runs again. Otherwise when the waiting times out; None: never."""
    trigger: str | None = None
    """Class path of the trigger that is waited for."""
    trigger_kwargs: bytes = b""


@dataclass(frozen=True)
class RunAccepted:
    """A call was admitted. Everything about the call that later decisions depend on."""

    dag_id: str
    run_id: str
    plan_version: str
    conf: bytes = b"{}"
    """The caller's params: a JSON object."""
    results: tuple[str, ...] = ()
    """Tasks to answer with instead of the designated ones; empty: the author's."""
    deadline: float | None = None
    caller: str = ""
    durability: str = "process"
    idempotency_key: str | None = None
    on_disconnect: str = "continue"
    run_type: str = "manual"
    triggered_by: str = "rest_api"
    logical_date: float | None = None
    run_after: float | None = None
    note: str | None = None
    traceparent: str | None = None
    """W3C's, and `tracestate`: of the span that the run is a child of; the run's own span, where the trace begins with it."""
    tracestate: str | None = None
    asset_events: bytes = b""
    """The events that a run `asset_triggered` was started for: JSON, as its tasks get them."""
    inline_limit: int | None = None
    """Bytes of JSON of one result task above which the call is answered with a reference to it; None: any number."""


@dataclass(frozen=True)
class AttemptBlocked:
    """There is no slot for the attempt now; a worker is asked for when there is: `AttemptAdmitted`."""

    attempt: int
    waits_for: str = ""
    """The limit that has no room, in words."""


@dataclass(frozen=True)
class AttemptAdmitted:
    """An attempt that was blocked has its slots."""

    attempt: int


@dataclass(frozen=True)
class AttemptStarted:
    """A worker was leased for the attempt; its code starts only after this event is durable."""

    attempt: int
    epoch: int
    hostname: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Emitted:
    """Partial results of an attempt (`dagcall.emit`): plain JSON, in order.

    Journaled once an attempt and without the values, which are in the `chunk` records: later decisions depend only on
    whether there were any.
    """

    attempt: int
    epoch: int
    values: tuple[bytes, ...] = ()
    truncated: bool = False
    """More were emitted than are kept."""


@dataclass(frozen=True)
class AttemptEnded:
    """The one recorded end of an attempt. Ignored unless attempt and epoch are those of the open attempt."""

    attempt: int
    epoch: int
    kind: EndKind
    error: ErrorInfo | None = None
    reject: RejectInfo | None = None
    retry_delay: float | None = None
    """Seconds, when the task's retry policy chose them. Of one that has failed for good: after which it would be tried
    again, if that were not too late for the call's deadline."""
    xcoms: tuple[XComItem, ...] = ()
    plain: bytes | None = None
    """The return value as plain JSON; sent for tasks that the call is answered with."""
    skip: tuple[tuple[str, int], ...] = ()
    """Task instances this task decided to skip (branching): (task_id, map_index), -1 for all of a task."""
    rendered_map_index: str | None = None
    rendered_fields: bytes = b""
    """The template fields as they were rendered: a JSON object, secrets masked."""
    suspension: Suspension | None = None
    """Set exactly when `kind` is one of the three that suspend the try."""
    outlets: Outlets | None = None
    """Of a task with outlets that succeeded."""
    references: tuple[Reference, ...] = ()
    """What `plain` refers to."""


class ResumeHow(StrEnum):
    """Why a suspended try goes on."""

    DUE = "due"
    """The date of a reschedule has come."""
    EVENT = "event"
    """What it waited for has happened."""
    FAILED = "failed"
    """What it waited for cannot happen any more: the trigger failed."""
    TIMEOUT = "timeout"
    """It waited too long."""
    ENDED = "ended"
    """What it waited for ended the try itself: nothing is to run any more (`BaseTaskEndEvent`)."""


@dataclass(frozen=True)
class Resumed:
    """A suspended try goes on, with a new attempt and the same try number, or ends. Ignored unless `attempt`, the one
    that suspended it, is what it is suspended by."""

    task_id: str
    map_index: int
    attempt: int
    how: ResumeHow
    payload: bytes = b""
    """MessagePack: the event's payload as Airflow's serde encodes it; of a failure the kwargs of Airflow's `__fail__`,
    `error` (a sentence) and, if there is one, `traceback` (its lines)."""
    xcoms: tuple[XComItem, ...] = ()
    """Pushed in the task's name by what it waited for."""
    end: EndKind | None = None
    """Set exactly when it ended."""
    plain: bytes | None = None
    """As in `AttemptEnded`; so are `references`."""
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True)
class RetryDue:
    """The retry delay of a task instance is over."""

    task_id: str
    map_index: int = UNMAPPED
    try_number: int = 1
    """The try that failed: a timer that fires twice, or late, is ignored."""


class TimeoutKind(StrEnum):
    DAGRUN_TIMEOUT = "dagrun_timeout"
    """The author's `dagrun_timeout`: the run fails."""
    DEADLINE = "deadline"
    """The caller's `timeout=`."""


@dataclass(frozen=True)
class RunTimedOut:
    """A limit on the whole run passed."""

    kind: TimeoutKind


@dataclass(frozen=True)
class CancelRequested:
    """Somebody asked for the run's end. Teardowns still run."""

    by: str = ""
    reason: str = ""


@dataclass(frozen=True)
class RunAbandoned:
    """The server does not go on with the run, which a restart interrupted. Teardowns still run."""

    error: ErrorInfo


@dataclass(frozen=True)
class XComChanged:
    """An XCom was set (`item`) or deleted (None) at a task's request, other than by its own attempt's pushes: those are
    part of the attempt's end. Also taken in after the run's end."""

    task_id: str
    map_index: int
    key: str
    item: XComItem | None = None


@dataclass(frozen=True)
class AttemptAmended:
    """What the code that runs after an attempt's end has added to it: callbacks, operator links. Also taken in after
    the run's end. Ignored when the task instance is in another try by now."""

    task_id: str
    map_index: int
    attempt: int
    xcoms: tuple[XComItem, ...] = ()
    rendered_fields: bytes = b""
    """Replaces those of the attempt's end; empty: they stay."""


Event = (
    RunAccepted
    | AttemptBlocked
    | AttemptAdmitted
    | AttemptStarted
    | Emitted
    | AttemptEnded
    | Resumed
    | RetryDue
    | RunTimedOut
    | CancelRequested
    | RunAbandoned
    | XComChanged
    | AttemptAmended
)
