"""The deadline of a call: it ends the work, and no try is begun that could not end before it."""

from collections.abc import Callable
from typing import Any

import pytest

from dagcall.core.replay import replay
from dagcall.model.commands import SetTimer, StartAttempt
from dagcall.model.events import RetryDue, RunTimedOut, TimeoutKind
from dagcall.model.plan import Retry, TaskPlan
from dagcall.model.states import OutcomeKind, RunState

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]


def test_a_retry_that_fits_is_made(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", retry=Retry(1, delay=60.0), is_result=True), accept={"deadline": 100.0})
    run.end("a", "retry")
    assert run.states() == {"a": "up_for_retry"}
    assert run.timers[-1] == SetTimer(63.0, RetryDue("a", -1, 1))


@pytest.mark.parametrize("kind", ["retry", "lost"])
def test_a_retry_that_cannot_fit_is_not_made_and_the_failure_says_so(
    task: Task, run_of: Runs, snapshot: Callable[..., Any], kind: str
) -> None:
    run = run_of(task("a", retry=Retry(3, delay=60.0), is_result=True), accept={"deadline": 30.0})
    run.end("a", kind, **({"error": None} if kind == "lost" else {}))
    assert run.states() == {"a": "failed"}
    assert run.outcome.kind is OutcomeKind.FAILED
    message = run.outcome.failure.error.message
    assert message.endswith("(not tried again: the next try is due in 60 s, the deadline of the call in 27 s)")
    assert message.startswith("a broke" if kind == "retry" else "the task failed")
    assert not [timer for timer in run.timers if isinstance(timer.event, RetryDue)]
    assert snapshot(replay(run.plan, run.machine.key, run.records)) == snapshot(run.machine)


def test_the_delay_that_the_task_chose_counts(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", retry=Retry(1, delay=1.0), is_result=True), accept={"deadline": 30.0})
    run.end("a", "retry", retry_delay=40.0)
    assert run.states() == {"a": "failed"}


def test_a_worker_that_found_it_too_late_itself_gives_the_same_reason(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", retry=Retry(1, delay=60.0), is_result=True), accept={"deadline": 30.0})
    run.end("a", "failed", retry_delay=60.0)
    assert run.outcome.failure.error.message.endswith(
        "(not tried again: the next try is due in 60 s, the deadline of the call in 27 s)"
    )


def test_teardowns_are_retried_whatever_the_deadline(task: Task, run_of: Runs) -> None:
    tasks = (
        task("s", is_setup=True),
        task("a", "s", is_result=True),
        task("t", "s", "a", is_teardown=True, trigger_rule="all_done_setup_success", retry=Retry(1, delay=60.0)),
    )
    run = run_of(*tasks, accept={"deadline": 30.0})
    run.end("s")
    run.start("a")
    run.feed(RunTimedOut(TimeoutKind.DEADLINE))
    assert run.outcome.kind is OutcomeKind.DEADLINE
    run.end("t", "retry")
    assert run.states()["t"] == "up_for_retry"
    run.feed(RetryDue("t", -1, 1))
    run.end("t")
    assert run.machine.state is RunState.FAILED


def test_the_deadline_ends_what_waits_for_a_worker(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True), accept={"deadline": 30.0})
    assert [one.attempt for one in run.of(StartAttempt)] == [1]
    run.feed(RunTimedOut(TimeoutKind.DEADLINE))
    assert run.states() == {"a": "skipped"}
    assert run.outcome.kind is OutcomeKind.DEADLINE
    assert run.machine.state is RunState.FAILED
