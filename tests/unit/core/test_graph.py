from collections.abc import Callable

import pytest

from dagcall.core.graph import Graph, graph_of
from dagcall.model.plan import DagPlan, TaskPlan

Task = Callable[..., TaskPlan]


def graph(*tasks: TaskPlan) -> Graph:
    return Graph(DagPlan("d", "1", "d.py", "d.py", tasks))


def setups_of(made: Graph) -> dict[str, tuple[str, ...]]:
    return {node.task.task_id: node.setups for node in made.nodes if node.setups}


def test_a_setup_is_waited_for_by_the_tasks_before_its_teardown_only(task: Task) -> None:
    made = graph(
        task("setup", is_setup=True),
        task("direct", "setup"),
        task("work", "direct"),
        task("teardown", "setup", "work", is_teardown=True),
        task("after", "teardown"),
    )
    assert setups_of(made) == {"work": ("setup",)}
    assert made.leaves == ("work", "after")


def test_a_setup_without_teardown_is_waited_for_by_all_below_it(task: Task) -> None:
    made = graph(task("setup", is_setup=True), task("a", "setup"), task("b", "a"), task("c", "b"))
    assert setups_of(made) == {"b": ("setup",), "c": ("setup",)}


def test_the_scope_of_a_teardown_is_what_lies_between(task: Task) -> None:
    made = graph(
        task("before"),
        task("setup", "before", is_setup=True),
        task("far", "setup"),
        task("near", "far"),
        task("teardown", "setup", "near", is_teardown=True),
    )
    assert {node.task.task_id: node.scope for node in made.nodes if node.scope} == {"teardown": ("far",)}


@pytest.mark.parametrize(("counts", "leaves"), [(False, ("work",)), (True, ("teardown",))])
def test_a_teardown_is_no_leaf_unless_its_failure_fails_the_run(
    task: Task, counts: bool, leaves: tuple[str, ...]
) -> None:
    made = graph(
        task("setup", is_setup=True),
        task("work", "setup"),
        task("teardown", "setup", "work", is_teardown=True, on_failure_fail_dagrun=counts),
    )
    assert made.leaves == leaves


def test_teardowns_alone_are_leaves(task: Task) -> None:
    assert graph(task("t", is_teardown=True)).leaves == ("t",)


def test_ancestors(task: Task) -> None:
    made = graph(task("a"), task("b"), task("c", "a"), task("d", "b", "c"), task("e", "c"))
    assert made.with_ancestors(["c"]) == {"a", "c"}
    assert made.with_ancestors(["e", "b"]) == {"a", "b", "c", "e"}


def test_a_plan_out_of_order_is_refused(task: Task) -> None:
    with pytest.raises(ValueError, match="topological order at 'a'"):
        graph(task("a", "b"), task("b"))


def test_the_graph_is_made_once_a_plan(task: Task) -> None:
    plan = DagPlan("d", "1", "d.py", "d.py", (task("a"),))
    equal = DagPlan("d", "1", "d.py", "d.py", (task("a"),))
    assert graph_of(plan) is graph_of(plan)
    assert graph_of(plan) is not graph_of(equal)
