"""Callers of the chaos run: dagcall's own client, each call with a key, and the log of all that they were told.

What a caller is told is written down where it comes from the network, also what the client then makes nothing of. Some
answers get lost on their way from there to the client, which has to ask again: as when a connection breaks.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

import dagcall
from dagcall.errors import DagcallError, RunFailed, Unavailable
from dagcall.testing.promises import Seen, Told

SHAPES = ("chain", "wide", "cleaned", "deferred", "failing")
WEIGHTS = (8, 4, 4, 3, 1)
GIVE_UP = 600.0
"""Seconds for which a client goes on trying."""
LOST, ASKED_AGAIN = 0.03, 0.1
"""Shares of answers that get lost, and of calls made once more when they have been answered."""
PAUSE = 0.2
How = Literal["call", "submit", "stream"]
HOW: tuple[How, ...] = ("call", "submit", "stream")


@dataclass(frozen=True)
class Call:
    """The number says all about a call; with the seed of the run it is always the same one."""

    seed: int
    number: int

    @property
    def key(self) -> str:
        return f"call-{self.number}"

    def chance(self, about: str) -> random.Random:
        return random.Random(f"{self.seed} {self.number} {about}")

    @property
    def dag_id(self) -> str:
        (shape,) = self.chance("shape").choices(SHAPES, WEIGHTS)
        return f"{'once' if self.number % 2 else 'again'}_{shape}"


class Log:
    """What callers were told, a line each in a file: nothing in it is the product's own account. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.answered = 0
        self.complaints: list[str] = []

    def tell(self, told: Told) -> None:
        fields = asdict(told)
        if told.value is not None:
            fields["value"] = told.value.decode()
        self._write({"told": fields})

    def see(self, seen: Seen) -> None:
        self._write({"seen": asdict(seen)})

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def done(self, complaint: str | None = None) -> None:
        """A call is over."""
        with self._lock:
            self.answered += 1
            if complaint is not None:
                self.complaints.append(complaint)

    def told(self) -> Iterator[Told]:
        for line in self._lines("told"):
            value = line.pop("value")
            yield Told(**line, value=None if value is None else value.encode())

    def seen(self) -> Iterator[Seen]:
        for line in self._lines("seen"):
            yield Seen(line["dag_id"], line["run_id"], [(id, kind) for id, kind in line["events"]])

    def close(self) -> None:
        self._file.close()

    def _write(self, line: object) -> None:
        text = json.dumps(line)
        with self._lock:
            self._file.write(text + "\n")

    def _lines(self, kind: str) -> Iterator[dict[str, Any]]:
        with self._path.open() as file:
            for text in file:
                line = json.loads(text)
                if kind in line:
                    yield line[kind]


class Stopped(Exception):
    """The chaos run is given up."""


class Wire(httpx.BaseTransport):
    """The network of one caller, who makes one request after the other, until it is `stopped`."""

    def __init__(self, log: Log, stopped: threading.Event, chance: random.Random) -> None:
        self._log = log
        self._stopped = stopped
        self._chance = chance
        self._http = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._stopped.is_set():
            raise Stopped
        try:
            response = self._http.handle_request(request)
            is_stream = response.headers.get("Content-Type", "").startswith("application/x-ndjson")
            body = b"" if is_stream else b"".join(response.stream)  # type: ignore[arg-type] # a byte stream
        except httpx.TransportError as error:
            self._log.count(type(error).__name__)
            raise
        self._log.count(str(response.status_code))
        run_id, outcome = response.headers.get("Dagcall-Run-Id"), response.headers.get("Dagcall-Outcome")
        if run_id is not None:
            value = body if response.status_code == 200 and outcome == "success" and not is_stream else None
            what = "accepted" if outcome in (None, "running") or is_stream else outcome
            dag_id = request.url.path.split("/")[2]
            self._log.tell(Told(dag_id, run_id, what, value, "", request.headers.get("Idempotency-Key")))
        if is_stream:
            return response
        response.close()
        if self._chance.random() < LOST:
            self._log.count("lost on its way")
            raise httpx.ReadError("the answer got lost on its way", request=request)
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body))

    def close(self) -> None:
        self._http.close()


class Callers:
    """`count` of them share `calls`: each takes the next when its last one is answered."""

    def __init__(self, url: str, calls: Iterable[Call], log: Log, count: int) -> None:
        self._url = url
        self._calls = iter(calls)
        self._log = log
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = ThreadPoolExecutor(count)
        self._working = [self._threads.submit(self._work, number) for number in range(count)]

    def are_done(self) -> bool:
        return all(one.done() for one in self._working)

    def stop(self) -> None:
        """Call no more. What waits for an answer ends with the server."""
        self._stopped.set()

    def end(self) -> None:
        """When they are done, or were stopped and the server is gone. Raises what went wrong in this file."""
        self._threads.shutdown()
        for one in self._working:
            if not isinstance(error := one.exception(), Stopped | None):
                raise error

    def _next(self) -> Call | None:
        with self._lock:
            return next(self._calls, None)

    def _work(self, number: int) -> None:
        with dagcall.Client(self._url, transport=Wire(self._log, self._stopped, random.Random(number))) as client:
            while (call := self._next()) is not None:
                self._log.done(self._make(client, call))

    def _make(self, client: dagcall.Client, call: Call) -> str | None:
        """Until it is answered. Returns a complaint."""
        chance = call.chance("how")
        client = client.with_options(key=call.key, retry=GIVE_UP)
        for _ in range(2 if chance.random() < ASKED_AGAIN else 1):
            (how,) = chance.choices(HOW, (6, 2, 2))
            try:
                value = self._ask(client, call, how)
            except RunFailed:
                continue  # what was told is in the log
            except DagcallError as error:
                return f"P10: {call} ({how}) was not answered: {type(error).__name__}: {error}"
            if value not in (None, call.number):
                return f"{call} ({how}) of {call.dag_id} was answered with {value!r}"
        return None

    def _ask(self, client: dagcall.Client, call: Call, how: How) -> object:
        if how == "call":
            return client.call(call.dag_id, n=call.number)
        if how == "submit":
            return client.submit(call.dag_id, n=call.number).result()
        self._read(client, call)
        return None

    def _read(self, client: dagcall.Client, call: Call) -> None:
        """The run's events up to its end; from the first one on, when the client gives up in between."""
        while True:
            events: list[tuple[int, str]] = []
            run_id = ""
            try:
                for event in client.stream(call.dag_id, n=call.number):
                    run_id = event.run_id
                    events.append((event.id, event.event))
                return
            except Unavailable:
                self._log.count("reading again")
                time.sleep(PAUSE)
            finally:
                if events:
                    self._log.see(Seen(call.dag_id, run_id, events))
