"""assets and their aliases: list, get, materialize. What a DAG file no longer names is kept, and not active."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import CallRequest
from dagcall.core.asset_book import AssetBook
from dagcall.errors import NotAllowed, NotSupported
from dagcall.journal.assets import AssetEventQuery
from dagcall.model.assets import Alias, Asset, AssetRole
from dagcall.server.api_v2.bodies import SOON, read_materialize
from dagcall.server.api_v2.dag_runs import one_run
from dagcall.server.api_v2.query import PAGING, AirflowQuery, path_integer
from dagcall.server.context import Context
from dagcall.server.policy import Caller, Permission
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import iso, iso_or_none

JSON = "application/json"

_MATERIALIZATION = "asset_materialization"

_QUERY = (*PAGING, "name_pattern", "name_prefix_pattern", "uri_pattern", "uri_prefix_pattern", "dag_ids", "only_active")
SORT_KEYS: dict[str, Callable[[Asset], Any]] = {
    "id": lambda asset: asset.id,
    "name": lambda asset: asset.name,
    "uri": lambda asset: asset.uri,
    "created_at": lambda asset: asset.created_at,
    "updated_at": lambda asset: asset.updated_at,
}
ALIAS_SORT_KEYS: dict[str, Callable[[Alias], Any]] = {"id": lambda alias: alias.id, "name": lambda alias: alias.name}


async def list_assets(context: Context, request: Request, caller: Caller) -> Response:
    book = context.coordinator.assets.book
    query = AirflowQuery(request, _QUERY, context.coordinator.settings)
    by_name, by_uri = query.matcher("name_pattern"), query.matcher("uri_pattern")
    by_name_prefix, by_uri_prefix = (
        query.prefix_matcher("name_prefix_pattern"),
        query.prefix_matcher("uri_prefix_pattern"),
    )
    dag_ids = query.many("dag_ids")
    if len(dag_ids) == 1:
        dag_ids = dag_ids[0].split(",")
    named = {reference.asset_id for reference in book.references if reference.dag_id in dag_ids}
    only_active = query.boolean("only_active") is not False
    found = [
        asset
        for asset in book.assets.values()
        if (not only_active or asset.id in book.active)
        and (not dag_ids or asset.id in named)
        and by_name(asset.name)
        and by_name_prefix(asset.name)
        and by_uri(asset.uri)
        and by_uri_prefix(asset.uri)
    ]
    page, total = query.page(found, SORT_KEYS, ("id",))
    document = {"assets": [await _document(context, asset) for asset in page], "total_entries": total}
    return Response(encode(document), media_type=JSON)


async def get_asset(context: Context, request: Request, caller: Caller) -> Response:
    asset_id = path_integer(request, "asset_id")
    asset = context.coordinator.assets.book.assets.get(asset_id)
    if asset is None:
        raise AirflowError(404, f"The Asset with ID: `{asset_id}` was not found")
    return Response(encode(await _document(context, asset)), media_type=JSON)


async def list_aliases(context: Context, request: Request, caller: Caller) -> Response:
    query = AirflowQuery(request, (*PAGING, "name_pattern", "name_prefix_pattern"), context.coordinator.settings)
    matches, begins = query.matcher("name_pattern"), query.prefix_matcher("name_prefix_pattern")
    found = [
        alias
        for alias in context.coordinator.assets.book.aliases.values()
        if matches(alias.name) and begins(alias.name)
    ]
    page, total = query.page(found, ALIAS_SORT_KEYS, ("id",))
    document = {"asset_aliases": [_alias(alias) for alias in page], "total_entries": total}
    return Response(encode(document), media_type=JSON)


async def get_alias(context: Context, request: Request, caller: Caller) -> Response:
    alias_id = path_integer(request, "asset_alias_id")
    for alias in context.coordinator.assets.book.aliases.values():
        if alias.id == alias_id:
            return Response(encode(_alias(alias)), media_type=JSON)
    raise AirflowError(404, f"The Asset Alias with ID: `{alias_id}` was not found")


async def materialize(context: Context, request: Request, caller: Caller) -> Response:
    """Start the one DAG that updates the asset."""
    asset_id = path_integer(request, "asset_id")
    references = context.coordinator.assets.book.references
    dag_ids = sorted({one.dag_id for one in references if one.role == "outlet" and one.asset_id == asset_id})
    if not dag_ids:
        raise AirflowError(404, f"No Dag materializes asset with ID: {asset_id}")
    if len(dag_ids) > 1:
        raise AirflowError(409, f"More than one Dag materializes asset with ID: {asset_id}")
    allowed = context.coordinator.catalog.find(dag_ids[0]).allowed_run_types
    if not await context.policy.may(caller, Permission.DAG_TRIGGER, dag_ids[0]):
        raise NotAllowed(f"User {caller.name!r} may not start DAG {dag_ids[0]!r}, which materializes the asset.")
    if allowed is not None and _MATERIALIZATION not in allowed:
        raise AirflowError(400, f"Dag with dag_id: '{dag_ids[0]}' does not allow asset materialization runs")
    body = await read_materialize(request, context.settings.body_limit)
    if body.run_after is not None and body.run_after > time.time() + SOON:
        raise NotSupported("dagcall does not support a run_after in the future: its runs start when they are called.")
    view = await context.coordinator.call(
        CallRequest(
            dag_id=dag_ids[0],
            conf=body.conf,
            run_id=body.dag_run_id,
            run_type=_MATERIALIZATION,
            caller=caller.name,
            logical_date=body.logical_date,
            run_after=body.run_after,
            note=body.note,
            traceparent=request.headers.get("traceparent"),
            tracestate=request.headers.get("tracestate"),
        )
    )
    return one_run(context, view.head)


async def _document(context: Context, asset: Asset) -> dict[str, Any]:
    assets = context.coordinator.assets
    last, _ = await assets.events(AssetEventQuery(asset_ids=frozenset({asset.id}), order_by=("-timestamp",), limit=1))
    return {
        "id": asset.id,
        "name": asset.name,
        "uri": asset.uri,
        "group": asset.group,
        "extra": msgspec.Raw(asset.extra),
        "created_at": iso(asset.created_at),
        "updated_at": iso(asset.updated_at),
        "scheduled_dags": _references(assets.book, asset, "schedule"),
        "producing_tasks": _references(assets.book, asset, "outlet"),
        "consuming_tasks": _references(assets.book, asset, "inlet"),
        "aliases": [_alias(alias) for alias in assets.book.aliases.values() if asset.id in alias.assets],
        "watchers": [],
        "last_asset_event": {
            "id": last[0].id if last else None,
            "timestamp": iso_or_none(last[0].timestamp if last else None),
        },
    }


def _references(book: AssetBook, asset: Asset, role: AssetRole) -> list[dict[str, Any]]:
    return [
        {"dag_id": one.dag_id}
        | ({} if role == "schedule" else {"task_id": one.task_id})
        | {"created_at": iso(since), "updated_at": iso(since)}
        for one, since in book.references.items()
        if one.asset_id == asset.id and one.role == role
    ]


def _alias(alias: Alias) -> dict[str, Any]:
    return {"id": alias.id, "name": alias.name, "group": alias.group}
