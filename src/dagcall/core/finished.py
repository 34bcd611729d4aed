"""What a run that has ended leaves for Airflow to show."""

import hashlib

from dagcall.core.instance import EndedTry, TaskInstance
from dagcall.core.machine import RunMachine
from dagcall.model.finished_run import FinishedRun, FinishedTask, FinishedTry, FinishedXCom, HandedEvent
from dagcall.model.ids import RunKey, TaskKey, attempt_uuid, try_uuid
from dagcall.model.records import RunHead


def finished_run(
    machine: RunMachine, head: RunHead, events: tuple[HandedEvent, ...], *, rows: bool, any_version: bool
) -> FinishedRun:
    """Raises nothing for a machine whose state is final. Without `rows`, what identifies the run and its events."""
    return FinishedRun(
        dag_id=head.key.dag_id,
        run_id=head.key.run_id,
        state=head.state.value,
        queued_at=head.queued_at,
        run_after=head.run_after,
        run_type=head.run_type,
        triggered_by=head.triggered_by,
        logical_date=head.logical_date,
        start_date=head.start_date,
        end_date=head.end_date,
        caller=head.caller,
        conf=head.conf,
        note=head.note,
        rows=rows,
        any_version=any_version,
        tasks=tuple([_task(head.key, one) for one in machine.instances()]) if rows else (),
        xcoms=_xcoms(machine) if rows else (),
        events=events,
    )


def _task(run: RunKey, ti: TaskInstance) -> FinishedTask:
    task = ti.task
    return FinishedTask(
        id=_id(run, ti),
        task_id=task.task_id,
        map_index=ti.map_index,
        state=ti.state.airflow,
        try_number=ti.try_number,
        max_tries=ti.max_tries,
        operator=task.operator,
        task_display_name=task.task_display_name or task.task_id,
        pool=task.pool,
        pool_slots=task.pool_slots,
        queue=task.queue,
        priority_weight=task.effective_weight,
        queued_at=ti.queued_at,
        start_date=ti.start_date,
        end_date=ti.end_date,
        hostname=ti.hostname,
        pid=ti.pid,
        rendered_map_index=ti.rendered_map_index,
        rendered_fields=ti.rendered_fields,
        tries=tuple([_try(run, ti, one) for one in ti.tries if one.try_number < ti.try_number]) if ti.tries else (),
    )


def _try(run: RunKey, ti: TaskInstance, one: EndedTry) -> FinishedTry:
    state = "failed" if one.state.value == "up_for_retry" else one.state.value  # as Airflow's history has it
    return FinishedTry(try_uuid(run, ti.key, one.try_number), one.try_number, state, one.start_date, one.end_date)


def _id(run: RunKey, ti: TaskInstance) -> str:
    """The one that the task itself has seen, as long as it was started."""
    if ti.first_attempt is not None:
        return attempt_uuid(run, ti.first_attempt)
    return try_uuid(run, ti.key, 0)


def _xcoms(machine: RunMachine) -> tuple[FinishedXCom, ...]:
    """Of its task instances: other code may have set some in the name of one that there is not."""
    by_id = machine.plan.by_id
    return tuple(
        [
            FinishedXCom(task_id, map_index, item.key, item.value, item.mapped_length, by_id[task_id].is_result)
            for task_id, map_index, item in machine.xcoms.items()
            if task_id in by_id and machine.instance(TaskKey(task_id, map_index)) is not None
        ]
    )


def is_in_sample(key: RunKey, share: float) -> bool:
    """Whether a run is among this share of all: the same answer whoever asks, and whenever."""
    digest = hashlib.sha256(f"{key.dag_id}/{key.run_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
