"""The documentation of this server, made from its own table of routes: for reading, and as OpenAPI."""

from collections.abc import Iterable
from functools import cache

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dagcall.errors import NotAllowed, Unavailable
from dagcall.server.accept import JSON
from dagcall.server.context import Context
from dagcall.server.docs_page import CONTENT_SECURITY_POLICY, docs_html
from dagcall.server.guarded import seen_by
from dagcall.server.openapi import dag_document, openapi_document
from dagcall.server.policy import Caller, Permission
from dagcall.server.problems import encode
from dagcall.server.route import Route


async def root(context: Context, request: Request, caller: Caller) -> Response:
    return RedirectResponse("/docs", 307)


async def docs(context: Context, request: Request, caller: Caller) -> Response:
    headers = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Response(_rendered()[1], media_type="text/html", headers=headers)


async def openapi(context: Context, request: Request, caller: Caller) -> Response:
    """GET /openapi.json: open to everybody; the DAGs are in it for those who may see them, once they are loaded."""
    if not context.coordinator.catalog.is_loaded:
        return Response(_rendered()[0], media_type=JSON)
    if not context.policy.is_open:
        try:
            caller = await context.policy.check(Permission.DAG_READ, request)
            context = await seen_by(context, caller)
        except (NotAllowed, Unavailable):
            return Response(_rendered()[0], media_type=JSON)
    catalog = context.coordinator.catalog
    return Response(encode(openapi_document(_table(), catalog.plans())), media_type=JSON)


async def dag_openapi(context: Context, request: Request, caller: Caller) -> Response:
    """GET /call/{dag_id}/openapi.json."""
    plan = context.coordinator.catalog.find(request.path_params["dag_id"])
    return Response(encode(dag_document(_table(), plan)), media_type=JSON)


@cache
def _rendered() -> tuple[bytes, str]:
    document = openapi_document(_table())
    return encode(document), docs_html(document)


def _table() -> Iterable[Route]:
    from dagcall.server.routes import TABLE  # the table names these handlers

    return TABLE
