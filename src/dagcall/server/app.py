"""The application: guard, routes, handlers, put together."""

from starlette.routing import Router
from starlette.types import ASGIApp

from dagcall.coordinator.api import CoordinatorView
from dagcall.server.api_v2.unsupported import UnsupportedRoutes
from dagcall.server.attendance import Attendance
from dagcall.server.audit import Audit
from dagcall.server.context import Context
from dagcall.server.guard import API_V2, Guard, not_found
from dagcall.server.login import LoginRoutes
from dagcall.server.policy import AllowAll, Policy
from dagcall.server.route import starlette_routes
from dagcall.server.routes import CALL_ROUTES, TABLE
from dagcall.server.settings import ServerSettings


def create_app(
    coordinator: CoordinatorView, settings: ServerSettings, policy: Policy | None = None, audit: Audit | None = None
) -> ASGIApp:
    """The ASGI application over a running coordinator. `policy`: everybody may do everything unless given."""
    policy = policy or AllowAll()
    context = Context(coordinator, settings, policy, Attendance(coordinator), audit or Audit())
    # Calls are the hot path, and a router looks at its routes one after the other.
    calls, others = (starlette_routes(rows, context, API_V2) for rows in (CALL_ROUTES, TABLE[len(CALL_ROUTES) :]))
    logins = [] if policy.is_open else [LoginRoutes(policy)]
    router = Router([*calls, *logins, UnsupportedRoutes(), *others], default=not_found, redirect_slashes=False)
    return Guard(router, settings)
