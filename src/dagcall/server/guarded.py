"""A request to a server that asks for credentials: checked, answered with what its caller may see, and told to the audit
log. Servers that ask for none do not come here."""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import CoordinatorView
from dagcall.errors import NotAllowed, Problem
from dagcall.server.context import Context
from dagcall.server.policy import Caller, Kind, Permission
from dagcall.server.problems import AirflowError
from dagcall.server.seen import Seen

if TYPE_CHECKING:
    from dagcall.server.route import Route


async def answer(route: "Route", context: Context, request: Request) -> Response:
    """The handler's answer. Raises what the policy and the handler raise."""
    try:
        caller = await context.policy.check(route.permission, request)
    except (NotAllowed, AirflowError) as refusal:
        context.audit.refused(request, route.permission, refusal.status, str(refusal))
        raise
    run_id, status = None, 500
    try:
        response = await route.handler(await _seen(route, context, request, caller), request, caller)
        status, run_id = response.status_code, response.headers.get("dagcall-run-id")
        return response
    except (Problem, AirflowError) as problem:
        status = problem.status
        raise
    finally:
        if route.permission is not Permission.NONE:
            context.audit.allowed(request, route.permission, caller, status, run_id)


async def _seen(route: "Route", context: Context, request: Request, caller: Caller) -> Context:
    if route.permission is Permission.NONE or _is_about_one_dag(route):
        return context  # what it is about was checked, and nothing else is told
    return await seen_by(context, caller, request.path_params.get("dag_id"), route.permission)


async def seen_by(
    context: Context, caller: Caller, dag_id: str | None = None, permission: Permission | None = None
) -> Context:
    """The context with the coordinator as this caller sees it. `dag_id`: of the path, which was checked."""
    policy, coordinator = context.policy, context.coordinator

    async def choose(kind: Kind, names: Collection[str]) -> frozenset[str]:
        return await policy.choose(caller, kind, names)

    served = {plan.dag_id for plan in coordinator.catalog.plans()}
    dags = await choose("dag", served) if served else frozenset[str]()
    if dag_id is not None:
        dags |= {dag_id}
    pools = None
    if permission is Permission.POOL_READ:
        pools = await choose("pool", {status.pool.name for status in coordinator.pools.all()})
    return replace(context, coordinator=cast(CoordinatorView, Seen(coordinator, choose, dags, pools)))


def _is_about_one_dag(route: "Route") -> bool:
    return route.path.startswith("/call/{dag_id}")
