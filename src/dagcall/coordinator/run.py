"""A run as readers see it: what is durable of it, and who waits for more.

`Run` is the reader's side of an active run, kept up to date by its driver after each commit; an ended run is the same
object without a driver, or one rebuilt from the journal.
"""

import asyncio
from bisect import bisect_left

from dagcall.coordinator.admission import Ticket
from dagcall.coordinator.api import Timing
from dagcall.coordinator.readers import Readers
from dagcall.coordinator.recorder import Recorder
from dagcall.core.machine import RunMachine
from dagcall.errors import DagcallError
from dagcall.model.commands import Outcome
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import JournalRecord, RunHead

READERS_AFTER_ANSWER = 0.002
"""Seconds."""


class Run:
    """Implements `api.RunView`."""

    def __init__(self, key: RunKey, plan: DagPlan, machine: RunMachine, head: RunHead) -> None:
        self.key = key
        self.plan = plan
        self.machine = machine
        self.head = head
        self.recorder = Recorder(machine, head)
        self.records: list[JournalRecord] = []
        self.outcome: Outcome | None = None
        self.accepted_at = head.queued_at
        self.first_start: float | None = None
        self.answered_at: float | None = None
        self.ticket: Ticket | None = None
        """Its place among the runs that this server has let in; None once it has ended."""
        self._commits: list[tuple[int, int, float]] = []
        """First and last record of each, and when it was durable."""
        self._answered: asyncio.Future[None] | None = None
        self._readers: Readers | None = None
        self._given_up: DagcallError | None = None

    @property
    def was_given_up(self) -> bool:
        return self._given_up is not None

    @property
    def is_read(self) -> bool:
        """Somebody waits for more of its records."""
        return self._readers is not None and self._readers.is_waited_for

    @property
    def is_waited_for(self) -> bool:
        return self._answered is not None and self.outcome is None

    @property
    def timing(self) -> Timing:
        if self.first_start is None:
            return Timing()
        end = self.answered_at if self.answered_at is not None else self.first_start
        return Timing(queue=self.first_start - self.accepted_at, run=max(0.0, end - self.first_start))

    async def wait_outcome(self, timeout: float | None) -> Outcome | None:
        if self.outcome is None and self._given_up is None and (timeout is None or timeout > 0):
            if self._answered is None:
                self._answered = asyncio.get_running_loop().create_future()
            if timeout is None:
                await asyncio.shield(self._answered)
            else:
                await asyncio.wait((self._answered,), timeout=timeout)
        if self.outcome is None and self._given_up is not None:
            raise self._given_up
        return self.outcome

    def changed(self) -> asyncio.Future[None]:
        if self._readers is None:
            self._readers = Readers()
        return self._readers.wait()

    def durable_at(self, record: int) -> float | None:
        index = bisect_left(self._commits, record, key=lambda commit: commit[1])
        if index == len(self._commits) or record < self._commits[index][0]:
            return None
        return self._commits[index][2]

    def publish(self, records: tuple[JournalRecord, ...], head: RunHead, now: float | None = None) -> None:
        """More has become durable. When the answer is part of it, those who wait for the answer go first: a thousand
        readers of events would keep them waiting."""
        self.records.extend(records)
        if now is not None:
            self._commits.append((records[0].id, records[-1].id, now))
        self.head = head
        if self._readers is not None:
            is_answer = any(record.kind in ("result", "failure") for record in records)
            self._readers.wake(READERS_AFTER_ANSWER if is_answer else 0.0)

    def answer(self, outcome: Outcome, now: float) -> None:
        """The outcome has become durable."""
        self.outcome = outcome
        self.answered_at = now
        self._wake()

    def give_up(self, error: DagcallError) -> None:
        """No outcome will come on this server: waiters get `error`."""
        self._given_up = error
        self._wake()
        if self._readers is not None:
            self._readers.wake()

    def _wake(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
