from collections.abc import Callable
from typing import Any

import pytest

from dagcall.model.plan import Mapping, MapSource, TaskPlan

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]


def literal(length: int) -> MapSource:
    return MapSource("literal", length=length)


def xcom(task_id: str) -> MapSource:
    return MapSource("xcom", task_id=task_id)


def over(*sources: MapSource) -> Mapping:
    return Mapping(sources)


@pytest.mark.parametrize(
    ("sources", "width"),
    [
        ([xcom("a")], 3),
        ([xcom("a"), xcom("b")], 6),
        ([xcom("a"), literal(2)], 6),
        ([MapSource("zip", parts=(xcom("a"), xcom("b")))], 2),
        ([MapSource("zip", parts=(xcom("a"), xcom("b")), longest=True)], 3),
        ([MapSource("concat", parts=(xcom("a"), xcom("b"), literal(4)))], 9),
        ([MapSource("concat", parts=(MapSource("zip", parts=(xcom("a"), xcom("b"))), xcom("b")))], 4),
    ],
)
def test_the_width_is_the_product_of_the_lengths(
    task: Task, run_of: Runs, sources: list[MapSource], width: int
) -> None:
    run = run_of(task("a"), task("b"), task("m", "a", "b", mapping=over(*sources)))
    run.end("a", length=3)
    assert run.machine.expand_width("m") is None
    assert run.states()["m"] == "none"
    run.end("b", length=2)
    assert run.machine.expand_width("m") == width


def test_literals_are_expanded_from_the_start(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("m", "a", mapping=over(literal(2), literal(2))))
    assert run.states() == {"a": "queued", "m[0]": "none", "m[1]": "none", "m[2]": "none", "m[3]": "none"}
    run.end("a", "failed")
    assert set(run.states().values()) == {"failed", "upstream_failed"}


@pytest.mark.parametrize("sources", [[literal(0)], [literal(3), literal(0)]])
def test_an_empty_literal_is_skipped_unexpanded_when_its_turn_comes(
    task: Task, run_of: Runs, sources: list[MapSource]
) -> None:
    run = run_of(task("a"), task("m", "a", mapping=over(*sources)), task("z", "m"))
    assert run.states()["m"] == "none"
    run.end("a")
    assert run.states() == {"a": "success", "m": "skipped", "z": "skipped"}


def test_an_empty_list_skips(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("m", "a", mapping=over(xcom("a"))), task("z", "m", trigger_rule="all_done"))
    run.end("a", length=0)
    assert run.states() == {"a": "success", "m": "skipped", "z": "queued"}


def test_mapped_over_mapped_counts_what_was_returned(task: Task, run_of: Runs) -> None:
    first = task("m", "a", mapping=over(xcom("a")))
    run = run_of(task("a"), first, task("n", "m", mapping=over(xcom("m")), trigger_rule="all_done"))
    run.end("a", length=4)
    run.end("m", map_index=0, length=None)
    run.end("m", map_index=1)  # returned nothing
    run.end("m", "failed", map_index=2)
    assert run.machine.expand_width("n") is None
    run.end("m", "success", map_index=3, length=None)
    assert run.machine.expand_width("n") == 2


def test_an_unknown_length_is_upstream_failed(task: Task, run_of: Runs) -> None:
    run = run_of(task("a"), task("m", "a", mapping=over(xcom("a")), trigger_rule="always"))
    assert run.states() == {"a": "queued", "m": "upstream_failed"}
    assert run.outcome.failure.error.type == "NotFullyPopulated"
    assert run.outcome.failure.failed_task == "m"


@pytest.mark.parametrize(("end", "state"), [("failed", "upstream_failed"), ("skipped", "skipped")])
def test_a_source_that_did_not_succeed_decides_whatever_the_rule(
    task: Task, run_of: Runs, end: str, state: str
) -> None:
    mapped = task("m", "a", "other", mapping=over(xcom("a")), trigger_rule="all_done")
    run = run_of(task("a"), task("other"), mapped)
    run.end("a", end)
    assert run.states() == {"a": end, "other": "queued", "m": state}


def test_what_is_mapped_over_is_looked_up_within_the_round(task: Task, run_of: Runs) -> None:
    """The rule of `m` would make it upstream_failed a round later: it is skipped in the one that skips its source."""
    run = run_of(
        task("first"),
        task("source", "first", trigger_rule="all_failed"),
        task("other", "first", trigger_rule="all_skipped"),
        task("late", "other", trigger_rule="all_success"),
        task("m", "source", "late", mapping=over(xcom("source")), trigger_rule="all_done"),
        task("z", "m", trigger_rule="one_done"),
    )
    run.end("first")
    assert run.states()["source"] == "skipped"
    assert run.told().index("m skipped") < run.told().index("late skipped")


def test_references_of_a_literal_list_count_though_it_is_expanded(task: Task, run_of: Runs) -> None:
    """`expand_kwargs([a(), b()])`: two instances from the start, and both need both."""
    mapping = Mapping((literal(2),), references=("a", "b"))
    run = run_of(task("a"), task("b"), task("m", "a", "b", mapping=mapping, trigger_rule="all_done"))
    assert run.machine.expand_width("m") == 2
    run.end("a", "failed")
    assert run.states() == {"a": "failed", "b": "queued", "m[0]": "upstream_failed", "m[1]": "upstream_failed"}
