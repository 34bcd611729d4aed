"""xcomEntries: list, get."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import RunView
from dagcall.errors import DagNotFound, NotSupported, RunNotFound
from dagcall.model.events import XComItem
from dagcall.model.ids import RunKey, TaskKey
from dagcall.server.api_v2.query import PAGING, AirflowQuery, patterns, ranges
from dagcall.server.api_v2.runs import ALL, display_name, find_runs
from dagcall.server.api_v2.xcom_values import decode_value
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import iso, iso_or_none

JSON = "application/json"

Entry = tuple[RunView, str, int, XComItem]

_QUERY = (
    *PAGING,
    *ranges("run_after", "logical_date"),
    *patterns("xcom_key", "run_id", "task_id", "dag_display_name"),
    "xcom_key",
    "map_index",
    "map_index_filter",
)
SORT_KEYS: dict[str, Callable[[Entry], Any]] = {
    "dag_id": lambda entry: entry[0].key.dag_id,
    "task_id": lambda entry: entry[1],
    "run_id": lambda entry: entry[0].key.run_id,
    "map_index": lambda entry: entry[2],
    "key": lambda entry: entry[3].key,
    "timestamp": lambda entry: _time(entry[0], entry[1], entry[2]),
    "run_after": lambda entry: entry[0].head.run_after,
}


async def list_xcoms(context: Context, request: Request, caller: Caller) -> Response:
    names = request.path_params
    query = AirflowQuery(request, _QUERY, context.coordinator.settings)
    key, map_index = query.one("xcom_key"), query.optional_integer("map_index", -1)
    index_filter = query.optional_integer("map_index_filter", -1)
    by_key, by_task, by_dag = (query.text_matcher(name) for name in ("xcom_key", "task_id", "dag_display_name"))
    entries: list[Entry] = [
        (view, task_id, index, item)
        for view in await find_runs(context, names["dag_id"], names["dag_run_id"], query, must_exist=False)
        for task_id, index, item in view.machine.xcoms.items()
        if names["task_id"] in (ALL, task_id)
        and key in (None, item.key)
        and map_index in (None, index)
        and by_key(item.key)
        and index_filter in (None, index)
        and by_task(task_id)
        and by_dag(display_name(context, view.key.dag_id))
    ]
    page, total = query.page(entries, SORT_KEYS, ("dag_id", "task_id", "run_id", "map_index", "key"))
    document = {"xcom_entries": [_document(context, *entry) for entry in page], "total_entries": total}
    return Response(encode(document), media_type=JSON)


async def get_xcom(context: Context, request: Request, caller: Caller) -> Response:
    names = request.path_params
    query = AirflowQuery(request, ("map_index", "deserialize", "stringify"), context.coordinator.settings)
    map_index = query.integer("map_index", -1, -1)
    if query.boolean("deserialize"):
        raise NotSupported("dagcall does not support deserialize=true: it shows XComs in their serialized form.")
    stringify = query.boolean("stringify")
    missing = AirflowError(404, f"XCom entry with key: `{names['xcom_key']}` not found")
    try:
        view = await context.coordinator.run(RunKey(names["dag_id"], names["dag_run_id"]))
    except (RunNotFound, DagNotFound):
        raise missing from None
    item = view.machine.xcoms.get(names["task_id"], map_index, names["xcom_key"])
    if item is None:
        raise missing
    value = decode_value(item)
    if stringify and value is not None:
        value = str(value)
    return Response(
        encode(_document(context, view, names["task_id"], map_index, item) | {"value": value}), media_type=JSON
    )


def _document(context: Context, view: RunView, task_id: str, map_index: int, item: XComItem) -> dict[str, Any]:
    task = view.plan.by_id.get(task_id)
    return {
        "key": item.key,
        "timestamp": iso(_time(view, task_id, map_index)),
        "logical_date": iso_or_none(view.head.logical_date),
        "map_index": map_index,
        "task_id": task_id,
        "dag_id": view.key.dag_id,
        "run_id": view.key.run_id,
        "dag_display_name": display_name(context, view.key.dag_id),
        "task_display_name": (task.task_display_name if task else "") or task_id,
        "run_after": iso(view.head.run_after),
    }


def _time(view: RunView, task_id: str, map_index: int) -> float:
    """When it became visible: with the end of the try that pushed it, or as it runs."""
    instance = view.machine.instance(TaskKey(task_id, map_index))
    known = (instance.end_date or instance.start_date) if instance else None
    return view.head.queued_at if known is None else known
