"""What user code is told when a run begins, when it has ended, and when a task was lost. Pure.

Authoritative: `DagRun.update_state` (airflow/models/dagrun.py), `SchedulerJobRunner._schedule_dag_run` for a
`dagrun_timeout`, `patch_dag_run_state` for a run that is set to failed by hand (here: cancelled, or past its caller's
deadline), `process_executor_events` for a task whose process is gone. A run that was cancelled calls no DAG callback,
unless teardowns went on after that: then it ends like any other.
"""

from collections.abc import Callable, Collection, Iterable

from dagcall.core.instance import TaskInstance
from dagcall.core.machine import RunMachine
from dagcall.model.events import CancelRequested, ErrorInfo, Event, RunTimedOut, TimeoutKind
from dagcall.model.notice import Call, Notice
from dagcall.model.states import RunState, TaskState


def of_start(machine: RunMachine, listeners: Collection[str]) -> Notice | None:
    """The run's first task begins. `listeners`: the hooks that some listener implements."""
    if Call.RUN_RUNNING not in listeners:
        return None
    return Notice((Call.RUN_RUNNING,), "started", RunState.RUNNING.value)


def of_end(machine: RunMachine, cause: Event, listeners: Collection[str]) -> Notice | None:
    """The run has ended, because of `cause`."""
    succeeded = machine.state is RunState.SUCCESS
    listener = Call.RUN_SUCCESS if succeeded else Call.RUN_FAILED
    callback = Call.DAG_SUCCESS if succeeded else Call.DAG_FAILURE
    calls = [listener] if listener in listeners else []
    if not calls and callback not in machine.plan.callbacks:
        return None
    reason, subject = _reason(machine, cause)
    if callback in machine.plan.callbacks and subject is not None:
        calls.append(callback)
    instance = subject(machine) if subject is not None else None
    return _notice(calls, reason, machine, instance) if calls else None


def of_loss(
    machine: RunMachine, instance: TaskInstance, error: ErrorInfo | None, listeners: Collection[str]
) -> Notice | None:
    """The instance's last attempt could not call the task's callbacks itself: its process is gone, or it expected a
    retry for which there is no time."""
    retries = instance.state is TaskState.UP_FOR_RETRY
    callback, email = (Call.TASK_RETRY, Call.EMAIL_RETRY) if retries else (Call.TASK_FAILURE, Call.EMAIL_FAILURE)
    calls = [call for call in (callback, email) if call in instance.task.callbacks]
    if Call.TASK_FAILED in listeners:
        calls.append(Call.TASK_FAILED)
    return _notice(calls, error.message if error is not None else "", machine, instance) if calls else None


Subject = Callable[[RunMachine], TaskInstance | None]


def _reason(machine: RunMachine, cause: Event) -> tuple[str, Subject | None]:
    """Airflow's word for how the run ended, and which task instance its callbacks are told about; None: the run was
    ended by hand, and they are not called."""
    match cause:
        case RunTimedOut(TimeoutKind.DAGRUN_TIMEOUT):
            return "timed_out", _unfinished_last
        case CancelRequested() | RunTimedOut():
            return "Dag Run's state was manually set to `failed`.", None
    if machine.state is RunState.SUCCESS:
        return "success", lambda machine: _last(machine.instances(), TaskState.SUCCESS)
    if any(not instance.state.is_final for instance in machine.instances()):
        return "all_tasks_deadlocked", _blocked
    return "task_failure", lambda machine: _last(machine.instances(), TaskState.FAILED)


def _last(instances: Iterable[TaskInstance], state: TaskState) -> TaskInstance | None:
    return max((ti for ti in instances if ti.state is state), key=lambda ti: ti.end_date or 0.0, default=None)


def _unfinished_last(machine: RunMachine) -> TaskInstance | None:
    """Of those that the timeout has skipped, the one that began last."""
    timed_out = [ti for ti in machine.instances() if ti.error is not None and ti.error.type == "DagRunTimeout"]
    return max(timed_out, key=_begun, default=None)


def _begun(instance: TaskInstance) -> float:
    return (instance.tries[-1].start_date or 0.0) if instance.tries else 0.0


def _blocked(machine: RunMachine) -> TaskInstance | None:
    ended = {instance.task.task_id for instance in machine.instances() if instance.state.is_final}
    unfinished = (instance for instance in machine.instances() if not instance.state.is_final)
    return next((instance for instance in unfinished if ended.intersection(instance.task.upstream)), None)


def _notice(calls: list[Call], reason: str, machine: RunMachine, instance: TaskInstance | None) -> Notice:
    if instance is None:
        return Notice(tuple(calls), reason, machine.state.value, machine.end_date)
    return Notice(
        tuple(calls),
        reason,
        machine.state.value,
        machine.end_date,
        task_id=instance.task.task_id,
        map_index=instance.map_index,
        try_number=instance.try_number,
        first_attempt=instance.first_attempt or 0,
        state=instance.state.value,
        start_date=instance.start_date,
        end_date=instance.end_date,
    )
