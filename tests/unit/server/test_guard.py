"""What a web page or a rebound name cannot do to a server on loopback, and what nobody can."""

import json
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from dagcall.coordinator.api import CallRequest
from dagcall.model.ids import RunKey
from dagcall.server.app import create_app
from dagcall.server.settings import ServerSettings

from .scripted import ScriptedCoordinator
from .wire import Wire

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "host, passes",
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8274", True),
        ("localhost:9999", True),
        ("LOCALHOST", True),
        ("[::1]:8274", True),
        ("[::1]", True),
        ("box.lan", True),
        ("box.lan:80", True),
        ("[fe80::1]:80", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:8274", False),
        ("localhost:8274:80", False),
        ("localhost:x", False),
        ("::1", False),
        ("", False),
    ],
)
async def test_host(coordinator: ScriptedCoordinator, host: str, passes: bool) -> None:
    app = create_app(coordinator, ServerSettings(host="fe80::1", allowed_hosts=("Box.lan",)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        answer = await http.get("/call", headers={"Host": host})
        assert answer.status_code == (200 if passes else 421)
        if not passes:
            assert answer.json()["type"] == "/problems/misdirected"
            assert (await http.get("/api/v2/version", headers={"Host": host})).json() == {
                "detail": "The Host header is not one of this server's names."
            }


@pytest.mark.parametrize(
    "origin, passes",
    [
        ("http://127.0.0.1:8274", True),
        ("https://127.0.0.1:8274", True),
        ("http://127.0.0.1:8275", False),
        ("http://localhost:8274", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
    ],
)
async def test_origin(http: httpx.AsyncClient, coordinator: ScriptedCoordinator, origin: str, passes: bool) -> None:
    answer = await http.post("/call/simple", headers={"Origin": origin})
    assert answer.status_code == (200 if passes else 403)
    assert len(coordinator.requests) == passes
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "content_type, passes",
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("application/jsonx", False),
        ("", False),
    ],
)
async def test_content_type(http: httpx.AsyncClient, content_type: str, passes: bool) -> None:
    for path in ("/call/simple", "/api/v2/dags/simple/dagRuns"):
        answer = await http.post(path, content=b'{"logical_date":null}', headers={"Content-Type": content_type})
        assert answer.status_code == (200 if passes else 415)


async def test_encoded_bodies_are_not_unpacked(http: httpx.AsyncClient) -> None:
    answer = await http.post("/call/simple", content=b"\x1f\x8b", headers={**JSON, "Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert (await http.post("/call/simple", content=b"{}", headers={**JSON, "Content-Encoding": "identity"})).is_success


async def test_methods_and_paths(http: httpx.AsyncClient) -> None:
    answer = await http.put("/call/simple")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert answer.json()["type"] == "/problems/method-not-allowed"
    assert (await http.options("/call/simple", headers={"Access-Control-Request-Method": "POST"})).status_code == 405
    for path in ("/nothing", "/auth/token", "/call/", "/call/simple/r/events/more", "/api", "/docs/"):
        missing = await http.get(path)
        assert (path, missing.status_code, missing.json()["type"]) == (path, 404, "/problems/not-found")
    assert (await http.post("/auth/token", json={})).status_code == 404


async def test_unsupported_parts_of_airflows_api_say_so(http: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/api/v2/backfills"),
        ("POST", "/api/v2/dags/simple/clearTaskInstances"),
        ("DELETE", "/api/v2/dags/simple"),
        ("POST", "/api/v2/version"),
        ("GET", "/api/v2/"),
    ):
        answer = await http.request(method, path)
        assert (path, answer.status_code) == (path, 501)
        assert list(answer.json()) == ["detail"]
        assert "does not support" in answer.json()["detail"]


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["prefer", "accept", "content_type", "last_event_id", "origin", "host", "traceparent", "content_encoding"]
    ),
    TEXT.map(str.strip),
    max_size=4,
)
QUERY = st.dictionaries(
    st.sampled_from(["wait", "timeout", "result", "run_id", "until", "limit", "order_by", "state", "interval", "x"]),
    st.text(max_size=20),
    max_size=4,
)
PATHS = st.sampled_from(
    [
        "/call",
        "/call/simple",
        "/call/simple/r",
        "/call/simple/r/events",
        "/api/v2/dags",
        "/api/v2/dags/simple/dagRuns",
        "/api/v2/dags/~/dagRuns",
        "/api/v2/dags/simple/dagRuns/r",
        "/api/v2/dags/simple/dagRuns/r/wait",
        "/api/v2/dags/~/dagRuns/~/taskInstances",
        "/api/v2/dags/simple/dagRuns/r/taskInstances/make",
        "/api/v2/dags/simple/dagRuns/r/taskInstances/make/0",
        "/api/v2/dags/simple/dagRuns/r/taskInstances/make/xcomEntries",
        "/api/v2/dags/simple/dagRuns/r/taskInstances/make/logs/1",
        "/api/v2/importErrors",
    ]
) | st.text(st.characters(exclude_categories=("Cs",)), max_size=30).map(lambda text: "/call/" + text)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode()),
)


@given(st.sampled_from(["GET", "POST", "DELETE", "PATCH", "PUT"]), PATHS, HEADERS, QUERY, BODIES)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nothing_that_is_sent_is_our_fault(
    app: ASGIApp,
    coordinator: ScriptedCoordinator,
    method: str,
    path: str,
    headers: dict[str, str],
    query: dict[str, str],
    body: bytes,
) -> None:
    if RunKey("simple", "r") not in coordinator.runs:
        await coordinator.call(CallRequest("simple", run_id="r"))
    named = {"content_type": "application/json", **headers}
    async with Wire(app, method, path, urlencode(query), body=body, **named) as wire:
        answer = await wire.all()
    assert wire.status < 500 or wire.status == 501, answer
    if wire.status >= 400:
        assert "detail" in json.loads(answer)
