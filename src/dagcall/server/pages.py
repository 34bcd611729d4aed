"""The documentation of this server, made from its own table of routes: for reading, and as OpenAPI."""

from functools import cache

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dagcall.server.context import Context
from dagcall.server.docs_page import CONTENT_SECURITY_POLICY, docs_html
from dagcall.server.openapi import openapi_document
from dagcall.server.policy import Caller
from dagcall.server.problems import encode


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
    return Response(_rendered()[0], media_type="application/json")


@cache
def _rendered() -> tuple[bytes, str]:
    from dagcall.server.routes import TABLE  # the table names these handlers

    document = openapi_document(TABLE)
    return encode(document), docs_html(document)
