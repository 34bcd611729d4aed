"""A miniature driver: feeds events to a machine, keeps what it says, and checks what must hold after every step."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dagcall.core.machine import RunMachine
from dagcall.model.commands import Answer, Command, EndRun, Outcome, Record, SetTimer, StartAttempt, StopAttempt
from dagcall.model.events import (
    AttemptEnded,
    AttemptStarted,
    Emitted,
    EndKind,
    ErrorInfo,
    Event,
    Resumed,
    ResumeHow,
    RunAccepted,
    Suspension,
    XComItem,
)
from dagcall.model.ids import RunKey, TaskKey
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.records import JournalRecord
from dagcall.model.states import TriggerRule

KEY = RunKey("d", "r")


class Run:
    """One run of `tasks`; times are 0.0, 1.0, 2.0, ... unless `now` is set."""

    def __init__(self, *tasks: TaskPlan, accept: dict[str, Any] | None = None, **plan: Any) -> None:
        self.plan = DagPlan("d", "1", "d.py", "d.py", tasks, **plan)
        self.machine = RunMachine(self.plan, KEY)
        self.now = 0.0
        self.records: list[JournalRecord] = []
        self.commands: list[Command] = []
        self.waiting: dict[int, StartAttempt] = {}
        self.feed(RunAccepted("d", "r", "1", **(accept or {})))

    def feed(self, event: Event) -> list[Command]:
        self.now += 1.0
        emitters = {ti.attempt for ti in self.machine.instances() if ti.has_emitted}
        commands = self.machine.step(event, self.now)
        recorded = [command for command in commands if isinstance(command, Record)]
        if commands:
            assert recorded, f"{event} changed something and is in no record"
            first: Event | None = event
            if isinstance(event, Emitted):  # is journaled once a try, without the values
                first = None if emitters & {event.attempt} else Emitted(event.attempt, event.epoch)
            assert [record.event for record in recorded] == [first, *[None] * (len(recorded) - 1)]
        for record in recorded:
            json.dumps(record.data)
            entry = JournalRecord(len(self.records) + 1, self.now, record.kind, record.data, record.event)
            self.records.append(entry)
        for command in commands:
            if isinstance(command, StartAttempt):
                self.waiting[command.attempt] = command
            if isinstance(command, StopAttempt):
                self.waiting.pop(command.attempt, None)
        self.commands += commands
        ends = [index for index, command in enumerate(self.commands) if isinstance(command, EndRun)]
        assert len(ends) <= 1
        after = self.commands[ends[0] + 1 :] if ends else []
        assert all(isinstance(one, Record) and one.kind == "xcom" for one in after), (
            "only amendments come after the end"
        )
        assert bool(ends) == self.machine.state.is_final
        answers = self.of(Answer)
        assert len(answers) <= 1
        assert self.machine.outcome == (answers[0].outcome if answers else None)
        if ends:
            assert answers
            assert [record.kind for record in self.records if record.kind != "xcom"][-1] == "end"
        return commands

    def of(self, kind: type[Any]) -> list[Any]:
        return [command for command in self.commands if isinstance(command, kind)]

    @property
    def timers(self) -> list[SetTimer]:
        return self.of(SetTimer)

    @property
    def outcome(self) -> Outcome | None:
        return self.machine.outcome

    def attempt(self, task_id: str, map_index: int = -1) -> int:
        instance = self.machine.instance(TaskKey(task_id, map_index))
        assert instance is not None, f"no {task_id}[{map_index}]"
        assert instance.attempt is not None, f"{instance} has no open attempt"
        return instance.attempt

    def start(self, task_id: str, map_index: int = -1) -> list[Command]:
        attempt = self.attempt(task_id, map_index)
        self.waiting.pop(attempt, None)
        return self.feed(AttemptStarted(attempt, epoch=1))

    def end(self, task_id: str, kind: str = "success", map_index: int = -1, **fields: Any) -> list[Command]:
        """Start the open attempt if it is not, and end it."""
        attempt = self.attempt(task_id, map_index)
        if attempt in self.waiting:
            self.start(task_id, map_index)
        if kind in ("failed", "retry"):
            fields.setdefault("error", ErrorInfo("RuntimeError", f"{task_id} broke"))
        if "length" in fields:
            fields["xcoms"] = (XComItem("return_value", b"x", fields.pop("length")),)
        return self.feed(AttemptEnded(attempt, 1, EndKind(kind), **fields))

    def emit(self, task_id: str, *values: object, map_index: int = -1, **fields: Any) -> list[Command]:
        chunks = tuple(json.dumps(value).encode() for value in values)
        return self.feed(Emitted(self.attempt(task_id, map_index), 1, chunks, **fields))

    def suspend(self, task_id: str, kind: str = "deferred", map_index: int = -1, **fields: Any) -> list[Command]:
        """End the open attempt and leave its try open."""
        method = None if kind == "rescheduled" else "resume"
        xcoms = fields.pop("xcoms", ())
        return self.end(task_id, kind, map_index, xcoms=xcoms, suspension=Suspension(method, **fields))

    def resume(
        self, task_id: str, how: str = "event", payload: bytes = b"", map_index: int = -1, **fields: Any
    ) -> list[Command]:
        """What the suspended try waits for has happened."""
        instance = self.machine.instance(TaskKey(task_id, map_index))
        assert instance is not None
        assert instance.suspended is not None
        return self.feed(Resumed(task_id, map_index, instance.suspended.attempt, ResumeHow(how), payload, **fields))

    def states(self) -> dict[str, str]:
        return {str(ti.key): ti.state.value for ti in self.machine.instances()}

    def told(self) -> list[str]:
        """The records, each as one readable word."""
        return [f"{r.data['task_id']} {r.data['state']}" if r.kind == "task" else r.kind for r in self.records]


@pytest.fixture(scope="session")
def run_of() -> Callable[..., Run]:
    return Run


@pytest.fixture(scope="session")
def task() -> Callable[..., TaskPlan]:
    def make(task_id: str, *upstream: str, trigger_rule: str = "all_success", **fields: Any) -> TaskPlan:
        rule = TriggerRule(trigger_rule)
        return TaskPlan(task_id, operator="Scripted", upstream=upstream, trigger_rule=rule, **fields)

    return make


@pytest.fixture(scope="session")
def snapshot() -> Callable[[RunMachine], Any]:
    """All that a machine shows, comparable."""

    def take(machine: RunMachine) -> Any:
        instances: Sequence[Any] = machine.instances()
        names = [name for name in type(instances[0]).__slots__ if name != "task"] if instances else []
        return {
            "instances": [(ti.key, [getattr(ti, name) for name in names]) for ti in instances],
            "xcoms": sorted(machine.xcoms.items(), key=lambda entry: (entry[0], entry[1], entry[2].key)),
            "state": (machine.state, machine.start_date, machine.end_date, machine.outcome),
            "open": machine.open_attempts(),
            "timers": machine.pending_timers(),
            "awaits": machine.pending_awaits(),
        }

    return take
