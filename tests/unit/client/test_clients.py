"""Both clients over httpx's own mock transport: what is sent, what comes back, and how many at a time."""

import asyncio
import inspect
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from dagcall import AsyncClient, AsyncRunHandle, Client, RunHandle, errors
from dagcall.client._connection import Address

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, **options: Any) -> Client:
    return Client("http://dagcall.test:1", token="secret", transport=httpx.MockTransport(handler), **options)


def echo(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=json.loads(request.content), headers={"Dagcall-Run-Id": "r1"})


def ndjson(*events: str) -> httpx.Response:
    lines = [
        json.dumps({"id": i, "event": name, "run_id": "r1", "time": "t", "data": i}) for i, name in enumerate(events, 1)
    ]
    content = "\n\n".join([*lines, ""])
    return httpx.Response(200, content=content, headers={"content-type": "application/x-ndjson"})


def test_keywords_or_one_mapping_are_the_params() -> None:
    with client(echo) as one:
        assert one.call("d", question="why", dag_id="mine", params=1) == {
            "question": "why",
            "dag_id": "mine",
            "params": 1,
        }
        assert one.call("d", {"question": "why"}) == {"question": "why"}
        assert one.call("d") == {}
        with pytest.raises(errors.UsageError, match="not both"):
            one.call("d", {"a": 1}, b=2)
        with pytest.raises(errors.UsageError, match="JSON"):
            one.call("d", when=object())
        with pytest.raises(errors.UsageError, match="JSON"):
            one.call("d", x=float("nan"))
        with pytest.raises(errors.UsageError, match="list"):
            one.call("d", [1])  # type: ignore[arg-type]


def test_the_token_is_sent_and_options_derive_a_client_on_the_same_connections() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    with client(handler) as one:
        derived = one.with_options(wait=5, timeout=60, key="order-17").with_options(result="t")
        assert derived._http is one._http
        derived.call("d")
        one.call("d")
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert seen[0].headers["content-type"] == "application/json"
    assert seen[0].headers["prefer"] == "wait=5"
    assert str(seen[0].url) == "http://dagcall.test:1/call/d?result=t&timeout=60"
    assert "idempotency-key" not in seen[1].headers
    with pytest.raises(TypeError, match="wiat"):
        one.with_options(wiat=1)  # type: ignore[call-arg]


def test_a_handle_gives_result_state_events_and_cancel() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        match request.method, request.url.path:
            case "POST", "/call/d":
                return httpx.Response(202, json={"run_id": "r1"}, headers={"Dagcall-Run-Id": "r1"})
            case "GET", "/call/d/r1":
                return httpx.Response(200, json=[1], headers={"Dagcall-Run-State": "running"})
            case "GET", "/call/d/r1/events":
                return ndjson("accepted", "result", "end")
            case "DELETE", "/call/d/r1":
                return httpx.Response(202)
        return httpx.Response(404)

    with client(handler) as one:
        run = one.submit("d", x=1)
        assert (run.id, run.dag_id, run.result(timeout=1), run.state(), run.cancel()) == (
            "r1",
            "d",
            [1],
            "running",
            True,
        )
        assert [event.event for event in run.events()] == ["accepted", "result", "end"]
        assert [event.event for event in run.events(until="outcome")] == ["accepted", "result"]

    async def same() -> None:
        async with AsyncClient("http://dagcall.test", transport=httpx.MockTransport(handler)) as two:
            run = await two.submit("d", x=1)
            assert (run.id, await run.result(timeout=1), await run.state(), await run.cancel()) == (
                "r1",
                [1],
                "running",
                True,
            )
            assert [event.event async for event in run.events()] == ["accepted", "result", "end"]

    asyncio.run(same())


def test_stream_starts_a_run_and_follows_it() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.headers["accept"]) == ("POST", "application/x-ndjson")
        return ndjson("accepted", "chunk", "result", "end")

    with client(handler) as one:
        assert [event.data for event in one.stream("d")] == [1, 2, 3, 4]


def test_stream_is_repeated_when_the_server_is_full() -> None:
    answers = [httpx.Response(503, headers={"Retry-After": "0"}), ndjson("accepted", "end")]

    with client(lambda request: answers.pop(0)) as one:
        assert [event.event for event in one.stream("d")] == ["accepted", "end"]

    async def same() -> None:
        answers.extend((httpx.Response(429, headers={"Retry-After": "0"}), ndjson("accepted", "end")))
        transport = httpx.MockTransport(lambda request: answers.pop(0))
        async with AsyncClient("http://dagcall.test", transport=transport) as two:
            assert [event.event async for event in two.stream("d")] == ["accepted", "end"]

    asyncio.run(same())


def test_a_broken_connection_is_unreachable_and_says_where() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with client(handler) as one, pytest.raises(errors.Unreachable, match=r"dagcall\.test:1.*refused"):
        one.with_options(retry=0).call("d")


def test_dags_and_describe() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/call":
            return httpx.Response(200, json={"dags": [{"dag_id": "d", "callable": True}]})
        return httpx.Response(200, json={"dag_id": "d", "params_schema": {}})

    with client(handler) as one:
        assert one.dags() == [{"dag_id": "d", "callable": True}]
        assert one.describe("d")["dag_id"] == "d"


def test_map_is_bounded_lazy_and_yields_as_they_complete() -> None:
    lock = threading.Lock()
    gate = threading.Event()
    running = most = drawn = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 3:
                gate.set()  # all that may be in flight are
        assert gate.wait(10)
        with lock:
            running -= 1
        return echo(request)

    def endless() -> Iterator[dict[str, int]]:
        nonlocal drawn
        for drawn in itertools.count(1):
            yield {"n": drawn}

    with client(handler) as one:
        results = one.map("d", endless(), max_in_flight=3)
        got = [next(results) for _ in range(7)]
        assert all(params == value for params, value in got)
        assert most <= 3
        assert drawn <= 7 + 3
        results.close()  # type: ignore[attr-defined]


def test_map_raises_the_first_failure_or_returns_it() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["n"] == 2:
            return httpx.Response(500, json=errors.RunFailed(dag_id="d", run_id="r", task="t").document())
        return echo(request)

    grid = [{"n": n} for n in range(4)]
    with client(handler) as one:
        with pytest.raises(errors.RunFailed):
            list(one.map("d", grid))
        found = {params["n"]: value for params, value in one.map("d", grid, return_errors=True)}
        assert isinstance(found.pop(2), errors.RunFailed)
        assert found == {n: {"n": n} for n in (0, 1, 3)}
        assert list(one.map("d", [])) == []
        with pytest.raises(errors.UsageError):
            one.with_options(key="k").map("d", grid)
        with pytest.raises(errors.UsageError):
            one.map("d", grid, max_in_flight=0)


def test_async_map_is_bounded_too() -> None:
    running = most = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return echo(request)

    async def run() -> list[tuple[dict[str, int], Any]]:
        async with AsyncClient("http://dagcall.test", transport=httpx.MockTransport(handler)) as one:
            return [pair async for pair in one.map("d", ({"n": n} for n in range(20)), max_in_flight=4)]

    pairs = asyncio.run(run())
    assert sorted(value["n"] for _, value in pairs) == list(range(20))
    assert most == 4


@pytest.mark.parametrize("blocking, asynchronous", [(Client, AsyncClient), (RunHandle, AsyncRunHandle)])
def test_both_clients_have_the_same_methods(blocking: type, asynchronous: type) -> None:
    def face(kind: type) -> dict[str, list[str]]:
        public = {name: one for name, one in vars(kind).items() if not name.startswith("_") and inspect.isfunction(one)}
        return {
            name.replace("aclose", "close"): list(inspect.signature(one).parameters) for name, one in public.items()
        }

    assert face(blocking) == face(asynchronous)


def test_the_address_comes_from_arguments_then_environment_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGCALL_URL", raising=False)
    monkeypatch.delenv("DAGCALL_TOKEN", raising=False)
    assert str(Address.of(None, None).url) == "http://127.0.0.1:8274"
    assert "authorization" not in Address.of(None, None).headers
    monkeypatch.setenv("DAGCALL_URL", "https://dagcall.test/base")
    monkeypatch.setenv("DAGCALL_TOKEN", "t")
    assert str(Address.of(None, None).url) == "https://dagcall.test/base"
    assert Address.of(None, None).headers["authorization"] == "Bearer t"
    assert str(Address.of("http://other.test", None).url) == "http://other.test"
    for bad in ("127.0.0.1:8274", "ftp://x", "http://", "http://[::1"):
        with pytest.raises(errors.UsageError):
            Address.of(bad, None)


@pytest.mark.parametrize(
    "url, trusted",
    [("http://127.0.0.1:1", False), ("http://localhost", False), ("http://[::1]:2", False), ("http://10.0.0.1", True)],
)
def test_proxies_of_the_environment_never_stand_between_us_and_this_machine(url: str, trusted: bool) -> None:
    assert Address.of(url, None).trust_env is trusted
