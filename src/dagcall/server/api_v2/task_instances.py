"""taskInstances: list, get, one of a mapped task, listMapped, and notes on them."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import RunView
from dagcall.core.instance import TaskInstance
from dagcall.errors import NotSupported
from dagcall.model.ids import TaskKey, attempt_uuid
from dagcall.model.states import TaskState
from dagcall.server.api_v2.bodies import read_instance_patch
from dagcall.server.api_v2.query import PAGING, AirflowQuery, path_integer, patterns, ranges
from dagcall.server.api_v2.runs import ALL, check_dag, display_name, find_run, find_runs
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
    *ranges("run_after", "logical_date", "start_date", "end_date", "duration"),
    *_OF_TASK,
    *patterns("pool_name", "queue_name", "operator_name", "rendered_map_index"),
    "executor",
    "state",
    "map_index",
    "try_number",
)
_FILTERS = (*_MAPPED_FILTERS, *patterns("task_display_name", "dag_id", "run_id"), "task_id", "task_group_id")
SORT_KEYS: dict[str, Callable[[Entry], Any]] = {
    "id": lambda entry: str(instance_id(*entry)),
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
    group = query.one("task_group_id")
    if group is not None and names["dag_id"] == ALL:
        raise AirflowError(400, "dag_id is required when task_group_id is specified")
    views = await find_runs(context, names["dag_id"], names["dag_run_id"], query)
    if group is not None:
        _check_group(context, names["dag_id"], group)
    return await _page(
        context,
        query,
        [
            (view, instance)
            for view in views
            for instance in view.machine.instances()
            if group is None or group in instance.task.task_groups
        ],
    )


def _check_group(context: Context, dag_id: str, group: str) -> None:
    check_dag(context, dag_id)
    if not any(group in task.task_groups for task in context.coordinator.catalog.find(dag_id).tasks):
        raise AirflowError(404, {"reason": "not_found", "message": f"Task group {group} not found"})


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
    return await _page(context, query, mapped if is_meant else [])


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
    return await _one(context, view, instance)


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
    return await _one(context, view, instance)


async def patch_instance(context: Context, request: Request, caller: Caller) -> Response:
    """A note on an instance, or on all of a mapped task. States follow from what tasks do."""
    task_id = request.path_params["task_id"]
    map_index = path_integer(request, "map_index") if "map_index" in request.path_params else None
    mask = AirflowQuery(request, ("update_mask", "map_index"), context.coordinator.settings)
    map_index = mask.optional_integer("map_index", -1) if map_index is None else map_index
    fields = mask.many("update_mask")
    body = await read_instance_patch(request, context.settings.body_limit)
    view = await _view(context, request)
    if task_id not in view.plan.by_id:
        raise AirflowError(404, f"Task '{task_id}' not found in Dag '{view.key.dag_id}'")
    found = [one for one in view.machine.instances() if one.task.task_id == task_id]
    found = [one for one in found if map_index in (None, one.map_index)]
    if not found:
        raise AirflowError(
            404,
            f"The Task Instance with dag_id: `{view.key.dag_id}`, run_id: `{view.key.run_id}`, task_id: "
            f"`{task_id}` and map_index: `{map_index}` was not found",
        )
    if body.state_given and (not fields or "new_state" in fields):
        raise NotSupported(
            "dagcall does not support new_state: states of task instances follow from what their tasks do; the run as "
            "a whole can be cancelled (its state set to failed)."
        )
    if body.note_given and (not fields or "note" in fields):
        await context.coordinator.kept.notes.put(view.key, {one.key: body.note for one in found})
    notes = await context.coordinator.kept.notes.of_run(view.key)
    documents = [instance_document(context, view, one, notes.get(one.key)) for one in found]
    return Response(encode({"task_instances": documents} | _totals(len(documents))), media_type=JSON)


async def _one(context: Context, view: RunView, instance: TaskInstance) -> Response:
    notes = await context.coordinator.kept.notes.of_run(view.key)
    return Response(encode(instance_document(context, view, instance, notes.get(instance.key))), media_type=JSON)


async def _view(context: Context, request: Request) -> RunView:
    return await find_run(context, request.path_params["dag_id"], request.path_params["dag_run_id"])


async def _page(context: Context, query: AirflowQuery, entries: list[Entry]) -> Response:
    states = query.states("state", STATES)
    wanted = None if states is None else {None if one in ("none", "no_status") else one for one in states}
    starts, ends = query.time_range("start_date"), query.time_range("end_date")
    tasks = {name: query.many(name) for name in (*_OF_TASK, "task_id") if query.many(name)}
    map_indexes, tries = query.integers("map_index", -1), query.integers("try_number")
    durations = query.number_range("duration")
    by_name, by_pool, by_queue = (query.text_matcher(name) for name in ("task_display_name", "pool_name", "queue_name"))
    by_operator, by_rendered = query.text_matcher("operator_name"), query.text_matcher("rendered_map_index")
    if query.many("executor"):
        entries = []  # no task instance has one: workers are the server's own
    found = [
        (view, one)
        for view, one in entries
        if (wanted is None or one.state.airflow in wanted)
        and all(getattr(one.task, name) in values for name, values in tasks.items())
        and (not map_indexes or one.map_index in map_indexes)
        and (not tries or one.try_number in tries)
        and starts.holds(one.start_date)
        and ends.holds(one.end_date)
        and durations.holds(duration(one.start_date, one.end_date))
        and by_name(one.task.task_display_name or one.task.task_id)
        and by_pool(one.task.pool)
        and by_queue(one.task.queue)
        and by_operator(one.task.look.operator_name or one.task.operator)
        and by_rendered(rendered_map_index(one))
    ]
    page, total = query.page(found, SORT_KEYS, ("map_index",))
    notes = await context.coordinator.kept.notes.of_runs({view.key for view, _ in page})
    documents = [instance_document(context, view, one, notes.get(view.key, {}).get(one.key)) for view, one in page]
    return Response(encode({"task_instances": documents} | _totals(total)), media_type=JSON)


def _totals(total: int) -> dict[str, Any]:
    """There are no cursors here."""
    return {"total_entries": total, "total_entries_limit": None, "next_cursor": None, "previous_cursor": None}


def instance_id(view: RunView, instance: TaskInstance) -> str:
    """Airflow's `ti.id`, which the task itself sees too: of the latest try. An instance that never had one has an id of
    its own."""
    if instance.first_attempt is not None:
        return attempt_uuid(view.key, instance.first_attempt)
    return str(uuid.uuid5(_NO_ATTEMPT, f"{view.key}/{instance.key}"))


def rendered_map_index(instance: TaskInstance) -> str | None:
    return instance.rendered_map_index or (str(instance.map_index) if instance.map_index >= 0 else None)


def instance_document(
    context: Context, view: RunView, instance: TaskInstance, note: str | None = None
) -> dict[str, Any]:
    """One task instance, as every part of the API shows it."""
    task = instance.task
    return {
        "id": instance_id(view, instance),
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
        "operator_name": task.look.operator_name or task.operator,
        "queued_when": iso_or_none(instance.queued_at),
        "scheduled_when": iso_or_none(instance.queued_at),
        "pid": instance.pid or None,
        "executor": None,
        "executor_config": "{}",
        "note": note,
        "rendered_map_index": rendered_map_index(instance),
        "rendered_fields": msgspec.Raw(instance.rendered_fields or b"{}"),
        "trigger": _trigger(view, instance),
        "triggerer_job": None,
        "dag_version": None,
    }


def _trigger(view: RunView, instance: TaskInstance) -> dict[str, Any] | None:
    """What a deferred instance waits for. As in Airflow, its kwargs are not shown: they may hold secrets."""
    awaited = instance.suspended
    if instance.state is not TaskState.DEFERRED or awaited is None or awaited.suspension.trigger is None:
        return None
    return {
        "id": awaited.attempt,
        "classpath": awaited.suspension.trigger,
        "kwargs": "{}",
        "created_date": iso(_deferred_at(view, instance)),
        "queue": None,
        "triggerer_id": None,
    }


def _deferred_at(view: RunView, instance: TaskInstance) -> float:
    mine = {"task_id": instance.task.task_id, "map_index": instance.map_index, "state": TaskState.DEFERRED.value}
    for record in reversed(view.records):
        if record.kind == "task" and mine.items() <= record.data.items():
            return record.time
    return instance.start_date or view.head.queued_at
