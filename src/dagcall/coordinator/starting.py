"""The start frame: all that a worker, or a triggerer, has to know of a task instance to speak in its name."""

from dagcall.coordinator.run import Run
from dagcall.core.retries import retry_delay
from dagcall.model.commands import Await, Continuation, StartAttempt
from dagcall.model.ids import attempt_uuid
from dagcall.workers.frames import Continues, Shipped, Start


def start_frame(run: Run, command: StartAttempt | Await, epoch: int, log_path: str, xcoms: list[Shipped]) -> Start:
    """`command`: the attempt to start, or the one whose try is waited for; of no task: the run as such."""
    task = run.plan.by_id.get(command.task_id)
    machine, accepted = run.machine, run.machine.accepted
    continues: Continuation | None = None
    first_attempt = command.attempt
    if isinstance(command, Await):
        first_attempt = command.first_attempt
    elif command.continues is not None:
        continues = command.continues
        first_attempt = continues.first_attempt
    deadline = None if task is None or task.is_teardown else accepted.deadline
    delay: float | None = None
    if task is not None and deadline is not None:
        delay = retry_delay(task.retry, run.key.dag_id, task.task_id, accepted.logical_date, command.try_number)
    return Start(
        attempt=command.attempt,
        epoch=epoch,
        dag_id=run.key.dag_id,
        run_id=run.key.run_id,
        task_id=command.task_id,
        map_index=command.map_index,
        try_number=command.try_number,
        max_tries=0 if task is None else task.retry.retries,
        ti_id=attempt_uuid(run.key, first_attempt),
        conf=accepted.conf,
        run_type=accepted.run_type,
        run_after=accepted.run_after or run.accepted_at,
        run_start=machine.start_date or run.accepted_at,
        logical_date=accepted.logical_date,
        triggered_by=accepted.triggered_by,
        want_plain=command.task_id in (accepted.results or run.plan.result_tasks),
        log_path=log_path,
        xcoms=xcoms,
        asset_events=accepted.asset_events,
        continues=None if continues is None else _continues(continues),
        deadline=deadline,
        retry_delay=delay,
        survives_power=accepted.durability == "power",
        traceparent=accepted.traceparent,
        tracestate=accepted.tracestate,
        expanded_ti_count=1 if task is None else machine.expand_width(command.task_id) or 1,
    )


def _continues(known: Continuation) -> Continues:
    return Continues(
        next_method=known.suspension.next_method,
        next_kwargs=known.suspension.next_kwargs,
        how=known.resumed.how.value,
        payload=known.resumed.payload,
        start_date=known.start_date,
        reschedules=known.reschedules,
        first_reschedule=known.first_reschedule,
    )
