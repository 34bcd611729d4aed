"""Tries that let go of their worker and go on later: deferred, up_for_reschedule, awaiting_input.

An attempt may end and leave its try open. From then on the instance is unfinished, is no waiting instance (nothing is
deadlocked while it waits) and has no open attempt, but an `Await`, which names what the try waits for. `Resumed` ends
the waiting: the instance is queued again with a new attempt and the same try number. Any other change of its state
ends the waiting too, and says so with `StopAwait`.

Authoritative: `ti_update_state` and `ti_run` (airflow/api_fastapi/execution_api/routes/task_instances.py),
`handle_event_submit` and `submit_failure` (airflow/models/trigger.py), `check_trigger_timeouts`.
"""

from typing import Final

from dagcall.core.instance import TaskInstance
from dagcall.errors import InternalError
from dagcall.model.commands import Await, Continuation
from dagcall.model.events import EndKind, Suspension
from dagcall.model.plan import TaskPlan
from dagcall.model.states import TaskState

STATE_OF: Final = {
    EndKind.RESCHEDULED: TaskState.UP_FOR_RESCHEDULE,
    EndKind.DEFERRED: TaskState.DEFERRED,
    EndKind.AWAITING_INPUT: TaskState.AWAITING_INPUT,
}
"""The state of an instance after an attempt that ended so."""


def suspend(ti: TaskInstance, attempt: int, kind: EndKind, suspension: Suspension | None, now: float) -> Await:
    """The try of `ti` waits from now on."""
    if suspension is None or ti.first_attempt is None:
        raise InternalError(f"task {ti.key}: attempt {attempt} is {kind.value} without saying until when")
    if kind is EndKind.RESCHEDULED:
        ti.reschedules += 1
        ti.first_reschedule = now if ti.first_reschedule is None else ti.first_reschedule
    ti.resumed = None
    ti.suspended = Await(
        attempt=attempt,
        task_id=ti.task.task_id,
        map_index=ti.map_index,
        try_number=ti.try_number,
        kind=kind,
        suspension=suspension,
        first_attempt=ti.first_attempt,
    )
    return ti.suspended


def at_start(task: TaskPlan, now: float) -> Suspension | None:
    """What a try of this task begins with waiting for; None when it begins on a worker (`TaskInstance.defer_task`)."""
    trigger = task.start_trigger
    if trigger is None:
        return None
    limits = [limit for limit in (trigger.timeout, task.execution_timeout) if limit is not None]
    due = now + min(limits) if limits else None
    return Suspension(trigger.next_method, trigger.next_kwargs, due, trigger.classpath, trigger.kwargs)


def continuation(ti: TaskInstance) -> Continuation | None:
    """What the next attempt goes on with; None when it begins its try."""
    if ti.suspended is None or ti.resumed is None:
        return None
    return Continuation(
        suspension=ti.suspended.suspension,
        resumed=ti.resumed,
        first_attempt=ti.suspended.first_attempt,
        start_date=ti.start_date or 0.0,
        reschedules=ti.reschedules,
        first_reschedule=ti.first_reschedule,
    )


def goes_on(ti: TaskInstance) -> bool:
    """Whether the open attempt resumes where the try left off, with its XComs and dates; a rescheduled one, like the
    first one of a try, runs from the beginning."""
    return ti.resumed is not None and ti.suspended is not None and ti.suspended.suspension.next_method is not None


def forget(ti: TaskInstance) -> None:
    """The try is over."""
    ti.suspended = ti.resumed = None
