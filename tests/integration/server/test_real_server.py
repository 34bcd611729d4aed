"""The application under the real HTTP server, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from ...unit.server.conftest import coordinator  # noqa: F401  the fixture, with its DAGs
from ...unit.server.scripted import Hold, ScriptedCoordinator
from .listening import listening

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def port(coordinator: ScriptedCoordinator) -> AsyncIterator[int]:  # noqa: F811
    async with listening(coordinator) as found:
        yield found


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def raw(port: int, request: bytes) -> bytes:
    """Everything the server says until it closes, or until the first answer is whole."""
    async with connection(port) as (reader, writer):
        writer.write(request)
        await writer.drain()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        length = next(
            (int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length")), 0
        )
        return head + await asyncio.wait_for(reader.readexactly(length), 5)


def hold(params: object, index: int) -> None:
    raise Hold


async def test_calls_on_one_connection(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(3):
            answer = await http.post("/call/simple", json={})
            assert (answer.status_code, answer.json()) == (200, "make")
        assert (await http.post("/call/none")).status_code == 204
        assert (await http.get("/docs")).status_code == 200


async def test_body_over_the_limit_is_refused_before_it_is_sent(port: int) -> None:
    head = f"POST /call/simple HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
    answer = await raw(port, f"{head}Content-Length: 99999999\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413")


async def test_body_far_over_the_limit_is_answered_all_the_same(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(2):
            headers = {"Content-Type": "application/json"}
            answer = await http.post("/call/simple", content=b" " * 50_000_000, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
        assert (await http.post("/call/simple")).status_code == 200


async def test_body_over_the_limit_in_chunks(port: int) -> None:
    head = f"POST /call/simple HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
    chunk = b"%x\r\n%s\r\n" % (100_000, b" " * 100_000)
    answer = await raw(port, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 11)
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "head, status",
    [
        (b"GET /call HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421"),
        (b"GET /call HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", b"400"),
        (b"GET /call HTTP/1.0\r\n\r\n", b"421"),
        (b"GET http://evil.example/call HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421"),
        (b"POST /call/simple HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", b"403"),
    ],
)
async def test_foreign_requests(port: int, head: bytes, status: bytes) -> None:
    assert (await raw(port, head)).split(b" ")[1] == status


async def test_stream_arrives_event_by_event(port: int, coordinator: ScriptedCoordinator) -> None:  # noqa: F811
    coordinator.work["make"] = hold
    headers = {"Accept": "application/x-ndjson"}
    async with (
        httpx.AsyncClient(base_url=f"http://localhost:{port}") as http,
        http.stream("POST", "/call/simple?run_id=r", headers=headers) as answer,
    ):
        assert answer.headers["dagcall-run-id"] == "r"
        events = []
        async for line in answer.aiter_lines():
            if not line:
                continue  # a heartbeat
            events.append(json.loads(line)["event"])
            if events == ["accepted", "task"]:
                await coordinator.runs["simple", "r"].release("make", 1)
    assert events == ["accepted", "task", "task", "result", "task", "task", "end"]


async def test_gone_client_frees_its_waiter(port: int, coordinator: ScriptedCoordinator) -> None:  # noqa: F811
    coordinator.work["make"] = hold
    cancelled = asyncio.Event()
    cancel = coordinator.cancel

    async def noticed(*args: str) -> object:
        cancelled.set()
        return await cancel(*args)  # type: ignore[arg-type]

    coordinator.cancel = noticed  # type: ignore[assignment, method-assign]
    async with connection(port) as (_, writer):
        request = "POST /call/simple?wait=60&on_disconnect=cancel&run_id=r HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write(request.encode())
        await writer.drain()
        await coordinator.called("simple", "r")
    await asyncio.wait_for(cancelled.wait(), 5)
    assert coordinator.runs["simple", "r"].head.state.is_final


async def test_wait_has_no_content_type(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await http.post("/call/simple?run_id=r")
        answer = await http.get("/api/v2/dags/simple/dagRuns/r/wait?interval=1")
    assert answer.json()["state"] == "success"
    assert "content-type" not in answer.headers
