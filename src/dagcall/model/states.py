"""States of runs and task instances, spelled as Airflow spells them, and outcomes of calls."""

from enum import StrEnum


class RunState(StrEnum):
    """State of a whole run, cleanup included (Airflow's `DagRunState`)."""

    QUEUED = "queued"
    """Accepted, nothing has started."""
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (RunState.SUCCESS, RunState.FAILED)


class TaskState(StrEnum):
    """State of a task instance (Airflow's `TaskInstanceState`; `NONE` is Airflow's null)."""

    NONE = "none"
    """Its dependencies are not met yet."""
    QUEUED = "queued"
    """Its dependencies are met; it waits for a worker."""
    SCHEDULED = "scheduled"
    """Its dependencies are met; it waits for a slot: of its pool, or of a limit of its DAG."""
    RUNNING = "running"
    UP_FOR_RETRY = "up_for_retry"
    """An attempt failed, another one is due after the retry delay."""
    UP_FOR_RESCHEDULE = "up_for_reschedule"
    """The try let go of its worker until a date, then runs again from its beginning."""
    DEFERRED = "deferred"
    """The try let go of its worker until its trigger fires."""
    AWAITING_INPUT = "awaiting_input"
    """The try let go of its worker until a person answers."""
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    UPSTREAM_FAILED = "upstream_failed"
    REMOVED = "removed"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES

    @property
    def airflow(self) -> str | None:
        """The value that Airflow's API shows (`None` is JSON null)."""
        return None if self is TaskState.NONE else self.value


FINAL_STATES = frozenset(
    {TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.UPSTREAM_FAILED, TaskState.REMOVED}
)
SUSPENDED_STATES = frozenset({TaskState.UP_FOR_RESCHEDULE, TaskState.DEFERRED, TaskState.AWAITING_INPUT})
"""The try goes on, but holds no worker now."""


class OutcomeKind(StrEnum):
    """How a call was answered: the values of the `Dagcall-Outcome` header."""

    SUCCESS = "success"
    FAILED = "failed"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    RUNNING = "running"
    """Not decided yet."""


class TriggerRule(StrEnum):
    """When a task may run, given its upstreams (Airflow's `TriggerRule`, all thirteen)."""

    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    ALL_DONE = "all_done"
    ALL_DONE_MIN_ONE_SUCCESS = "all_done_min_one_success"
    ALL_DONE_SETUP_SUCCESS = "all_done_setup_success"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    ONE_DONE = "one_done"
    NONE_FAILED = "none_failed"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    NONE_SKIPPED = "none_skipped"
    ALL_SKIPPED = "all_skipped"
    ALWAYS = "always"
