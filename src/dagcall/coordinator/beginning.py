"""How a call becomes a run: the event that accepts it, and the head of its first batch. Pure."""

import json

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.telemetry import Traces
from dagcall.model.events import RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.records import RunHead
from dagcall.model.states import RunState


def run_after_of(request: CallRequest, now: float) -> float:
    return now if request.run_after is None else request.run_after


def beginning_of(
    request: CallRequest,
    key: RunKey,
    plan_version: str,
    durability: str,
    inline_limit: int,
    now: float,
    traces: Traces | None = None,
) -> tuple[RunAccepted, RunHead]:
    conf = json.dumps(request.conf).encode()
    run_after = run_after_of(request, now)
    traceparent, tracestate = request.traceparent, request.tracestate
    if traces is not None:
        traceparent, tracestate = traces.begun(traceparent, tracestate, key)
    event = RunAccepted(
        dag_id=key.dag_id,
        run_id=key.run_id,
        plan_version=plan_version,
        conf=conf,
        results=request.results,
        deadline=None if request.timeout is None else now + request.timeout,
        caller=request.caller,
        durability=durability,
        idempotency_key=request.idempotency_key,
        on_disconnect=request.on_disconnect,
        run_type=request.run_type,
        triggered_by=request.triggered_by,
        logical_date=request.logical_date,
        run_after=run_after,
        note=request.note,
        traceparent=traceparent,
        tracestate=tracestate,
        asset_events=request.asset_events,
        inline_limit=inline_limit,
    )
    head = RunHead(
        key=key,
        state=RunState.QUEUED,
        plan_version=plan_version,
        queued_at=now,
        run_after=run_after,
        logical_date=request.logical_date,
        run_type=request.run_type,
        triggered_by=request.triggered_by,
        caller=request.caller,
        conf=conf,
        note=request.note,
        idempotency_key=request.idempotency_key,
    )
    return event, head
