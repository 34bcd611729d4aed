"""Outcomes that are certain though what the answer waits for has not ended: told at the event that makes them so."""

from collections.abc import Callable
from typing import Any

from dagcall.core import certainty
from dagcall.core.forecast import FAILED, SKIPPED, SUCCESS
from dagcall.model.events import EndKind, ResumeHow
from dagcall.model.plan import MappedGroup, Mapping, MapSource, StartTrigger, TaskPlan
from dagcall.model.states import OutcomeKind

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]


def over(task_id: str) -> Mapping:
    return Mapping((MapSource("xcom", task_id=task_id),))


def chain(run: Any) -> list[str]:
    return [link.task_id for link in run.outcome.failure.cause]


def test_a_task_that_cannot_be_expanded_fails_the_call_before_its_turn_has_come(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("list"),
        task("slow"),
        task("each", "list", "slow", mapping=over("list"), trigger_rule="all_done"),
        task("sum", "each", is_result=True),
    )
    run.end("list")
    assert run.states()["each"] == "none"
    assert run.outcome.kind is OutcomeKind.FAILED
    assert run.outcome.failure.error.type == "NotFullyPopulated"
    assert chain(run) == ["each", "sum"]


def test_nor_can_a_group_that_waits_for_something_else(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("list"),
        task("slow"),
        task("each", "list", "slow", mapped_groups=("g",), trigger_rule="all_done"),
        mapped_groups=(MappedGroup("g", over("list")),),
    )
    run.end("list")
    assert run.outcome.failure.failed_task == "each"


def test_what_an_empty_task_returns_has_no_length(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("slow"),
        task("empty", "slow", is_empty=True, trigger_rule="all_done"),
        task("each", "empty", mapping=over("empty")),
        task("other"),
    )
    run.end("other", "failed")
    assert run.outcome.kind is OutcomeKind.FAILED


def test_that_is_certain_from_the_beginning(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("slow"),
        task("empty", "slow", is_empty=True),
        task("each", "empty", mapped_groups=("g", "h"), trigger_rule="all_done"),
        mapped_groups=(
            MappedGroup("g", Mapping((MapSource("literal", length=0),))),
            MappedGroup("h", over("empty")),
        ),
    )
    assert run.outcome.failure.failed_task == "each", "skipped or not, `empty` gives no length"


def test_what_cannot_be_expanded_is_blamed_for_what_hangs_on_it(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("a"),
        task("each", "a", mapping=over("a"), trigger_rule="always"),
        task("other", "a", "each"),
        task("last", "each", "other", mapping=over("each")),
    )
    assert run.outcome.failure.error.type == "NotFullyPopulated"
    assert chain(run) == ["each", "last"]


def test_the_first_tasks_of_a_group_wait_as_others_do(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("list"),
        task("each", "list", mapped_groups=("g",), trigger_rule="all_skipped", is_result=True),
        task("other"),
        mapped_groups=(MappedGroup("g", over("list")),),
    )
    run.end("other", "failed")
    assert chain(run) == ["other"], "`each` is skipped, or cannot be expanded"


def test_a_value_does_not_wait_for_results_that_can_only_be_skipped(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("list", is_result=True),
        task("slow"),
        task("each", "list", "slow", mapping=over("list"), trigger_rule="all_done", is_result=True),
    )
    run.end("list", length=0, plain=b"[]")
    assert run.states()["each"] == "none"
    assert run.outcome.kind is OutcomeKind.SUCCESS
    assert run.outcome.results == {"list": b"[]"}


def test_what_hangs_on_one_task_in_two_ways_is_gone_through_by_cases(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("a"),
        task("never", "a", trigger_rule="all_skipped"),
        task("skipped", "a", "never", trigger_rule="none_skipped", is_result=True),
        task("value", is_result=True),
    )
    run.end("value", plain=b"1")
    assert run.states()["a"] == "running" or run.states()["a"] == "queued"
    assert run.outcome.results == {"value": b"1"}


def test_a_run_fails_when_its_results_will_be_skipped_and_another_leaf_has_failed(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("a"),
        task("never", "a", trigger_rule="one_failed"),
        task("result", "a", "never", is_result=True),
        task("other"),
    )
    run.end("other", "failed")
    assert run.outcome.kind is OutcomeKind.FAILED, "`a` fails, or `never` is skipped"
    assert chain(run) == ["other"]


def test_a_success_can_be_what_makes_a_failure_certain(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("bad"),
        task("a"),
        task("slow"),
        task("after", "slow", is_empty=True, trigger_rule="all_done"),
        task("alarm", "a", "after", trigger_rule="one_failed"),
        task("result", "bad", "alarm", trigger_rule="one_success", is_result=True),
    )
    run.end("bad", "failed")
    assert run.outcome is None
    run.end("a")
    assert run.states()["alarm"] == "none", "it waits for `after`, which can only succeed"
    assert chain(run) == ["bad", "result"]


def test_only_what_reaches_far_overwrites_upstream_failed_far_below(task: Task, run_of: Runs) -> None:
    for direct_only in (True, False):
        run = run_of(
            task("branch", can_skip_downstream=True, skips_direct_only=direct_only),
            task("between", "branch"),
            task("bad"),
            task("result", "between", "bad", is_result=True),
        )
        run.end("bad", "failed")
        assert run.states()["result"] == "upstream_failed"
        assert (run.outcome is not None) == direct_only
        run.end("branch", skip=(("between", -1),))
        assert chain(run) == ["bad", "result"]


def test_fail_fast_overwrites_no_upstream_failed(task: Task, run_of: Runs) -> None:
    """There is one when a trigger reports the failure: that stops nobody."""
    run = run_of(
        task("a", start_trigger=StartTrigger("t.T", b"", "resume", b"")),
        task("slow"),
        task("result", "a", is_result=True),
        fail_fast=True,
    )
    run.resume("a", ResumeHow.ENDED, end=EndKind.FAILED)
    assert run.states() == {"a": "failed", "slow": "queued", "result": "upstream_failed"}
    assert chain(run) == ["a", "result"]


def test_what_can_only_be_upstream_failed_lets_fail_fast_stop_nobody(task: Task, run_of: Runs) -> None:
    """`many` is never expanded: with `one` it is upstream_failed, without it skipped, and then `other` decides."""
    run = run_of(
        task("empty", is_empty=True),
        task("one", is_result=True),
        task("many", "empty", "one", is_result=True, mapping=Mapping((MapSource("xcom", task_id="empty"),))),
        task("other", start_trigger=StartTrigger("t.T", b"", "resume", b"")),
        fail_fast=True,
    )
    assert run.outcome is None
    run.resume("other", ResumeHow.ENDED, end=EndKind.FAILED)
    assert run.states()["one"] == "queued"
    assert run.outcome.kind is OutcomeKind.FAILED


def test_success_is_not_told_ahead_of_what_it_consists_of(task: Task, run_of: Runs) -> None:
    """`end` can only succeed, but a cancel may still come before it."""
    run = run_of(task("a"), task("end", "a", is_empty=True, trigger_rule="all_done"))
    assert run.outcome is None
    run.end("a", "failed")
    assert run.outcome.kind is OutcomeKind.SUCCESS


def test_a_large_dag_is_not_gone_through_completely(task: Task, run_of: Runs) -> None:
    """What is certain only by more cases than are gone through is told when it has happened."""
    sources = [f"s{number}" for number in range(30)]
    run = run_of(
        *(task(source) for source in sources),
        *(task(f"not_{source}", source, trigger_rule="all_failed") for source in sources),
        *(task(f"both_{source}", source, f"not_{source}", trigger_rule="all_success") for source in sources),
        task("result", *(f"both_{source}" for source in sources), trigger_rule="one_success", is_result=True),
        task("other"),
    )
    run.end("other", "failed")
    assert run.outcome is None
    for source in sources:
        run.end(source)
    assert run.outcome.kind is OutcomeKind.FAILED


def test_ways_to_end(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("m", mapping=Mapping((MapSource("literal", length=2),))))
    tasks = run.machine._board.tasks
    open_ends = frozenset((SUCCESS | FAILED,))
    assert list(certainty.ways_to_end(tasks["a"], open_ends)) == [{SUCCESS}, {FAILED}]
    assert list(certainty.ways_to_end(tasks["m"], open_ends | {SKIPPED})) == [
        {SKIPPED, SUCCESS},
        {SKIPPED, FAILED},
        {SKIPPED, SUCCESS, FAILED},
    ]
