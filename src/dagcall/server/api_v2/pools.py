"""pools: list, get, create, change, delete."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import PoolStatus
from dagcall.journal.store import ItemExists
from dagcall.model.pool import DEFAULT_POOL, UNLIMITED, Pool
from dagcall.server.api_v2.bodies import integer, optional_text, read_object, refuse_team, required_text
from dagcall.server.api_v2.query import PAGING, AirflowQuery, invalid, patterns
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode

JSON = "application/json"

SORT_KEYS = {
    "id": lambda status: status.number,
    "pool": lambda status: status.pool.name,
    "name": lambda status: status.pool.name,
}
_OF_DEFAULT = frozenset({"slots", "include_deferred"})
_NAME_LENGTH = 256


async def list_pools(context: Context, request: Request, caller: Caller) -> Response:
    query = AirflowQuery(request, (*PAGING, *patterns("pool_name")), context.coordinator.settings)
    matches = query.text_matcher("pool_name")
    pools = [status for status in context.coordinator.pools.all() if matches(status.pool.name)]
    page, total = query.page(pools, SORT_KEYS, ("id",))
    return Response(encode({"pools": [_document(one) for one in page], "total_entries": total}), media_type=JSON)


async def get_pool(context: Context, request: Request, caller: Caller) -> Response:
    return Response(encode(_document(_find(context, request))), media_type=JSON)


async def post_pool(context: Context, request: Request, caller: Caller) -> Response:
    context.coordinator.pools.refuse_changes()
    body = await read_object(
        request, context.settings.body_limit, ("name", "slots", "description", "include_deferred", "team_name")
    )
    name = required_text(body, "name", _NAME_LENGTH)
    if "slots" not in body:
        raise invalid("body", "slots", "missing", "Field required", body)
    changed = _changed(Pool(name, 0), body)
    try:
        if name == DEFAULT_POOL:
            raise ItemExists(name)
        status = await context.coordinator.pools.put(changed, only_new=True)
    except ItemExists:
        detail = {
            "reason": "Unique constraint violation",
            "statement": "hidden",
            "orig_error": "hidden",
            "message": f"the pool {name!r} exists already",
        }
        raise AirflowError(409, detail) from None
    return Response(encode(_document(status)), 201, media_type=JSON)


async def patch_pool(context: Context, request: Request, caller: Caller) -> Response:
    context.coordinator.pools.refuse_changes()
    name = request.path_params["pool_name"]
    mask = request.query_params.getlist("update_mask")
    body = await read_object(
        request, context.settings.body_limit, ("pool", "slots", "description", "include_deferred", "team_name")
    )
    if body.get("pool") and optional_text(body, "pool") != name:
        raise AirflowError(400, "Invalid body, pool name from request body doesn't match uri parameter")
    pool = _find(context, request).pool
    changed = _changed(pool, body if not mask else {key: body[key] for key in mask if key in body})
    if name == DEFAULT_POOL:
        if not mask or not set(mask) <= _OF_DEFAULT:
            raise AirflowError(400, "Only slots and included_deferred can be modified on Default Pool")
    else:
        # Airflow validates what was sent as a whole pool, and so wants all of these, whatever the mask.
        for required in ("pool", "slots", "include_deferred"):
            if body.get(required) is None:
                raise AirflowError(
                    422, [{"type": "missing", "loc": [required], "msg": "Field required", "input": body}]
                )
    return Response(encode(_document(await context.coordinator.pools.put(changed))), media_type=JSON)


async def delete_pool(context: Context, request: Request, caller: Caller) -> Response:
    context.coordinator.pools.refuse_changes()
    name = request.path_params["pool_name"]
    if name == DEFAULT_POOL:
        raise AirflowError(400, "Default Pool can't be deleted")
    if not await context.coordinator.pools.remove(name):
        raise _not_found(name)
    return Response(status_code=204)


def _find(context: Context, request: Request) -> PoolStatus:
    name = request.path_params["pool_name"]
    found = context.coordinator.pools.find(name)
    if found is None:
        raise _not_found(name)
    return found


def _not_found(name: str) -> AirflowError:
    return AirflowError(404, f"The Pool with name: `{name}` was not found")


def _changed(pool: Pool, body: dict[str, Any]) -> Pool:
    """`pool` with the fields of `body`, validated as Airflow does."""
    slots = integer(body, "slots") if "slots" in body else pool.slots
    if slots < UNLIMITED:
        raise invalid("body", "slots", "greater_than_equal", "Input should be greater than or equal to -1", slots)
    include_deferred = body.get("include_deferred", pool.include_deferred)
    if not isinstance(include_deferred, bool):
        raise invalid("body", "include_deferred", "bool_type", "Input should be a valid boolean", include_deferred)
    refuse_team(body)
    description = optional_text(body, "description") if "description" in body else pool.description
    return replace(pool, slots=slots, include_deferred=include_deferred, description=description)


def _document(status: PoolStatus) -> dict[str, Any]:
    pool = status.pool
    return {
        "name": pool.name,
        "slots": pool.slots,
        "description": pool.description,
        "include_deferred": pool.include_deferred,
        "occupied_slots": status.occupied,
        "running_slots": status.running,
        "queued_slots": status.queued,
        "scheduled_slots": status.scheduled,
        "open_slots": status.open,
        "deferred_slots": status.deferred,
        "team_name": None,
    }
