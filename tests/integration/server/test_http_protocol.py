"""What the head of a request may cost, and what is no HTTP: raw bytes against the real HTTP server."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from dagcall.server.http_protocol import BoundedHttp

from ...unit.server.conftest import coordinator  # noqa: F401  the fixture, with its DAGs
from ...unit.server.scripted import ScriptedCoordinator
from .listening import listening

pytestmark = pytest.mark.anyio

POST = b"POST /call/simple HTTP/1.1\r\nHost: localhost\r\n"


class Impatient(BoundedHttp):
    head_time = 0.2
    linger = 0.2


class ImpatientWithBodies(BoundedHttp):
    body_time = 0.3


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def port(coordinator: ScriptedCoordinator) -> AsyncIterator[int]:  # noqa: F811
    async with listening(coordinator, http=Impatient) as found:
        yield found


@pytest.fixture
async def body_port(coordinator: ScriptedCoordinator) -> AsyncIterator[int]:  # noqa: F811
    async with listening(coordinator, http=ImpatientWithBodies) as found:
        yield found


async def said(port: int, *pieces: bytes) -> bytes:
    """All that the server says until it closes the connection, which this client never does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    document = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % document["status"])
    return document["status"], document["type"]


@pytest.mark.parametrize(
    "endless", [b"X-Long: " + b"x" * 5_000_000, b"X: y\r\n" * 800_000], ids=["one header", "many headers"]
)
async def test_an_endless_head_is_refused(port: int, endless: bytes) -> None:
    assert problem(await said(port, POST, endless)) == (431, "/problems/head-too-large")


async def test_an_endless_path_is_refused(port: int) -> None:
    assert problem(await said(port, b"GET /call/", b"x" * 2_000_000)) == (431, "/problems/head-too-large")


@pytest.mark.parametrize(
    "pieces", [(), (b"GET",), (b"GET /call HTTP/1.1\r\nHost: local",)], ids=["none", "word", "half"]
)
async def test_a_head_that_does_not_come_costs_no_connection(port: int, pieces: tuple[bytes, ...]) -> None:
    assert await said(port, *pieces) == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET /call HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /call HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /call HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET /c\xc3\xa4ll HTTP/1.1\r\nHost: localhost\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 1x\r\n\r\n",
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_problem(port: int, garbage: bytes) -> None:
    assert problem(await said(port, garbage)) == (400, "/problems/bad-request")


async def test_a_body_of_bad_chunks_ends_its_connection(
    port: int,
    coordinator: ScriptedCoordinator,  # noqa: F811
) -> None:
    body = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"
    assert b"HTTP/1.1 400" in await said(port, POST + body)
    assert not coordinator.requests


async def test_requests_in_pieces_and_in_one_go_are_answered(port: int) -> None:
    request = POST + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    last = POST + b"Connection: close\r\n\r\n"
    answer = await said(port, *(bytes([one]) for one in request), request + request + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 4


HALF = POST + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"


async def test_a_body_that_does_not_come_is_refused(
    body_port: int,
    coordinator: ScriptedCoordinator,  # noqa: F811
) -> None:
    assert problem(await said(body_port, HALF)) == (408, "/problems/request-timeout")
    assert not coordinator.requests


async def test_a_body_that_trickles_in_is_refused(body_port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", body_port)
    answer = asyncio.ensure_future(reader.read())
    writer.write(HALF)
    async with asyncio.timeout(20):
        while not answer.done():
            writer.write(b" ")
            await asyncio.sleep(0.05)
    assert problem(await answer) == (408, "/problems/request-timeout")
    writer.close()


async def test_a_body_that_is_still_to_come_after_its_answer_holds_no_connection(body_port: int) -> None:
    large = b"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{"
    assert problem(await said(body_port, POST + large)) == (413, "/problems/too-large")


async def test_a_body_does_not_count_as_a_head(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(3):
            assert (await http.post("/call/simple", json={"x": "y" * 900_000})).status_code == 200
