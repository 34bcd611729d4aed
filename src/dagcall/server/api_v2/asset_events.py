"""Asset events: list, make one, those that a run was started for; and what is queued, by asset and DAG."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dagcall.journal.assets import AssetEventQuery
from dagcall.model.assets import AssetEvent, Queued
from dagcall.model.ids import RunKey
from dagcall.model.records import RunHead
from dagcall.server.api_v2.bodies import read_asset_event
from dagcall.server.api_v2.query import PAGING, AirflowQuery, path_integer, ranges
from dagcall.server.api_v2.runs import display_name, find_run
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import iso, iso_or_none

JSON = "application/json"

SORT_KEYS = ("source_task_id", "source_dag_id", "source_run_id", "source_map_index", "timestamp")
_QUERY = (
    *PAGING,
    *ranges("timestamp"),
    "asset_id",
    "source_dag_id",
    "source_task_id",
    "source_run_id",
    "source_map_index",
    "name_pattern",
    "name_prefix_pattern",
)


async def list_events(context: Context, request: Request, caller: Caller) -> Response:
    query = AirflowQuery(request, _QUERY, context.coordinator.settings)
    events, total = await context.coordinator.assets.events(
        AssetEventQuery(
            asset_ids=_asset_ids(context, query),
            source_dag_id=query.one("source_dag_id"),
            source_task_id=query.one("source_task_id"),
            source_run_id=query.one("source_run_id"),
            source_map_index=query.optional_integer("source_map_index", -1),
            timestamp=query.time_range("timestamp"),
            order_by=query.order_by(SORT_KEYS, ("timestamp",)),
            limit=query.limit,
            offset=query.offset,
        )
    )
    return await _collection(context, events, total)


def _asset_ids(context: Context, query: AirflowQuery) -> frozenset[int] | None:
    asset_id = query.optional_integer("asset_id")
    ids = None if asset_id is None else {asset_id}
    if query.one("name_pattern") or query.one("name_prefix_pattern"):
        matches, begins = query.matcher("name_pattern"), query.prefix_matcher("name_prefix_pattern")
        assets = context.coordinator.assets.book.assets.values()
        named = {asset.id for asset in assets if matches(asset.name) and begins(asset.name)}
        ids = named if ids is None else ids & named
    return None if ids is None else frozenset(ids)


async def create_event(context: Context, request: Request, caller: Caller) -> Response:
    body = await read_asset_event(request, context.settings.body_limit)
    extra = encode({**body.extra, "from_rest_api": True})
    event = await context.coordinator.assets.create_event(body.asset_id, extra, body.partition_key)
    if event is None:
        raise AirflowError(404, f"Asset with ID: `{body.asset_id}` was not found")
    return Response(encode(_document(context, event, [])), media_type=JSON)


async def upstream_events(context: Context, request: Request, caller: Caller) -> Response:
    """Those that the run was started for; none for a run that was called."""
    view = await find_run(context, request.path_params["dag_id"], request.path_params["dag_run_id"])
    events, total = await context.coordinator.assets.events(AssetEventQuery(consumed_by=view.key, limit=None))
    return await _collection(context, events, total)


async def list_queued(context: Context, request: Request, caller: Caller) -> Response:
    entries = _queued(context, request)
    document = {"queued_events": [_queued_document(context, entry) for entry in entries], "total_entries": len(entries)}
    return Response(encode(document), media_type=JSON)


async def get_queued(context: Context, request: Request, caller: Caller) -> Response:
    entries = _queued(context, request)
    if not entries:
        raise AirflowError(404, f"Queued event with {_names(request)} was not found")
    return Response(encode(_queued_document(context, entries[0])), media_type=JSON)


async def delete_queued(context: Context, request: Request, caller: Caller) -> Response:
    entries = _queued(context, request)
    if not entries:
        what = "Queued" if len(request.path_params) == 2 else "Queue"
        raise AirflowError(404, f"{what} event with {_names(request)} was not found")
    await context.coordinator.assets.dequeue(entries)
    return Response(status_code=204)


def _queued(context: Context, request: Request) -> list[Queued]:
    query = AirflowQuery(request, ("before",), context.coordinator.settings)
    before = query.time("before")
    asset_id = path_integer(request, "asset_id") if "asset_id" in request.path_params else None
    entries = context.coordinator.assets.book.queued(request.path_params.get("dag_id"), asset_id)
    return [entry for entry in entries if before is None or entry.created_at < before]


def _names(request: Request) -> str:
    return " and ".join(f"{name}: `{value}`" for name, value in sorted(request.path_params.items(), reverse=True))


def _queued_document(context: Context, entry: Queued) -> dict[str, Any]:
    return {
        "dag_id": entry.dag_id,
        "asset_id": entry.asset_id,
        "created_at": iso(entry.created_at),
        "dag_display_name": display_name(context, entry.dag_id),
    }


async def _collection(context: Context, events: list[AssetEvent], total: int) -> Response:
    runs = await context.coordinator.assets.created_runs(events)
    document = {
        "asset_events": [_document(context, event, runs[event.id]) for event in events],
        "total_entries": total,
    }
    return Response(encode(document), media_type=JSON)


def _document(context: Context, event: AssetEvent, runs: list[tuple[RunHead, bool]]) -> dict[str, Any]:
    asset = context.coordinator.assets.book.assets[event.asset_id]
    return {
        "id": event.id,
        "asset_id": event.asset_id,
        "uri": asset.uri,
        "name": asset.name,
        "group": asset.group,
        "extra": msgspec.Raw(event.extra),
        "source_task_id": event.source.task_id,
        "source_dag_id": event.source.dag_id,
        "source_run_id": event.source.run_id,
        "source_map_index": event.source.map_index,
        "created_dagruns": [_run(head, triggering=triggering) for head, triggering in runs],
        "timestamp": iso(event.timestamp),
        "partition_key": event.partition_key,
    }


def _run(head: RunHead, *, triggering: bool) -> dict[str, Any]:
    key: RunKey = head.key
    return {
        "run_id": key.run_id,
        "dag_id": key.dag_id,
        "logical_date": iso_or_none(head.logical_date),
        # Airflow's schema has no null here, and fails on a run that has not begun.
        "start_date": iso(head.start_date or head.queued_at),
        "end_date": iso_or_none(head.end_date),
        "state": head.state.value,
        "data_interval_start": None,
        "data_interval_end": None,
        "partition_key": None,
        "triggering": triggering,
    }
