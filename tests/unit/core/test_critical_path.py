"""Which attempts an answer waited for, and for what."""

from collections.abc import Callable
from typing import Any

import pytest

from dagcall.core.critical_path import PARTS, Step, critical_path, whole
from dagcall.model.commands import Await
from dagcall.model.events import AttemptAdmitted, AttemptBlocked, EndKind, Resumed, ResumeHow, RetryDue, Suspension
from dagcall.model.plan import Retry, StartTrigger, TaskPlan

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]


def path(run: Any, commit: float = 0.0) -> list[Step]:
    """`commit`: how long each batch takes to be durable; 0: not known."""
    times = {record.id: record.time for record in run.records}
    steps = critical_path(run.plan, run.machine.key, run.records, lambda id_: times[id_] + commit if commit else None)
    answered = [record.time for record in run.records if record.kind in ("result", "failure")]
    last = answered[0] if answered else run.now
    if steps:
        assert sum(whole(steps).values()) == pytest.approx(last + commit - run.records[0].time)
    assert all(getattr(step, part) >= 0 for step in steps for part in PARTS)
    return steps


def ids(steps: list[Step]) -> list[str]:
    return [step.task_id for step in steps]


def test_the_task_that_came_last_is_waited_for_and_no_side_branch(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b"), task("aside", "a"), task("value", "a", "b", is_result=True))
    for one in ("b", "a", "aside", "value"):
        run.end(one)
    assert ids(path(run)) == ["a", "value"]


def test_parts_of_a_task(task: Task, run_of: Runs) -> None:
    """Every event comes a second after the last one, and is durable a quarter of a second later."""
    run = run_of(task("a", is_result=True))
    run.start("a")
    run.end("a")
    assert path(run) == [Step("a", -1, 1, queue=0.0, worker=1.0, task=1.0, journal=0.0, wait=0.0)]
    assert path(run, 0.25) == [Step("a", -1, 1, queue=0.0, worker=0.75, task=0.75, journal=0.75, wait=0.0)]


def test_in_line_for_a_slot(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True))
    run.feed(AttemptBlocked(1, "pool"))
    run.now += 10
    run.feed(AttemptAdmitted(1))
    run.start("a")
    run.end("a")
    assert path(run) == [Step("a", -1, 1, queue=11.0, worker=2.0, task=1.0, journal=0.0, wait=0.0)]


def test_a_retry_has_waited(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", retry=Retry(1, delay=60.0), is_result=True))
    run.start("a")
    run.end("a", "retry")
    run.now += 58
    run.feed(RetryDue("a", -1, 1))
    run.start("a")
    run.end("a")
    first, second = path(run)
    assert (first.try_number, first.wait) == (1, 59.0)
    assert (second.try_number, second.wait) == (2, 0.0)


def test_a_suspended_try_has_waited(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True))
    run.start("a")
    run.end("a", EndKind.DEFERRED, suspension=Suspension("resume", trigger="t"))
    run.now += 9
    run.feed(Resumed("a", -1, 1, ResumeHow.EVENT))
    run.start("a")
    run.end("a")
    assert [step.wait for step in path(run)] == [10.0, 0.0]


def test_a_failure_was_waited_for_too(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b", "a"), task("slow"), task("value", "b", "slow", is_result=True))
    run.end("a")
    run.end("b", "failed")
    assert ids(path(run)) == ["a", "b"]


def test_before_the_answer_it_is_the_way_to_the_latest_event(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b", "a", is_result=True))
    assert path(run) == []
    run.end("a")
    run.start("b")
    assert ids(path(run)) == ["a", "b"]


def test_what_begins_with_a_trigger_needed_no_worker(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", start_trigger=StartTrigger("t", b"", "resume", b""), is_result=True))
    assert isinstance(run.commands[-1], Await)
    run.now += 9
    run.feed(Resumed("a", -1, 1, ResumeHow.EVENT))
    run.start("a")
    run.end("a")
    first, second = path(run)
    assert (first.worker, first.task, first.wait) == (0.0, 0.0, 10.0)
    assert second.worker == 1.0
