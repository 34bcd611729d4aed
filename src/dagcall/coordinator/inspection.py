"""What this server is doing right now, in words, for whoever operates it (SIGUSR1).

Made on the event loop from what is in memory, without waiting for anything. Bounded: `MOST_RUNS` runs, the oldest first, with
`MOST_WAITS` things each that they wait for; nothing is looked at that grows with the size of a run. It has ids, states, times,
process ids and reasons of the server's own; no params, values, messages of tasks or secrets.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Protocol

from dagcall.coordinator.clock import Clock
from dagcall.coordinator.driver import Driver
from dagcall.journal.base import Journal
from dagcall.model.ids import RunKey, TaskKey
from dagcall.model.states import TaskState
from dagcall.model.trace import parsed
from dagcall.version import __version__
from dagcall.workers.base import Workers

MOST_RUNS: Final = 200
MOST_WAITS: Final = 5
MOST_TASKS: Final = 50
LONGEST: Final = 64 << 10
"""Characters."""


class Server(Protocol):
    def statistics(self) -> dict[str, int]: ...
    def obstacles(self) -> list[str]: ...


class Inspection:
    def __init__(
        self, server: Server, journal: Journal, workers: Workers, drivers: Mapping[RunKey, Driver], clock: Clock
    ) -> None:
        self._server = server
        self._journal = journal
        self._workers = workers
        self._drivers = drivers
        self._clock = clock

    def trace_id(self, key: RunKey) -> str | None:
        """Of an active run that is part of a trace."""
        driver = self._drivers.get(key)
        context = None if driver is None else parsed(driver.run.machine.accepted.traceparent)
        return None if context is None else context.trace_id

    def dump(self) -> str:
        text = "\n".join(self._lines())
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n... (cut off)"

    def _lines(self) -> Iterator[str]:
        now = self._clock.now()
        yield f"dagcall {__version__}, pid {os.getpid()}, {datetime.fromtimestamp(now, UTC).isoformat(timespec='seconds')}"
        yield "takes calls" if not (why := self._server.obstacles()) else f"takes no calls: {'; '.join(why)}"
        yield "counts: " + ", ".join(f"{name} {n}" for name, n in self._server.statistics().items())
        yield from self._of_journal()
        yield from (f"workers: {line}" for line in self._workers.describe())
        for driver in islice(self._drivers.values(), MOST_RUNS):
            yield _of_run(driver, now)
        if len(self._drivers) > MOST_RUNS:
            yield f"... and {len(self._drivers) - MOST_RUNS} more runs"
        yield from _of_loop()

    def _of_journal(self) -> Iterator[str]:
        journal, trouble, commits = self._journal, self._journal.trouble, self._journal.commits
        state = "well" if trouble is None else f"{'fenced' if trouble.is_final else 'in trouble'} ({trouble.reason})"
        seconds = commits.seconds
        mean = 1000 * seconds.sum / seconds.count if seconds.count else 0.0
        yield (
            f"journal: {state}; {journal.waiting} entries wait; {seconds.count} commits of {mean:.2f} ms on average, "
            f"{commits.failed} entries failed"
        )


def _of_run(driver: Driver, now: float) -> str:
    run = driver.run
    outcome = "no outcome yet" if run.outcome is None else f"outcome {run.outcome.kind.value}"
    age = now - run.accepted_at
    waits = list(islice(_waits(driver, now), MOST_WAITS + 1))
    if len(waits) > MOST_WAITS:
        waits[MOST_WAITS:] = ["..."]
    why = "; ".join(waits) or "waits for a time (retry), or for the journal"
    return f"run {run.key}: {run.head.state.value} for {age:.1f} s, {outcome}, {len(run.records)} records: {why}"


def _waits(driver: Driver, now: float) -> Iterator[str]:
    if driver.is_held:
        yield "held: max_active_runs of its DAG"
    machine = driver.run.machine
    for _, _, key, started in machine.open_attempts():
        yield _of_attempt(driver, key, started, now)
    for awaited in machine.pending_awaits():
        what = awaited.suspension.trigger or awaited.kind.value
        due = awaited.suspension.due
        until = "" if due is None else f" for {due - now:.1f} s at most"
        yield f"{TaskKey(awaited.task_id, awaited.map_index)} try {awaited.try_number} waits for {what}{until}"


def _of_attempt(driver: Driver, key: TaskKey, started: bool, now: float) -> str:
    ti = driver.run.machine.instance(key)
    if ti is None:
        return str(key)
    where = f"{key} try {ti.try_number}"
    if started:
        since = "" if ti.start_date is None else f" for {now - ti.start_date:.1f} s"
        return f"{where} runs{since} (pid {ti.pid})"
    if ti.state is TaskState.SCHEDULED:
        return f"{where} waits for a slot: {ti.waits_for}"
    since = "" if ti.queued_at is None else f" for {now - ti.queued_at:.1f} s"
    return f"{where} waits for a worker{since}"


def _of_loop() -> Iterator[str]:
    """Tasks of the event loop, by name and where they are."""
    places: Counter[str] = Counter()
    for task in asyncio.all_tasks():
        frames = task.get_stack(limit=1)
        place = f"{frames[0].f_code.co_qualname}:{frames[0].f_lineno}" if frames else "done"
        name = task.get_name()
        places[f"{'Task' if name.startswith('Task-') else name.split()[0]} at {place}"] += 1
    yield f"event loop: {places.total()} tasks"
    yield from (f"  {count} x {place}" for place, count in places.most_common(MOST_TASKS))
