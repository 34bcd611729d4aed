"""References in values, and reading them over connections that break."""

import asyncio
import copy
import hashlib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagcall import AsyncClient, AsyncReference, Client, Reference, errors

CONTENT = bytes(range(256)) * 40


def document(content: bytes = CONTENT, **changes: Any) -> dict[str, Any]:
    known = {
        "uri": "file:///x",
        "href": "/call/d/r/value/t?map_index=1",
        "media_type": "image/png",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return {"reference": known | changes}


class Server:
    """Answers calls with `value`, and reading with the bytes; the first connections break after `piece` bytes."""

    def __init__(self, value: Any, *, breaks: int = 0, piece: int = 1000, content: bytes = CONTENT) -> None:
        self._value = value
        self._breaks = breaks
        self._piece = piece
        self._content = content
        self.ranges: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json=self._value, headers={"Dagcall-Run-Id": "r"})
        assert str(request.url).endswith("/call/d/r/value/t?map_index=1")
        asked = request.headers.get("range")
        self.ranges.append(asked)
        rest = self._content[int(asked[6:-1]) if asked else 0 :]
        if len(self.ranges) <= self._breaks:
            return httpx.Response(206 if asked else 200, stream=Breaking(rest[: self._piece]))
        return httpx.Response(206 if asked else 200, stream=httpx.ByteStream(rest))

    def client(self, retry: float = 5.0) -> Client:
        return Client("http://s", transport=httpx.MockTransport(self)).with_options(retry=retry)


class Breaking(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        raise httpx.ReadError("cut")

    async def __aiter__(self) -> Any:
        yield self._content
        raise httpx.ReadError("cut")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagcall.client._reading._PAUSE", 0.0)


def test_a_reference_is_its_json_and_can_be_read(tmp_path: Path) -> None:
    with Server(document()).client() as client:
        value = client.call("d")
        assert isinstance(value, Reference)
        assert value == document()
        assert json.loads(json.dumps(value)) == document()
        assert (value.uri, value.media_type, value.size) == ("file:///x", "image/png", len(CONTENT))
        assert value.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert value.href is not None
        assert value.read() == b"".join(value.iter_bytes()) == CONTENT
        assert value.download(tmp_path / "x.png") == tmp_path / "x.png"
        assert [file.name for file in tmp_path.iterdir()] == ["x.png"]
        assert (tmp_path / "x.png").read_bytes() == CONTENT
        for again in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
            assert (type(again), again) == (dict, document())


def test_references_are_found_wherever_they_are() -> None:
    with Server({"a": [1, document()], "reference": document()}).client() as client:
        value = client.call("d")
    assert isinstance(value["a"][1], Reference)
    assert isinstance(value["reference"], Reference)
    assert not isinstance(value, Reference)


@pytest.mark.parametrize(
    "other",
    [
        {"reference": 1},
        {"reference": {}},
        document() | {"more": 1},
        document(more=1),
        document(href="http://elsewhere/call/x"),
        document(href="//elsewhere/call/x"),
    ],
)
def test_what_is_no_reference_is_a_dict(other: dict[str, Any]) -> None:
    with Server(other).client() as client:
        assert type(client.call("d")) is dict


def test_reading_goes_on_where_a_connection_broke() -> None:
    server = Server(document(), breaks=3)
    with server.client() as client:
        assert client.call("d").read() == CONTENT
    assert server.ranges == [None, "bytes=1000-", "bytes=2000-", "bytes=3000-"]


def test_reading_gives_up_when_nothing_comes(tmp_path: Path) -> None:
    server = Server(document(), breaks=10, piece=0)
    with server.client(retry=0) as client, pytest.raises(errors.Unreachable, match=f"0 of {len(CONTENT)} bytes"):
        client.call("d").download(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_other_bytes_than_promised_are_an_error() -> None:
    with Server(document(b"x" * len(CONTENT))).client() as client, pytest.raises(errors.ServerError, match="promises"):
        client.call("d").read()


def test_nothing_to_read() -> None:
    with Server(document(href=None, size=None, sha256=None)).client() as client:
        value = client.call("d")
        assert (value.href, value.size, value.sha256) == (None, None, None)
        with pytest.raises(errors.ValueGone, match="file:///x"):
            value.read()


def test_a_problem_is_raised() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json=document(), headers={"Dagcall-Run-Id": "r"})
        return httpx.Response(410, json=errors.ValueGone().document())

    with Client("http://s", transport=httpx.MockTransport(gone)) as client, pytest.raises(errors.ValueGone):
        client.call("d").read()


def test_the_same_for_asyncio(tmp_path: Path) -> None:
    server = Server([document()], breaks=2)

    async def read() -> None:
        async with AsyncClient("http://s", transport=httpx.MockTransport(server)) as client:
            (value,) = await client.call("d")
            assert isinstance(value, AsyncReference)
            assert await value.read() == CONTENT
            assert await value.download(tmp_path / "x") == tmp_path / "x"
            assert b"".join([chunk async for chunk in value.iter_bytes()]) == CONTENT

    asyncio.run(read())
    assert (tmp_path / "x").read_bytes() == CONTENT
