"""Tasks in mapped task groups: expanded early, judged instance by instance."""

from collections.abc import Callable
from typing import Any

import pytest

from dagcall.core import groups
from dagcall.model.plan import MappedGroup, Mapping, MapSource, TaskPlan

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]


def group(group_id: str, source: str | int) -> MappedGroup:
    length = isinstance(source, int)
    return MappedGroup(
        group_id,
        Mapping((MapSource("literal", length=source) if length else MapSource("xcom", task_id=str(source)),)),
    )


def test_each_instance_waits_for_its_own_upstream_only(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("a", mapped_groups=("g",)),
        task("b", "a", mapped_groups=("g",)),
        task("z", "b"),
        mapped_groups=(group("g", 2),),
    )
    assert run.states() == {"a[0]": "queued", "a[1]": "queued", "b[0]": "none", "b[1]": "none", "z": "none"}
    run.end("a", map_index=1)
    assert run.states()["b[1]"] == "queued"
    assert run.states()["b[0]"] == "none"
    run.end("a", "failed", map_index=0)
    assert run.states()["b[0]"] == "upstream_failed"
    assert run.states()["z"] == "upstream_failed"
    assert run.outcome.failure.failed_task == "a"


def test_all_tasks_are_expanded_as_soon_as_the_length_is_known(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("s"),
        task("other"),
        task("a", "s", mapped_groups=("g",)),
        task("b", "a", mapped_groups=("g",)),
        task("c", "b", "other", mapped_groups=("g",)),
        mapped_groups=(group("g", "s"),),
    )
    run.end("s", length=2)
    widths = {name: run.machine.expand_width(name) for name in "abc"}
    assert widths == {"a": 2, "b": 2, "c": None}, "c waits for what is outside of the group"
    run.end("other")
    assert run.machine.expand_width("c") == 2
    assert {run.states()[f"{name}[1]"] for name in "bc"} == {"none"}


@pytest.mark.parametrize(("length", "state"), [(0, "skipped"), (None, "upstream_failed")])
def test_without_a_length_the_group_is_not_expanded(task: Task, run_of: Runs, length: int | None, state: str) -> None:
    run = run_of(
        task("s"),
        task("a", "s", mapped_groups=("g",)),
        task("b", "a", mapped_groups=("g",)),
        mapped_groups=(group("g", "s"),),
    )
    run.end("s", **({} if length is None else {"length": length}))
    assert run.states() == {"s": "success", "a": state, "b": state}


def test_what_the_group_is_mapped_over_decides_for_all_of_its_tasks(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("s"),
        task("a", "s", mapped_groups=("g",), trigger_rule="all_done"),
        task("b", "a", mapped_groups=("g",), trigger_rule="all_done"),
        mapped_groups=(group("g", "s"),),
    )
    run.end("s", "failed")
    assert run.states() == {"s": "failed", "a": "upstream_failed", "b": "upstream_failed"}


def test_a_rule_that_one_upstream_can_meet_waits_unexpanded(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("s"),
        task("a", "s", mapped_groups=("g",)),
        task("b", "a", mapped_groups=("g",), trigger_rule="one_failed"),
        mapped_groups=(group("g", "s"),),
    )
    run.end("s", length=2)
    assert run.machine.expand_width("b") is None
    run.end("a", map_index=0)
    assert run.machine.expand_width("b") is None
    run.end("a", "failed", map_index=1)
    assert run.states()["b[0]"] == "skipped"
    assert run.states()["b[1]"] == "queued"


def test_a_rule_met_by_none_skips_the_task_as_a_whole(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("s"),
        task("a", "s", mapped_groups=("g",)),
        task("b", "a", mapped_groups=("g",), trigger_rule="one_failed"),
        mapped_groups=(group("g", "s"),),
    )
    run.end("s", length=2)
    run.end("a", map_index=0)
    run.end("a", map_index=1)
    assert run.states()["b"] == "skipped"


def test_all_done_min_one_success_fails_inside_a_group_as_in_airflow(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("s"),
        task("a", "s", mapped_groups=("g",)),
        task("b", "a", mapped_groups=("g",), trigger_rule="all_done_min_one_success"),
        mapped_groups=(group("g", "s"),),
    )
    run.end("s", length=2)
    assert run.states()["b"] == "upstream_failed"


def test_two_groups_see_all_of_each_other(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("a", mapped_groups=("g",)),
        task("b", "a", mapped_groups=("h",)),
        mapped_groups=(group("g", 2), group("h", 3)),
    )
    run.end("a", map_index=0)
    assert run.states()["b[2]"] == "none"
    run.end("a", map_index=1)
    assert run.states()["b[2]"] == "queued"


def test_an_inner_group_multiplies_and_waits_for_its_outer_instance(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("a", mapped_groups=("outer",)),
        task("b", "a", mapped_groups=("inner", "outer")),
        mapped_groups=(group("outer", 2), group("inner", 3)),
    )
    assert run.machine.expand_width("b") == 6
    run.end("a", map_index=1)
    assert [index for index in range(6) if run.states()[f"b[{index}]"] == "queued"] == [3, 4, 5]


def test_the_arithmetic_of_one_direction_is_that_of_the_other() -> None:
    for shared in (1, 2, 3):
        for inner in (1, 2, 3):
            width = shared * inner
            for further in (False, True):
                for map_index in range(width):
                    for relative in groups.relevant(further, map_index, width, shared):
                        assert map_index in groups.affected(further, relative, width, shared)
                assert all(index < 0 for index in groups.relevant(further, -1, width, shared))


def test_an_empty_task_in_a_group_needs_no_worker(task: Task, run_of: Runs) -> None:
    run = run_of(
        task("s"),
        task("a", "s", mapped_groups=("g",), is_empty=True),
        task("b", "a", mapped_groups=("g",), is_empty=True),
        mapped_groups=(group("g", "s"),),
    )
    run.end("s", length=2)
    assert run.machine.state.value == "success"
    assert run.outcome.failure is None
