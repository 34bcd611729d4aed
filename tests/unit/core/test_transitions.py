"""Each entry of the transition table is taken, by a story of its own, and the drawn page is current."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagcall.core.transitions import TRANSITIONS
from dagcall.errors import InternalError
from dagcall.model.events import (
    AttemptAdmitted,
    AttemptBlocked,
    AttemptEnded,
    CancelRequested,
    EndKind,
    RetryDue,
    RunTimedOut,
    TimeoutKind,
)
from dagcall.model.plan import Retry, StartTrigger, TaskPlan
from dagcall.model.states import TaskState

TASKS = (
    TaskPlan("up", operator="Scripted", can_skip_downstream=True),
    TaskPlan("bad", operator="Scripted"),
    TaskPlan("x", operator="Scripted", upstream=("up", "bad"), retry=Retry(1)),
)
ALONE = (TaskPlan("x", operator="Scripted", retry=Retry(1)),)
ALONE_ONCE = (TaskPlan("x", operator="Scripted"),)
FROM_TRIGGER = (
    TaskPlan("x", operator="Scripted", retry=Retry(1), start_trigger=StartTrigger("t.T", b"k", "resume", b"n", 9.0)),
)
EMPTY = (TaskPlan("x", is_empty=True),)
SKIP_X = (("x", -1),)
SUSPENDED = {"up_for_reschedule": "rescheduled", "deferred": "deferred", "awaiting_input": "awaiting_input"}
DAGRUN_TIMEOUT = RunTimedOut(TimeoutKind.DAGRUN_TIMEOUT)

Story = tuple[tuple[TaskPlan, ...], Callable[[Any], Any]]

STORIES: dict[tuple[str, str], Story] = {
    ("none", "queued"): (TASKS, lambda run: (run.end("up"), run.end("bad"))),
    ("none", "success"): (EMPTY, lambda run: None),
    ("none", "skipped"): (TASKS, lambda run: run.end("up", "skipped")),
    ("none", "upstream_failed"): (TASKS, lambda run: run.end("bad", "failed")),
    ("queued", "running"): (ALONE, lambda run: run.start("x")),
    ("queued", "up_for_retry"): (ALONE, lambda run: run.feed(AttemptEnded(1, 1, EndKind.LOST))),
    ("queued", "failed"): (ALONE_ONCE, lambda run: run.feed(AttemptEnded(1, 1, EndKind.LOST))),
    ("queued", "skipped"): (ALONE, lambda run: run.feed(CancelRequested())),
    ("queued", "scheduled"): (ALONE, lambda run: run.feed(AttemptBlocked(1, "pool"))),
    ("scheduled", "queued"): (ALONE, lambda run: (run.feed(AttemptBlocked(1)), run.feed(AttemptAdmitted(1)))),
    ("scheduled", "failed"): (
        ALONE,
        lambda run: (run.feed(AttemptBlocked(1)), run.feed(AttemptEnded(1, 1, EndKind.FAILED))),
    ),
    ("scheduled", "skipped"): (ALONE, lambda run: (run.feed(AttemptBlocked(1)), run.feed(CancelRequested()))),
    ("running", "success"): (ALONE, lambda run: run.end("x")),
    ("running", "skipped"): (ALONE, lambda run: run.end("x", "skipped")),
    ("running", "up_for_retry"): (ALONE, lambda run: run.end("x", "retry")),
    ("running", "failed"): (ALONE, lambda run: run.end("x", "failed")),
    ("running", "up_for_reschedule"): (ALONE, lambda run: run.suspend("x", "rescheduled")),
    ("running", "deferred"): (ALONE, lambda run: run.suspend("x", "deferred")),
    ("running", "awaiting_input"): (ALONE, lambda run: run.suspend("x", "awaiting_input")),
    ("up_for_reschedule", "queued"): (ALONE, lambda run: (run.suspend("x", "rescheduled"), run.resume("x", "due"))),
    ("deferred", "queued"): (ALONE, lambda run: (run.suspend("x"), run.resume("x"))),
    ("deferred", "success"): (ALONE, lambda run: (run.suspend("x"), run.resume("x", "ended", end=EndKind.SUCCESS))),
    ("deferred", "up_for_retry"): (ALONE, lambda run: (run.suspend("x"), run.resume("x", "ended", end=EndKind.FAILED))),
    ("none", "deferred"): (FROM_TRIGGER, lambda run: None),
    ("up_for_retry", "deferred"): (
        FROM_TRIGGER,
        lambda run: (run.resume("x"), run.end("x", "retry"), run.feed(RetryDue("x"))),
    ),
    ("up_for_reschedule", "deferred"): (
        FROM_TRIGGER,
        lambda run: (run.resume("x"), run.suspend("x", "rescheduled"), run.resume("x", "due")),
    ),
    ("awaiting_input", "queued"): (ALONE, lambda run: (run.suspend("x", "awaiting_input"), run.resume("x"))),
    **{
        (state, "failed"): (ALONE, lambda run, kind=kind: (run.suspend("x", kind), run.feed(CancelRequested())))
        for state, kind in SUSPENDED.items()
    },
    **{
        (state, "skipped"): (ALONE, lambda run, kind=kind: (run.suspend("x", kind), run.feed(DAGRUN_TIMEOUT)))
        for state, kind in SUSPENDED.items()
    },
    ("up_for_retry", "queued"): (ALONE, lambda run: (run.end("x", "retry"), run.feed(RetryDue("x")))),
    ("up_for_retry", "skipped"): (ALONE, lambda run: (run.end("x", "retry"), run.feed(CancelRequested()))),
    ("upstream_failed", "skipped"): (TASKS, lambda run: (run.end("bad", "failed"), run.end("up", skip=SKIP_X))),
}


def test_there_is_a_story_for_every_entry() -> None:
    assert set(STORIES) == {(old.value, new.value) for old, news in TRANSITIONS.items() for new in news}
    assert set(TRANSITIONS) == set(TaskState)


@pytest.mark.parametrize(("old", "new"), STORIES)
def test_every_entry_is_taken(monkeypatch: pytest.MonkeyPatch, run_of: Callable[..., Any], old: str, new: str) -> None:
    from dagcall.core.board import Board

    taken = []
    change = Board.change

    def spy(board: Board, ti: Any, state: TaskState, *rest: Any) -> None:
        taken.append((ti.task.task_id, ti.state.value, state.value))
        change(board, ti, state, *rest)

    monkeypatch.setattr(Board, "change", spy)
    tasks, story = STORIES[old, new]
    story(run_of(*tasks))
    assert ("x", old, new) in taken


@pytest.mark.parametrize("old", list(TaskState))
def test_what_the_table_does_not_hold_is_a_bug(run_of: Callable[..., Any], old: TaskState) -> None:
    run = run_of(*ALONE)
    (instance,) = run.machine.instances()
    for new in set(TaskState) - set(TRANSITIONS[old]):
        instance.state = old
        with pytest.raises(InternalError, match=rf"run d/r, task x: {old.value} -> {new.value} is no legal"):
            run.machine._board.change(instance, new)
        assert instance.state is old


def test_the_drawn_page_is_current() -> None:
    script = Path(__file__).parents[3] / "scripts" / "state_diagram.py"
    checked = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
