"""Where the time to a run's answer went: the attempts that it waited for, one after the other, and what each waited for.

Computed from the run's records when somebody asks, never on the way: they are replayed, and each attempt is known by
the event that caused it. From the answer backwards that is a chain: the attempt whose end decided it, the one whose end
made that one ready, and so on to the call. Without an answer yet it is the chain to the latest event.

The parts of an attempt add up to the time from its cause to the next one's, those of a chain to the time from the call
to the answer. `journal` is known only while the server that wrote the records keeps the run in memory; else it is 0,
and part of what it was waited for with.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dagcall.core.machine import RunMachine
from dagcall.model.commands import Answer, Await, StartAttempt
from dagcall.model.events import (
    AttemptAdmitted,
    AttemptBlocked,
    AttemptEnded,
    AttemptStarted,
    Event,
    RetryDue,
)
from dagcall.model.ids import RunKey, TaskKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import JournalRecord

PARTS = ("queue", "worker", "task", "journal", "wait")

DurableAt = Callable[[int], float | None]
"""When the record with this id became durable, if that is known."""


@dataclass(frozen=True, slots=True)
class Step:
    """One attempt of the chain. Parts in seconds."""

    task_id: str
    map_index: int
    try_number: int
    queue: float
    """For a slot (pools, `max_active_*`)."""
    worker: float
    """For a process that is free, forked if need be."""
    task: float
    """From the start of the code to its reported end."""
    journal: float
    """For its start, and the last one's end, to be durable."""
    wait: float
    """After its end, for what had to come before the next one: a retry's delay, a date, a trigger, a person."""


@dataclass(slots=True)
class _Attempt:
    command: StartAttempt | Await
    cause: int | None
    """The attempt whose event caused it."""
    begin: float
    durable: float
    """When the record of the call was durable, of those that the call caused; else `begin`."""
    blocked: float | None = None
    queue: float = 0.0
    started: float | None = None
    running: float = 0.0
    ended: float | None = None


@dataclass(slots=True)
class _Chain:
    durable_at: DurableAt
    attempts: dict[int, _Attempt] = field(default_factory=dict)
    latest: dict[TaskKey, int] = field(default_factory=dict)

    def take(self, event: Event, record: JournalRecord) -> int | None:
        """Note what happened to an attempt; returns the attempt that the event is about."""
        if isinstance(event, RetryDue):
            return self.latest.get(TaskKey(event.task_id, event.map_index))
        number: int | None = getattr(event, "attempt", None)
        one = None if number is None else self.attempts.get(number)
        if one is None:
            return None
        match event:
            case AttemptBlocked():
                one.blocked = record.time
            case AttemptAdmitted() if one.blocked is not None:
                one.queue += record.time - one.blocked
                one.blocked = None
            case AttemptStarted():
                one.started = record.time
                one.running = max(record.time, self.durable_at(record.id) or 0.0)
            case AttemptEnded():
                one.ended = record.time
        return number

    def begin(self, command: StartAttempt | Await, cause: int | None, record: JournalRecord) -> None:
        if command.attempt in self.attempts:  # it has suspended its try
            return
        durable = record.time if cause is not None else max(record.time, self.durable_at(record.id) or 0.0)
        self.attempts[command.attempt] = _Attempt(command, cause, record.time, durable)
        self.latest[TaskKey(command.task_id, command.map_index)] = command.attempt

    def back_from(self, number: int | None, end: float, durable: float) -> list[Step]:
        steps = []
        while number is not None:
            one = self.attempts[number]
            steps.append(_step(one, end, durable - end))
            number, end, durable = one.cause, one.begin, one.begin
        return steps[::-1]


def critical_path(
    plan: DagPlan, key: RunKey, records: Iterable[JournalRecord], durable_at: DurableAt = lambda record: None
) -> list[Step]:
    """In order of time. Empty when the answer waited for no task."""
    machine, chain = RunMachine(plan, key), _Chain(durable_at)
    last: tuple[int | None, float, float] = (None, 0.0, 0.0)
    for record in records:
        if record.event is None:
            continue
        commands = machine.step(record.event, record.time)
        about = chain.take(record.event, record)
        for command in commands:
            if isinstance(command, StartAttempt | Await):
                chain.begin(command, about, record)
        last = (about, record.time, max(record.time, durable_at(record.id) or 0.0))
        if any(isinstance(command, Answer) for command in commands):
            break
    return chain.back_from(*last)


def _step(one: _Attempt, end: float, answer: float) -> Step:
    """`end`: when it caused what came next. `answer`: how long it then took to be durable, if that is the answer."""
    command = one.command
    key = (command.task_id, command.map_index, command.try_number)
    if one.started is None:
        queue = one.queue if one.blocked is None else one.queue + end - one.blocked
        waited = end - one.begin - queue
        is_trigger = isinstance(command, Await)
        return Step(*key, queue, 0.0 if is_trigger else waited, 0.0, answer, waited if is_trigger else 0.0)
    over = end if one.ended is None else one.ended
    running = min(one.running, over)
    accepting = min(one.durable, one.started) - one.begin
    worker = one.started - one.begin - one.queue - accepting
    return Step(*key, one.queue, worker, over - running, running - one.started + accepting + answer, end - over)


def whole(steps: Iterable[Step]) -> dict[str, float]:
    """The parts of all steps together."""
    steps = list(steps)
    return {part: sum(getattr(step, part) for step in steps) for part in PARTS}
