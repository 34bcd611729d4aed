"""How a task lets go of its worker and goes on later, between the Task SDK's messages and the wire.

Out: `DeferTask`, `RescheduleTask` and `AwaitInputTask` become a `Suspended`. In: a `Continues` becomes the fields of the
`TIRunContext` that the runner resumes with. Kwargs and payloads travel as MessagePack of what Airflow's serde made of
them.

Authoritative: the execution API's `ti_update_state` and `ti_run`, `handle_event_submit` and `submit_failure`
(airflow/models/trigger.py), `check_trigger_timeouts` (airflow/jobs/scheduler_job_runner.py).
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason
from airflow.sdk.execution_time import comms as sdk
from airflow.sdk.serde import serialize

from dagcall.model.events import EndKind, ResumeHow
from dagcall.model.plan import StartTrigger
from dagcall.workers.frames import Continues, Suspended

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def suspended_by(message: Any, wakes: tuple[str, bytes] | None) -> tuple[EndKind, Suspended] | None:
    """What a terminal message of the runner suspends the try for; None when it ends it.

    `wakes`: the trigger, class path and kwargs, whose event lets a rescheduled try go on before its date.
    """
    match message:
        case sdk.RescheduleTask():
            due = message.reschedule_date.timestamp()
            return EndKind.RESCHEDULED, Suspended(None, b"", due, *(wakes or (None, b"")))
        case sdk.DeferTask():
            return EndKind.DEFERRED, Suspended(
                message.next_method,
                _pack(message.next_kwargs or {}),
                _from_now(message.trigger_timeout),
                message.classpath,
                _pack(message.trigger_kwargs or {}),
            )
        case sdk.AwaitInputTask():
            return EndKind.AWAITING_INPUT, Suspended(
                message.next_method, _pack(message.next_kwargs or {}), _from_now(message.timeout), None, b""
            )
        case _:
            return None


def start_trigger(task: Any) -> StartTrigger | None:
    """What a task that begins in the triggerer begins with (`TaskInstance.start_trigger_args`); of a mapped one, the
    same for all of its instances, as in Airflow.

    Raises whatever Airflow's serde raises for kwargs that it cannot encode.
    """
    arguments = task.start_trigger_args
    if task.start_from_trigger is not True or arguments is None:
        return None
    return StartTrigger(
        arguments.trigger_cls,
        _pack(serialize(arguments.trigger_kwargs or {})),
        arguments.next_method,
        _pack(serialize(arguments.next_kwargs or {})),
        None if arguments.timeout is None else arguments.timeout.total_seconds(),
    )


def resumed_with(continues: Continues | None) -> dict[str, Any]:
    """The fields of `TIRunContext` by which an attempt goes on with its try."""
    if continues is None:
        return {"task_reschedule_count": 0}
    fields: dict[str, Any] = {"task_reschedule_count": continues.reschedules}
    if continues.next_method is None:
        return fields
    fields["start_date"] = datetime.fromtimestamp(continues.start_date, tz=UTC)
    match ResumeHow(continues.how):
        case ResumeHow.EVENT | ResumeHow.DUE:
            fields["next_method"] = continues.next_method
            # What serde makes of a dict is the dict of what it makes of the values: one more is simply put in.
            fields["next_kwargs"] = {**_unpack(continues.next_kwargs), "event": _unpack(continues.payload)}
        case ResumeHow.FAILED:
            fields["next_method"] = TRIGGER_FAIL_REPR
            fields["next_kwargs"] = _unpack(continues.payload)
        case ResumeHow.TIMEOUT:
            fields["next_method"] = TRIGGER_FAIL_REPR
            fields["next_kwargs"] = {"error": TriggerFailureReason.TRIGGER_TIMEOUT.value}
    return fields


def _from_now(limit: timedelta | None) -> float | None:
    return None if limit is None else time.time() + limit.total_seconds()
