"""The machine by example: one story a test."""

from collections.abc import Callable
from typing import Any

import pytest

from dagcall.errors import InternalError
from dagcall.model.commands import Answer, EndRun, SetTimer, StartAttempt, StopAttempt
from dagcall.model.events import (
    AttemptAdmitted,
    AttemptBlocked,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    EndKind,
    RejectInfo,
    RetryDue,
    RunAccepted,
    RunTimedOut,
    TimeoutKind,
    XComItem,
)
from dagcall.model.ids import TaskKey
from dagcall.model.plan import Mapping, MapSource, Retry, TaskPlan
from dagcall.model.states import OutcomeKind, RunState, TaskState

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]

DAGRUN_TIMEOUT = RunTimedOut(TimeoutKind.DAGRUN_TIMEOUT)
DEADLINE = RunTimedOut(TimeoutKind.DEADLINE)


def over(task_id: str) -> Mapping:
    return Mapping((MapSource("xcom", task_id=task_id),))


def test_a_chain(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b", "a", is_result=True))
    assert run.machine.state is RunState.QUEUED
    assert run.of(StartAttempt) == [StartAttempt(1, "a", -1, 1, on_answer_path=True)]
    run.start("a")
    assert run.machine.state is RunState.RUNNING
    run.end("a")
    run.end("b", plain=b'"hello"')
    assert run.outcome.kind is OutcomeKind.SUCCESS
    assert run.outcome.results == {"b": b'"hello"'}
    assert run.machine.state is RunState.SUCCESS
    assert run.told() == ["accepted", "a running", "a success", "b running", "b success", "result", "end"]
    instance = run.machine.instance(TaskKey("a"))
    assert (instance.queued_at, instance.start_date, instance.end_date) == (1.0, 2.0, 3.0)
    assert (run.machine.start_date, run.machine.end_date) == (2.0, 5.0)


def test_no_tasks_is_success_at_once(run_of: Runs) -> None:
    run = run_of()
    assert run.told() == ["accepted", "result", "end"]
    assert run.outcome.designated == ()


def test_empty_operators_need_no_worker(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_empty=True), task("b", "a", is_empty=True))
    assert run.states() == {"a": "success", "b": "success"}
    assert [ti.try_number for ti in run.machine.instances()] == [1, 1]
    assert not run.of(StartAttempt)
    assert run.machine.state is RunState.SUCCESS


def test_the_result_does_not_wait_for_side_branch_and_teardown(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("setup", is_setup=True),
        task("result", "setup", is_result=True),
        task("side", "setup"),
        task("teardown", "setup", "result", "side", is_teardown=True, trigger_rule="all_done_setup_success"),
    )
    run.end("setup")
    starts = {command.task_id: command.on_answer_path for command in run.of(StartAttempt)}
    assert starts == {"setup": True, "result": True, "side": False}
    commands = run.end("result", plain=b"42")
    assert run.outcome.results == {"result": b"42"}
    assert any(isinstance(command, Answer) for command in commands)
    assert run.machine.state is RunState.RUNNING
    run.end("side", "failed")
    run.end("teardown")
    assert run.machine.state is RunState.FAILED  # the side branch is a leaf
    assert run.outcome.kind is OutcomeKind.SUCCESS


def test_a_failure_does_not_wait_for_a_running_sibling(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("sibling"), task("b", "a", "sibling"), task("result", "b", is_result=True))
    run.start("sibling")
    run.end("a", "failed")
    failure = run.outcome.failure
    assert run.outcome.kind is OutcomeKind.FAILED
    assert (failure.failed_task, failure.try_number, failure.error.message) == ("a", 1, "a broke")
    assert [(link.task_id, link.state) for link in failure.cause] == [
        ("a", TaskState.FAILED),
        ("b", TaskState.UPSTREAM_FAILED),
        ("result", TaskState.UPSTREAM_FAILED),
    ]
    run.end("sibling")
    assert run.machine.state is RunState.FAILED


def test_a_failure_that_is_handled_is_no_failure(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b", "a", trigger_rule="all_done", is_result=True))
    run.end("a", "failed")
    assert run.outcome is None
    run.end("b", plain=b"1")
    assert run.outcome.kind is OutcomeKind.SUCCESS
    assert run.machine.state is RunState.SUCCESS


def test_retries(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", retry=Retry(2, delay=10.0)))
    run.end("a", "retry", xcoms=(XComItem("k", b"old"),))
    assert run.states() == {"a": "up_for_retry"}
    assert run.timers == [SetTimer(13.0, RetryDue("a", -1, 1))]
    assert run.machine.pending_timers() == run.timers
    run.feed(RetryDue("a", -1, 1))
    assert run.of(StartAttempt)[-1] == StartAttempt(2, "a", -1, 2, on_answer_path=True)
    assert run.machine.xcoms.get("a", -1, "k") is not None
    run.start("a")
    assert run.machine.xcoms.get("a", -1, "k") is None
    run.end("a", "lost")
    run.feed(RetryDue("a", -1, 2))
    run.end("a", "retry", retry_delay=0.5)
    assert run.states() == {"a": "failed"}
    instance = run.machine.instance(TaskKey("a"))
    assert [(ended.try_number, ended.state.value) for ended in instance.tries] == [
        (1, "up_for_retry"),
        (2, "up_for_retry"),
        (3, "failed"),
    ]
    assert run.told() == [
        "accepted",
        *["a running", "a up_for_retry", "a queued"] * 2,
        *["a running", "a failed", "failure", "end"],
    ]


def test_a_failing_task_with_tries_left_is_not_yet_a_failure(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", retry=Retry(1), is_result=True))
    run.end("a", "lost")
    assert run.outcome is None
    run.feed(RetryDue("a"))
    run.end("a")
    assert run.outcome.results == {"a": b"null"}


def test_stale_events_change_nothing(task: Task, run_of: Runs, snapshot: Callable[..., Any]) -> None:
    run = run_of(task("a", retry=Retry(1)), task("b"))
    run.start("a")
    before = snapshot(run.machine)
    for event in (
        AttemptStarted(1, 7),
        AttemptStarted(99, 1),
        AttemptEnded(1, 7, EndKind.SUCCESS),
        AttemptEnded(2, 1, EndKind.SUCCESS),
        AttemptEnded(99, 1, EndKind.LOST),
        RetryDue("a", -1, 1),
        RetryDue("a", 3, 1),
        RetryDue("nobody", -1, 1),
    ):
        assert run.feed(event) == []
    assert snapshot(run.machine) == before
    run.end("a", "retry")
    assert run.feed(AttemptEnded(1, 1, EndKind.SUCCESS)) == []
    run.feed(RetryDue("a", -1, 1))
    assert run.feed(RetryDue("a", -1, 1)) == []
    run.end("a")
    run.end("b")
    assert run.machine.state.is_final
    assert run.feed(CancelRequested()) == []
    assert run.feed(DAGRUN_TIMEOUT) == []


def test_wrong_order_of_life_is_a_bug(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"))
    with pytest.raises(InternalError, match="RunAccepted"):
        run.machine.step(RunAccepted("d", "r", "1"), 1.0)
    fresh = type(run.machine)(run.plan, run.machine.key)
    with pytest.raises(InternalError, match="CancelRequested"):
        fresh.step(CancelRequested(), 1.0)
    with pytest.raises(InternalError, match="not accepted"):
        fresh.accepted  # noqa: B018


def test_an_attempt_that_no_worker_took_can_fail_but_not_succeed(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", retry=Retry(1)))
    assert run.feed(AttemptEnded(1, 1, EndKind.SUCCESS)) == []
    run.feed(AttemptEnded(1, 1, EndKind.LOST))
    assert run.states() == {"a": "up_for_retry"}
    run.feed(RetryDue("a"))
    run.feed(AttemptEnded(2, 1, EndKind.FAILED))
    assert run.states() == {"a": "failed"}
    assert [ended.start_date for ended in run.machine.instance(TaskKey("a")).tries] == [None, None]


def test_waiting_for_a_slot_is_told(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"))
    assert len(run.feed(AttemptBlocked(1, "pool 'p'"))) == 1
    assert run.records[-1].data == {
        "task_id": "a",
        "map_index": -1,
        "state": "scheduled",
        "try_number": 1,
        "waits_for": "pool 'p'",
    }
    assert run.feed(AttemptBlocked(1, "again")) == []
    assert run.machine.open_attempts() == [(1, None, TaskKey("a"), False)]
    run.feed(AttemptAdmitted(1))
    assert run.feed(AttemptAdmitted(1)) == []
    run.end("a")
    assert run.feed(AttemptBlocked(1)) == []
    assert run.told() == ["accepted", "a scheduled", "a queued", "a running", "a success", "result", "end"]


def test_what_recovery_needs(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b"), accept={"deadline": 50.0}, dagrun_timeout=30.0)
    run.start("b")
    assert run.machine.open_attempts() == [(1, None, TaskKey("a"), False), (2, 1, TaskKey("b"), True)]
    assert run.machine.start_of(1) == run.of(StartAttempt)[0]
    assert run.machine.start_of(2) is None
    assert run.machine.start_of(3) is None
    assert run.machine.pending_timers() == run.timers == [SetTimer(31.0, DAGRUN_TIMEOUT), SetTimer(50.0, DEADLINE)]


def test_xcoms_are_readable_before_and_after_the_end(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"))
    assert not run.machine.push_xcom(1, XComItem("early", b"1"))
    run.start("a")
    assert run.machine.push_xcom(1, XComItem("early", b"1"))
    assert run.machine.xcoms.keys("a", -1) == ["early"]
    run.end("a", xcoms=(XComItem("early", b"1"), XComItem("late", b"2")))
    assert not run.machine.push_xcom(1, XComItem("late", b"3"))
    assert run.machine.xcoms.all_of("a", "late") == [XComItem("late", b"2")]


def test_a_mapped_result_is_the_list_a_downstream_task_gets(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("m", "a", mapping=over("a"), is_result=True))
    run.end("a", length=4)
    run.end("m", map_index=2, length=None, plain=b"2")
    run.end("m", "skipped", map_index=1)
    run.end("m", map_index=3)  # returned nothing: no XCom
    run.end("m", map_index=0, length=None, plain=b"0")
    assert run.outcome.results == {"m": b"[0,2]"}


def test_skipped_results_are_left_out(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True), task("b", is_result=True))
    run.end("a", "skipped")
    assert run.outcome is None
    run.end("b", plain=b"1")
    assert run.outcome.results == {"b": b"1"}
    assert run.outcome.designated == ("a", "b")


@pytest.mark.parametrize(("end", "kind"), [("success", OutcomeKind.SUCCESS), ("failed", OutcomeKind.FAILED)])
def test_when_all_results_are_skipped_the_run_answers(task: Task, run_of: Runs, end: str, kind: OutcomeKind) -> None:
    run = run_of(task("a", is_result=True), task("b"))
    run.end("a", "skipped")
    assert run.outcome is None
    run.end("b", end)
    assert (run.outcome.kind, run.outcome.designated, run.outcome.results) == (kind, (), {})


def test_the_caller_chooses_other_results(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b", "a", is_result=True), accept={"results": ("a",)})
    run.end("a", plain=b"1")
    assert run.outcome.results == {"a": b"1"}


def test_values_of_other_results_come_with_a_failure(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True), task("b", is_result=True))
    run.end("a", plain=b"1")
    run.end("b", "failed")
    assert run.outcome.kind is OutcomeKind.FAILED
    assert run.outcome.results == {"a": b"1"}


def test_the_run_answers_without_waiting_for_teardowns(task: Task, run_of: Runs) -> None:
    def shape(**fields: Any) -> Any:
        run = run_of(
            task("setup", is_setup=True),
            task("work", "setup"),
            task("t", "setup", "work", is_teardown=True, trigger_rule="all_done_setup_success", **fields),
        )
        run.end("setup")
        run.end("work")
        return run

    run = shape()
    assert run.outcome.kind is OutcomeKind.SUCCESS
    run.end("t", "failed")
    assert run.machine.state is RunState.SUCCESS
    run = shape(on_failure_fail_dagrun=True)
    assert run.outcome is None
    run.end("t", "failed")
    assert run.outcome.kind is OutcomeKind.FAILED


def test_cancel_lets_teardowns_run(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("setup", is_setup=True),
        task("running", "setup"),
        task("waiting", "running"),
        task("t", "setup", "waiting", is_teardown=True, trigger_rule="all_done_setup_success"),
    )
    run.end("setup")
    run.start("running")
    commands = run.feed(CancelRequested("me", "enough"))
    assert StopAttempt(2, "CancelRequested") in commands
    assert run.states() == {"setup": "success", "running": "failed", "waiting": "skipped", "t": "queued"}
    assert run.outcome.kind is OutcomeKind.CANCELLED
    assert run.outcome.failure.error.message == "the run was cancelled by me: enough"
    assert run.feed(CancelRequested()) == []
    assert run.feed(AttemptEnded(2, 1, EndKind.SUCCESS)) == []
    run.end("t")
    assert run.machine.state is RunState.FAILED
    assert run.told()[-3:] == ["t running", "t success", "end"]


def test_a_cancel_after_the_answer_ends_the_rest(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True), task("side"))
    run.end("a", plain=b"1")
    run.feed(CancelRequested())
    assert run.outcome.kind is OutcomeKind.SUCCESS
    assert run.machine.state is RunState.FAILED


def test_the_deadline_cancels_the_work(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b", "a"), accept={"deadline": 9.0})
    run.start("a")
    run.feed(DEADLINE)
    assert run.states() == {"a": "failed", "b": "skipped"}
    assert run.outcome.kind is OutcomeKind.DEADLINE
    assert run.machine.state is RunState.FAILED
    assert [record.kind for record in run.records if record.kind != "task"] == ["accepted", "cancel", "failure", "end"]


def test_the_deadline_leaves_a_cleanup_alone_whose_run_is_answered(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("setup", is_setup=True),
        task("a", "setup", is_result=True),
        task("t", "a", "setup", is_teardown=True, trigger_rule="all_done_setup_success"),
    )
    run.end("setup")
    run.end("a")
    assert run.feed(DEADLINE) == []
    run.end("t")
    assert run.machine.state is RunState.SUCCESS


def test_dagrun_timeout_ends_all_at_once_teardowns_too(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("setup", is_setup=True),
        task("a", "setup"),
        task("b", "a", retry=Retry(1)),
        task("t", "setup", "b", is_teardown=True, trigger_rule="all_done_setup_success"),
        dagrun_timeout=5.0,
    )
    run.end("setup")
    run.start("a")
    commands = run.feed(DAGRUN_TIMEOUT)
    assert StopAttempt(2, "RunTimedOut") in commands
    assert commands[-1] == EndRun(RunState.FAILED)
    assert run.states() == {"setup": "success", "a": "skipped", "b": "skipped", "t": "skipped"}
    assert run.outcome.kind is OutcomeKind.FAILED
    assert run.outcome.failure.error.type == "DagRunTimeout"


def test_fail_fast_stops_all_but_teardowns(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("setup", is_setup=True),
        task("bad", "setup"),
        task("running", "setup"),
        task("later", "running"),
        task("t", "setup", "later", is_teardown=True, trigger_rule="all_done_setup_success"),
        fail_fast=True,
    )
    run.end("setup")
    run.start("running")
    commands = run.end("bad", "failed")
    assert run.of(StopAttempt) == [command for command in commands if isinstance(command, StopAttempt)] != []
    assert run.states() == {
        "setup": "success",
        "bad": "failed",
        "running": "failed",
        "later": "skipped",
        "t": "queued",
    }
    run.end("t")
    assert run.machine.state is RunState.FAILED


def test_a_branch_skips_what_it_does_not_follow(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("branch", can_skip_downstream=True),
        task("left", "branch"),
        task("right", "branch"),
        task("join", "left", "right", trigger_rule="none_failed_min_one_success"),
    )
    run.end("branch", skip=(("left", -1),))
    assert run.states() == {"branch": "success", "left": "skipped", "right": "queued", "join": "none"}
    run.end("right")
    assert run.states()["join"] == "queued"


def test_a_branch_skips_instances_of_a_map_already_expanded(task: Task, run_of: Runs) -> None:
    mapped = task("m", "branch", mapping=Mapping((MapSource("literal", length=2),)))
    run = run_of(task("branch", can_skip_downstream=True), mapped)
    run.end("branch", skip=(("m", -1),))
    assert run.states() == {"branch": "success", "m[0]": "skipped", "m[1]": "skipped"}


def test_a_skip_of_one_index_reaches_the_instance_expanded_later(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("branch", can_skip_downstream=True), task("m", "a", "branch", mapping=over("a")))
    run.end("branch", skip=(("m", 1),))
    assert run.states()["m"] == "none"
    run.end("a", length=3)
    assert run.states() == {"a": "success", "branch": "success", "m[0]": "queued", "m[1]": "skipped", "m[2]": "queued"}


def test_a_late_branch_turns_upstream_failed_into_skipped_and_the_answer_waits_for_it(task: Task, run_of: Runs) -> None:
    tasks = (
        task("bad"),
        task("branch", can_skip_downstream=True),
        task("r", "bad", "branch", is_result=True),
        task("other", "branch"),
    )
    run = run_of(*tasks)
    run.end("bad", "failed")
    assert run.states()["r"] == "upstream_failed"
    assert run.outcome is None
    run.end("branch", skip=(("r", -1),))
    assert run.states()["r"] == "skipped"
    assert run.outcome is None
    run.end("other")
    assert run.outcome.kind is OutcomeKind.SUCCESS  # all results skipped; r and other are the leaves
    run = run_of(*tasks)
    run.end("bad", "failed")
    run.end("branch")
    assert run.outcome.kind is OutcomeKind.FAILED


def test_indirect_setups_are_waited_for(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("a"),
        task("setup", is_setup=True),
        task("first", "setup"),
        task("work", "a", "first", trigger_rule="one_success"),
    )
    run.end("a")
    assert run.states()["work"] == "none"
    run.end("setup")
    assert run.states()["work"] == "queued"


def test_a_short_circuit_reaches_farther_tasks_only_where_they_are_not_expanded(task: Task, run_of: Runs) -> None:
    literal = Mapping((MapSource("literal", length=1),))
    run = run_of(
        task("short", can_skip_downstream=True),
        task("near", "short"),
        task("far", "near", trigger_rule="all_done"),
        task("far_mapped", "near", trigger_rule="all_done", mapping=literal),
    )
    run.end("short", skip=(("near", -1), ("far", -1), ("far_mapped", -1)))
    assert run.states() == {"short": "success", "near": "skipped", "far": "skipped", "far_mapped[0]": "queued"}


def test_always_does_not_even_wait_for_setups(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("setup", is_setup=True),
        task("first", "setup"),
        task("work", "first", trigger_rule="always"),
    )
    assert run.states()["work"] == "queued"


def test_nothing_left_to_run_is_a_failure(task: Task, run_of: Runs) -> None:
    # No plan is known that gets here (Airflow needs removed instances for it), so an upstream is made up.
    run = run_of(task("a"), task("b", "a"))
    run.machine._board.tasks["b"].up.total += 1
    run.end("a")
    assert run.states() == {"a": "success", "b": "none"}
    assert run.outcome.failure.error.type == "Deadlock"
    assert run.machine.state is RunState.FAILED


def test_the_reject_of_a_task_reaches_the_answer(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b", "a", is_result=True))
    run.end("a", "failed", reject=RejectInfo(404, "no such hotel"))
    assert run.outcome.failure.reject == RejectInfo(404, "no such hotel")
