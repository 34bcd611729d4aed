"""Commands: what `RunMachine.step` wants done. Decided here as values, acted upon by the driver.

Order matters: records are appended, and are durable, before any other command of the same step is acted upon.
"""

from dataclasses import dataclass, field
from typing import Any

from dagcall.model.assets import Outlets
from dagcall.model.events import EndKind, ErrorInfo, Event, RejectInfo, Resumed, RetryDue, RunTimedOut, Suspension
from dagcall.model.states import OutcomeKind, RunState, TaskState


@dataclass(frozen=True)
class Record:
    """Append to the run's event list. The journal gives it the next id: 1, 2, 3, ... without gaps.

    `kind` and `data` (plain JSON) are public, shown to every reader of the run's events:
    `accepted` {dag_id, run_id, params}, `task` {task_id, map_index, state, try_number[, error]},
    `xcom` {task_id, map_index, set, deleted}, the keys that were changed other than by the attempt itself,
    `cancel` {by, reason}, `result` {tasks}, `failure` {outcome, failed_task, map_index, try_number, error, cause},
    `end` {state}; and by the coordinator, also after the end, `callback` {calls, state[, task_id, map_index, error]}.
    `event` is the input that caused this step; it rides on the step's first record (and on no
    other), so that replaying the records' events through `step` gives the same machine.
    """

    kind: str
    data: dict[str, Any]
    event: Event | None = None


@dataclass(frozen=True)
class Continuation:
    """What the next attempt of a suspended try has to know of the ones before it."""

    suspension: Suspension
    resumed: Resumed
    first_attempt: int
    """The one that began the try, which the try is known by."""
    start_date: float
    """When the try began."""
    reschedules: int = 0
    """How often the try was rescheduled so far, and when first (Airflow's `task_reschedule`)."""
    first_reschedule: float | None = None


@dataclass(frozen=True)
class StartAttempt:
    """Run this try when a worker is free; then say so with `AttemptStarted`."""

    attempt: int
    task_id: str
    map_index: int
    try_number: int
    on_answer_path: bool
    """An ancestor of a result task: goes before side branches and teardowns."""
    continues: Continuation | None = None
    """None: the attempt begins its try."""


@dataclass(frozen=True)
class StopAttempt:
    """End this attempt: forget it when it still waits for a worker, else terminate its worker. Its end, if any
    is reported later, is ignored."""

    attempt: int
    reason: str


@dataclass(frozen=True)
class Await:
    """The attempt has suspended its try: feed `Resumed` back when what it waits for has happened."""

    attempt: int
    task_id: str
    map_index: int
    try_number: int
    kind: EndKind
    suspension: Suspension
    first_attempt: int


@dataclass(frozen=True)
class StopAwait:
    """The task was ended while it waited: wait no more on behalf of this attempt. A `Resumed` that comes later is
    ignored."""

    attempt: int


@dataclass(frozen=True)
class SetTimer:
    """Feed `event` back at `due` (absolute). Timers of an ended run never fire."""

    due: float
    event: RetryDue | RunTimedOut


@dataclass(frozen=True)
class EmitAssetEvents:
    """A task with outlets has succeeded: its asset events become durable with the records of this step."""

    task_id: str
    map_index: int
    outlets: Outlets


@dataclass(frozen=True)
class CauseLink:
    """One step of the chain from the failed task to the result task."""

    task_id: str
    map_index: int
    state: TaskState


@dataclass(frozen=True)
class Failure:
    """Why a call failed. `failed_task` is None when no task is to blame (deadline, cancel, run timeout)."""

    error: ErrorInfo
    failed_task: str | None = None
    map_index: int = -1
    try_number: int = 0
    cause: tuple[CauseLink, ...] = ()
    reject: RejectInfo | None = None


@dataclass(frozen=True)
class Outcome:
    """The answer of a call, certain and final, though the rest of the run may go on."""

    kind: OutcomeKind
    results: dict[str, bytes] = field(default_factory=dict)
    """Plain JSON by result task; skipped ones left out. Mapped: a JSON list."""
    designated: tuple[str, ...] = ()
    """The tasks that the call is answered with; empty: the run's own state is the answer."""
    failure: Failure | None = None


@dataclass(frozen=True)
class Answer:
    """Tell the waiters. Emitted once a run."""

    outcome: Outcome


@dataclass(frozen=True)
class EndRun:
    """The whole run is over, cleanup included. Emitted once, last."""

    state: RunState


Command = Record | StartAttempt | StopAttempt | Await | StopAwait | SetTimer | EmitAssetEvents | Answer | EndRun
