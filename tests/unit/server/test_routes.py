"""The table of routes, and the documentation that is made from it."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import httpx
import pytest
from starlette.requests import Request

from dagcall.errors import NotAllowed, NotAuthenticated
from dagcall.server.app import create_app
from dagcall.server.openapi import openapi_document, operation_id
from dagcall.server.policy import AllowAll, Caller, Permission
from dagcall.server.route import Route
from dagcall.server.routes import TABLE
from dagcall.server.settings import ServerSettings

from .scripted import ScriptedCoordinator

pytestmark = pytest.mark.anyio

OPEN = {"/", "/docs", "/openapi.json", "/health/live", "/health/ready", "/api/v2/version", "/api/v2/monitor/health"}


@pytest.mark.parametrize("route", TABLE, ids=operation_id)
def test_every_route_declares_a_permission(route: Route) -> None:
    assert isinstance(route.permission, Permission)
    assert (route.permission is Permission.NONE) == (route.path in OPEN)
    assert route.summary


def test_no_two_routes_are_the_same() -> None:
    rows = [(route.method, route.path) for route in TABLE]
    assert len(set(rows)) == len(rows)
    paths = [path for _, path in rows]
    together = [path for n, path in enumerate(paths) if n == 0 or paths[n - 1] != path]
    assert len(set(together)) == len(together), "rows of one path must stand together"


@pytest.mark.parametrize("refusal, status", [(NotAllowed(), 403), (NotAuthenticated(), 401)])
async def test_the_policy_is_asked_before_anything_happens(
    coordinator: ScriptedCoordinator, refusal: NotAllowed, status: int
) -> None:
    asked: list[Permission] = []

    class Refuses(AllowAll):
        is_open = False

        async def check(self, permission: Permission, request: Request) -> Caller:
            asked.append(permission)
            raise refusal

    app = create_app(coordinator, ServerSettings(), Refuses())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        for route in TABLE:
            path = re.sub(r"\{\w+\}", "x", route.openapi_path)
            answer = await http.request(route.method, path)
            assert answer.status_code == status
            assert asked[-1] is route.permission
            assert ("www-authenticate" in answer.headers) == (status == 401)
    assert len(asked) == len(TABLE)
    assert not coordinator.requests


async def test_caller_is_whom_the_policy_names(coordinator: ScriptedCoordinator) -> None:
    class Knows(AllowAll):
        is_open = False

        async def check(self, permission: Permission, request: Request) -> Caller:
            return Caller("ada")

    app = create_app(coordinator, ServerSettings(), Knows())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        await http.post("/call/simple")
    assert coordinator.requests[0].caller == "ada"


async def test_openapi(http: httpx.AsyncClient) -> None:
    text = (await http.get("/openapi.json")).text
    document = json.loads(text)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))
    references = set(re.findall(r'"\$ref":"#/components/(\w+)/([^"]+)"', text))
    assert references <= {(kind, name) for kind, named in document["components"].items() for name in named}
    ids = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(set(ids)) == len(ids)


class Page(HTMLParser):
    """What a page would load, and its style sheets."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.styles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action", "style", "onclick")]

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style" and data.strip():
            self.styles.append(data)


async def test_docs_work_offline_under_their_own_policy(http: httpx.AsyncClient) -> None:
    answer = await http.get("/docs")
    page = Page()
    page.feed(answer.text)
    assert "script" not in page.tags
    assert all(link.startswith(("/", "#")) for link in page.loads)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    digest = base64.b64encode(hashlib.sha256(page.styles[0].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    for route in TABLE:
        assert route.openapi_path in answer.text
    assert (await http.get("/")).headers["location"] == "/docs"


def test_document_is_made_from_the_table() -> None:
    assert set(openapi_document(TABLE[:1])["paths"]) == {TABLE[0].openapi_path}
