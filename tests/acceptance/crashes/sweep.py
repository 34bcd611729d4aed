"""A server that is killed at one point after the other, callers who come back, and what is left of it all.

Each server goes on with what the one before it has left: its recovery is swept along. Callers repeat their calls with
their keys until they are answered, whichever server does it.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from dagcall.testing import promises
from dagcall.testing.promises import Effect, Seen, StoredRun, Told

from ..serving import Server

DAGS = Path(__file__).parent / "dags"
CALLED = ("once", "again", "wide", "defers", "parent", "produces")
"""Each is answered with the value of one unmapped task."""
CALLERS = 6
REACH_LIMIT = 40.0
ANSWER_LIMIT = 90.0
FORGETTING = "retention."
"""Points that are reached only by a server that forgets old runs."""


@dataclass
class Caller:
    """One who makes calls one after the other, each until it is answered. `step` is one request at most."""

    name: str
    log: "Log"
    count: int = 0
    call: "Call | None" = None

    def step(self, http: httpx.Client, *, may_begin: bool) -> bool:
        """False: there is nothing to do. Raises `httpx.TransportError`."""
        if self.call is None:
            if not may_begin:
                return False
            self.count += 1
            self.call = Call(self, CALLED[self.count % len(CALLED)], f"{self.name}-{self.count}", self.count)
        if self.call.step(http):
            self.call = None
        return True


@dataclass
class Call:
    """One call, by its key. Every third is accepted first and read as events, every seventh is cancelled."""

    caller: Caller
    dag_id: str
    key: str
    number: int
    run_id: str | None = None
    events: list[tuple[int, str]] = field(default_factory=list)
    is_cancelled: bool = False

    def step(self, http: httpx.Client) -> bool:
        """One request; True when it is over."""
        if self.number % 7 == 0:
            return self._cancelled(http)
        if self.number % 3 == 0:
            return self._read(http)
        return self._answered(self._post(http))

    def _post(self, http: httpx.Client, prefer: str = "wait=60") -> httpx.Response:
        headers = {"Idempotency-Key": self.key, "Prefer": prefer}
        answer = http.post(f"/call/{self.dag_id}", json={}, headers=headers)
        if answer.status_code in (429, 503):
            time.sleep(0.1)
        return answer

    def _answered(self, answer: httpx.Response) -> bool:
        if answer.status_code in (429, 503):
            return False
        self.run_id = answer.headers["Dagcall-Run-Id"]
        outcome = answer.headers["Dagcall-Outcome"]
        is_value = answer.status_code == 200 and self.dag_id in CALLED
        what = "accepted" if outcome == "running" else outcome
        self.caller.log.tell(Told(self.dag_id, self.run_id, what, answer.content if is_value else None, "", self.key))
        return outcome != "running"

    def _read(self, http: httpx.Client) -> bool:
        if self.run_id is None:
            self._answered(self._post(http, "respond-async"))
            return False
        headers = {"Accept": "application/x-ndjson"} | (
            {"Last-Event-ID": str(self.events[-1][0])} if self.events else {}
        )
        with http.stream("GET", f"/call/{self.dag_id}/{self.run_id}/events", headers=headers) as answer:
            if answer.status_code == 503:
                return False
            if answer.status_code == 200:
                for line in answer.iter_lines():
                    if line:
                        event = json.loads(line)
                        self.events.append((event["id"], event["event"]))
            else:
                assert answer.status_code == 204, answer.read()
        if answer.status_code == 204 or (self.events and self.events[-1][1] == "end"):
            self.caller.log.see(Seen(self.dag_id, self.run_id, self.events))
            return True
        return False

    def _cancelled(self, http: httpx.Client) -> bool:
        self.dag_id = "long"
        if self.run_id is None:
            self._answered(self._post(http, "respond-async"))
            return False
        path = f"/call/{self.dag_id}/{self.run_id}"
        if not self.is_cancelled:
            self.is_cancelled = http.delete(path).status_code in (200, 202)
            return False
        return self._answered(http.get(path, params={"wait": 60}))


class Log:
    """What callers were told. Used by their threads."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.seen: list[Seen] = []
        self._lock = threading.Lock()

    def tell(self, told: Told) -> None:
        with self._lock:
            self.told.append(told)

    def see(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)


class Sweep:
    """`read`: the runs of the journal, when no server is there."""

    def __init__(self, home: Path, journal: str, read: Callable[[], list[StoredRun]]) -> None:
        self.home = home
        self.log = Log()
        self.kills: list[float] = []
        self.unreached: list[str] = []
        self._journal = journal
        self._read = read
        self._callers = [Caller(f"caller{number}", self.log) for number in range(CALLERS)]
        self._effects = home / "effects.jsonl"
        self._effects.touch()
        self._servers = 0

    def kill_at(self, point: str, count: int) -> None:
        """Start a server that dies there; what is left unanswered stays so until the next. While one forgets what has
        ended, nobody calls: callers could no longer be told what was promised to them."""
        forgets = point.startswith(FORGETTING)
        server = self._start({"DAGCALL_CRASH_AT": f"{point}:{count}"}, forgets=forgets)
        try:
            if not self._serve(server, lambda: server.process.poll() is not None, REACH_LIMIT, may_begin=not forgets):
                self.unreached.append(f"{point}:{count}")
                server.process.kill()
            ended = server.process.wait(10)
            assert ended == -signal.SIGKILL, f"{point}: exit code {ended}\n{server.messages.read_text()[-2000:]}"
            self.kills.append(time.time())
        finally:
            server.end()

    def finish(self) -> list[str]:
        """Start a server that lives, until everybody is answered and everything has ended; what was not as promised."""
        server = self._start({})
        try:
            server.wait_until_loaded()
            answered = self._serve(
                server, lambda: all(one.call is None for one in self._callers), ANSWER_LIMIT, may_begin=False
            )
            waiting = [] if answered else [f"P10: {one.call} is not answered" for one in self._callers if one.call]
            server.wait_until_idle(60)
            server.stop()
        finally:
            server.end()
        runs = self._read()
        effects = list(self._lines())
        broken = promises.violations(runs, self.log.told, effects, self.log.seen, kills=self.kills)
        return [*waiting, *broken, *self._never_called_back(runs)]

    def forgotten(self) -> list[str]:
        """After runs were forgotten: what is left is whole."""
        return promises.violations(self._read(), [], [])

    def callbacks(self) -> list[str]:
        """The run ids that the callbacks of `once` were told."""
        lines = [json.loads(line) for line in self._effects.read_bytes().splitlines()]
        return [line["callback"] for line in lines if "callback" in line]

    def _never_called_back(self, runs: Iterable[promises.StoredRun]) -> Iterable[str]:
        """At least once, unless somebody ended the run by hand, or its caller's deadline did; or it is recorded why not."""
        called = set(self.callbacks())
        for run in runs:
            by_hand = any(entry.kind == "cancel" or entry.fields.get("deadline") for entry in run.entries)
            why_not = any(entry.kind == "callback" and "error" in entry.data for entry in run.entries)
            if run.dag_id == "once" and run.run_id not in called and not by_hand and not why_not:
                yield f"{run}: its callbacks were never called"

    def _lines(self) -> Sequence[Effect]:
        lines = [json.loads(line) for line in self._effects.read_bytes().splitlines()]
        return [Effect(**line) for line in lines if "callback" not in line]

    def _start(self, environment: dict[str, str], *, forgets: bool = False) -> Server:
        self._servers += 1
        own = {"EFFECTS": str(self._effects), "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES": ".*"}
        if forgets:
            own["AIRFLOW__DAGCALL__KEEP_RUNS"] = "0.5"
        return Server(self.home, DAGS, workers=8, environment=own | environment, journal=self._journal)

    def _serve(self, server: Server, is_over: Callable[[], bool], limit: float, *, may_begin: bool = True) -> bool:
        """Let the callers call until it is over, which is to be within `limit` seconds."""
        end = time.monotonic() + limit
        stop = threading.Event()

        def work(caller: Caller) -> None:
            with httpx.Client(base_url=server.url, timeout=70) as http:
                while not stop.is_set():
                    try:
                        if not caller.step(http, may_begin=may_begin):
                            return
                    except httpx.TransportError:
                        stop.wait(0.05)

        with ThreadPoolExecutor(CALLERS) as threads:
            working = [threads.submit(work, caller) for caller in self._callers]
            try:
                while not is_over() and time.monotonic() < end and server.process.poll() is None:
                    time.sleep(0.02)
                over = is_over()
            finally:
                stop.set()
            if server.process.poll() is None and not over:
                server.process.kill()  # callers that wait are waiting for it
            for one in working:
                one.result(timeout=90)
        return over


def points_in(source: Path) -> set[str]:
    """The names at which the source says that it is there."""
    found: set[str] = set()
    for path in source.rglob("*.py"):
        for part in path.read_text().split('reached("')[1:]:
            found.add(part.partition('"')[0])
    return found
