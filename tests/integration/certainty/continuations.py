"""All that may still happen to a run, by trying: every continuation of a `RunMachine`, through its own `step`.

A *choice* is what the run cannot foresee: how an attempt ends, what it returned, what a branch skips. All else (a
worker is leased, a delay is over, a trigger fires) is fed at once where its moment makes no difference. What comes from
outside (cancel, deadline, `dagrun_timeout`) does not happen here.
"""

import io
import itertools
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dagcall.core.graph import Graph, Node, graph_of
from dagcall.core.instance import EndedTry, TaskInstance
from dagcall.core.machine import RunMachine
from dagcall.model.commands import Await, Outcome
from dagcall.model.events import (
    AttemptEnded,
    AttemptStarted,
    EndKind,
    ErrorInfo,
    Event,
    Resumed,
    ResumeHow,
    RetryDue,
    RunAccepted,
    Suspension,
    XComItem,
)
from dagcall.model.ids import RunKey
from dagcall.model.plan import RETURN_VALUE, DagPlan, TaskPlan
from dagcall.model.states import RunState, TaskState

KEY = RunKey("d", "r")
BAD = (TaskState.FAILED, TaskState.UPSTREAM_FAILED)
LENGTHS = (None, 0, 1, 2)
"""Of what a task returned that others are mapped over; None: it returned nothing. Two can be all that many can."""
LAST = "last"
"""The method of a try that will not go on: its trigger ends it. (A task may always defer once more, and a failure that
its trigger reports is no reason for fail_fast to stop the others.)"""


class TooLarge(Exception):
    """More states than are worth looking at."""


@dataclass(frozen=True)
class Case:
    """A DAG, and how it is called."""

    plan: DagPlan
    results: tuple[str, ...] = ()
    """Chosen by the caller."""
    branches: Mapping[str, str] = field(default_factory=dict)
    """What those that may skip others are: `branch`, `short_circuit`, `short_circuit_direct`."""
    suspends: Mapping[str, EndKind] = field(default_factory=dict)
    """Tasks whose tries may let go of their worker, once each."""

    @property
    def designated(self) -> tuple[str, ...]:
        return self.results or self.plan.result_tasks

    def accepted(self) -> RunMachine:
        machine = RunMachine(self.plan, KEY)
        machine.step(RunAccepted("d", "r", "1", results=self.results), 1.0)
        return machine


Answer = tuple[Any, ...]
FAILED: Answer = ("failed",)
SUCCESS: Answer = ("success",)
"""The run's own state. With a value: `("value", how the instances of the result tasks ended)`."""


def answer_of(machine: RunMachine, designated: tuple[str, ...]) -> Answer:
    """What the call is to be answered with by how the run has ended, whenever that is told."""
    instances = [ti for ti in machine.instances() if ti.task.task_id in designated]
    if any(ti.state in BAD or not ti.state.is_final for ti in instances):
        return FAILED
    if any(ti.state is TaskState.SUCCESS for ti in instances):
        ends = Counter((ti.task.task_id, ti.state.value) for ti in instances)
        return ("value", *sorted(ends.items()))
    return SUCCESS if machine.state is RunState.SUCCESS else FAILED


Visit = Callable[[RunMachine, frozenset[Answer], Sequence[Event]], None]


class Explorer:
    """Of one case: visits every state that can be reached, and tells what each can still lead to.

    `visit(machine, answers, events)` is called once a state, after all of its continuations have been seen. `events`:
    one way to get there, what happens by itself left out.
    """

    def __init__(self, case: Case, most: int, visit: Visit) -> None:
        self._case = case
        self._most = most
        self._visit = visit
        self._seen: dict[Any, frozenset[Answer]] = {}
        self._clone = Clone(case.plan)
        self._events: list[Event] = []
        # Only these can tell an attempt that runs from one that is queued, delayed or waiting.
        self._moments_matter = case.plan.fail_fast or bool(case.branches)
        self._mapped_over = {
            source
            for task in case.plan.tasks
            if (mapping := case.plan.innermost_mapping(task)) is not None
            for source in mapping.upstreams
        }
        self._orderless = not any(case.plan.by_id[task].needs_expansion for task in case.branches)

    @property
    def states(self) -> int:
        return len(self._seen)

    def explore(self, machine: RunMachine) -> frozenset[Answer]:
        """What the run can end in. `machine` is used up."""
        told = machine.outcome
        while not self._moments_matter and self._go_on(machine):
            assert machine.outcome is told, "something was decided by what decides nothing"
        key = self._key(machine)
        known = self._seen.get(key)
        if known is not None:
            return known
        if len(self._seen) >= self._most:
            raise TooLarge
        answers: frozenset[Answer]
        if machine.state.is_final:
            answers = frozenset((answer_of(machine, self._case.designated),))
        else:
            self._seen[key] = answers = frozenset()
            fork = self._clone.of(machine)
            for event in list(self._choices(machine)):
                successor = fork()
                assert successor.step(event, 2.0), f"{event} does not apply"
                self._events.append(event)
                answers |= self.explore(successor)
                self._events.pop()
        self._seen[key] = answers
        self._visit(machine, answers, self._events)
        return answers

    def _go_on(self, machine: RunMachine) -> bool:
        events = list(moments(machine))
        for event in events:
            machine.step(event, 2.0)
        return bool(events)

    def _choices(self, machine: RunMachine) -> Iterator[Event]:
        """All that may happen next."""
        if self._moments_matter:
            yield from moments(machine)
        for awaited in machine.pending_awaits():
            if awaited.kind is EndKind.DEFERRED:
                for end in (EndKind.SUCCESS, EndKind.SKIPPED, EndKind.FAILED):
                    yield Resumed(awaited.task_id, awaited.map_index, awaited.attempt, ResumeHow.ENDED, end=end)
        for attempt, epoch, key, _ in machine.open_attempts():
            instance = machine.instance(key)
            assert instance is not None
            if epoch is not None:
                yield from self._ends(attempt, instance)

    def _ends(self, attempt: int, ti: TaskInstance) -> Iterator[Event]:
        task = ti.task
        if ti.suspended is None and not ti.reschedules and (kind := self._case.suspends.get(task.task_id)) is not None:
            method = None if kind is EndKind.RESCHEDULED else "resume"
            yield AttemptEnded(attempt, 1, kind, suspension=Suspension(method))
        elif self._case.plan.fail_fast and ti.suspended is not None:
            yield AttemptEnded(attempt, 1, EndKind.DEFERRED, suspension=Suspension(LAST))
        pushed = XComItem(RETURN_VALUE, b"x", 1)
        for xcoms in ((), (pushed,)) if task.needs_expansion and task.task_id in self._mapped_over else ((),):
            yield AttemptEnded(attempt, 1, EndKind.SKIPPED, xcoms=xcoms)
            yield AttemptEnded(attempt, 1, EndKind.FAILED, ErrorInfo("Boom", task.task_id), xcoms=xcoms)
        if ti.try_number <= task.retry.retries:
            yield AttemptEnded(attempt, 1, EndKind.RETRY, ErrorInfo("Boom", task.task_id))
        lengths: tuple[int | None, ...] = (1,)
        if task.task_id in self._mapped_over:
            lengths = (None, 1) if task.needs_expansion else LENGTHS
        for length in lengths:
            xcoms = () if length is None else (XComItem(RETURN_VALUE, b"x", length),)
            for skip in self._skips(ti):
                yield AttemptEnded(attempt, 1, EndKind.SUCCESS, xcoms=xcoms, plain=b"1", skip=skip)

    def _skips(self, ti: TaskInstance) -> Iterator[tuple[tuple[str, int], ...]]:
        """What the instance may decide to skip (`SkipMixin`, `ShortCircuitOperator`)."""
        kind = self._case.branches.get(ti.task.task_id)
        plan = self._case.plan
        below = direct_below(plan, ti.task.task_id)
        if kind is None or not below or ti.task.mapped_groups:  # nobody looks for what a branch in a mapped group skips
            yield ()
        elif kind == "branch":
            skips = set()
            for size in range(len(below) + 1):
                for chosen in itertools.combinations(below, size):
                    followed = set(chosen).union(*(all_below(plan, one) for one in chosen))
                    skips.add(tuple((one, ti.map_index) for one in below if one not in followed))
            yield from sorted(skips)
        else:
            skipped = below if kind == "short_circuit_direct" else all_below(plan, ti.task.task_id)
            yield ()
            yield tuple((one, ti.map_index) for one in skipped if not plan.by_id[one].is_teardown)

    def _key(self, machine: RunMachine) -> Any:
        """All that what comes depends on, and what was told; but for names and numbers of attempts, and times."""
        rows: list[Any] = [None if machine.outcome is None else machine.outcome.kind.value]
        for task in machine._board.tasks.values():
            instances = [self._instance_key(machine, ti) for ti in task.instances]
            # Where nobody looks at map indexes it makes no difference which instance did what.
            if self._orderless and not task.task.mapped_groups:
                instances.sort(key=repr)
            rows.append((task.expanded, tuple(instances), tuple(sorted(task.skipped_later))))
        return tuple(rows)

    def _instance_key(self, machine: RunMachine, ti: TaskInstance) -> Any:
        pushed: Any = None
        if ti.task.task_id in self._mapped_over:
            item = machine.xcoms.get(ti.task.task_id, ti.map_index, RETURN_VALUE)
            pushed = None if item is None else (item.mapped_length,)
        if ti.state.is_final:
            return (ti.state.value, pushed)
        return (
            ti.state.value,
            ti.epoch is not None,
            ti.try_number,
            ti.suspended and ti.suspended.suspension.next_method,
            ti.resumed is not None,
            ti.reschedules,
            pushed,
        )


def moments(machine: RunMachine) -> Iterator[Event]:
    """What happens by itself."""
    for attempt, epoch, _, _ in machine.open_attempts():
        if epoch is None:
            yield AttemptStarted(attempt, 1)
    for timer in machine.pending_timers():
        if isinstance(timer.event, RetryDue):
            yield timer.event
    for awaited in machine.pending_awaits():
        how = ResumeHow.DUE if awaited.kind is EndKind.RESCHEDULED else ResumeHow.EVENT
        if awaited.suspension.next_method != LAST:
            yield Resumed(awaited.task_id, awaited.map_index, awaited.attempt, how)


def is_cut_short(machine: RunMachine) -> bool:
    """More might happen than is tried: what is waited for is only let end in the `LAST` way."""
    return any(awaited.suspension.next_method == LAST for awaited in machine.pending_awaits())


def direct_below(plan: DagPlan, task_id: str) -> list[str]:
    return [task.task_id for task in plan.tasks if task_id in task.upstream]


def all_below(plan: DagPlan, task_id: str) -> list[str]:
    found = {task_id}
    for task in plan.tasks:
        if found.intersection(task.upstream):
            found.add(task.task_id)
    return [task.task_id for task in plan.tasks if task.task_id in found - {task_id}]


IMMUTABLE = (
    *(DagPlan, Graph, Node, TaskPlan, RunKey, Outcome, Await, EndedTry, RunAccepted, Resumed, ErrorInfo, XComItem),
    *(TaskState, RunState),
)
_shared: dict[int, Any] = {}


def _look_up(key: int) -> Any:
    return _shared[key]


def _share(thing: Any) -> tuple[Any, tuple[int]]:
    _shared[id(thing)] = thing
    return _look_up, (id(thing),)


class Clone:
    """Copies of machines of one plan, much faster than `deepcopy`: what never changes is not copied."""

    def __init__(self, plan: DagPlan) -> None:
        _shared.clear()
        self._table = dict.fromkeys(IMMUTABLE, _share)
        self._kept = (plan, graph_of(plan))

    def of(self, machine: RunMachine) -> Callable[[], RunMachine]:
        machine._board.commands, machine._board._event = [], None
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, 5)
        pickler.dispatch_table = self._table
        pickler.dump(machine)
        data = buffer.getvalue()
        return lambda: pickle.loads(data)  # type: ignore[no-any-return]
