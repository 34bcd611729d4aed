"""What a route is, and how a request gets to its handler."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from dagcall.errors import Loading, NotSupported
from dagcall.server import guarded
from dagcall.server.context import Context, Handler
from dagcall.server.policy import Permission
from dagcall.server.problems import NoSuchMethod

Schema = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One query parameter or header, for the documentation. `schema`: JSON Schema (of one, if it is `repeatable`)."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    place: str = "query"
    required: bool = False
    repeatable: bool = False
    most: int | None = None
    """How often, at most."""


@dataclass(frozen=True)
class Route:
    """One row of the table of routes.

    `path`: Starlette's template, such as `/call/{dag_id}`. `needs_dags`: answered 503 until all DAG files are loaded.
    `body`: JSON Schema of the request's body. `answers`: OpenAPI's response objects by status, see `documented`; what any
    request may be refused with need not be among them.
    """

    method: str
    path: str
    permission: Permission
    handler: Handler
    summary: str
    tag: str
    description: str = ""
    needs_dags: bool = True
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    body_required: bool = False
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def openapi_path(self) -> str:
        return re.sub(r"\{(\w+):\w+\}", r"{\1}", self.path)

    @property
    def path_parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.openapi_path)


class PathEndpoint:
    """The routes of one path: ASGI. Asks the policy, then the handler; errors are the guard's to answer."""

    def __init__(self, routes: Iterable[Route], context: Context, *, others_unsupported: bool) -> None:
        self._by_method = {route.method: route for route in routes}
        self._context = context
        self._others_unsupported = others_unsupported

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._by_method.get(scope["method"])
        if route is None:
            if self._others_unsupported:
                raise NotSupported(f"dagcall does not support {scope['method']} {scope['path']} of Airflow's API.")
            raise NoSuchMethod(", ".join(sorted(self._by_method)))
        context = self._context
        if route.needs_dags and not context.coordinator.catalog.is_loaded:
            raise Loading(retry_after=1.0)
        request = Request(scope, receive)
        if context.policy.is_open:
            caller = await context.policy.check(route.permission, request)
            response = await route.handler(context, request, caller)
        else:
            response = await guarded.answer(route, context, request)
        await response(scope, receive, send)


def starlette_routes(table: Iterable[Route], context: Context, prefix_unsupported: str) -> list[StarletteRoute]:
    """One Starlette route per path, in the order of the table, whose rows of one path stand together. Below
    `prefix_unsupported`, a method that a path does not have is answered 501 instead of 405."""
    return [
        StarletteRoute(
            path, PathEndpoint(rows, context, others_unsupported=path.startswith(prefix_unsupported)), methods=None
        )
        for path, rows in groupby(table, key=lambda route: route.path)
    ]
