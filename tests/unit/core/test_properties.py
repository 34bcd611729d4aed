"""What holds for every plan and every order of events."""

import copy
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagcall.core import forecast
from dagcall.core.machine import RunMachine
from dagcall.core.replay import replay
from dagcall.core.suspension import STATE_OF
from dagcall.model.commands import StartAttempt
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
    Suspension,
    XComChanged,
    XComItem,
)
from dagcall.model.ids import TaskKey
from dagcall.model.plan import RETURN_VALUE, DagPlan, MappedGroup, Mapping, MapSource, Retry, StartTrigger, TaskPlan
from dagcall.model.states import OutcomeKind, RunState, TaskState, TriggerRule

Runs = Callable[..., Any]
Snapshot = Callable[[RunMachine], Any]

ANY_ORDER = [TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE, TriggerRule.NONE_FAILED, TriggerRule.NONE_SKIPPED]
"""Rules under which, without skips, the end of a DAG does not depend on who ends first. (With `one_success` it does
where a task is expanded: whether the length is known when the rule is met. With two groups inside a third one it
depends on which length is known first.)"""

FROM_TRIGGER = StartTrigger("t.T", b"", "resume", b"")


@st.composite
def dags(
    draw: st.DrawFn,
    most: int = 6,
    rules: list[TriggerRule] | None = None,
    shortest: int = 0,
    branches: bool = True,
    nested: bool = True,
) -> tuple[TaskPlan, ...]:
    """`shortest`: the least length of a literal that is mapped over."""
    tasks: list[TaskPlan] = []
    for number in range(draw(st.integers(1, most))):
        names = [task.task_id for task in tasks]
        upstream = draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names else []
        setups = [task for task in tasks if task.is_setup and task.task_id in upstream]
        kind = draw(st.sampled_from(["plain", "plain", "plain", "setup", "teardown", "mapped", "empty", "branch"]))
        if kind == "teardown" and not setups:
            kind = "plain"
        mapping = None
        if kind == "mapped":
            sources = [MapSource("literal", length=draw(st.integers(shortest, 2)))]
            if upstream:
                sources.append(MapSource("xcom", task_id=draw(st.sampled_from(upstream))))
            mapping = Mapping((draw(st.sampled_from(sources)),))
        inside = () if mapping is not None else draw(mapped_groups_around(tasks, shortest, nested))
        for group in inside:  # what it is mapped over is upstream of its roots
            if group in names and not any(group in up.mapped_groups for up in tasks if up.task_id in upstream):
                upstream = list(dict.fromkeys([*upstream, group]))
        rule = draw(st.sampled_from(rules or list(TriggerRule)))
        if inside and rule is TriggerRule.ALWAYS:
            rule = TriggerRule.ALL_DONE  # Airflow allows no such task there
        if kind == "teardown":
            rule = TriggerRule.ALL_DONE_SETUP_SUCCESS
        tasks.append(
            TaskPlan(
                f"t{number}",
                operator="Scripted",
                upstream=tuple(upstream),
                trigger_rule=rule,
                mapping=mapping,
                mapped_groups=inside,
                retry=Retry(draw(st.sampled_from([0, 0, 1])), delay=1.0),
                is_setup=kind == "setup",
                is_teardown=kind == "teardown",
                on_failure_fail_dagrun=kind == "teardown" and draw(st.booleans()),
                is_empty=kind == "empty",
                is_result=draw(st.integers(0, 3)) == 0,
                can_skip_downstream=kind == "branch" and branches,
                start_trigger=FROM_TRIGGER if kind == "plain" and draw(st.integers(0, 5)) == 5 else None,
            )
        )
    return tuple(tasks)


@st.composite
def mapped_groups_around(draw: st.DrawFn, tasks: list[TaskPlan], shortest: int, nested: bool) -> tuple[str, ...]:
    """None mostly. The id of a group is what it is mapped over: the length of a literal, or a task."""
    if draw(st.integers(0, 2)):
        return ()
    sources = [task.task_id for task in tasks if not task.needs_expansion]
    inner = draw(st.sampled_from([*sources, *sources, "2", str(shortest)]))
    return (inner,) if not nested or draw(st.integers(0, 3)) or inner == "1" else (inner, "1")


def groups_of(tasks: Iterable[TaskPlan]) -> tuple[MappedGroup, ...]:
    def source(group: str) -> MapSource:
        return MapSource("literal", length=int(group)) if group.isdecimal() else MapSource("xcom", task_id=group)

    return tuple(
        MappedGroup(group, Mapping((source(group),)))
        for group in sorted({g for task in tasks for g in task.mapped_groups})
    )


def below(plan: DagPlan, task_id: str) -> list[str]:
    found = {task_id}
    for task in plan.tasks:
        if found.intersection(task.upstream):
            found.add(task.task_id)
    return [task.task_id for task in plan.tasks if task.task_id in found - {task_id}]


def ends_of(plan: DagPlan, task: TaskPlan, attempt: int, kinds: list[EndKind]) -> list[Event]:
    """The ways an attempt may end, as far as they make a difference."""
    ends: list[Event] = []
    for kind in kinds:
        if kind in STATE_OF:
            if attempt < 12:  # else a run might never end
                method = None if kind is EndKind.RESCHEDULED else "resume"
                xcoms = (XComItem("k", b"x"),)
                ends.append(AttemptEnded(attempt, 1, kind, xcoms=xcoms, suspension=Suspension(method)))
            continue
        error = ErrorInfo("Boom", kind.value) if kind is not EndKind.SUCCESS else None
        lengths: list[int | None] = [None]
        if kind is EndKind.SUCCESS and any(
            mapping is not None and task.task_id in mapping.upstreams
            for mapping in map(plan.innermost_mapping, plan.tasks)
        ):
            lengths = [0, 2] if not task.needs_expansion else [None]
        for length in lengths:
            xcoms = (XComItem(RETURN_VALUE, b"x", length),) if kind is EndKind.SUCCESS else ()
            ends.append(AttemptEnded(attempt, 1, kind, error, xcoms=xcoms, plain=b"1"))
            if kind is EndKind.SUCCESS and task.can_skip_downstream:
                direct = [t.task_id for t in plan.tasks if task.task_id in t.upstream]
                for skipped in [direct[:1], below(plan, task.task_id)] if direct else []:
                    skip = tuple((down, -1) for down in skipped)
                    ends.append(AttemptEnded(attempt, 1, kind, xcoms=xcoms, plain=b"1", skip=skip))
    return ends


def next_events(machine: RunMachine, kinds: list[EndKind] | None = None, *, slots: bool = False) -> list[Event]:
    """All that may happen next to a run, cancels and timeouts excepted. `slots`: an instance may have to wait for one,
    once."""
    events: list[Event] = [timer.event for timer in machine.pending_timers()]
    for awaited in machine.pending_awaits():
        how = ResumeHow.DUE if awaited.kind is EndKind.RESCHEDULED else ResumeHow.EVENT
        events.append(Resumed(awaited.task_id, awaited.map_index, awaited.attempt, how))
    for attempt, _, key, started in machine.open_attempts():
        instance = machine.instance(key)
        assert instance is not None
        if instance.state is TaskState.SCHEDULED:
            events.append(AttemptAdmitted(attempt))
        elif not started:
            events.append(AttemptStarted(attempt, 1))
            events += [AttemptBlocked(attempt, "pool 'p'")] if slots and not instance.waits_for else []
        else:
            events += [] if instance.has_emitted else [Emitted(attempt, 1, (b'"to"', b'"ken"'))]
            events += ends_of(machine.plan, machine.plan.by_id[key.task_id], attempt, kinds or list(EndKind))
    return events


def play(run: Any, data: st.DataObject, kinds: list[EndKind] | None = None) -> None:
    while events := next_events(run.machine, kinds, slots=True):
        run.feed(data.draw(st.sampled_from(events)))


@given(dags(), st.data(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_run_ends_and_is_answered_once(
    run_of: Runs, tasks: tuple[TaskPlan, ...], data: st.DataObject, fail_fast: bool
) -> None:
    run = run_of(*tasks, fail_fast=fail_fast, mapped_groups=groups_of(tasks))
    play(run, data)
    assert run.machine.state.is_final
    assert all(ti.state.is_final for ti in run.machine.instances())
    tries = [
        (record.data["task_id"], record.data["map_index"], record.data["try_number"])
        for record in run.records
        if record.data.get("state") == "running"
        and not any(start.attempt == record.event.attempt and start.continues for start in run.of(StartAttempt))
    ]
    assert len(tries) == len(set(tries)), "a try number was begun twice"


@given(dags(), st.data(), st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_a_cancelled_run_ends_failed_once_its_teardowns_are_done(
    run_of: Runs, tasks: tuple[TaskPlan, ...], data: st.DataObject, after: int
) -> None:
    run = run_of(*tasks, mapped_groups=groups_of(tasks))
    for _ in range(after):
        if events := next_events(run.machine):
            run.feed(data.draw(st.sampled_from(events)))
    if run.machine.state.is_final:
        return
    answered = run.outcome
    run.feed(CancelRequested("me"))
    assert all(ti.task.is_teardown for ti in run.machine.instances() if not ti.state.is_final)
    assert run.outcome == answered if answered else run.outcome.kind is OutcomeKind.CANCELLED
    play(run, data)
    assert run.machine.state is RunState.FAILED


def amendments(machine: RunMachine) -> list[Event]:
    """What other code may add to the run at any time."""
    events: list[Event] = []
    for ti in machine.instances():
        name, index = ti.task.task_id, ti.map_index
        item = XComItem("added", b"1")
        events += [XComChanged(name, index, "added", item), XComChanged(name, index, "added")]
        events += [AttemptAmended(name, index, attempt, (item,), b"{}") for attempt in (1, ti.first_attempt or 1)]
    return events


@given(dags(), st.data(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_replaying_the_records_gives_the_same_machine(
    run_of: Runs, snapshot: Snapshot, tasks: tuple[TaskPlan, ...], data: st.DataObject, fail_fast: bool
) -> None:
    run = run_of(*tasks, fail_fast=fail_fast, mapped_groups=groups_of(tasks))
    for _ in range(data.draw(st.integers(0, 25))):
        if events := next_events(run.machine, slots=True):
            run.feed(data.draw(st.sampled_from([*events, CancelRequested()] if len(events) > 3 else events)))
        if data.draw(st.booleans()):
            run.feed(data.draw(st.sampled_from(amendments(run.machine))))
    again = replay(run.plan, run.machine.key, run.records)
    assert snapshot(again) == snapshot(run.machine)
    if events := next_events(run.machine):
        event = data.draw(st.sampled_from(events))
        assert again.step(event, 1000.0) == run.machine.step(event, 1000.0)


@given(dags(most=8, rules=ANY_ORDER, shortest=1, branches=False, nested=False), st.data())
@settings(max_examples=200, deadline=None)
def test_the_end_does_not_depend_on_the_order_of_completions(
    run_of: Runs, tasks: tuple[TaskPlan, ...], data: st.DataObject
) -> None:
    fates: dict[tuple[TaskKey, int], AttemptEnded] = {}

    def fate_of(run: Any, event: AttemptEnded) -> AttemptEnded:
        """How that try ended when it was first played, whichever attempt number it had."""
        key = next(key for attempt, _, key, _ in run.machine.open_attempts() if attempt == event.attempt)
        fate = fates.setdefault((key, run.machine.instance(key).try_number), event)
        return replace(fate, attempt=event.attempt)

    def one_play(choose: Callable[[list[Event]], Event]) -> tuple[dict[str, str], RunState]:
        run = run_of(*tasks, mapped_groups=groups_of(tasks))
        while events := next_events(run.machine, [EndKind.SUCCESS, EndKind.RETRY]):
            event = choose([event for event in events if not maps_over_nothing(event)])
            run.feed(fate_of(run, event) if isinstance(event, AttemptEnded) else event)
        return run.states(), run.machine.state

    played = one_play(lambda events: data.draw(st.sampled_from(events)))
    assert one_play(lambda events: events[0]) == played
    assert one_play(lambda events: events[-1]) == played
    assert one_play(lambda events: data.draw(st.sampled_from(events))) == played


def maps_over_nothing(event: Event) -> bool:
    return isinstance(event, AttemptEnded) and any(item.mapped_length == 0 for item in event.xcoms)


def is_bad(machine: RunMachine, designated: tuple[str, ...]) -> bool:
    if not designated:
        return machine.state is RunState.FAILED
    return any(
        ti.state in (TaskState.FAILED, TaskState.UPSTREAM_FAILED)
        for ti in machine.instances()
        if ti.task.task_id in designated
    )


def explore(machine: RunMachine, budget: list[int], seen: set[Any], snapshot: Snapshot) -> list[RunMachine]:
    """The ends of all continuations, as far as the budget of steps goes."""
    if machine.state.is_final:
        return [machine]
    ends: list[RunMachine] = []
    # Queued attempts are started at once: that alone decides nothing.
    for attempt, _, _, started in machine.open_attempts():
        if not started:
            machine.step(AttemptStarted(attempt, 1), 1.0)
    state = repr([(ti.key, ti.state, ti.try_number) for ti in machine.instances()])
    if state in seen:
        return []
    seen.add(state)
    for event in next_events(machine, [EndKind.SUCCESS, EndKind.FAILED, EndKind.SKIPPED]):
        if budget[0] <= 0:
            break
        budget[0] -= 1
        fork = copy.deepcopy(machine)
        fork.step(event, 1.0)
        ends += explore(fork, budget, seen, snapshot)
    return ends


@given(dags(most=5), st.data(), st.booleans())
@settings(max_examples=120, deadline=None)
def test_an_outcome_is_certain_in_every_continuation(
    run_of: Runs, snapshot: Snapshot, tasks: tuple[TaskPlan, ...], data: st.DataObject, fail_fast: bool
) -> None:
    run = run_of(*tasks, fail_fast=fail_fast, mapped_groups=groups_of(tasks))
    while run.outcome is None:
        # No step may leave a certain failure unnoticed: the machine looks for it only when it has a reason to.
        foreseen = forecast.Forecast(run.machine._watch._scene, run.machine._board.tasks)
        assert not any(foreseen.is_doomed(task) for task in run.machine._watch._watched)
        run.feed(data.draw(st.sampled_from(next_events(run.machine))))
    outcome = run.outcome
    ends = explore(copy.deepcopy(run.machine), [150], set(), snapshot)
    assert ends
    for end in ends:
        assert is_bad(end, outcome.designated) == (outcome.kind is OutcomeKind.FAILED), end.instances()


@given(dags(most=5, branches=False), st.data())
@settings(max_examples=120, deadline=None)
def test_the_forecast_holds_every_state_that_comes(
    run_of: Runs, snapshot: Snapshot, tasks: tuple[TaskPlan, ...], data: st.DataObject
) -> None:
    """Also where no answer depends on it: each state reached is one that was forecast for its task."""
    bits = {
        TaskState.SUCCESS: forecast.SUCCESS,
        TaskState.SKIPPED: forecast.SKIPPED,
        TaskState.FAILED: forecast.FAILED,
        TaskState.UPSTREAM_FAILED: forecast.UPSTREAM_FAILED,
    }
    run = run_of(*(replace(task, is_result=False) for task in tasks), mapped_groups=groups_of(tasks))
    for _ in range(data.draw(st.integers(0, 8))):
        if events := next_events(run.machine):
            run.feed(data.draw(st.sampled_from(events)))
    foreseen = forecast.Forecast(run.machine._watch._scene, run.machine._board.tasks).ends
    for end in explore(copy.deepcopy(run.machine), [80], set(), snapshot):
        for ti in end.instances():
            if end.state.is_final and ti.state.is_final:
                possible = foreseen[ti.task.task_id]
                assert any(mask & bits[ti.state] for mask in possible), (ti, possible)


# A failing task looks at all tasks (not at all instances) on the path to the answer: `mapped` only.
@pytest.mark.parametrize(("mapped", "end"), [(True, EndKind.SUCCESS), (True, EndKind.FAILED), (False, EndKind.SUCCESS)])
def test_a_step_costs_the_same_however_wide_the_run_is(run_of: Runs, mapped: bool, end: EndKind) -> None:
    """Counted in bytecode instructions, which do not depend on the machine that runs the test."""

    def cost(width: int) -> float:
        if mapped:
            literal = Mapping((MapSource("literal", length=width),))
            middle = (TaskPlan("m", "Scripted", ("a",), mapping=literal),)
        else:
            middle = tuple(TaskPlan(f"m{i}", "Scripted", ("a",)) for i in range(width))
        last = TaskPlan("z", "Scripted", tuple(t.task_id for t in middle), trigger_rule=TriggerRule.ALL_DONE)
        run = run_of(TaskPlan("a", "Scripted"), *middle, last)
        run.end("a")
        machine = run.machine
        attempts = [attempt for attempt, *_ in machine.open_attempts()]
        for attempt in attempts:
            machine.step(AttemptStarted(attempt, 1), 1.0)
        count = 0

        def trace(frame: Any, what: str, _: Any) -> Any:
            nonlocal count
            frame.f_trace_opcodes = True
            count += what == "opcode"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            for attempt in attempts[: width // 2]:
                machine.step(AttemptEnded(attempt, 1, end), 2.0)
        finally:
            sys.settrace(before)
        return count / (width // 2)

    narrow, wide = cost(20), cost(200)
    assert wide < narrow * 1.1, (narrow, wide)
