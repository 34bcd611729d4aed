"""Triggers as what a suspended try waits for: between `awaits` and the triggerers of `workers`.

The trigger runs in a triggerer of the code version that its run goes on with. What it reports becomes the `Resumed` of
its task; that it can run nowhere, or only ever ends its process, fails the task. Who asks something in its name is its
run, as with an attempt.
"""

import asyncio
import itertools
from collections.abc import Callable

from msgspec import structs

from dagcall.coordinator.attempt import deliver
from dagcall.coordinator.awaits import Awaited
from dagcall.coordinator.run import Run
from dagcall.coordinator.starting import start_frame
from dagcall.model.events import EndKind, ResumeHow, XComItem
from dagcall.workers.base import Code, Workers
from dagcall.workers.frames import Ask, Fired, RunTrigger

AnswerQuestion = Callable[[Run, Ask], "asyncio.Future[object] | object"]


class Triggers:
    """Implements `awaits.Waiter`."""

    def __init__(self, workers: Workers, epoch: int, answer_question: AnswerQuestion) -> None:
        self._workers = workers
        self._epoch = epoch
        self._answer_question = answer_question
        self._numbers = itertools.count(1)
        self._watched: dict[Awaited, Watched] = {}

    def takes(self, awaited: Awaited) -> bool:
        return awaited.command.kind is EndKind.DEFERRED

    def start(self, awaited: Awaited) -> None:
        job = Watched(awaited, next(self._numbers), self._epoch, self._answer_question, self._watched.pop)
        self._watched[awaited] = job
        self._workers.watch(job)

    def stop(self, awaited: Awaited, *, killed: bool) -> None:
        job = self._watched.pop(awaited, None)
        if job is not None:
            self._workers.unwatch(job, killed=killed)

    def timed_out(self, awaited: Awaited) -> None:
        self.stop(awaited, killed=False)
        awaited.resume(ResumeHow.TIMEOUT)


class Watched:
    """Implements `workers.base.TriggerJob` for one await."""

    def __init__(
        self,
        awaited: Awaited,
        number: int,
        epoch: int,
        answer_question: AnswerQuestion,
        forget: Callable[[Awaited, None], object],
    ) -> None:
        self.number = number
        self._awaited = awaited
        self._epoch = epoch
        self._answer_question = answer_question
        self._forget = forget

    @property
    def code(self) -> Code:
        return self._awaited.code

    def frame(self, triggerer: int) -> RunTrigger:
        awaited = self._awaited
        suspension = awaited.command.suspension
        assert suspension.trigger is not None
        # Named as Airflow names it (`FileTaskHandler.add_triggerer_suffix`).
        log_path = f"{awaited.log_path}.trigger.{triggerer}.log"
        start = start_frame(awaited.run, awaited.command, self._epoch, log_path, [])
        return RunTrigger(self.number, start, suspension.trigger, suspension.trigger_kwargs, suspension.due)

    def asked(self, frame: Ask, reply: Callable[[object, str | None], None]) -> None:
        of_task = structs.replace(frame, attempt=self._awaited.command.attempt, epoch=self._epoch)
        deliver(self._answer_question(self._awaited.run, of_task), reply)

    def fired(self, frame: Fired) -> None:
        self._forget(self._awaited, None)
        self._awaited.resume(
            ResumeHow(frame.how),
            frame.payload,
            xcoms=tuple(XComItem(key, value) for key, value in frame.xcoms),
            end=None if frame.end is None else EndKind(frame.end),
            plain=frame.plain,
            references=frame.references,
        )

    def lost(self, kind: str, reason: str) -> None:
        self._forget(self._awaited, None)
        self._awaited.fail(f"{kind}: {reason}")
