"""depends_on_past: what an earlier run must have come to."""

from collections.abc import Callable
from typing import Any

import pytest

from dagcall.core.past import depends_on_past, unmet
from dagcall.model.plan import TaskPlan

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]


@pytest.fixture
def earlier(task: Task, run_of: Runs) -> Callable[[str, str], Any]:
    def ended(first: str, second: str) -> Any:
        run = run_of(task("a"), task("b", "a", trigger_rule="all_done"))
        run.end("a", first)
        run.end("b", second)
        return run.machine

    return ended


@pytest.mark.parametrize(
    ("waits", "first", "second", "is_met"),
    [
        (False, "success", "success", True),
        (False, "skipped", "failed", True),
        (False, "failed", "success", False),
        (True, "success", "skipped", True),
        (True, "success", "failed", False),
    ],
)
def test_a_task_needs_itself_and_those_after_it_to_have_ended_well(
    task: Task, run_of: Runs, earlier: Callable[..., Any], waits: bool, first: str, second: str, is_met: bool
) -> None:
    dependent = task("a", downstream=("b",), depends_on_past=True, wait_for_downstream=waits)
    plan = run_of(dependent, task("b", "a")).plan
    found = unmet(plan, earlier(first, second))
    assert [one.task_id for one in found] == ([] if is_met else ["a"])


def test_unfinished_and_unknown_tasks_are_not_met(task: Task, run_of: Runs) -> None:
    plan = run_of(task("a", depends_on_past=True), task("new", depends_on_past=True)).plan
    (a, new) = unmet(plan, run_of(task("a")).machine)
    assert "a did not end well" in a.reason
    assert "new did not end well" in new.reason


def test_who_depends(task: Task, run_of: Runs) -> None:
    assert depends_on_past(run_of(task("a", depends_on_past=True)).plan)
    assert not depends_on_past(run_of(task("a")).plan)
