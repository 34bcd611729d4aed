"""The states of a task instance, as a table.

Every change of a task instance's state goes through `Board.change`; what the table does not list cannot happen. It
holds what stock Airflow does, where every instance is `scheduled` before it is `queued`. Here only those are that
have to wait for a slot, and nobody sees the `queued` before it. Four entries surprise:

- `none -> success`: an `EmptyOperator` without callbacks, inlets and outlets never runs (`DagRun.schedule_tis`).
- `queued -> failed | up_for_retry`: no worker could be had for the attempt.
- `queued -> scheduled`: no slot is free (`slots`).
- `upstream_failed -> skipped`: a branch or short-circuit that ends later overwrites it (execution API
  `skip-downstream`). It is the only way out of a final state.

`removed` has no way in: it marks instances whose DAG changed under the run, and a run here keeps its version.

`docs/state-machine.md` is drawn from this table by `scripts/state_diagram.py`.
"""

from collections.abc import Mapping
from typing import Final

from dagcall.errors import InternalError
from dagcall.model.states import TaskState

TRANSITIONS: Final[Mapping[TaskState, Mapping[TaskState, str]]] = {
    TaskState.NONE: {
        TaskState.QUEUED: "dependencies met",
        TaskState.SUCCESS: "dependencies met, nothing to execute",
        TaskState.DEFERRED: "dependencies met, starts from its trigger",
        TaskState.SKIPPED: "rule, branch, empty map, cancel",
        TaskState.UPSTREAM_FAILED: "rule, unknown map length",
    },
    TaskState.QUEUED: {
        TaskState.RUNNING: "attempt started",
        TaskState.SCHEDULED: "no slot is free",
        TaskState.UP_FOR_RETRY: "no worker, tries left",
        TaskState.FAILED: "no worker, no tries left",
        TaskState.SKIPPED: "branch, cancel, fail_fast, timeout",
    },
    TaskState.SCHEDULED: {
        TaskState.QUEUED: "slot given",
        TaskState.FAILED: "its pool is gone, or too small",
        TaskState.SKIPPED: "branch, cancel, fail_fast, timeout",
    },
    TaskState.RUNNING: {
        TaskState.SUCCESS: "attempt succeeded",
        TaskState.SKIPPED: "task skipped itself, dagrun_timeout",
        TaskState.UP_FOR_RETRY: "attempt failed, tries left",
        TaskState.FAILED: "attempt failed, cancel, fail_fast",
        TaskState.UP_FOR_RESCHEDULE: "rescheduled itself",
        TaskState.DEFERRED: "deferred itself",
        TaskState.AWAITING_INPUT: "asked for input",
    },
    TaskState.UP_FOR_RESCHEDULE: {
        TaskState.QUEUED: "reschedule date passed",
        TaskState.DEFERRED: "reschedule date passed, starts from its trigger",
        TaskState.SKIPPED: "branch, fail_fast, timeout",
        TaskState.FAILED: "cancel",
    },
    TaskState.DEFERRED: {
        TaskState.QUEUED: "trigger fired, failed or timed out",
        TaskState.SUCCESS: "trigger ended it",
        TaskState.SKIPPED: "trigger ended it, branch, fail_fast, timeout",
        TaskState.FAILED: "trigger ended it, no tries left; cancel",
        TaskState.UP_FOR_RETRY: "trigger ended it, tries left",
    },
    TaskState.AWAITING_INPUT: {
        TaskState.QUEUED: "answered or timed out",
        TaskState.SKIPPED: "branch, fail_fast, timeout",
        TaskState.FAILED: "cancel",
    },
    TaskState.UP_FOR_RETRY: {
        TaskState.QUEUED: "retry due",
        TaskState.DEFERRED: "retry due, starts from its trigger",
        TaskState.SKIPPED: "branch, cancel, fail_fast, timeout",
    },
    TaskState.UPSTREAM_FAILED: {
        TaskState.SKIPPED: "a branch that ends later",
    },
    TaskState.SUCCESS: {},
    TaskState.FAILED: {},
    TaskState.SKIPPED: {},
    TaskState.REMOVED: {},
}
"""Old state -> new state -> what causes it."""


def illegal(old: TaskState, new: TaskState, where: str) -> InternalError:
    """The error for a change that the table does not hold, naming `where` (run and task instance)."""
    return InternalError(f"{where}: {old.value} -> {new.value} is no legal state change of a task instance")
