"""A run that the server does not go on with (`on_restart=fail`)."""

from collections.abc import Callable
from typing import Any

from dagcall.model.events import ErrorInfo, RunAbandoned
from dagcall.model.plan import Retry, TaskPlan
from dagcall.model.states import OutcomeKind, RunState

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]


def test_a_run_that_is_abandoned_fails_and_its_teardowns_run(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("setup", is_setup=True),
        task("work", "setup", is_result=True, retry=Retry(retries=3)),
        task("t", "setup", "work", is_teardown=True, trigger_rule="all_done_setup_success"),
    )
    run.end("setup")
    run.start("work")
    error = ErrorInfo("ServerRestarted", "it was restarted")
    run.feed(RunAbandoned(error))
    assert run.states() == {"setup": "success", "work": "failed", "t": "queued"}
    assert run.outcome.kind is OutcomeKind.FAILED
    assert run.outcome.failure.error == error
    assert run.feed(RunAbandoned(error)) == []
    run.end("t")
    assert run.machine.state is RunState.FAILED


def test_a_run_that_is_answered_and_only_cleans_up_is_not_abandoned(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("setup", is_setup=True),
        task("work", "setup", is_result=True),
        task("t", "setup", "work", is_teardown=True, trigger_rule="all_done_setup_success"),
    )
    run.end("setup")
    run.end("work", plain=b"1")
    assert run.feed(RunAbandoned(ErrorInfo("ServerRestarted", ""))) == []
    run.end("t")
    assert run.machine.state is RunState.SUCCESS
