"""What is told of a run's end and of a lost task: each case a list of events."""

from collections.abc import Callable
from typing import Any

from dagcall.core import aftermath
from dagcall.model.events import AttemptEnded, CancelRequested, EndKind, ErrorInfo, Event, RunTimedOut, TimeoutKind
from dagcall.model.ids import TaskKey
from dagcall.model.notice import Call, Notice
from dagcall.model.plan import Retry, TaskPlan

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]

BOTH = (Call.DAG_SUCCESS, Call.DAG_FAILURE)
ENDED: Event = AttemptEnded(1, 1, EndKind.SUCCESS)


def of_end(run: Any, cause: Event = ENDED, listeners: tuple[str, ...] = ()) -> Notice | None:
    assert run.machine.state.is_final
    return aftermath.of_end(run.machine, cause, listeners)


def test_success_tells_of_the_task_that_ended_last(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b"), task("c", is_empty=True), callbacks=BOTH)
    run.end("b")
    run.end("a", rendered_map_index="x")
    assert of_end(run) == Notice(
        (Call.DAG_SUCCESS,), "success", "success", run.now, "a", -1, 1, 1, "success", run.now - 1, run.now
    )


def test_failure_tells_of_the_task_that_failed_last(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b"), task("c", "a"), callbacks=BOTH)
    run.end("a", "failed")
    run.end("b")
    notice = of_end(run)
    assert notice is not None
    assert (notice.calls, notice.reason, notice.task_id) == ((Call.DAG_FAILURE,), "task_failure", "a")


def test_a_failed_run_without_a_failed_task_tells_of_none(task: Task, run_of: Runs) -> None:
    run = run_of(callbacks=BOTH)
    notice = of_end(run)
    assert notice is not None
    assert (notice.reason, notice.task_id) == ("success", "")


def test_a_timeout_tells_of_the_unfinished_task_that_began_last(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b"), task("c", "b"), dagrun_timeout=60.0, callbacks=BOTH)
    run.start("b")
    run.start("a")
    timeout = RunTimedOut(TimeoutKind.DAGRUN_TIMEOUT)
    run.feed(timeout)
    notice = of_end(run, timeout)
    assert notice is not None
    assert (notice.reason, notice.task_id, notice.state) == ("timed_out", "a", "skipped")


def test_a_cancel_calls_no_callback_but_listeners(task: Task, run_of: Runs) -> None:
    for cause in (CancelRequested("me"), RunTimedOut(TimeoutKind.DEADLINE)):
        run = run_of(task("a"), callbacks=BOTH)
        run.feed(cause)
        assert of_end(run, cause) is None
        notice = of_end(run, cause, ("on_dag_run_failed", "on_dag_run_success"))
        assert notice is not None
        assert (notice.calls, notice.task_id) == ((Call.RUN_FAILED,), "")


def test_a_cancelled_run_whose_teardown_went_on_ends_like_any_other(task: Task, run_of: Runs) -> None:
    teardown = task("c", "a", "b", is_teardown=True, trigger_rule="all_done_setup_success")
    run = run_of(task("a", is_setup=True), task("b", "a"), teardown, callbacks=BOTH)
    run.end("a")
    run.start("b")
    run.feed(CancelRequested("me"))
    run.end("c")
    notice = of_end(run)
    assert notice is not None
    assert (notice.calls, notice.reason, notice.task_id) == ((Call.DAG_FAILURE,), "task_failure", "b")


def test_a_deadlock_tells_of_what_is_blocked(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("b", "a"), callbacks=BOTH)
    run.machine._board.tasks["b"].up.total += 1  # no plan is known that gets there
    run.end("a")
    notice = of_end(run)
    assert notice is not None
    assert (notice.reason, notice.task_id, notice.try_number) == ("all_tasks_deadlocked", "b", 0)


def test_nothing_is_told_where_nobody_listens(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"))
    run.end("a")
    assert of_end(run, listeners=("on_dag_run_failed",)) is None
    assert aftermath.of_start(run.machine, ()) is None
    assert aftermath.of_start(run.machine, ("on_dag_run_running",)) == Notice((Call.RUN_RUNNING,), "started", "running")


def test_a_lost_task_has_the_callbacks_of_what_becomes_of_it(task: Task, run_of: Runs) -> None:
    wanted = (Call.TASK_RETRY, Call.TASK_FAILURE, Call.EMAIL_FAILURE)
    run = run_of(task("a", callbacks=wanted, retry=Retry(1)), task("b"))
    error = ErrorInfo("WorkerLost", "gone")
    lost = []
    for _ in range(2):
        run.end("a", "lost", error=error)
        instance = run.machine.instance(TaskKey("a"))
        lost.append(aftermath.of_loss(run.machine, instance, error, ()))
        if run.timers:
            run.feed(run.timers[-1].event)
    assert [(notice.calls, notice.reason, notice.try_number, notice.state) for notice in lost if notice] == [
        ((Call.TASK_RETRY,), "gone", 1, "up_for_retry"),
        ((Call.TASK_FAILURE, Call.EMAIL_FAILURE), "gone", 2, "failed"),
    ]
    other = run.machine.instance(TaskKey("b"))
    assert aftermath.of_loss(run.machine, other, error, ()) is None
    told = aftermath.of_loss(run.machine, other, error, ("on_task_instance_failed",))
    assert told is not None
    assert told.calls == (Call.TASK_FAILED,)
