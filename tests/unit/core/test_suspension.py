"""Tries that let go of their worker, by example: one story a test."""

from collections.abc import Callable
from typing import Any

import pytest

from dagcall.core.replay import replay
from dagcall.errors import InternalError
from dagcall.model.commands import Await, Continuation, StartAttempt, StopAwait
from dagcall.model.events import (
    AttemptEnded,
    CancelRequested,
    EndKind,
    Resumed,
    ResumeHow,
    RetryDue,
    RunTimedOut,
    Suspension,
    TimeoutKind,
    XComItem,
)
from dagcall.model.ids import TaskKey
from dagcall.model.plan import Retry, StartTrigger, TaskPlan
from dagcall.model.states import OutcomeKind, RunState

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]

SUSPENDED = pytest.mark.parametrize("kind", ["rescheduled", "deferred", "awaiting_input"])


def test_a_deferred_try_goes_on_where_it_left_off(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True))
    started = run.now + 1.0
    run.suspend("a", next_kwargs=b"kwargs", trigger="t.T", trigger_kwargs=b"tk", xcoms=(XComItem("k", b"1"),))
    awaited = Suspension("resume", b"kwargs", None, "t.T", b"tk")
    assert run.commands[-1] == Await(1, "a", -1, 1, EndKind.DEFERRED, awaited, first_attempt=1)
    assert run.machine.pending_awaits() == run.of(Await)
    assert run.machine.open_attempts() == []
    assert run.states() == {"a": "deferred"}
    assert run.machine.state is RunState.RUNNING
    assert run.outcome is None

    run.resume("a", payload=b"event")
    resumed = Resumed("a", -1, 1, ResumeHow.EVENT, b"event")
    assert run.of(StartAttempt)[-1] == StartAttempt(
        2, "a", -1, 1, on_answer_path=True, continues=Continuation(awaited, resumed, 1, started)
    )
    assert run.machine.start_of(2) == run.of(StartAttempt)[-1]
    run.end("a", plain=b"7")
    instance = run.machine.instance(TaskKey("a"))
    assert (instance.try_number, instance.start_date, instance.first_attempt) == (1, started, 1)
    assert [(one.try_number, one.state.value, one.start_date) for one in instance.tries] == [(1, "success", started)]
    assert run.machine.xcoms.get("a", -1, "k") is not None
    assert run.outcome.results == {"a": b"7"}
    assert run.told() == [
        *["accepted", "a running", "a deferred", "a queued", "a running", "a success"],
        *["result", "end"],
    ]
    assert run.of(StopAwait) == []


def test_a_rescheduled_try_runs_from_its_beginning(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"))
    run.suspend("a", "rescheduled", due=100.0, xcoms=(XComItem("k", b"1"),))
    first = run.now
    run.resume("a", "due")
    assert run.machine.xcoms.get("a", -1, "k") is not None
    run.start("a")
    assert run.machine.xcoms.get("a", -1, "k") is None
    assert run.machine.instance(TaskKey("a")).start_date == run.now
    run.suspend("a", "rescheduled", due=200.0)
    run.resume("a", "due")
    continues = run.of(StartAttempt)[-1].continues
    assert (continues.reschedules, continues.first_reschedule, continues.first_attempt) == (2, first, 1)
    run.end("a")
    assert run.machine.state is RunState.SUCCESS
    assert len(run.machine.instance(TaskKey("a")).tries) == 1


def test_defer_resume_retry_defer(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", retry=Retry(1)))
    run.suspend("a", "rescheduled")
    run.resume("a", "due")
    run.suspend("a", xcoms=(XComItem("k", b"1"),))
    run.resume("a", "failed", b"lines")
    run.end("a", "retry")
    assert run.states() == {"a": "up_for_retry"}
    assert run.machine.pending_awaits() == []
    run.feed(RetryDue("a", -1, 1))
    assert run.of(StartAttempt)[-1] == StartAttempt(4, "a", -1, 2, on_answer_path=True)
    run.start("a")
    assert run.machine.xcoms.get("a", -1, "k") is None
    run.suspend("a")
    run.resume("a")
    continues = run.of(StartAttempt)[-1].continues
    assert (continues.reschedules, continues.first_reschedule, continues.first_attempt) == (0, None, 4)
    run.end("a")
    assert [(one.try_number, one.state.value) for one in run.machine.instance(TaskKey("a")).tries] == [
        (1, "up_for_retry"),
        (2, "success"),
    ]


def test_only_the_attempt_that_suspended_the_try_resumes_it_and_once(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b"))
    run.suspend("a")
    run.suspend("b")
    assert run.feed(Resumed("a", -1, 2, ResumeHow.EVENT)) == []
    assert run.feed(Resumed("b", -1, 1, ResumeHow.EVENT)) == []
    assert run.feed(AttemptEnded(1, 1, EndKind.SUCCESS)) == []
    run.resume("a")
    assert run.feed(Resumed("a", -1, 1, ResumeHow.TIMEOUT)) == []
    run.suspend("a")
    assert run.feed(Resumed("a", -1, 1, ResumeHow.EVENT)) == []
    run.resume("a")
    run.end("a")
    assert run.states() == {"a": "success", "b": "deferred"}


@SUSPENDED
def test_a_cancel_fails_what_is_suspended_and_stops_the_waiting(task: Task, run_of: Runs, kind: str) -> None:
    run = run_of(task("a"), task("later", "a"))
    run.suspend("a", kind)
    commands = run.feed(CancelRequested("me"))
    assert StopAwait(1) in commands
    assert run.states() == {"a": "failed", "later": "skipped"}
    assert run.machine.state is RunState.FAILED
    assert run.feed(Resumed("a", -1, 1, ResumeHow.EVENT)) == []
    assert run.machine.pending_awaits() == []


@SUSPENDED
def test_the_deadline_of_the_call_fails_it_and_the_runs_own_timeout_skips_it(
    task: Task, run_of: Runs, kind: str
) -> None:
    run = run_of(task("a"), accept={"deadline": 9.0})
    run.suspend("a", kind)
    run.feed(RunTimedOut(TimeoutKind.DEADLINE))
    assert run.states() == {"a": "failed"}
    assert run.outcome.kind is OutcomeKind.DEADLINE

    run = run_of(task("a"), dagrun_timeout=9.0)
    run.suspend("a", kind)
    commands = run.feed(RunTimedOut(TimeoutKind.DAGRUN_TIMEOUT))
    assert StopAwait(1) in commands
    assert run.states() == {"a": "skipped"}
    assert run.machine.state is RunState.FAILED


@SUSPENDED
def test_fail_fast_skips_what_is_suspended(task: Task, run_of: Runs, kind: str) -> None:
    run = run_of(task("a"), task("b"), task("c"), fail_fast=True)
    run.suspend("a", kind)
    run.start("c")
    run.end("b", "failed")
    assert run.states() == {"a": "skipped", "b": "failed", "c": "failed"}


def test_a_teardown_that_is_suspended_goes_on_after_a_cancel(task: Task, run_of: Runs) -> None:
    rule = "all_done_setup_success"
    run = run_of(task("s", is_setup=True), task("t", "s", is_teardown=True, trigger_rule=rule), task("a"))
    run.end("s")
    run.suspend("t")
    run.feed(CancelRequested())
    assert run.states() == {"s": "success", "t": "deferred", "a": "skipped"}
    run.resume("t")
    run.end("t")
    assert run.machine.state is RunState.FAILED


def test_waiting_is_no_deadlock_and_decides_nothing(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b"), task("c", "a", "b", is_result=True))
    run.suspend("a")
    run.end("b")
    assert run.outcome is None
    assert run.states()["c"] == "none"
    run.resume("a", "timeout")
    run.end("a", "failed")
    assert run.outcome.kind is OutcomeKind.FAILED


def test_a_branch_that_ends_meanwhile_skips_what_is_suspended(task: Task, run_of: Runs) -> None:
    for kind in ("deferred", "rescheduled"):
        run = run_of(task("up", can_skip_downstream=True), task("x", "up", trigger_rule="always"))
        run.suspend("x", kind)
        (awaited,) = run.machine.pending_awaits()
        assert StopAwait(awaited.attempt) in run.end("up", skip=(("x", -1),))
        assert run.states() == {"up": "success", "x": "skipped"}


@SUSPENDED
def test_a_replay_waits_for_the_same_and_goes_on_alike(task: Task, run_of: Runs, snapshot: Any, kind: str) -> None:
    run = run_of(task("a", retry=Retry(1)), task("b"))
    run.suspend("a", "rescheduled", due=50.0)
    run.resume("a", "due")
    run.suspend("a", kind, due=100.0)
    again = replay(run.plan, run.machine.key, run.records)
    assert snapshot(again) == snapshot(run.machine)
    assert again.pending_awaits() == run.machine.pending_awaits() != []
    run.resume("a", "due" if kind == "rescheduled" else "event", b"e")
    again = replay(run.plan, run.machine.key, run.records)
    assert again.open_attempts() == run.machine.open_attempts()
    assert [again.start_of(n) for n, *_ in again.open_attempts()] == [
        run.machine.start_of(n) for n, *_ in run.machine.open_attempts()
    ]


def test_a_trigger_may_end_the_try(task: Task, run_of: Runs, snapshot: Any) -> None:
    run = run_of(task("a", is_result=True), task("b", retry=Retry(1)), task("c"))
    for name in "abc":
        run.suspend(name)
    xcoms = (XComItem("return_value", b"x"),)
    run.resume("a", "ended", end=EndKind.SUCCESS, xcoms=xcoms, plain=b"7")
    assert run.outcome.results == {"a": b"7"}
    run.resume("b", "ended", end=EndKind.FAILED, xcoms=xcoms)
    run.resume("c", "ended", end=EndKind.SKIPPED)
    assert run.states() == {"a": "success", "b": "up_for_retry", "c": "skipped"}
    assert run.machine.xcoms.get("b", -1, "return_value") is None
    assert run.of(StopAwait) == []
    run.feed(RetryDue("b", -1, 1))
    run.suspend("b")
    run.resume("b", "ended", end=EndKind.FAILED, xcoms=xcoms)
    assert run.machine.xcoms.get("b", -1, "return_value") is not None
    assert run.machine.state is RunState.FAILED
    assert snapshot(replay(run.plan, run.machine.key, run.records)) == snapshot(run.machine)


def test_what_was_pushed_for_a_try_while_it_waited_is_its_own(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"))
    run.suspend("a")
    run.resume("a", xcoms=(XComItem("k", b"1"),))
    run.start("a")
    assert run.machine.xcoms.get("a", -1, "k") == XComItem("k", b"1")


def test_a_task_may_begin_with_its_trigger(task: Task, run_of: Runs, snapshot: Any) -> None:
    """`TaskInstance.defer_task`: no worker, its own timeout or the execution_timeout, and so with each try."""
    trigger = StartTrigger("t.T", b"k", "resume", b"n", timeout=9.0)
    run = run_of(task("a", start_trigger=trigger, execution_timeout=5.0, retry=Retry(1), is_result=True))
    waits_for = Suspension("resume", b"n", run.now + 5.0, "t.T", b"k")
    assert run.of(Await) == [Await(1, "a", -1, 1, EndKind.DEFERRED, waits_for, first_attempt=1)]
    assert run.machine.state is RunState.RUNNING
    assert run.of(StartAttempt) == []
    begun = run.now
    run.resume("a", payload=b"e")
    (start,) = run.of(StartAttempt)
    assert (start.attempt, start.try_number, start.continues.first_attempt) == (2, 1, 1)
    run.end("a", "retry", xcoms=(XComItem("k", b"1"),))
    assert run.machine.instance(TaskKey("a")).start_date == begun
    run.feed(RetryDue("a", -1, 1))
    assert run.states() == {"a": "deferred"}
    assert (run.of(Await)[-1].attempt, run.of(Await)[-1].try_number) == (3, 2)
    assert run.machine.pending_timers() == []
    assert snapshot(replay(run.plan, run.machine.key, run.records)) == snapshot(run.machine)
    run.resume("a")
    run.end("a", plain=b"1")
    assert [(one.try_number, one.state.value) for one in run.machine.instance(TaskKey("a")).tries] == [
        (1, "up_for_retry"),
        (2, "success"),
    ]
    assert run.told() == [
        *["accepted", "a deferred", "a queued", "a running", "a up_for_retry"],
        *["a deferred", "a queued", "a running", "a success", "result", "end"],
    ]


def test_no_worker_for_the_next_attempt_is_a_failure_of_the_try(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"))
    run.suspend("a")
    run.resume("a")
    run.feed(AttemptEnded(2, 1, EndKind.LOST))
    (ended,) = run.machine.instance(TaskKey("a")).tries
    assert (ended.state.value, ended.start_date) == ("failed", 2.0)


def test_an_attempt_that_was_not_started_cannot_suspend_its_try(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"))
    assert run.feed(AttemptEnded(1, 1, EndKind.DEFERRED, suspension=Suspension("m"))) == []
    run.start("a")
    with pytest.raises(InternalError, match="without saying until when"):
        run.feed(AttemptEnded(1, 1, EndKind.DEFERRED))
