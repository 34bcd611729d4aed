"""The loop of one run: event -> step -> journal -> act.

Everything that happens to a run enters as an event, in one order. The machine decides; its records are appended to
the journal; only when they are durable are its other commands acted upon: code starts, waiters are told, readers see
more. So nobody is told what a crash could take back (P6), and no try starts unrecorded (P2).

An attempt asks for its worker before its record is durable, and starts after. When a worker is free at once, both
events share one commit, so a task costs one commit: the end of one and the start of the next are written together. An
attempt for which there is no slot (`limits`) waits before it asks for a worker; that it does, and that it has its slot,
are events too.

The driver is the only writer of its run. When the journal refuses a batch it stops the run here: attempts are ended,
waiters are told that the server could not keep the run.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from dagcall.coordinator.assets import Assets
from dagcall.coordinator.attempt import Attempt, deliver
from dagcall.coordinator.awaits import Awaited, Awaits
from dagcall.coordinator.chunks import PAUSE, Chunks
from dagcall.coordinator.clock import Clock
from dagcall.coordinator.fencing import not_kept
from dagcall.coordinator.limits import Limits
from dagcall.coordinator.notices import KeptNotice, Notices
from dagcall.coordinator.run import Run
from dagcall.coordinator.shipping import Shipper
from dagcall.coordinator.starting import start_frame
from dagcall.core import aftermath
from dagcall.crashpoints import reached
from dagcall.errors import DagcallError
from dagcall.journal.base import Journal
from dagcall.model.assets import AssetChanges, merged
from dagcall.model.commands import (
    Answer,
    Await,
    Command,
    EmitAssetEvents,
    EndRun,
    Record,
    SetTimer,
    StartAttempt,
    StopAttempt,
    StopAwait,
)
from dagcall.model.events import (
    AttemptAdmitted,
    AttemptAmended,
    AttemptBlocked,
    AttemptEnded,
    AttemptStarted,
    EndKind,
    ErrorInfo,
    Event,
    Resumed,
    RunAbandoned,
    RunAccepted,
    XComChanged,
)
from dagcall.model.ids import TaskKey
from dagcall.model.records import Batch
from dagcall.model.states import TaskState
from dagcall.workers.base import Code, Workers
from dagcall.workers.frames import Ask, Chunk


@dataclass(frozen=True)
class Surroundings:
    """What every driver of a server shares."""

    journal: Journal
    workers: Workers
    limits: Limits
    clock: Clock
    awaits: Awaits
    epoch: int
    hostname: str
    assets: Assets
    log_path: "Callable[[Run, StartAttempt | Await], str]"
    answer_question: "Callable[[Run, Ask], asyncio.Future[object] | object]"
    on_published: Callable[[Run], None]
    on_begun: Callable[[Run], None]
    on_answered: Callable[[Run], None]
    on_ended: "Callable[[Run, Driver], None]"
    notices: Notices
    listeners: frozenset[str] = frozenset()
    """The hooks of runs and lost tasks that some listener implements."""
    amend_ended: "Callable[[Run, AttemptAmended], object]" = lambda run, event: None
    """Take in what an attempt adds after its run's end."""


Act = Command | Attempt | KeptNotice
"""What is done when the batch is durable."""


class Driver:
    """Drives one run until it has ended."""

    def __init__(self, run: Run, code: Code, around: Surroundings, *, held: bool = False) -> None:
        """`held`: the run waits, accepted, until `release` (`max_active_runs`)."""
        self.run = run
        self.epoch = around.epoch
        self._around = around
        self.code = code
        self._shipper = Shipper(run.plan, run.machine)
        self._events: deque[Event] = deque()
        self._stepping = False
        self._attempts: dict[int, Attempt] = {}
        self._awaited: dict[int, Awaited] = {}
        self._lost: dict[int, TaskKey] = {}
        """Attempts whose process is gone, until that was stepped through."""
        self._timers: set[asyncio.TimerHandle] = set()
        self._accepted = run.head.last_record > 0
        self._durability = run.machine.accepted.durability if self._accepted else "process"
        self._asset_changes: list[AssetChanges] = []
        """Of the batch in the making."""
        self._stopped = False
        self.failure: BaseException | None = None
        """Why the journal did not keep it."""
        self.appended: asyncio.Future[None] | None = None
        """The last batch: when it is decided, all are."""
        self._chunks = Chunks()
        self._chunk_pause: asyncio.TimerHandle | None = None
        self._held: list[Attempt] | None = [] if held else None

    @property
    def is_held(self) -> bool:
        return self._held is not None

    @property
    def offered(self) -> list[Attempt]:
        """The open attempts that have slots, or wait for some."""
        return [] if self._held is not None else list(self._attempts.values())

    def release(self) -> None:
        """The run's turn has come."""
        held, self._held = self._held or [], None
        for attempt in held:
            if attempt.command.attempt in self._attempts:
                self._offer(attempt)

    def accept(self, event: RunAccepted, changes: AssetChanges | None = None) -> "asyncio.Future[None]":
        """Begin the run; done when it is durable. Fails with RunExists or JournalError, and nothing was kept, nor of
        the `changes` that go with it."""
        self._durability = event.durability
        if changes is not None:
            self._asset_changes.append(changes)
        self._events.append(event)
        appended = self._process()
        assert appended is not None
        reached("run.appended")
        return appended

    def feed(self, event: Event) -> None:
        """Something happened."""
        if self._stopped:
            return
        self._events.append(event)
        if self._accepted and not self._stepping:
            self._process()

    def amend(self, event: XComChanged | AttemptAmended) -> "asyncio.Future[None] | None":
        """Take in what does not come from an attempt's end; done when it is durable, None when it changes nothing."""
        if isinstance(event, XComChanged):
            for attempt in self._attempts.values():
                attempt.forget_push(event)
        self._events.append(event)
        return self._process() if self._accepted and not self._stepping else None

    def resume(self, *, fail: bool = False, why: str = "the server was restarted while the task ran") -> None:
        """After a replay: end attempts that were open then, `why`, ask for those that had not begun, set timers, wait
        for what was waited for. A time that has passed meanwhile passes first: a run that is past its deadline is that,
        whatever became of its attempts. With `fail` all but teardowns is ended before anything else."""
        machine = self.run.machine
        were_open, timers = machine.open_attempts(), machine.pending_timers()
        if fail:
            message = "the server was restarted before the run had ended, and on_restart is fail"
            self.feed(RunAbandoned(ErrorInfo("ServerRestarted", message)))
        now = self._around.clock.now()
        for timer in sorted(timers, key=lambda timer: timer.due):
            if timer.due <= now:
                self.feed(timer.event)
            else:
                self._set_timer(timer)
        still_open = {attempt for attempt, *_ in machine.open_attempts()}
        awaits = machine.pending_awaits()
        for attempt, epoch, key, started in were_open:
            if attempt not in still_open:
                continue
            if started:
                error = ErrorInfo("WorkerLost", why)
                self._lost[attempt] = key
                self.feed(AttemptEnded(attempt, epoch or 0, EndKind.LOST, error=error))
            else:
                start, instance = machine.start_of(attempt), machine.instance(key)
                if start is not None and instance is not None:
                    self._submit(start, has_waited=instance.state is TaskState.SCHEDULED)
        for await_ in awaits:
            self._await(await_)

    def stop(self, error: DagcallError) -> None:
        """Stop driving; the run stays unfinished in the journal. Waiters get `error`."""
        self._let_go("the server stops")
        self.run.give_up(error)

    def fail(self, error: BaseException) -> None:
        """The journal did not keep what this run's machine knows: stop driving."""
        was_stopped, self.failure = self._stopped, error
        self.stop(not_kept(self._around.journal, self.run.key, error))
        if not was_stopped:
            self._around.on_ended(self.run, self)

    def attempt_leased(self, attempt: Attempt) -> None:
        assert attempt.lease is not None
        reached("attempt.leased")
        self.feed(AttemptStarted(attempt.command.attempt, self.epoch, self._around.hostname, attempt.lease.pid))

    def attempt_ended(self, attempt: Attempt, event: AttemptEnded) -> None:
        if self._attempts.get(attempt.command.attempt) is not attempt:
            return  # it was given up before: nobody waits for its end
        reached("attempt.ended")
        self._forget(attempt.command.attempt)
        if event.kind is EndKind.LOST or (event.kind is EndKind.RETRY and self.run.machine.accepted.deadline):
            self._lost[event.attempt] = TaskKey(attempt.command.task_id, attempt.command.map_index)
        if event.suspension is not None:
            self._around.limits.suspend(self.run.plan, self.run.key, attempt.command, event.kind)
        self.feed(event)

    def attempt_amended(self, event: AttemptAmended) -> None:
        if not self._stopped:
            self.amend(event)
        elif self.failure is None:
            self._around.amend_ended(self.run, event)

    def attempt_admitted(self, attempt: Attempt) -> None:
        if self._attempts.get(attempt.command.attempt) is attempt:
            self._events.append(AttemptAdmitted(attempt.command.attempt))
            self._around.workers.submit(attempt)  # one that is free takes it at once: then both are one step
            if self._accepted and not self._stepping:
                self._process()

    def attempt_obstructed(self, attempt: Attempt, obstacle: str) -> None:
        number, task_id = attempt.command.attempt, attempt.command.task_id
        error = ErrorInfo("NeverScheduled", f"task {task_id!r}: {obstacle}")
        self.attempt_ended(attempt, AttemptEnded(number, self.epoch, EndKind.FAILED, error=error))

    def attempt_emitted(self, frame: Chunk) -> None:
        event = self._chunks.take(frame)
        if event is None or self._stopped:
            return
        self._events.append(event)
        if self._chunk_pause is None:
            self._process_chunks()

    def _process_chunks(self) -> None:
        self._chunk_pause = None
        if self._events and not self._stopped:
            self._process()
            self._chunk_pause = asyncio.get_running_loop().call_later(PAUSE, self._process_chunks)

    def attempt_asked(self, attempt: Attempt, frame: Ask) -> None:
        def reply(value: object, error: str | None) -> None:
            if attempt.lease is not None:
                attempt.lease.reply(frame.number, value, error)

        reached("attempt.asked")
        deliver(self._around.answer_question(self.run, frame), reply)

    def _process(self) -> "asyncio.Future[None] | None":
        """Step through all waiting events, then append what they gave as one batch."""
        now = self._around.clock.now()
        records: list[Record] = []
        acts: list[Act] = []
        self._stepping = True
        others: list[Attempt] = []
        limits = self._around.limits
        while self._events or (limits.freed and self._admit(others)):
            event = self._events.popleft()
            if isinstance(event, Resumed):
                limits.resume(self.run.key, event.attempt)
            commands = self.run.machine.step(event, now)
            if self._lost and isinstance(event, AttemptEnded):
                self._tell_loss(event, bool(commands), acts)
            if isinstance(event, AttemptStarted) and event.attempt in self._attempts:
                acts.append(self._attempts[event.attempt])
            for command in commands:
                match command:
                    case Record():
                        records.append(command)
                    case StartAttempt():
                        self._submit(command)
                    case SetTimer():
                        self._set_timer(command)
                    case EmitAssetEvents():
                        changes = self._around.assets.emitted(
                            self.run.key, command.task_id, command.map_index, command.outlets, now
                        )
                        self._asset_changes.append(changes)
                    case StopAttempt() | Await() | StopAwait() | Answer():
                        acts.append(command)
                    case EndRun():
                        acts += [*self._notices_of_end(event), command]
                    case _:
                        assert_never(command)
        self._stepping = False
        appended = None
        if records:
            emitted, self._asset_changes = self._asset_changes, []
            items = tuple([act.item for act in acts if isinstance(act, KeptNotice)])
            batch = self.run.recorder.batch(records, now, merged(emitted) if emitted else None, items)
            self.appended = appended = self._around.journal.append(batch, self._durability)
            appended.add_done_callback(lambda future: self._committed(batch, acts, future))
        for attempt in others:  # after the append: the journal has the end of one before the start of the next
            attempt.owner.attempt_admitted(attempt)
        return appended

    def _notices_of_end(self, cause: Event) -> list[KeptNotice]:
        machine, listeners = self.run.machine, self._around.listeners
        # A run in which nothing needed a worker has begun all the same.
        begun = aftermath.of_start(machine, listeners) if self.run.first_start is None else None
        told = (begun, aftermath.of_end(machine, cause, listeners))
        return [self._around.notices.keep(self.run, notice) for notice in told if notice is not None]

    def _tell_loss(self, event: AttemptEnded, applied: bool, acts: list[Act]) -> None:
        key = self._lost.pop(event.attempt, None)
        instance = None if key is None or not applied else self.run.machine.instance(key)
        if instance is not None and (event.kind is EndKind.LOST or instance.state is TaskState.FAILED):
            notice = aftermath.of_loss(self.run.machine, instance, event.error, self._around.listeners)
            acts += [] if notice is None else [self._around.notices.keep(self.run, notice)]

    def _committed(self, batch: Batch, acts: list[Act], appended: "asyncio.Future[None]") -> None:
        error = asyncio.CancelledError() if appended.cancelled() else appended.exception()
        if error is not None or self.failure is not None:
            for act in acts:
                if isinstance(act, KeptNotice):
                    self._around.notices.find_out(self.run, self.code, act)
            if error is not None and self.failure is None:
                self.fail(error)
            return  # what became of it, and of what follows, is found when the run is taken up again
        self.run.publish(batch.records, batch.head, self._around.clock.now())
        if batch.assets is not None:
            self._around.assets.durable(batch.assets)
            news = self._around.assets.news(batch.assets, self._around.listeners, batch.head.state.value)
            if news is not None:
                self._around.notices.give(self.run, self.code, news)
        self._around.on_published(self.run)
        if self._stopped:  # its leases are others' by now
            return
        for act in acts:
            match act:
                case Attempt():
                    self._start(act)
                case StopAttempt():
                    attempt = self._forget(act.attempt)
                    if attempt is not None:
                        self._drop(attempt, act.reason)
                case Await():
                    self._await(act)
                case StopAwait():
                    self._around.limits.resume(self.run.key, act.attempt)
                    awaited = self._awaited.pop(act.attempt, None)
                    if awaited is not None:
                        awaited.stop(killed=True)
                case Answer():
                    reached("run.answering")
                    self.run.answer(act.outcome, self._around.clock.now())
                    self._around.on_answered(self.run)
                    reached("run.answered")
                case KeptNotice():
                    self._around.notices.tell(self.run, self.code, act)
                case EndRun():
                    reached("run.ended")
                    self._end()
                case _:
                    raise AssertionError(f"not an act: {act}")
        self._accepted = True
        if self._events and not self._stepping and not self._stopped:
            self._process()
        if self._around.limits.freed:
            self._around.limits.pass_on()

    def _submit(self, command: StartAttempt, *, has_waited: bool = False) -> None:
        deadline = self.run.machine.accepted.deadline
        attempt = Attempt(self, command, self.code, math.inf if deadline is None else deadline)
        attempt.has_waited = has_waited
        self._attempts[command.attempt] = attempt
        self._offer(attempt)

    def _offer(self, attempt: Attempt) -> None:
        """Ask for a worker, as soon as the limits allow it."""
        if self._held is not None:
            self._held.append(attempt)
            return
        limits = self._around.limits
        obstacle = limits.obstacle(attempt)
        if obstacle is not None:
            self.attempt_obstructed(attempt, obstacle)
        elif (waits_for := limits.enter(attempt)) is not None:
            self.feed(AttemptBlocked(attempt.command.attempt, waits_for))
        elif attempt.has_waited:
            self.attempt_admitted(attempt)
        else:
            self._around.workers.submit(attempt)

    def _admit(self, others: list[Attempt]) -> bool:
        """Hand on the slots that this step gave back. Attempts of other runs are collected in `others`."""
        for attempt in self._around.limits.admit():
            if attempt.owner is self:
                self.attempt_admitted(attempt)
            else:
                others.append(attempt)
        return bool(self._events)

    def _forget(self, number: int) -> Attempt | None:
        """The attempt is over, or not wanted any more: others may have its slots."""
        attempt = self._attempts.pop(number, None)
        if attempt is not None:
            self._around.limits.leave(attempt)
        return attempt

    def _start(self, attempt: Attempt) -> None:
        """Its start is durable: let the code run."""
        command = attempt.command
        if attempt.lease is None or self._attempts.get(command.attempt) is not attempt:
            return
        run = self.run
        if run.first_start is None:
            run.first_start = self._around.clock.now()
            self._around.on_begun(run)
            notice = aftermath.of_start(run.machine, self._around.listeners)
            if notice is not None:
                self._around.notices.give(run, self.code, notice)
        task = attempt.task
        log_path = self._around.log_path(run, command)
        xcoms = self._shipper.xcoms_for(task, command.map_index)
        reached("attempt.starting")
        attempt.lease.start(start_frame(run, command, self.epoch, log_path, xcoms), task.execution_timeout)
        reached("attempt.started")

    def _await(self, command: Await) -> None:
        """Its suspension is durable: wait for what it waits for."""
        if self._stopped:
            return
        self._around.limits.suspend(self.run.plan, self.run.key, command, command.kind)  # again, or at its start
        self._around.on_begun(self.run)  # by a trigger, maybe, and needs no worker yet

        def resumed(event: Resumed) -> None:
            self._awaited.pop(command.attempt, None)
            self.feed(event)

        awaited = Awaited(self.run, self.code, command, self._around.log_path(self.run, command), resumed)
        self._awaited[command.attempt] = awaited
        reached("await.starting")
        self._around.awaits.start(awaited)

    def _drop(self, attempt: Attempt, reason: str) -> None:
        if attempt.lease is None:
            self._around.workers.withdraw(attempt)
        else:
            attempt.lease.stop(reason)

    def _set_timer(self, command: SetTimer) -> None:
        loop = asyncio.get_running_loop()
        delay = max(0.0, command.due - self._around.clock.now())

        def fire() -> None:
            self._timers.discard(timer)
            reached("retry.due")
            self.feed(command.event)

        timer = loop.call_later(delay, fire)
        self._timers.add(timer)

    def _end(self) -> None:
        self._let_go("the run has ended")
        self._around.on_ended(self.run, self)

    def _let_go(self, reason: str) -> None:
        """Nothing more happens to the run here: no timer fires, no attempt goes on."""
        self._stopped = True
        if self._chunk_pause is not None:
            self._chunk_pause.cancel()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for awaited in list(self._awaited.values()):
            awaited.stop(killed=False)
        self._awaited.clear()
        self._around.limits.forget(self.run.key)
        attempts = list(self._attempts.values())
        self._attempts.clear()  # first: one that ends frees what another waits for, which must not begin any more
        for attempt in attempts:
            self._around.limits.leave(attempt)
        for attempt in attempts:
            self._drop(attempt, reason)
