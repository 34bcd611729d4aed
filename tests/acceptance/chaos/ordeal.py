"""A chaos run: a real server that is called and killed, with all its processes and its database, and what is left of it.

Guarantees. The same seed makes the same calls and the same kills in the same order; what a kill hits is up to the
machine. Nothing is judged by what the server says of itself: `judged` reads the journal's database past the engine, what
came out of the callers' network, and the file into which tasks have written that they run. The server may end only where
it was killed.
"""

import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from dagcall.cli.exits import Exit
from dagcall.testing import promises
from dagcall.testing.postgres_server import PostgresServer
from dagcall.testing.promises import Effect, StoredRun

from ..serving import Server, eventually, is_alive, know_children
from . import judging
from .callers import Call, Callers, Log
from .judging import Killed
from .killing import Kill, drawn

DAGS = Path(__file__).parent / "dags"
CALLERS = 16
WORKERS = 12
BEGINNING = frozenset({"database", "side", "root zygote"})
"""Without these a server cannot begin."""
TOO_MUCH = 20
"""Complaints of callers."""
STANDSTILL = 120.0
"""Seconds without what must come."""


@dataclass
class Report:
    seed: int
    runs: Sequence[StoredRun]
    violations: Sequence[str]
    kills: Counter[str]
    answers: Counter[str]
    seconds: float
    starts_again: int

    def __str__(self) -> str:
        def words(counts: Counter[str]) -> str:
            return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"

        once = sum(run.dag_id.startswith("once_") for run in self.runs)
        outcomes = Counter(promises.recorded_outcome(run) for run in self.runs)
        entries = [entry for run in self.runs for entry in run.entries]
        lost = Counter(loss.end.data["error"]["type"] for run in self.runs for loss in judging.losses(run))
        attempts = sum(entry.event == "attempt_started" for entry in entries)
        again = sum(entry.kind == "task" and entry.data["state"] == "up_for_retry" for entry in entries)
        lines = [
            f"seed {self.seed}: {len(self.runs)} runs, {once} of them without retries; outcomes: {words(outcomes)}",
            f"{self.kills.total()} kills: {words(self.kills)}; {self.starts_again} starts that could not begin, repeated",
            f"answers: {words(self.answers)}",
            f"{attempts} attempts, {lost.total()} lost ({words(lost)}), {again} retries",
            f"{self.seconds:.0f} s, {len(self.runs) / self.seconds:.1f} runs/s",
            f"{len(self.violations)} violations",
        ]
        return "\n".join([*lines, *(f"    {one}" for one in self.violations)])


class Ordeal:
    """`read`: the runs of the journal, when no server is there."""

    def __init__(
        self,
        home: Path,
        journal: str,
        read: Callable[[], list[StoredRun]],
        *,
        runs: int,
        kills: int,
        seed: int,
        database: PostgresServer | None = None,
        servers: int = 1,
    ) -> None:
        self._home = home
        self._journal = journal
        self._read = read
        self._seed = seed
        self._calls = [Call(seed, number) for number in range(runs)]
        self._kills = drawn(seed, kills, runs, with_database=database is not None)
        self._chance = random.Random(f"victims {seed}")
        self._database = database
        # A copy: servers read it again and again while whoever started this may go on editing.
        self._dags = Path(shutil.copytree(DAGS, home / "dags", ignore=shutil.ignore_patterns("__pycache__")))
        self._effects = home / "effects.jsonl"
        self._effects.touch()
        self._log = Log(home / "callers.jsonl")
        self._done: list[Killed] = []
        self._began: dict[Path, float] = {}
        """When each server was started, by its home."""
        self._complaints: list[str] = []
        self._count = 0
        self._starts_again = 0
        self._shares = ("--share-port",) if servers > 1 else ()
        self._servers: list[Server] = []
        for place in range(servers):
            port = self._servers[0].port if self._servers else None
            self._servers.append(self._started(home / f"server-{place}", port))

    def play(self) -> Report:
        began = time.monotonic()
        callers = None
        try:
            for server in self._servers:
                server.wait_until_loaded()
            callers = Callers(self._servers[0].url, self._calls, self._log, CALLERS)
            for kill in self._kills:
                self._until(self._is_due(kill), "answers")
                self._kill(kill)
            self._until(callers.are_done, "all answers")
            seconds = time.monotonic() - began
            self._until(self._is_idle, "the end of all runs")
            self._until(self._are_loaded, "servers that serve")
            for server in self._servers:
                server.stop()
        finally:
            if callers is not None:
                callers.stop()
            for server in self._servers:
                server.end()
            if callers is not None:
                callers.end()
            for server in self._servers:
                self._keep_messages(server)
            self._log.close()
        return self._judged(seconds)

    def _started(self, home: Path, port: int | None) -> Server:
        self._count += 1
        home.mkdir(exist_ok=True)
        self._began[home] = time.time()
        return Server(
            home,
            self._dags,
            workers=WORKERS,
            journal=self._journal,
            port=port,
            environment={"EFFECTS": str(self._effects)},
            arguments=self._shares,
        )

    def _until(self, fact: Callable[[], bool], what: str) -> None:
        """Whoever waits is told when the server ends by itself, or nothing goes on any more."""
        deadline, answered = time.monotonic() + STANDSTILL, self._log.answered
        while not fact():
            self._supervise()
            if self._log.answered > answered:
                deadline, answered = time.monotonic() + STANDSTILL, self._log.answered
            assert len(self._log.complaints) < TOO_MUCH, self._log.complaints
            assert time.monotonic() < deadline, (
                f"seed {self._seed}: no {what} for {STANDSTILL:g} s, {answered} answered"
            )
            time.sleep(0.02)

    def _supervise(self) -> None:
        """As a supervisor does, start again a server that could not begin, since what it needs for that was killed: its
        database, or the zygote that first imports Airflow. It ends for no other reason."""
        for place, server in enumerate(self._servers):
            if (ended := server.process.poll()) is not None:
                self._servers[place] = self._started_again(server, ended)

    def _started_again(self, server: Server, ended: int) -> Server:
        said = server.messages.read_text()
        was_hit = any(one.victim in BEGINNING and one.when >= self._began[server.home] for one in self._done)
        may_end = ended == Exit.UNAVAILABLE and was_hit and "listening on" not in said
        assert may_end, f"the server ended by itself ({ended}):\n{said[-4000:]}"
        self._starts_again += 1
        server.http.close()
        self._keep_messages(server)
        return self._started(server.home, server.port)

    def _is_due(self, kill: Kill) -> Callable[[], bool]:
        since = time.monotonic()
        return lambda: self._log.answered >= kill.answered or time.monotonic() >= since + kill.seconds

    def _is_idle(self) -> bool:
        found = self._servers[0].http.get("/api/v2/dags/~/dagRuns?state=queued&state=running&limit=1").json()
        return bool(found["total_entries"] == 0)

    def _are_loaded(self) -> bool:
        """Not asked for: they may share a port."""
        return all("serving " in server.messages.read_text() for server in self._servers)

    def _kill(self, kill: Kill) -> None:
        if kill.victim == "server":
            self._kill_server()
        elif kill.victim == "database":
            self._kill_database()
        else:
            self._until(lambda: self._kill_one(kill.victim), f"{kill.victim} to kill")

    def _kill_server(self) -> None:
        place = self._chance.randrange(len(self._servers))
        killed = self._servers[place]
        family = killed.family()
        self._note("server")
        killed.process.kill()
        killed.process.wait(10)
        killed.http.close()
        self._keep_messages(killed)
        self._servers[place] = self._started(killed.home, killed.port)
        eventually(lambda: not any(is_alive(one) for one in family), 10, "the end of a killed server's processes")

    def _kill_database(self) -> None:
        assert self._database is not None
        self._note("database")
        self._database.stop(signal.SIGQUIT)
        time.sleep(self._chance.uniform(0, 1))
        self._database.start()
        know_children()

    def _kill_one(self, role: str) -> bool:
        if not (victims := self._victims(role)):
            return False
        self._note(role)
        try:
            self._chance.choice(victims).kill()
        except psutil.NoSuchProcess:  # many live for one task only
            self._done.pop()
            return False
        return True

    def _note(self, victim: str) -> None:
        self._done.append(Killed(time.time(), victim))

    def _victims(self, role: str) -> list[psutil.Process]:
        match role:
            case "file zygote":
                return [one for server in self._servers for one in server.file_zygotes()]
            case "root zygote":
                return [one for server in self._servers for one in server.root_zygotes()]
            case "worker" | "triggerer" | "side":
                return [one for server in self._servers for one in server.processes(role)]
        raise AssertionError(role)

    def _keep_messages(self, server: Server) -> None:
        text = server.messages.read_text()
        (self._home / f"messages-{self._count}-{server.home.name}.txt").write_text(text)
        if "Traceback (most recent call last)" in text:
            self._complaints.append(f"the log of {server.home.name} has a traceback:\n{text[-3000:]}")

    # What is left of it

    def _judged(self, seconds: float) -> Report:
        runs = self._read()
        explaining = [one.when for one in self._done if one.victim != "database"]
        effects = [Effect(**json.loads(line)) for line in self._effects.read_bytes().splitlines()]
        found = [*self._complaints, *self._log.complaints]
        found += promises.violations(runs, self._log.told(), effects, self._log.seen(), kills=explaining)
        found += judging.violations(runs, self._calls, effects, self._done)
        kills = Counter(one.victim for one in self._done)
        return Report(self._seed, runs, found, kills, self._log.counts, seconds, self._starts_again)
