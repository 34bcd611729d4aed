"""One attempt of one task instance on its way through a worker. Implements `workers.base.Job`."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from dagcall.coordinator.run import Run
from dagcall.model.commands import StartAttempt
from dagcall.model.events import (
    AttemptAmended,
    AttemptEnded,
    EndKind,
    ErrorInfo,
    RejectInfo,
    Suspension,
    XComChanged,
    XComItem,
)
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.workers.base import Code, Lease
from dagcall.workers.frames import Amended, Ask, Chunk, Ended, Pushed, Suspended


class AttemptOwner(Protocol):
    """The driver, as its attempts see it."""

    @property
    def run(self) -> Run: ...
    @property
    def epoch(self) -> int: ...
    def attempt_leased(self, attempt: "Attempt") -> None: ...
    def attempt_asked(self, attempt: "Attempt", frame: Ask) -> None: ...
    def attempt_emitted(self, frame: Chunk) -> None: ...
    def attempt_ended(self, attempt: "Attempt", event: AttemptEnded) -> None: ...
    def attempt_amended(self, event: AttemptAmended) -> None: ...
    def attempt_admitted(self, attempt: "Attempt") -> None:
        """It has waited for a slot and has it now."""

    def attempt_obstructed(self, attempt: "Attempt", obstacle: str) -> None:
        """It waits for a slot that it can never have."""


_END_KINDS = {kind.value: kind for kind in EndKind}


class Attempt:
    """Reports what happens to it to its run's driver."""

    __slots__ = ("_driver", "code", "command", "deadline", "has_waited", "lease", "pushed_xcoms", "task")

    def __init__(self, driver: AttemptOwner, command: StartAttempt, code: Code, deadline: float) -> None:
        self._driver = driver
        self.command = command
        self.task = driver.run.plan.by_id[command.task_id]
        self.code = code
        self.deadline = deadline
        self.has_waited = False
        """Its task instance is `scheduled`, from before a restart."""
        self.lease: Lease | None = None
        self.pushed_xcoms: list[XComItem] = []

    @property
    def run(self) -> RunKey:
        return self._driver.run.key

    @property
    def owner(self) -> AttemptOwner:
        return self._driver

    @property
    def plan(self) -> DagPlan:
        return self._driver.run.plan

    @property
    def order(self) -> tuple[float, ...]:
        """In line for slots: Airflow's weight, then what an answer waits for, then the nearest deadline, then the run's
        turn (`core.line`)."""
        return (-self.task.effective_weight, self._class, self.deadline, self._turn)

    @property
    def priority(self) -> tuple[float, ...]:
        """In line for a worker. Weights count only where an author wrote them: by Airflow's default rule those of
        long DAGs would go before those of short ones."""
        weight = self.task.effective_weight if self._driver.run.plan.has_weights else 1
        return (-weight, self._class, self.deadline, self._turn)

    @property
    def _class(self) -> int:
        """0: an answer waits for it."""
        return 0 if self.command.on_answer_path and self._driver.run.machine.outcome is None else 1

    @property
    def _turn(self) -> float:
        ticket = self._driver.run.ticket
        return 0.0 if ticket is None else ticket.turn

    def leased(self, lease: Lease) -> None:
        self.lease = lease
        self._driver.attempt_leased(self)

    def pushed(self, frame: Pushed) -> None:
        item = XComItem(frame.key, frame.value)
        self.pushed_xcoms.append(item)
        self._driver.run.machine.push_xcom(self.command.attempt, item)

    def emitted(self, frame: Chunk) -> None:
        self._driver.attempt_emitted(frame)

    def asked(self, frame: Ask) -> None:
        self._driver.attempt_asked(self, frame)

    def amended(self, frame: Amended) -> None:
        task_id, map_index = self.command.task_id, self.command.map_index
        xcoms = tuple(XComItem(key, value) for key, value in frame.xcoms)
        self._driver.attempt_amended(
            AttemptAmended(task_id, map_index, self.command.attempt, xcoms, frame.rendered_fields)
        )

    def forget_push(self, event: XComChanged) -> None:
        """Somebody else has set or deleted an XCom: what was pushed before does not come back with the end."""
        if (event.task_id, event.map_index) == (self.command.task_id, self.command.map_index):
            self.pushed_xcoms = [item for item in self.pushed_xcoms if item.key != event.key]

    def ended(self, frame: Ended) -> None:
        self._driver.attempt_ended(self, self.end_event(frame))

    def lost(self, kind: str, reason: str) -> None:
        where = f"{self.command.task_id}{'' if self.command.map_index < 0 else f'[{self.command.map_index}]'}"
        error = ErrorInfo(kind, f"task {where}, try {self.command.try_number}: {reason}")
        event = AttemptEnded(
            self.command.attempt, self._driver.epoch, EndKind.LOST, error=error, xcoms=tuple(self.pushed_xcoms)
        )
        self._driver.attempt_ended(self, event)

    def end_event(self, frame: Ended) -> AttemptEnded:
        """The worker's report as an event; XComs pushed on the way belong to the attempt's record."""
        xcoms = [*self.pushed_xcoms, *(XComItem(key, value, length) for key, value, length in frame.xcoms)]
        return AttemptEnded(
            attempt=frame.attempt,
            epoch=frame.epoch,
            kind=_END_KINDS[frame.kind],
            error=None if frame.error is None else ErrorInfo(*frame.error),
            reject=None if frame.reject is None else RejectInfo(*frame.reject),
            retry_delay=frame.retry_delay,
            xcoms=tuple(xcoms),
            plain=frame.plain,
            skip=tuple(frame.skip),
            rendered_map_index=frame.rendered_map_index,
            rendered_fields=frame.rendered_fields,
            suspension=None if frame.suspension is None else _suspension(frame.suspension),
            outlets=frame.outlets,
            references=frame.references,
        )


def _suspension(frame: Suspended) -> Suspension:
    return Suspension(
        next_method=frame.next_method,
        next_kwargs=frame.next_kwargs,
        due=frame.due,
        trigger=frame.trigger,
        trigger_kwargs=frame.trigger_kwargs,
    )


def deliver(answer: "asyncio.Future[object] | object", reply: Callable[[object, str | None], None]) -> None:
    """Hand an answer to running code over, now or when it comes: a value, or the sentence saying why there is none."""
    if not isinstance(answer, asyncio.Future):
        reply(answer, None)
        return

    def done(future: "asyncio.Future[object]") -> None:
        error = future.exception()
        reply(future.result() if error is None else None, None if error is None else str(error))

    answer.add_done_callback(done)
