"""The spans of a run that has ended: one of the run, one of each try. Pure.

Names and attributes are Airflow's (`dag_run.<dag_id>`: models/dagrun.py `_emit_dagrun_span`; `task_run.<task_id>`:
api_fastapi/execution_api/routes/task_instances.py `_emit_task_span`). As there, a span begins when its run or try was
queued, and is an error unless it ended as success; skipped is none here. Airflow has one `task_run` for the last try
only; here each try has its own, and what begins with `dagcall.` is ours. Tries that never waited for a worker (skipped,
upstream_failed) have no span, as there.
"""

from dagcall.core.instance import EndedTry, TaskInstance
from dagcall.core.machine import RunMachine
from dagcall.model.ids import RunKey, attempt_uuid
from dagcall.model.states import RunState, TaskState
from dagcall.model.trace import Span, TraceContext, run_span_id, try_span_id

OK, ERROR = 1, 2
_WELL = (TaskState.SUCCESS, TaskState.SKIPPED)


def spans_of(machine: RunMachine, carrier: TraceContext, queued_at: float) -> list[Span]:
    """`carrier`: what the run was called with, or its own span when the trace began with it."""
    key, run_span = machine.key, run_span_id(carrier.trace_id, machine.key)
    spans = [_of_run(machine, carrier, run_span, queued_at)]
    for task in machine.tasks:
        for ti in task.instances:
            spans += _of_instance(ti, key, carrier, run_span, spans[0])
    return spans


def _of_run(machine: RunMachine, carrier: TraceContext, span_id: str, queued_at: float) -> Span:
    key, accepted = machine.key, machine.accepted
    attributes: dict[str, object] = {
        "airflow.dag_id": key.dag_id,
        "airflow.dag_run.run_id": key.run_id,
        "airflow.dag_run.run_type": accepted.run_type,
        "dagcall.dag_run.state": machine.state.value,
    }
    if machine.outcome is not None:
        attributes["dagcall.outcome"] = machine.outcome.kind.value
    failure = None if machine.outcome is None else machine.outcome.failure
    for name, time in (("start_date", machine.start_date), ("end_date", machine.end_date), ("queued_at", queued_at)):
        if time is not None:
            attributes[f"airflow.dag_run.{name}"] = time
    if accepted.logical_date is not None:
        attributes["airflow.dag_run.logical_date"] = accepted.logical_date
    end = queued_at if machine.end_date is None else machine.end_date
    is_root = carrier.span_id == span_id
    return Span(
        name=f"dag_run.{key.dag_id}",
        trace_id=carrier.trace_id,
        span_id=span_id,
        parent_id=None if is_root else carrier.span_id,
        start=_ns(queued_at),
        end=_ns(max(queued_at, end)),
        attributes=attributes,
        status=OK if machine.state is RunState.SUCCESS else ERROR,
        description=None if failure is None else failure.error.type,
        kind=1,  # SERVER: what a call from elsewhere began
        state=carrier.state,
        is_remote=not is_root,
    )


def _of_instance(ti: TaskInstance, key: RunKey, carrier: TraceContext, run_span: str, run: Span) -> list[Span]:
    spans = [
        _of_try(ti, one, ti.queued_at if one.try_number == ti.try_number else None, key, carrier, run_span)
        for one in ti.tries
        if one.start_date is not None
    ]
    known = {one.try_number for one in ti.tries}
    if ti.try_number and ti.try_number not in known and ti.start_date is not None:  # still open when the run ended
        last = EndedTry(ti.try_number, ti.state, ti.start_date, ti.end_date or run.end / 1e9, ti.error)
        spans.append(_of_try(ti, last, ti.queued_at, key, carrier, run_span))
    return spans


def _of_try(
    ti: TaskInstance, ended: EndedTry, queued_at: float | None, key: RunKey, carrier: TraceContext, run_span: str
) -> Span:
    task_id = ti.task.task_id
    started = ended.end_date if ended.start_date is None else ended.start_date
    begin = started if queued_at is None else min(queued_at, started)
    attributes: dict[str, object] = {
        "airflow.dag_id": key.dag_id,
        "airflow.task_id": task_id,
        "airflow.dag_run.run_id": key.run_id,
        "airflow.task_instance.try_number": ended.try_number,
        "airflow.task_instance.map_index": ti.map_index,
        "airflow.task_instance.state": ended.state.value,
        "dagcall.task_instance.start_date": started,
        "dagcall.task_instance.queued_seconds": round(started - begin, 6),
    }
    if ended.try_number == ti.try_number and ti.first_attempt is not None:
        attributes["airflow.task_instance.id"] = attempt_uuid(key, ti.first_attempt)
    if ended.error is not None:
        attributes["dagcall.error.type"] = ended.error.type
    return Span(
        name=f"task_run.{task_id}" + (f"[{ti.map_index}]" if ti.map_index >= 0 else ""),
        trace_id=carrier.trace_id,
        span_id=try_span_id(run_span, task_id, ti.map_index, ended.try_number),
        parent_id=run_span,
        start=_ns(begin),
        end=_ns(max(begin, ended.end_date)),
        attributes=attributes,
        status=OK if ended.state in _WELL else ERROR,
        description=None if ended.error is None else ended.error.type,
        state=carrier.state,
    )


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
