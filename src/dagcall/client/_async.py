"""`AsyncClient`: calls from asyncio code. Drives the same flows as `Client` with an asynchronous httpx client."""

import asyncio
import copy
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

import httpx

from dagcall.client import _flow
from dagcall.client._chunks import Chunk, ChunkReader, OnRollback
from dagcall.client._connection import Address, encode_params, response_of, timeout_of
from dagcall.client._events import NDJSON, SILENCE, EventFollower
from dagcall.client._lanes import POOL, async_lanes
from dagcall.client._options import OptionChanges, Options
from dagcall.client._reading import Reading, decode
from dagcall.client._references import AsyncReference
from dagcall.client._wire import Accepted, Flow, Pause, Reply, Request, Response, Resumed, RunEvent
from dagcall.errors import DagcallError, UsageError

T = TypeVar("T")
Params = TypeVar("Params", bound=Mapping[str, Any])


class AsyncClient:
    """A connection to a dagcall server.

    `url` and `token` default to `DAGCALL_URL` and `DAGCALL_TOKEN`, then to http://127.0.0.1:8274 without a token.
    `transport` replaces the network (an `httpx.AsyncBaseTransport`). Close it, or use it in an `async with` block.

        client = dagcall.AsyncClient()
        await client.call("ask_astro", question="What is a Dag?")

    Every method raises errors of `dagcall.errors`: `NotFound`, `NotAllowed`, `Unavailable`, `BadRequest`, ...
    """

    def __init__(
        self, url: str | None = None, *, token: str | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._address = Address.of(url, token)
        self._options = Options()
        self._http = httpx.AsyncClient(
            base_url=self._address.url,
            headers=self._address.headers,
            trust_env=self._address.trust_env,
            limits=POOL,
            transport=transport or async_lanes(self._address),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, also those of clients derived by `with_options`."""
        await self._http.aclose()

    def with_options(self, **changes: Unpack[OptionChanges]) -> Self:
        """A client with other options, sharing this one's connections. See `OptionChanges` for what they mean."""
        derived = copy.copy(self)
        derived._options = self._options.changed(changes)
        return derived

    async def call(self, dag_id: str, params: Mapping[str, Any] | None = None, /, **keywords: Any) -> Any:
        """Run the DAG with these params and return its result: plain JSON values, None when it has none.

        Several result tasks give a dict by task id; what is large or no JSON is an `AsyncReference`. Raises `RunFailed` when
        the outcome is a failure, and `NotFinished`, which has the run id, when it is not certain within the `wait` option.
        """
        content = encode_params(params, keywords)
        return await self._drive(_flow.call(dag_id, content, self._options, time.monotonic(), self._decode))

    async def submit(
        self, dag_id: str, params: Mapping[str, Any] | None = None, /, **keywords: Any
    ) -> "AsyncRunHandle":
        """Start a run and return at once."""
        content = encode_params(params, keywords)
        return AsyncRunHandle(self, await self._drive(_flow.submit(dag_id, content, self._options, time.monotonic())))

    def run(self, dag_id: str, run_id: str) -> "AsyncRunHandle":
        """A handle on a run that exists; nothing is sent."""
        return AsyncRunHandle(self, Accepted(dag_id, run_id))

    def stream(
        self, dag_id: str, params: Mapping[str, Any] | None = None, /, **keywords: Any
    ) -> AsyncIterator[RunEvent]:
        """Start a run and follow it: its events up to `end`."""
        headers = {"accept": NDJSON}
        request = _flow.call_request(dag_id, encode_params(params, keywords), self._options, headers, SILENCE)
        return self._follow(EventFollower(dag_id, opening=request, retry=self._options.retry))

    def map(
        self,
        dag_id: str,
        params: Iterable[Params],
        /,
        *,
        max_in_flight: int = 8,
        return_errors: bool = False,
    ) -> AsyncIterator[tuple[Params, Any]]:
        """Call the DAG once for each of `params`, at most `max_in_flight` at a time; yields (params, value) as they
        complete.

        `params` is consumed as results are: an endless iterable is fine. The first failure is raised, and calls in
        flight are left to end by themselves; with `return_errors` an error takes the place of the value instead.
        """
        if max_in_flight < 1:
            raise UsageError(f"max_in_flight={max_in_flight}: at least one call must be in flight")
        return self._map(dag_id, iter(params), self._options.for_many(), max_in_flight, return_errors)

    async def dags(self) -> list[dict[str, Any]]:
        """The served DAGs: `dag_id`, `callable`, and why not."""
        return list((await self.get("/call"))["dags"])

    async def describe(self, dag_id: str) -> dict[str, Any]:
        """The contract of a DAG: description, params JSON schema, result tasks, example call."""
        return dict(await self.get(_flow.call_path(dag_id)))

    async def get(self, path: str, **query: str | int | list[str]) -> Any:
        """The JSON at any path of the server, such as `/api/v2/version`."""
        pairs = tuple((k, str(v)) for k, vs in query.items() for v in (vs if isinstance(vs, list) else [vs]))
        return await self._drive(_flow.fetch(path, pairs, self._options, time.monotonic()))

    async def _drive(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                match step:
                    case Pause(seconds):
                        await asyncio.sleep(seconds)
                        reply: Reply = Resumed(time.monotonic())
                    case Request():
                        reply = await self._send(step)
                step = flow.send(reply)
        except StopIteration as done:
            value: T = done.value
            return value

    async def _send(self, request: Request) -> Reply:
        try:
            response = await self._http.request(
                request.method,
                request.path,
                params=request.query or None,
                headers=dict(request.headers),
                content=request.content,
                timeout=timeout_of(request),
            )
        except httpx.TransportError as error:
            return self._address.broken(error, time.monotonic())
        return response_of(response, time.monotonic())

    def _stream(self, request: Request) -> AbstractAsyncContextManager[httpx.Response]:
        return self._http.stream(
            request.method,
            request.path,
            params=request.query or None,
            headers=dict(request.headers),
            content=request.content,
            timeout=timeout_of(request),
        )

    def _decode(self, response: Response) -> Any:
        return decode(response, lambda document: AsyncReference(document, self._read))

    async def _read(self, reference: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """The bytes that a reference promises."""
        reading = Reading(reference, self._options.retry)
        while not reading.is_over():
            try:
                async with self._stream(reading.request()) as response:
                    has_bytes = response.status_code in (200, 206)
                    if not has_bytes:
                        await response.aread()
                    if reading.opened(response_of(response, time.monotonic(), with_content=not has_bytes)):
                        async for chunk in response.aiter_raw():
                            yield reading.took(chunk)
                pause = reading.closed(time.monotonic())
            except httpx.TransportError as error:
                pause = reading.closed(time.monotonic(), self._address.broken(error, 0.0).reason)
            await asyncio.sleep(pause)

    async def _follow(self, follower: EventFollower) -> AsyncGenerator[RunEvent, None]:
        while not follower.is_over():
            request = follower.request()
            try:
                async with self._stream(request) as response:
                    is_stream = response.status_code == 200
                    if not is_stream:
                        await response.aread()
                    follower.opened(response_of(response, time.monotonic(), with_content=not is_stream))
                    if is_stream:
                        async for line in response.aiter_lines():
                            event = follower.feed(line)
                            if event is not None:
                                yield event
                            if follower.is_over():
                                return
                        follower.closed("The server closed the stream")
            except httpx.TransportError as error:
                follower.broke(self._address.broken(error, time.monotonic()))
            if not follower.is_over():
                await asyncio.sleep(follower.pause)

    async def _map(
        self, dag_id: str, items: Iterator[Params], options: Options, max_in_flight: int, return_errors: bool
    ) -> AsyncIterator[tuple[Params, Any]]:
        async def one(params: Params) -> Any:
            return await self._drive(
                _flow.call(dag_id, encode_params(params, {}), options, time.monotonic(), self._decode)
            )

        in_flight: dict[asyncio.Task[Any], Params] = {}
        is_exhausted = False
        try:
            while True:
                while not is_exhausted and len(in_flight) < max_in_flight:
                    try:
                        params = next(items)
                    except StopIteration:
                        is_exhausted = True
                        break
                    in_flight[asyncio.create_task(one(params), name="dagcall-map")] = params
                if not in_flight:
                    return
                finished, _ = await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    params = in_flight.pop(task)
                    error = task.exception()
                    if error is not None and not (return_errors and isinstance(error, DagcallError)):
                        raise error
                    yield params, task.result() if error is None else error
        finally:
            for task in in_flight:
                task.cancel()


class AsyncRunHandle:
    """A run that the server has accepted. Any number of handles, anywhere, may attach to one run."""

    def __init__(self, client: AsyncClient, run: Accepted) -> None:
        self._client = client
        self._run = run

    def __repr__(self) -> str:
        return f"AsyncRunHandle(dag_id={self.dag_id!r}, id={self.id!r})"

    @property
    def id(self) -> str:
        """The run id."""
        return self._run.run_id

    @property
    def dag_id(self) -> str:
        return self._run.dag_id

    @property
    def url(self) -> str:
        """Where the server tells its outcome."""
        return self._client._address.of_path(_flow.run_path(self._run))

    async def result(self, timeout: float | None = None) -> Any:
        """What `Client.call` returns or raises. `timeout`: seconds to wait, then `NotFinished`; None: until decided."""
        client = self._client
        return await client._drive(_flow.result(self._run, timeout, client._options, time.monotonic(), client._decode))

    async def state(self) -> str:
        """The state of the whole run, cleanup included: queued, running, success or failed."""
        client = self._client
        return await client._drive(_flow.state(self._run, client._options, time.monotonic()))

    async def chunks(
        self, task_id: str | None = None, *, on_rollback: OnRollback | None = None
    ) -> AsyncIterator[Chunk]:
        """The partial results of the run's tasks (or of one task), as they are emitted, until the outcome.

        When a try fails that has emitted some, they are void: `on_rollback` is called with a `Rollback`; without it
        `RolledBack` is raised. A run that fails raises what `result` would.
        """
        reader = ChunkReader(task_id, on_rollback)
        events = self._client._follow(self._follower(until_outcome=True))
        async with aclosing(events):
            async for event in events:
                chunk = reader.feed(event)
                if chunk is not None:
                    yield chunk

    def events(self, *, until: Literal["end", "outcome"] = "end") -> AsyncIterator[RunEvent]:
        """The run's events from the first on, as they happen. `outcome`: none after `result` or `failure`."""
        return self._client._follow(self._follower(until_outcome=until == "outcome"))

    def _follower(self, *, until_outcome: bool) -> EventFollower:
        retry = self._client._options.retry
        return EventFollower(self.dag_id, run_id=self.id, until_outcome=until_outcome, retry=retry)

    async def cancel(self) -> bool:
        """Ask for the run's end; teardowns still run. False: it had already ended."""
        client = self._client
        return await client._drive(_flow.cancel(self._run, client._options, time.monotonic()))
