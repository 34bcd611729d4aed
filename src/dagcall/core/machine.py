"""The run machine: the one place where a run of a DAG is decided.

What it is. A pure state machine for one run: `step(event, now)` takes what happened and returns what is to be done.
It does no I/O, reads no clock, draws no random number and knows no Airflow, so that the same events at the same times
always give the same commands: `replay` rebuilds a run after a crash with it, tests run it without a server.

Who is authoritative. For Airflow's semantics stock Airflow's source, named in each module; this machine is compared
with it (tests/integration/differential). For what happened the journal: events come in through
`step` and go out again on the records it returns. For how an attempt ended its worker, whose word is an event; what
follows from it (retry, failure, skips) is decided here only.

States. Of a task instance: the table in `transitions`. Of the run: queued -> running -> success | failed. Next to them
the *outcome*: how the call is answered, decided once, as soon as it is certain (`outcome`), often before the end.

How a step works. The event changes some task instance (`board`); then the graph is brought to rest in `rounds`. Then
the answer and the end are looked for. The cost follows what changed, not the size of the run.

What it refuses. Events about an attempt that is not open, or in another epoch than the one it was started with, late
timers, anything but `amendments` after the end: ignored, `[]` is returned, nothing has changed. A second acceptance, an
event before the acceptance and an impossible state change are bugs and raise `InternalError`. Attempts are numbered
1, 2, 3, ... in the order of their starts; a number is never used twice, not even by a retry.
"""

import json
from collections.abc import Collection
from typing import assert_never

from dagcall.core import amendments, outcome, retries, suspension
from dagcall.core.board import Board
from dagcall.core.graph import graph_of
from dagcall.core.instance import TaskInstance, TaskRun
from dagcall.core.results import value_of
from dagcall.core.rounds import Rounds
from dagcall.core.xcoms import RunXComs
from dagcall.errors import InternalError
from dagcall.model.commands import (
    Answer,
    Await,
    Command,
    EmitAssetEvents,
    EndRun,
    Failure,
    Outcome,
    SetTimer,
    StartAttempt,
)
from dagcall.model.events import (
    AttemptAdmitted,
    AttemptAmended,
    AttemptBlocked,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Emitted,
    EndKind,
    ErrorInfo,
    Event,
    Resumed,
    ResumeHow,
    RetryDue,
    RunAbandoned,
    RunAccepted,
    RunTimedOut,
    TimeoutKind,
    XComChanged,
    XComItem,
)
from dagcall.model.ids import UNMAPPED, RunKey, TaskKey
from dagcall.model.plan import DagPlan
from dagcall.model.states import SUSPENDED_STATES, OutcomeKind, RunState, TaskState

_SKIPPED_LATER = (TaskState.NONE, TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE)
"""What is asked again before it is scheduled (Airflow's `SCHEDULEABLE_STATES`), and so finds that it was skipped."""


class RunMachine:
    """One run. Times are seconds since the epoch. Attributes are for reading; only `step` changes them."""

    def __init__(self, plan: DagPlan, key: RunKey) -> None:
        self.plan = plan
        self.key = key
        self.state = RunState.QUEUED
        self.outcome: Outcome | None = None
        self.start_date: float | None = None
        """When the first of its tasks began."""
        self.end_date: float | None = None
        self.xcoms = RunXComs()
        self._accepted: RunAccepted | None = None
        self._board = Board(key)
        self._graph = graph_of(plan)
        self._rounds = Rounds(plan, self._board, self.xcoms)  # knows no machine: a cycle would outlive its run
        self._watch = outcome.Watch(plan, self._graph, self._board, self.xcoms)
        self._timeout_due: float | None = None
        self._stopped = False
        """Cancelled or past its deadline: only teardowns still run, and the run ends failed."""

    # What its users read

    @property
    def accepted(self) -> RunAccepted:
        """The call. Raises `InternalError` before it was accepted."""
        if self._accepted is None:
            raise InternalError(f"run {self.key} is not accepted yet")
        return self._accepted

    def instances(self) -> list[TaskInstance]:
        """All task instances, in topological order, then by map index."""
        return self._board.instances()

    @property
    def tasks(self) -> Collection[TaskRun]:
        """In topological order."""
        return self._board.tasks.values()

    def instance(self, key: TaskKey) -> TaskInstance | None:
        return self._board.instance(key)

    def value_of(self, task_id: str) -> bytes:
        """What an ended task has returned, as plain JSON; of a mapped task all of the list, however long."""
        return value_of(self._board.tasks[task_id], self.xcoms)

    def expand_width(self, task_id: str) -> int | None:
        """Into how many instances a mapped task was expanded; None while it is not, or when it is not mapped."""
        task = self._board.tasks[task_id]
        return len(task.instances) if task.expanded else None

    def open_attempts(self) -> list[tuple[int, int | None, TaskKey, bool]]:
        """(attempt, epoch, task instance, started?) by attempt. After a replay those that were started are lost with
        their server, those that were not (epoch None) may simply be started: `start_of`."""
        return [(n, ti.epoch, ti.key, ti.epoch is not None) for n, ti in sorted(self._board.attempts.items())]

    def start_of(self, attempt: int) -> StartAttempt | None:
        """The command of an open attempt that was not started yet; None for any other."""
        ti = self._board.attempts.get(attempt)
        return self._board.start(attempt, ti) if ti is not None and ti.epoch is None else None

    def pending_timers(self) -> list[SetTimer]:
        """The timers that have not fired: for setting them again after a replay."""
        if self.state.is_final or self._accepted is None:
            return []
        timers = [self._board.retry_timer(ti.retry_due, ti) for ti in self.instances() if ti.retry_due is not None]
        if self._timeout_due is not None:
            timers.append(SetTimer(self._timeout_due, RunTimedOut(TimeoutKind.DAGRUN_TIMEOUT)))
        if self._accepted.deadline is not None and not self._stopped:
            timers.append(SetTimer(self._accepted.deadline, RunTimedOut(TimeoutKind.DEADLINE)))
        return timers

    def pending_awaits(self) -> list[Await]:
        """What suspended tries wait for: for waiting again after a replay."""
        return [ti.suspended for _, ti in sorted(self._board.suspended.items()) if ti.suspended is not None]

    def push_xcom(self, attempt: int, item: XComItem) -> bool:
        """Make an XCom readable before its attempt ends. False when that attempt is not running (any more).

        Not an event: if the attempt's end does not list it too, a replay does not know it.
        """
        ti = self._board.attempts.get(attempt)
        if ti is None or ti.epoch is None:
            return False
        self.xcoms.put(ti.task.task_id, ti.map_index, item)
        return True

    # Events

    def step(self, event: Event, now: float) -> list[Command]:
        """Take one event in. Returns what to do, in order; nothing when the event does not apply.

        Raises `InternalError`: accepted twice, or anything else before the acceptance.
        """
        if isinstance(event, RunAccepted) is (self._accepted is not None):
            raise InternalError(f"run {self.key}: {type(event).__name__} cannot come in state {self.state.value}")
        if self.state.is_final and not amendments.is_amendment(event):
            return []
        self._board.begin_step(event, now)
        if not self._take(event):
            return []
        self._settle()
        self._conclude()
        return self._board.commands

    def _take(self, event: Event) -> bool:
        """Apply the event itself; False when it does not apply to the run as it is now."""
        match event:
            case AttemptEnded():
                return self._attempt_ended(event)
            case AttemptStarted():
                return self._attempt_started(event)
            case Emitted():
                return self._emitted(event)
            case RunAccepted():
                return self._accept(event)
            case RetryDue():
                return self._retry_due(event)
            case Resumed():
                return self._resumed(event)
            case RunTimedOut():
                return self._timed_out(event)
            case CancelRequested():
                return self._cancel(event)
            case RunAbandoned():
                return self._abandon(event)
            case XComChanged():
                return amendments.change_xcom(event, self._board, self.xcoms)
            case AttemptAmended():
                return amendments.amend(event, self._board, self.xcoms)
            case AttemptBlocked():
                return self._attempt_blocked(event)
            case AttemptAdmitted():
                return self._attempt_admitted(event)
        assert_never(event)

    def _accept(self, event: RunAccepted) -> bool:
        board = self._board
        self._accepted = event
        board.record("accepted", {"dag_id": event.dag_id, "run_id": event.run_id, "params": json.loads(event.conf)})
        if self.plan.dagrun_timeout is not None:
            self._timeout_due = board.now + self.plan.dagrun_timeout
        board.commands.extend(self.pending_timers())
        board.build(self.plan, self._graph, self.xcoms)
        self._watch.begin(event, event.results or self.plan.result_tasks)
        return True

    def _attempt_blocked(self, event: AttemptBlocked) -> bool:
        ti = self._board.attempts.get(event.attempt)
        if ti is None or ti.state is not TaskState.QUEUED:
            return False
        ti.waits_for = event.waits_for
        self._board.change(ti, TaskState.SCHEDULED)
        return True

    def _attempt_admitted(self, event: AttemptAdmitted) -> bool:
        ti = self._board.attempts.get(event.attempt)
        if ti is None or ti.state is not TaskState.SCHEDULED:
            return False
        self._board.change(ti, TaskState.QUEUED)
        self._board.record_task(ti)
        return True

    def _attempt_started(self, event: AttemptStarted) -> bool:
        ti = self._board.attempts.get(event.attempt)
        if ti is None or ti.epoch is not None:
            return False
        ti.epoch, ti.hostname, ti.pid = event.epoch, event.hostname, event.pid
        ti.end_date, ti.error, ti.reject, ti.plain, ti.references = None, None, None, None, ()
        if not suspension.goes_on(ti):
            ti.start_date = self._board.now
            if ti.try_number > 1 or ti.reschedules:
                self.xcoms.drop(ti.task.task_id, ti.map_index)
        self._begin()
        self._board.change(ti, TaskState.RUNNING)
        return True

    def _emitted(self, event: Emitted) -> bool:
        ti = self._board.attempts.get(event.attempt)
        if ti is None or ti.epoch != event.epoch:
            return False
        chunks = [{"value": json.loads(value)} for value in event.values]
        if event.truncated:
            chunks.append({"truncated": True})
        self._board.record_chunks(ti, chunks)
        return True

    def _attempt_ended(self, event: AttemptEnded) -> bool:
        board = self._board
        ti = board.attempts.get(event.attempt)
        if ti is None:
            return False
        if ti.epoch is None:
            # Nobody took the attempt. It can only fail: when no worker can be had for it.
            if event.kind not in (EndKind.FAILED, EndKind.RETRY, EndKind.LOST):
                return False
        elif ti.epoch != event.epoch:
            return False
        ti.error, ti.reject, ti.plain, ti.references = event.error, event.reject, event.plain, event.references
        ti.rendered_map_index, ti.rendered_fields = event.rendered_map_index, event.rendered_fields
        for item in event.xcoms:
            self.xcoms.put(ti.task.task_id, ti.map_index, item)
        if event.kind in suspension.STATE_OF:
            board.suspend(ti, event)
            return True
        state, delay = _state_after(event.kind, ti), 0.0
        if state is TaskState.UP_FOR_RETRY:
            delay = self._retry_delay(ti) if event.retry_delay is None else event.retry_delay
            deadline = None if ti.task.is_teardown or self._stopped else self.accepted.deadline
            if deadline is not None and board.now + delay >= deadline:
                state, ti.error = TaskState.FAILED, retries.too_late(ti.error, delay, deadline - board.now)
        elif event.kind is EndKind.FAILED and event.retry_delay is not None and self.accepted.deadline is not None:
            ti.error = retries.too_late(ti.error, event.retry_delay, self.accepted.deadline - board.now)
        board.change(ti, state)
        if event.outlets is not None and ti.state is TaskState.SUCCESS:
            board.commands.append(EmitAssetEvents(ti.task.task_id, ti.map_index, event.outlets))
        if state is TaskState.UP_FOR_RETRY:
            board.retry_after(ti, delay)
        for task_id, map_index in event.skip:
            self._skip(ti.task.task_id, board.tasks[task_id], map_index)
        if ti.state is TaskState.FAILED and self.plan.fail_fast and not self._stopped:
            error = ErrorInfo("FailFast", f"stopped, because task {ti.key} failed and the DAG is fail_fast")
            self._stop_others(error, but=ti.task.task_id)
        return True

    def _retry_delay(self, ti: TaskInstance) -> float:
        date = self.accepted.logical_date
        return retries.retry_delay(ti.task.retry, self.key.dag_id, ti.task.task_id, date, ti.try_number)

    def _retry_due(self, event: RetryDue) -> bool:
        ti = self._board.instance(TaskKey(event.task_id, event.map_index))
        if ti is None or ti.state is not TaskState.UP_FOR_RETRY or ti.try_number != event.try_number:
            return False
        # Its trigger rule is not asked again: a rule that was met stays met. A branch may have ended meanwhile.
        if self._board.tasks[event.task_id].skipped_later & {UNMAPPED, ti.map_index}:
            self._board.change(ti, TaskState.SKIPPED)
        else:
            self._board.queue(ti)
            self._board.record_queued(ti)
        return True

    def _resumed(self, event: Resumed) -> bool:
        ti = self._board.suspended.get(event.attempt)
        if ti is None or ti.key != (event.task_id, event.map_index):
            return False
        # Airflow's scheduler asks all but the trigger rule again before it runs a rescheduled task, and nothing of a
        # task whose trigger fired. A branch may have ended meanwhile.
        skipped = self._board.tasks[event.task_id].skipped_later & {UNMAPPED, ti.map_index}
        if event.end is not None:
            self._ended_by_trigger(ti, event, event.end)
        elif event.how is ResumeHow.DUE and skipped:
            self._board.change(ti, TaskState.SKIPPED)
        else:
            for item in event.xcoms:
                self.xcoms.put(ti.task.task_id, ti.map_index, item)
            self._board.resume(ti, event)
        return True

    def _ended_by_trigger(self, ti: TaskInstance, event: Resumed, end: EndKind) -> None:
        """Airflow's `handle_event_submit` of a `BaseTaskEndEvent`; unlike a worker's word it does not stop the others
        of a fail_fast DAG."""
        state = _state_after(EndKind.RETRY if end is EndKind.FAILED else end, ti)
        if end is EndKind.FAILED:
            ti.error = ErrorInfo("TaskFailedEvent", "the trigger ended the task as failed")
        if state is not TaskState.UP_FOR_RETRY:
            ti.plain, ti.references = event.plain, event.references
            for item in event.xcoms:
                self.xcoms.put(ti.task.task_id, ti.map_index, item)
        self._board.change(ti, state)
        if state is TaskState.UP_FOR_RETRY:
            self._board.retry_after(ti, self._retry_delay(ti))

    def _timed_out(self, event: RunTimedOut) -> bool:
        match event.kind:
            case TimeoutKind.DAGRUN_TIMEOUT:
                # Airflow skips whatever is unfinished, teardowns too, and ends the run there and then
                # (SchedulerJobRunner._schedule_dag_run).
                error = ErrorInfo(
                    "DagRunTimeout", f"the run took longer than its dagrun_timeout, {self.plan.dagrun_timeout} s"
                )
                self._answer(self._watch.failed(OutcomeKind.FAILED, Failure(error)))
                for ti in self.instances():
                    if not ti.state.is_final:
                        self._board.change(ti, TaskState.SKIPPED, error)
                self._end(RunState.FAILED)
                return True
            case TimeoutKind.DEADLINE:
                if self.outcome is not None and not self._has_work():
                    return False
                error = ErrorInfo("DeadlineExceeded", "the deadline of the call passed")
                return self._stop(OutcomeKind.DEADLINE, error, by="deadline", reason=error.message)
        assert_never(event.kind)

    def _cancel(self, event: CancelRequested) -> bool:
        who = f" by {event.by}" if event.by else ""
        why = f": {event.reason}" if event.reason else ""
        error = ErrorInfo("RunCancelled", f"the run was cancelled{who}{why}")
        return self._stop(OutcomeKind.CANCELLED, error, event.by, event.reason)

    def _abandon(self, event: RunAbandoned) -> bool:
        if self.outcome is not None and not self._has_work():
            return False
        return self._stop(OutcomeKind.FAILED, event.error, by="server", reason=event.error.message)

    # Ending work before its time

    def _has_work(self) -> bool:
        """Whether anything but teardowns is unfinished."""
        return any(task.unfinished and not task.task.is_teardown for task in self._board.tasks.values())

    def _stop(self, kind: OutcomeKind, error: ErrorInfo, by: str, reason: str) -> bool:
        """End all work but teardowns, as Airflow does when a run is marked failed (`set_dag_run_state_to_failed`)."""
        if self._stopped:
            return False
        self._stopped = True
        self._board.record("cancel", {"by": by, "reason": reason})
        self._answer(self._watch.failed(kind, Failure(error)))
        self._stop_others(error, failing=SUSPENDED_STATES)
        return True

    def _stop_others(self, error: ErrorInfo, but: str = "", failing: Collection[TaskState] = ()) -> None:
        """Running instances, and those in the states `failing`, fail; all other unfinished ones are skipped;
        teardowns, and the task `but`, go on.

        Under fail_fast this is Airflow's `_stop_remaining_tasks`. It would also overwrite upstream_failed, which a
        fail_fast DAG never has: whatever is downstream of a failure is skipped here before any rule is asked.
        """
        for task in self._board.tasks.values():
            if task.task.is_teardown or task.task.task_id == but:
                continue
            for ti in task.instances:
                if ti.state is TaskState.RUNNING or ti.state in failing:
                    self._board.change(ti, TaskState.FAILED, error)
                elif not ti.state.is_final:
                    self._board.change(ti, TaskState.SKIPPED)

    def _skip(self, branch: str, task: TaskRun, map_index: int) -> None:
        """A branch decided to skip `task` (-1), or one instance of it.

        Airflow does this twice: at once for the instance of that very index (`ti_skip_downstream`), and, for direct
        downstreams only, whenever an instance is about to be scheduled (`NotPreviouslySkippedDep`).
        """
        if map_index == UNMAPPED and not task.expanded:
            ti = task.instances[0]
            if ti.state not in (TaskState.RUNNING, TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED):
                self._board.change(ti, TaskState.SKIPPED)
        if branch in task.task.upstream:
            task.skipped_later.add(map_index)
            for ti in task.instances:
                if ti.state in _SKIPPED_LATER and map_index in (UNMAPPED, ti.map_index):
                    self._board.change(ti, TaskState.SKIPPED)

    # Bringing the graph to rest

    def _settle(self) -> None:
        while self._board.dirty:
            self._rounds.play_one()
        if self._rounds.has_begun:
            self._begin()

    # Conclusions

    def _begin(self) -> None:
        if self.start_date is None:
            self.state, self.start_date = RunState.RUNNING, self._board.now

    def _conclude(self) -> None:
        if self.state.is_final:
            return
        if self.outcome is None and (decided := self._watch.decide()) is not None:
            self._answer(decided)
        if not self._board.unfinished:
            failed = self._stopped or any(self._board.tasks[leaf].ended.bad for leaf in self._graph.leaves)
            self._end(RunState.FAILED if failed else RunState.SUCCESS)
        elif self._board.unfinished == self._board.waiting:
            # Nothing runs and nothing will: Airflow's "all_tasks_deadlocked". What waits keeps its state.
            error = ErrorInfo("Deadlock", "no task can run any more, though not all have ended")
            self._answer(self._watch.failed(OutcomeKind.FAILED, Failure(error)))
            self._end(RunState.FAILED)

    def _answer(self, decided: Outcome) -> None:
        if self.outcome is not None:
            return
        self.outcome = decided
        if decided.failure is None:
            self._board.record("result", {"tasks": list(decided.results)})
        else:
            self._board.record("failure", outcome.as_data(decided.kind, decided.failure))
        self._board.commands.append(Answer(decided))

    def _end(self, state: RunState) -> None:
        self._begin()
        self.state, self.end_date = state, self._board.now
        self._board.record("end", {"state": state.value})
        self._board.commands.append(EndRun(state))


def _state_after(kind: EndKind, ti: TaskInstance) -> TaskState:
    match kind:
        case EndKind.SUCCESS:
            return TaskState.SUCCESS
        case EndKind.SKIPPED:
            return TaskState.SKIPPED
        case EndKind.FAILED:
            return TaskState.FAILED
        case EndKind.RETRY | EndKind.LOST:
            return TaskState.UP_FOR_RETRY if retries.may_retry(ti.task.retry, ti.try_number) else TaskState.FAILED
        case EndKind.RESCHEDULED | EndKind.DEFERRED | EndKind.AWAITING_INPUT:
            return suspension.STATE_OF[kind]
    assert_never(kind)
