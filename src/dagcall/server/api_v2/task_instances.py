"""taskInstances: list, get, one of a mapped task, listMapped."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import RunView
from dagcall.core.instance import TaskInstance
from dagcall.model.ids import TaskKey, attempt_uuid
from dagcall.server.api_v2.query import PAGING, AirflowQuery, path_integer, ranges
from dagcall.server.api_v2.runs import display_name, find_run, find_runs
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import duration, iso, iso_or_none

JSON = "application/json"

Entry = tuple[RunView, TaskInstance]

STATES = (
    "removed",
    "scheduled",
    "queued",
    "running",
    "success",
    "restarting",
    "failed",
    "up_for_retry",
    "up_for_reschedule",
    "upstream_failed",
    "skipped",
    "deferred",
    "awaiting_input",
    "none",
    "no_status",
)
_OF_TASK = ("pool", "queue", "operator")
_MAPPED_FILTERS = (
    *PAGING,
    *ranges("run_after", "logical_date", "start_date", "end_date"),
    *_OF_TASK,
    "state",
    "map_index",
    "try_number",
)
_FILTERS = (*_MAPPED_FILTERS, "task_id", "task_display_name_pattern", "dag_id_pattern", "run_id_pattern")
SORT_KEYS: dict[str, Callable[[Entry], Any]] = {
    "id": lambda entry: str(_id(*entry)),
    "state": lambda entry: entry[1].state.airflow,
    "duration": lambda entry: duration(entry[1].start_date, entry[1].end_date),
    "start_date": lambda entry: entry[1].start_date,
    "end_date": lambda entry: entry[1].end_date,
    "map_index": lambda entry: entry[1].map_index,
    "try_number": lambda entry: entry[1].try_number,
    "logical_date": lambda entry: entry[0].head.logical_date,
    "run_after": lambda entry: entry[0].head.run_after,
    "rendered_map_index": lambda entry: (entry[1].rendered_map_index, entry[1].map_index),
    "operator": lambda entry: entry[1].task.operator,
}

_NO_ATTEMPT = uuid.UUID("0b4d3c2e-7a0f-4d8e-9f53-5a1f6c1f2f6d")


async def list_instances(context: Context, request: Request, caller: Caller) -> Response:
    names = request.path_params
    query = AirflowQuery(request, _FILTERS, context.coordinator.settings)
    views = await find_runs(context, names["dag_id"], names["dag_run_id"], query)
    return _page(context, query, [(view, instance) for view in views for instance in view.machine.instances()])


async def list_mapped(context: Context, request: Request, caller: Caller) -> Response:
    task_id = request.path_params["task_id"]
    query = AirflowQuery(request, _MAPPED_FILTERS, context.coordinator.settings)
    run_after, logical_date = query.time_range("run_after"), query.time_range("logical_date")
    view = await _view(context, request)
    task = view.plan.by_id.get(task_id)
    if task is None:
        raise AirflowError(404, f"Task id {task_id} not found")
    if not task.needs_expansion:
        raise AirflowError(404, f"Task id {task_id} is not mapped")
    mapped = [(view, one) for one in view.machine.instances() if one.task.task_id == task_id and one.map_index >= 0]
    is_meant = run_after.holds(view.head.run_after) and logical_date.holds(view.head.logical_date)
    return _page(context, query, mapped if is_meant else [])


async def get_instance(context: Context, request: Request, caller: Caller) -> Response:
    view = await _view(context, request)
    task_id = request.path_params["task_id"]
    instance = view.machine.instance(TaskKey(task_id))
    if instance is None and view.machine.instance(TaskKey(task_id, 0)) is not None:
        raise AirflowError(404, "Task instance is mapped, add the map_index value to the URL")
    if instance is None:
        raise AirflowError(
            404,
            f"The Task Instance with dag_id: `{view.key.dag_id}`, run_id: `{view.key.run_id}` and task_id: "
            f"`{task_id}` was not found",
        )
    return Response(encode(instance_document(context, view, instance)), media_type=JSON)


async def get_mapped(context: Context, request: Request, caller: Caller) -> Response:
    task_id, map_index = request.path_params["task_id"], path_integer(request, "map_index")
    view = await _view(context, request)
    instance = view.machine.instance(TaskKey(task_id, map_index))
    if instance is None:
        raise AirflowError(
            404,
            f"The Mapped Task Instance with dag_id: `{view.key.dag_id}`, run_id: `{view.key.run_id}`, task_id: "
            f"`{task_id}`, and map_index: `{map_index}` was not found",
        )
    return Response(encode(instance_document(context, view, instance)), media_type=JSON)


async def _view(context: Context, request: Request) -> RunView:
    return await find_run(context, request.path_params["dag_id"], request.path_params["dag_run_id"])


def _page(context: Context, query: AirflowQuery, entries: list[Entry]) -> Response:
    states = query.states("state", STATES)
    wanted = None if states is None else {None if one in ("none", "no_status") else one for one in states}
    starts, ends = query.time_range("start_date"), query.time_range("end_date")
    tasks = {name: query.many(name) for name in (*_OF_TASK, "task_id") if query.many(name)}
    map_indexes, tries = query.integers("map_index", -1), query.integers("try_number")
    by_name = query.matcher("task_display_name_pattern")
    found = [
        (view, one)
        for view, one in entries
        if (wanted is None or one.state.airflow in wanted)
        and all(getattr(one.task, name) in values for name, values in tasks.items())
        and (not map_indexes or one.map_index in map_indexes)
        and (not tries or one.try_number in tries)
        and starts.holds(one.start_date)
        and ends.holds(one.end_date)
        and by_name(one.task.task_display_name or one.task.task_id)
    ]
    page, total = query.page(found, SORT_KEYS, ("map_index",))
    document = {
        "task_instances": [instance_document(context, *entry) for entry in page],
        "total_entries": total,
        "total_entries_limit": None,
        "next_cursor": None,
        "previous_cursor": None,
    }
    return Response(encode(document), media_type=JSON)


def _id(view: RunView, instance: TaskInstance) -> str:
    """Airflow's `ti.id`, which the task itself sees too: of the latest try. An instance that never had one has an id of
    its own."""
    if instance.first_attempt is not None:
        return attempt_uuid(view.key, instance.first_attempt)
    return str(uuid.uuid5(_NO_ATTEMPT, f"{view.key}/{instance.key}"))


def instance_document(context: Context, view: RunView, instance: TaskInstance) -> dict[str, Any]:
    """One task instance, as every part of the API shows it."""
    task = instance.task
    mapped_as = str(instance.map_index) if instance.map_index >= 0 else None
    return {
        "id": _id(view, instance),
        "task_id": task.task_id,
        "dag_id": view.key.dag_id,
        "dag_run_id": view.key.run_id,
        "map_index": instance.map_index,
        "logical_date": iso_or_none(view.head.logical_date),
        "run_after": iso(view.head.run_after),
        "start_date": iso_or_none(instance.start_date),
        "end_date": iso_or_none(instance.end_date),
        "duration": duration(instance.start_date, instance.end_date),
        "state": instance.state.airflow,
        "try_number": instance.try_number,
        "max_tries": instance.max_tries,
        "task_display_name": task.task_display_name or task.task_id,
        "dag_display_name": display_name(context, view.key.dag_id),
        "hostname": instance.hostname or None,
        "unixname": None,
        "pool": task.pool,
        "pool_slots": task.pool_slots,
        "queue": task.queue,
        "priority_weight": task.effective_weight,
        "operator": task.operator,
        "operator_name": task.operator,
        "queued_when": iso_or_none(instance.queued_at),
        "scheduled_when": iso_or_none(instance.queued_at),
        "pid": instance.pid or None,
        "executor": None,
        "executor_config": "{}",
        "note": None,
        "rendered_map_index": instance.rendered_map_index or mapped_as,
        "rendered_fields": msgspec.Raw(instance.rendered_fields or b"{}"),
        "trigger": None,
        "triggerer_job": None,
        "dag_version": None,
    }
