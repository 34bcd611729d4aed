"""A transport for each call in flight: taken, given back, used again, closed."""

import asyncio
from contextlib import ExitStack

import httpx
import pytest

from dagcall.client import _lanes
from dagcall.client._connection import Address
from dagcall.client._lanes import KEPT, AsyncLanes, Lanes


class Lane(httpx.MockTransport):
    """One that says what was done with it; `/broken` does not answer."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.requests = 0
        self.closed = False

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert not self.closed
        self.requests += 1
        if request.url.path == "/broken":
            raise httpx.ReadError("broken")
        return httpx.Response(200, stream=httpx.ByteStream(request.url.path.encode()))  # read later, as from a socket

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def made() -> list[Lane]:
    return []


@pytest.fixture
def http(made: list[Lane]) -> httpx.Client:
    return httpx.Client(base_url="http://dagcall.test", transport=Lanes(lambda: made.append(Lane()) or made[-1]))


def test_one_after_the_other_share_a_connection(http: httpx.Client, made: list[Lane]) -> None:
    assert [http.get(f"/{n}").text for n in range(5)] == [f"/{n}" for n in range(5)]
    assert [lane.requests for lane in made] == [5]


def test_calls_in_flight_have_one_each_and_the_latest_is_used_again(http: httpx.Client, made: list[Lane]) -> None:
    with ExitStack() as open_streams:
        for n in range(3):
            open_streams.enter_context(http.stream("GET", f"/{n}"))
        assert len(made) == 3
    http.get("/again")
    assert [lane.requests for lane in made] == [2, 1, 1]  # the first one in was the last one given back


def test_a_connection_that_broke_is_not_used_again(http: httpx.Client, made: list[Lane]) -> None:
    with pytest.raises(httpx.ReadError):
        http.get("/broken")
    assert http.get("/well").text == "/well"
    assert [lane.closed for lane in made] == [True, False]


def test_idle_ones_are_kept_up_to_a_number_and_all_are_closed_in_the_end(http: httpx.Client, made: list[Lane]) -> None:
    with ExitStack() as open_streams:
        for _ in range(KEPT + 10):
            open_streams.enter_context(http.stream("GET", "/"))
    assert sum(lane.closed for lane in made) == 10
    http.close()
    assert all(lane.closed for lane in made)


def test_one_that_was_idle_too_long_is_closed(
    http: httpx.Client, made: list[Lane], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(_lanes.time, "monotonic", lambda: now[0])
    with http.stream("GET", "/"), http.stream("GET", "/"):
        pass
    now[0] = _lanes.KEEPALIVE + 1
    http.get("/")
    assert [lane.closed for lane in made] == [False, True]


def test_the_same_for_asyncio(made: list[Lane]) -> None:
    async def calls() -> None:
        transport = AsyncLanes(lambda: made.append(Lane()) or made[-1])
        async with httpx.AsyncClient(base_url="http://dagcall.test", transport=transport) as http:
            texts = [reply.text for reply in await asyncio.gather(*(http.get(f"/{n}") for n in range(20)))]
            assert texts == [f"/{n}" for n in range(20)]
            with pytest.raises(httpx.ReadError):
                await http.get("/broken")
            assert (await http.get("/well")).text == "/well"
            assert sum(lane.closed for lane in made) == 1
        assert all(lane.closed for lane in made)

    asyncio.run(calls())


def test_proxies_of_the_environment_are_left_to_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    assert _lanes.lanes(Address.of("http://dagcall.test", None)) is None
    assert _lanes.lanes(Address.of("http://127.0.0.1:1", None)) is not None
