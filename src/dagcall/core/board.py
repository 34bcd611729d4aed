"""All task instances of one run, every count over them, and the commands of the step in progress.

`Board.change` is the only writer of a task instance's state. It refuses what the table in `transitions` does not
hold, and keeps in step with it: the counts that rules and conclusions read, the open attempts, dates and history,
the tasks to judge again, the records. Each change costs the number of the task's direct relatives, not more.
"""

from collections.abc import Iterable
from typing import Any

from dagcall.core import mapping, suspension
from dagcall.core.graph import Graph
from dagcall.core.instance import EndedTry, TaskInstance, TaskRun
from dagcall.core.transitions import TRANSITIONS, illegal
from dagcall.core.xcoms import RunXComs
from dagcall.model.commands import Command, Record, SetTimer, StartAttempt, StopAttempt, StopAwait
from dagcall.model.events import (
    AttemptEnded,
    Emitted,
    EndKind,
    ErrorInfo,
    Event,
    Resumed,
    ResumeHow,
    RetryDue,
    Suspension,
)
from dagcall.model.ids import UNMAPPED, RunKey, TaskKey
from dagcall.model.plan import DagPlan
from dagcall.model.states import SUSPENDED_STATES, TaskState


class Board:
    """The mutable side of a run. Only the machine writes to it."""

    def __init__(self, key: RunKey) -> None:
        self.key = key
        self.tasks: dict[str, TaskRun] = {}
        """In topological order."""
        self.has_mapping = False
        """Some task is `in_mapping`."""
        self.grouped: list[TaskRun] = []
        """Those in mapped task groups, in topological order."""
        self.attempts: dict[int, TaskInstance] = {}
        """The open ones."""
        self.suspended: dict[int, TaskInstance] = {}
        """Instances whose try is suspended, by the attempt that suspended it."""
        self.unfinished = 0
        self.waiting = 0
        """Instances in state `none`: a part of the unfinished ones."""
        self.watched_open = 0
        """Unfinished instances of the tasks that the answer waits for."""
        self.any_bad = False
        """Some instance ended failed or upstream_failed."""
        self._last_attempt = 0
        # Of the step in progress:
        self.now = 0.0
        self.commands: list[Command] = []
        self.dirty: dict[TaskRun, None] = {}
        """Tasks to judge (again); ordered, so that a replay gives the same attempt numbers. Of those in mapped groups
        only the instances in `TaskRun.to_judge`."""
        self.setback = False
        """Something ended that can make a failure certain: other than with success, or a task that `decides`."""
        self._event: Event | None = None
        self._carried = False

    def begin_step(self, event: Event, now: float) -> None:
        self._event, self.now, self._carried, self.setback = event, now, False, False
        self.commands = []

    def build(self, plan: DagPlan, graph: Graph, xcoms: RunXComs) -> None:
        """Create the first instances: one a task, or all of a map whose width the file tells."""
        tasks = self.tasks
        for order, node in enumerate(graph.nodes):
            mappings = mapping.mappings_of(node.task, plan)
            tasks[node.task.task_id] = TaskRun(node, order, mapping.literal_width(mappings) if mappings else None)
        for task in tasks.values():
            relatives = (*task.task.upstream, *task.node.setups, *task.node.scope, *task.node.sources)
            for task_id in dict.fromkeys(relatives):
                tasks[task_id].affects.append(task)
                if task.task.mapped_groups:
                    tasks[task_id].affects_in_groups.append(task)
            if task.node.sources or task.task.mapped_groups:
                for related in (task, *(tasks[task_id] for task_id in task.node.sources)):
                    related.in_mapping = self.has_mapping = True
            if task.task.mapped_groups:
                self.grouped.append(task)
                task.to_judge.update(ti.map_index for ti in task.instances)
                if task.expanded:
                    task.shared = mapping.shared_widths(task, plan, tasks, xcoms)
                continue
            for task_id in task.task.upstream:
                up = tasks[task_id]
                up.feeds.append(task.up)
                if up.task.is_setup:
                    up.feeds.append(task.up_setups)
            for task_id in task.node.setups:
                tasks[task_id].feeds.append(task.setups)
            for task_id in task.node.scope:
                tasks[task_id].feeds.append(task.scope)
        for task in tasks.values():
            self.unfinished += task.unfinished
            for counts in task.feeds:
                counts.total += task.unfinished
        self.waiting = self.unfinished
        self.dirty = dict.fromkeys(tasks.values())

    def instances(self) -> list[TaskInstance]:
        """All task instances, in topological order, then by map index."""
        return [ti for task in self.tasks.values() for ti in task.instances]

    def instance(self, key: TaskKey) -> TaskInstance | None:
        task = self.tasks.get(key.task_id)
        if task is None:
            return None
        index = key.map_index if task.expanded else key.map_index - UNMAPPED
        return task.instances[index] if 0 <= index < len(task.instances) else None

    def expand(self, task: TaskRun, width: int) -> None:
        """Turn the unexpanded instance of a mapped task into `width` (1 or more) instances."""
        task.expand(width)
        self.waiting += width - 1
        self.unfinished += width - 1
        if task.watched:
            self.watched_open += width - 1
        if task.task.mapped_groups:
            task.to_judge = set(range(width))
            for affected in task.affects_in_groups:  # they wait for other rows now
                self.dirty[affected] = None
                affected.touch(task, UNMAPPED)

    def queue(self, ti: TaskInstance) -> None:
        """Open the next try of an instance and ask for its start, or for what it begins with waiting for."""
        ti.try_number += 1
        ti.reschedules, ti.first_reschedule = 0, None
        ti.first_attempt = self._last_attempt + 1
        self._begin(ti)

    def _begin(self, ti: TaskInstance) -> None:
        """From the beginning of the task, whatever of the try there was before."""
        waits_for = suspension.at_start(ti.task, self.now)
        if waits_for is None:
            self._open_attempt(ti)
            return
        self._last_attempt += 1
        ti.retry_due = None
        ti.start_date, ti.end_date, ti.error, ti.reject = self.now, None, None, None
        ti.plain, ti.references = None, ()
        self._suspend(ti, self._last_attempt, EndKind.DEFERRED, waits_for)

    def _open_attempt(self, ti: TaskInstance) -> None:
        self._last_attempt += 1
        ti.attempt, ti.queued_at, ti.retry_due = self._last_attempt, self.now, None
        self.attempts[ti.attempt] = ti
        self.change(ti, TaskState.QUEUED)
        self.commands.append(self.start(ti.attempt, ti))

    def start(self, attempt: int, ti: TaskInstance) -> StartAttempt:
        return StartAttempt(
            attempt,
            ti.task.task_id,
            ti.map_index,
            ti.try_number,
            self.tasks[ti.task.task_id].on_answer_path,
            None if ti.resumed is None else suspension.continuation(ti),
        )

    def suspend(self, ti: TaskInstance, event: AttemptEnded) -> None:
        """The open attempt ended and left its try open: ask for what the try waits for."""
        self._suspend(ti, event.attempt, event.kind, event.suspension)

    def _suspend(self, ti: TaskInstance, attempt: int, kind: EndKind, waits_for: Suspension | None) -> None:
        awaited = suspension.suspend(ti, attempt, kind, waits_for, self.now)
        self.suspended[attempt] = ti
        self.change(ti, suspension.STATE_OF[kind])
        self.commands.append(awaited)

    def resume(self, ti: TaskInstance, event: Resumed) -> None:
        """What a suspended try waited for has happened: queue it again."""
        del self.suspended[event.attempt]
        ti.resumed = event
        if event.how is ResumeHow.DUE:
            self._begin(ti)
        else:
            self._open_attempt(ti)
        self.record_queued(ti)

    def retry_after(self, ti: TaskInstance, delay: float) -> None:
        """Set the timer of an instance that is `up_for_retry`. `delay`: seconds from now."""
        ti.retry_due = self.now + delay
        self.commands.append(self.retry_timer(ti.retry_due, ti))

    def retry_timer(self, due: float, ti: TaskInstance) -> SetTimer:
        return SetTimer(due, RetryDue(ti.task.task_id, ti.map_index, ti.try_number))

    def change(self, ti: TaskInstance, state: TaskState, error: ErrorInfo | None = None) -> None:
        """Move an instance to `state`. Raises `InternalError` when the table does not allow that."""
        old = ti.state
        if state not in TRANSITIONS[old]:
            raise illegal(old, state, f"run {self.key}, task {ti.key}")
        task = self.tasks[ti.task.task_id]
        ti.state = state
        if error is not None:
            ti.error = error
        if old is TaskState.NONE:
            task.waiting -= 1
            self.waiting -= 1
        if state is TaskState.QUEUED:
            return
        if state in SUSPENDED_STATES:
            self._let_go(ti, state)
        elif state is not TaskState.RUNNING and state is not TaskState.SCHEDULED:
            self._close(ti, state, old)
        if state.is_final:
            self._count_end(task, ti, state, old)
        self.record_task(ti)

    def _let_go(self, ti: TaskInstance, state: TaskState) -> None:
        """The attempt is over, the try is not. As Airflow has it, only a rescheduled one has an end date."""
        if state is TaskState.UP_FOR_RESCHEDULE:
            ti.end_date = self.now
        if ti.attempt is not None:
            del self.attempts[ti.attempt]
        ti.attempt = ti.epoch = None

    def _close(self, ti: TaskInstance, state: TaskState, old: TaskState) -> None:
        """Dates, and the end of the try that was open, if one was."""
        if ti.has_emitted:
            self._end_chunks(ti, state)
        ti.retry_due = None
        if ti.start_date is None:
            ti.start_date = self.now
        if old is not TaskState.UP_FOR_RETRY:
            ti.end_date = self.now
        if ti.attempt is None and ti.suspended is None:
            return
        started = ti.start_date if ti.epoch is not None or ti.suspended is not None else None
        ti.tries = (*ti.tries, EndedTry(ti.try_number, state, started, self.now, ti.error))
        if ti.suspended is not None:
            attempt = ti.suspended.attempt
            waits = self.suspended.pop(attempt, None) is not None
            if waits and not (isinstance(self._event, Resumed) and self._event.attempt == attempt):
                self.commands.append(StopAwait(attempt))
            suspension.forget(ti)
        if ti.attempt is None:
            return
        del self.attempts[ti.attempt]
        if not isinstance(self._event, AttemptEnded) or self._event.attempt != ti.attempt:
            self.commands.append(StopAttempt(ti.attempt, type(self._event).__name__))
        ti.attempt = ti.epoch = None

    def _count_end(self, task: TaskRun, ti: TaskInstance, state: TaskState, old: TaskState) -> None:
        for counts in task.feeds:
            counts.add(state)
        if old.is_final:  # upstream_failed, overwritten
            for counts in task.feeds:
                counts.add(old, -1)
        else:
            task.unfinished -= 1
            self.unfinished -= 1
            self.watched_open -= task.watched
        for affected in task.affects:
            self.dirty[affected] = None
        for affected in task.affects_in_groups:
            affected.touch(task, ti.map_index)
        if state is not TaskState.SUCCESS or (task.decides and not task.unfinished):
            self.setback = True
        if state is TaskState.FAILED or state is TaskState.UPSTREAM_FAILED:
            self.any_bad = True

    def record_queued(self, ti: TaskInstance) -> None:
        """Tell that an instance is queued again; what it begins with waiting for has told itself."""
        if ti.state not in SUSPENDED_STATES:
            self.record_task(ti)

    def record_task(self, ti: TaskInstance) -> None:
        """Tell the state of an instance. `none` and `queued` are not told, but for what became due or got its slot."""
        data: dict[str, Any] = {
            "task_id": ti.task.task_id,
            "map_index": ti.map_index,
            "state": ti.state._value_,
            "try_number": ti.try_number,
        }
        if ti.error is not None and ti.state not in (TaskState.RUNNING, TaskState.SUCCESS):
            data["error"] = {"type": ti.error.type, "message": ti.error.message}
        if ti.state is TaskState.SCHEDULED:
            data["waits_for"] = ti.waits_for
        self.record("task", data)

    def record_chunks(self, ti: TaskInstance, chunks: Iterable[dict[str, Any]]) -> None:
        """Tell partial results. The first record of a try carries the event, without the values."""
        event = self._event
        assert isinstance(event, Emitted)
        journaled = None if ti.has_emitted else Emitted(event.attempt, event.epoch)
        for chunk in chunks:
            self.commands.append(Record("chunk", _try_of(ti) | chunk, journaled))
            journaled = None
        ti.has_emitted = self._carried = True

    def _end_chunks(self, ti: TaskInstance, state: TaskState) -> None:
        """The try that emitted has ended. Unless it did so of its own will, and well, what it emitted is void."""
        ti.has_emitted = False
        own_end = isinstance(self._event, AttemptEnded) and self._event.attempt == ti.attempt
        if not (own_end and state in (TaskState.SUCCESS, TaskState.SKIPPED)):
            self.record("rollback", _try_of(ti))

    def record(self, kind: str, data: dict[str, Any]) -> None:
        """Append a record; the first one of a step carries the event that caused the step."""
        self.commands.append(Record(kind, data, None if self._carried else self._event))
        self._carried = True


def _try_of(ti: TaskInstance) -> dict[str, Any]:
    return {"task_id": ti.task.task_id, "map_index": ti.map_index, "try_number": ti.try_number}
