"""dagRuns: trigger, list, get, notes, and the one change of state that exists here, to `failed`: cancelling."""

import time
from dataclasses import replace
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.notes import NotesOfRun
from dagcall.errors import DagNotFound, NotSupported
from dagcall.journal.base import HeadQuery
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import RunHead
from dagcall.model.states import RunState
from dagcall.server.api_v2.bodies import SOON, read_patch, read_trigger
from dagcall.server.api_v2.query import PAGING, AirflowQuery, patterns, ranges
from dagcall.server.api_v2.runs import ALL, check_dag, find_run, plan_of
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import duration, iso, iso_or_none

JSON = "application/json"

RUN_TYPES = ("backfill", "scheduled", "manual", "operator_triggered", "asset_triggered", "asset_materialization")
RUN_STATES = ("queued", "running", "success", "failed")

SORT_KEYS = {
    name: name
    for name in ("id", "state", "dag_id", "run_id", "logical_date", "run_after", "start_date", "end_date", "duration")
} | {"dag_run_id": "run_id"}
_ORDER_SIGNED = SORT_KEYS | {f"-{name}": f"-{column}" for name, column in SORT_KEYS.items()}
_TIMES = ("run_after", "logical_date", "start_date", "end_date")
_OF_PARTITIONS = (
    "partition_date_gte",
    "partition_date_lte",
    "partition_key_pattern",
    "partition_key_prefix_pattern",
)
_QUERY = (
    *PAGING,
    *ranges(*_TIMES, "duration"),
    *patterns("run_id", "dag_id", "triggering_user_name"),
    *_OF_PARTITIONS,
    "state",
    "run_type",
    "bundle_version",
)


async def trigger(context: Context, request: Request, caller: Caller) -> Response:
    dag_id = request.path_params["dag_id"]
    body = await read_trigger(request, context.settings.body_limit)
    if body.run_after is not None and body.run_after > time.time() + SOON:
        raise NotSupported("dagcall does not support a run_after in the future: its runs start when they are called.")
    try:
        view = await context.coordinator.call(
            CallRequest(
                dag_id=dag_id,
                conf=body.conf,
                run_id=body.dag_run_id,
                caller=caller.name,
                logical_date=body.logical_date,
                run_after=body.run_after,
                note=body.note,
                triggered_by="ui" if "referer" in request.headers else "rest_api",
                traceparent=request.headers.get("traceparent"),
                tracestate=request.headers.get("tracestate"),
            )
        )
    except DagNotFound:
        raise AirflowError(404, f"Dag with dag_id: '{dag_id}' not found") from None
    return one_run(context, view.head)


async def list_runs(context: Context, request: Request, caller: Caller) -> Response:
    dag_id = request.path_params["dag_id"]
    query = AirflowQuery(request, _QUERY, context.coordinator.settings)
    heads, total = await context.coordinator.list_runs(
        head_query(query, dag_id, [_ORDER_SIGNED[name] for name in query.order_by(SORT_KEYS, ("id",))])
    )
    if total == 0 and dag_id != ALL:
        check_dag(context, dag_id)
    plans = {one: plan_of(context, one) for one in {head.key.dag_id for head in heads}}
    notes = await context.coordinator.kept.notes.of_runs(head.key for head in heads)
    document = {
        "dag_runs": [run_document(_noted(head, notes.get(head.key)), plans[head.key.dag_id]) for head in heads],
        "total_entries": total,
        "total_entries_limit": None,
        "next_cursor": None,
        "previous_cursor": None,
    }
    return Response(encode(document), media_type=JSON)


def head_query(query: AirflowQuery, dag_id: str, order_by: list[str]) -> HeadQuery:
    """The journal's query for the list of a path and its filters."""
    states = query.states("state", (*RUN_STATES, "none"))
    run_types = query.states("run_type", (*RUN_TYPES, "none"), "run type")
    for name in _OF_PARTITIONS[:2]:
        query.time(name)
    dag_ids = None if dag_id == ALL else frozenset({dag_id})
    if any(query.pattern(name) is not None for name in _OF_PARTITIONS):
        dag_ids = frozenset()  # no run here is of a partition
    bundle_version = query.one("bundle_version")
    return HeadQuery(
        dag_ids=dag_ids,
        states=None if states is None else frozenset(RunState(state) for state in states if state != "none"),
        run_types=None if run_types is None else frozenset(run_types),
        plan_versions=None if bundle_version is None else frozenset({bundle_version}),
        dag_id_pattern=query.pattern("dag_id_pattern"),
        run_id_pattern=query.pattern("run_id_pattern"),
        caller_pattern=query.pattern("triggering_user_name_pattern"),
        dag_id_prefix=query.pattern("dag_id_prefix_pattern"),
        run_id_prefix=query.pattern("run_id_prefix_pattern"),
        caller_prefix=query.pattern("triggering_user_name_prefix_pattern"),
        duration=query.number_range("duration"),
        run_after=query.time_range("run_after"),
        logical_date=query.time_range("logical_date"),
        start_date=query.time_range("start_date"),
        end_date=query.time_range("end_date"),
        order_by=order_by,
        limit=query.limit,
        offset=query.offset,
    )


async def get_run(context: Context, request: Request, caller: Caller) -> Response:
    view = await find_run(context, **_names(request))
    return one_run(context, _noted(view.head, await context.coordinator.kept.notes.of_run(view.key)))


async def patch_run(context: Context, request: Request, caller: Caller) -> Response:
    mask = AirflowQuery(request, ("update_mask",), context.coordinator.settings).many("update_mask")
    body = await read_patch(request, context.settings.body_limit)
    state = body.state if not mask or "state" in mask else None
    view = await find_run(context, **_names(request))
    if state not in (None, "failed"):
        raise NotSupported(f"dagcall does not support setting a run to {state}; only to failed, which cancels it.")
    if state == "failed" and view.head.state.is_final and view.head.state is not RunState.FAILED:
        raise NotSupported(
            f"The run has ended as {view.head.state.value}; dagcall does not change runs that have ended."
        )
    notes = context.coordinator.kept.notes
    if body.note_given and (not mask or "note" in mask):
        await notes.put(view.key, {None: body.note})
    if state == "failed" and not view.head.state.is_final:
        view = await context.coordinator.cancel(view.key, caller.name or "api", "state set to failed")
    return one_run(context, _noted(view.head, await notes.of_run(view.key)))


async def delete_run(context: Context, request: Request, caller: Caller) -> Response:
    view = await find_run(context, **_names(request))
    if not await context.coordinator.delete(view.key):
        state = f"cannot be deleted in {view.head.state.value} state"
        raise AirflowError(409, f"The DagRun with dag_id: `{view.key.dag_id}` and run_id: `{view.key.run_id}` {state}")
    return Response(status_code=204)


def _names(request: Request) -> dict[str, str]:
    return {"dag_id": request.path_params["dag_id"], "run_id": request.path_params["dag_run_id"]}


def _noted(head: RunHead, notes: NotesOfRun | None) -> RunHead:
    return head if not notes or None not in notes else replace(head, note=notes[None])


def _interval(head: RunHead, plan: DagPlan | None) -> float | None:
    """Both ends of the data interval, which are one moment where there is no schedule (`NullTimetable`). With one, its
    timetable infers it in the worker; without a logical date there is none."""
    if plan is None or plan.schedule is not None or head.logical_date is None:
        return None
    return head.run_after if head.run_type == "operator_triggered" else head.logical_date


def one_run(context: Context, head: RunHead) -> Response:
    return Response(encode(run_document(head, plan_of(context, head.key.dag_id))), media_type=JSON)


def run_document(head: RunHead, plan: DagPlan | None) -> dict[str, Any]:
    """One entry of a list of runs. `plan`: of its DAG, while that is served."""
    key: RunKey = head.key
    interval = iso_or_none(_interval(head, plan))
    return {
        "dag_run_id": key.run_id,
        "dag_id": key.dag_id,
        "logical_date": iso_or_none(head.logical_date),
        "queued_at": iso(head.queued_at),
        "start_date": iso_or_none(head.start_date),
        "end_date": iso_or_none(head.end_date),
        "duration": duration(head.start_date, head.end_date),
        "data_interval_start": interval,
        "data_interval_end": interval,
        "run_after": iso(head.run_after),
        "last_scheduling_decision": None,
        "run_type": head.run_type,
        "state": head.state.value,
        "triggered_by": head.triggered_by,
        "triggering_user_name": head.caller or None,
        "conf": msgspec.Raw(head.conf),
        "note": head.note,
        "dag_versions": [],
        "bundle_version": head.plan_version,
        "dag_display_name": (plan.display_name if plan else "") or key.dag_id,
        "partition_key": None,
        "partition_date": None,
    }
