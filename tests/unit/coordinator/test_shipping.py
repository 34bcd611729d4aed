"""Which upstream XComs go along with a start: checked against what each instance would fetch."""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagcall.coordinator import shipping
from dagcall.coordinator.shipping import Shipper
from dagcall.core.machine import RunMachine
from dagcall.model.events import AttemptEnded, AttemptStarted, EndKind, RunAccepted, XComItem
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, MappedGroup, Mapping, MapSource, TaskPlan, XComRef

pack = msgspec.msgpack.encode


def finished(plan: DagPlan, values: dict[str, Any]) -> RunMachine:
    """A run in which every task with a value has ended; a mapped one has a list of values, None for no push."""
    machine = RunMachine(plan, RunKey("d", "r"))
    machine.step(RunAccepted("d", "r", "v", b"{}"), 0.0)
    progress = True
    while progress:
        progress = False
        for attempt, _, key, started in machine.open_attempts():
            if key.task_id not in values or started:
                continue
            progress = True
            value = values[key.task_id]
            if plan.by_id[key.task_id].needs_expansion:
                value = value[key.map_index]
            length = len(value) if isinstance(value, list | dict) else None
            machine.step(AttemptStarted(attempt, 1, "worker", 1), 1.0)
            xcoms = () if value is None else (XComItem("return_value", pack(value), length),)
            machine.step(AttemptEnded(attempt, 1, EndKind.SUCCESS, xcoms=xcoms), 1.0)
    return machine


def plan_of(*tasks: TaskPlan, **more: Any) -> DagPlan:
    return DagPlan("d", "v", "/d.py", "d.py", tasks, **more)


def over(*sources: str | int) -> Mapping:
    return Mapping(
        tuple(MapSource("literal", one) if isinstance(one, int) else MapSource("xcom", task_id=one) for one in sources)
    )


def expanded(*sources: str | int, reads: Sequence[XComRef]) -> DagPlan:
    upstream = tuple(dict.fromkeys(one for one in sources if isinstance(one, str)))
    above = [TaskPlan(task_id, "Python", downstream=("each",)) for task_id in upstream]
    return plan_of(*above, TaskPlan("each", "Python", upstream=upstream, mapping=over(*sources), reads=tuple(reads)))


@given(st.lists(st.integers(1, 4) | st.lists(st.integers(-5, 5), min_size=1, max_size=4), min_size=1, max_size=3))
def test_every_instance_gets_its_own_element(arguments: list[Any]) -> None:
    """The order of instances is that of `itertools.product`: the last argument varies fastest."""
    names = [one if isinstance(one, int) else f"up{number}" for number, one in enumerate(arguments)]
    lists = {name: one for name, one in zip(names, arguments, strict=True) if isinstance(name, str)}
    plan = expanded(*names, reads=[XComRef(name, whole=False) for name in lists])
    machine = finished(plan, lists)
    shipper = Shipper(plan, machine)
    columns = [range(one) if isinstance(one, int) else one for one in arguments]
    for index, row in enumerate(itertools.product(*columns)):
        shipped = {item.task_id: item for item in shipper.xcoms_for(plan.by_id["each"], index)}
        for name, expected in zip(names, row, strict=True):
            if isinstance(name, str):
                item = shipped[name]
                assert [msgspec.msgpack.decode(value) for value in item.values] == [expected]
                assert item.length == len(lists[name])
                assert lists[name][item.index] == expected


def test_over_a_mapped_task_that_pushed_in_part() -> None:
    plan = plan_of(
        TaskPlan("up", "Python", downstream=("each",), mapping=over(3)),
        TaskPlan("each", "Python", upstream=("up",), mapping=over("up"), reads=(XComRef("up", whole=False),)),
    )
    machine = finished(plan, {"up": [10, None, 30]})
    shipper = Shipper(plan, machine)
    found = [shipper.xcoms_for(plan.by_id["each"], index)[0] for index in range(2)]
    assert [(item.mapped, item.index, item.length, item.values) for item in found] == [
        (True, 0, 2, [pack(10)]),
        (True, 1, 2, [pack(30)]),
    ]


def test_whole_values() -> None:
    plan = plan_of(
        TaskPlan("one", "Python", downstream=("last",)),
        TaskPlan("many", "Python", downstream=("last",), mapping=over(2)),
        TaskPlan("none", "Python", downstream=("last",)),
        TaskPlan(
            "last", "Python", upstream=("one", "many", "none"), reads=(XComRef("one"), XComRef("many"), XComRef("none"))
        ),
    )
    machine = finished(plan, {"one": {"a": 1}, "many": [5, 6], "none": None})
    items = Shipper(plan, machine).xcoms_for(plan.by_id["last"], -1)
    assert [(item.task_id, item.mapped, item.index, item.values) for item in items] == [
        ("one", False, -1, [pack({"a": 1})]),
        ("many", True, -1, [pack(5), pack(6)]),
        ("none", False, -1, []),
    ]


def test_a_dict_is_left_to_the_task() -> None:
    plan = expanded("up", reads=[XComRef("up", whole=False)])
    assert Shipper(plan, finished(plan, {"up": {"k": 1}})).xcoms_for(plan.by_id["each"], 0) == []


def test_an_upstream_that_has_not_ended_is_not_shipped() -> None:
    plan = plan_of(
        TaskPlan("up", "Python", downstream=("last",)),
        TaskPlan("last", "Python", upstream=("up",), reads=(XComRef("up"),)),
    )
    assert Shipper(plan, finished(plan, {})).xcoms_for(plan.by_id["last"], -1) == []


def test_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "SHIPPED_LIMIT", 100)
    plan = plan_of(
        TaskPlan("small", "Python", downstream=("last",)),
        TaskPlan("large", "Python", downstream=("last",)),
        TaskPlan("last", "Python", upstream=("small", "large"), reads=(XComRef("small"), XComRef("large"))),
    )
    machine = finished(plan, {"small": "s", "large": "x" * 200})
    assert [item.task_id for item in Shipper(plan, machine).xcoms_for(plan.by_id["last"], -1)] == ["small"]


def test_nothing_with_a_custom_backend() -> None:
    plan = plan_of(
        TaskPlan("up", "Python", downstream=("last",)),
        TaskPlan("last", "Python", upstream=("up",), reads=(XComRef("up"),)),
        has_custom_xcom_backend=True,
    )
    assert Shipper(plan, finished(plan, {"up": 1})).xcoms_for(plan.by_id["last"], -1) == []


def test_in_a_mapped_group_each_instance_gets_what_its_own_upstream_instance_pushed() -> None:
    groups = (MappedGroup("g", over(3)),)
    first = TaskPlan("first", "Python", downstream=("second",), mapped_groups=("g",))
    second = TaskPlan("second", "Python", upstream=("first",), mapped_groups=("g",), reads=(XComRef("first"),))
    last = TaskPlan("last", "Python", upstream=("first",), reads=(XComRef("first"),))
    plan = plan_of(first, second, last, mapped_groups=groups)
    shipper = Shipper(plan, finished(plan, {"first": [10, None, 12]}))
    for index, values in enumerate([[pack(10)], [], [pack(12)]]):
        (item,) = shipper.xcoms_for(second, index)
        assert (item.map_index, item.values) == (index, values)
    (item,) = shipper.xcoms_for(last, -1)
    assert (item.map_index, item.values) == (-1, [pack(10), pack(12)]), "outside of the group: all that was pushed"


def test_of_what_a_group_is_mapped_over_each_instance_gets_its_own_element() -> None:
    plan = plan_of(
        TaskPlan("up", "Python", downstream=("in_group",)),
        TaskPlan(
            "in_group",
            "Python",
            upstream=("up",),
            mapped_groups=("g",),
            reads=(XComRef("up", whole=False, group="g"),),
        ),
        mapped_groups=(MappedGroup("g", over("up", 2)),),
    )
    shipper = Shipper(plan, finished(plan, {"up": [7, 8]}))
    for index, (element, value) in enumerate([(0, 7), (0, 7), (1, 8), (1, 8)]):
        (item,) = shipper.xcoms_for(plan.by_id["in_group"], index)
        assert (item.index, item.length, item.values) == (element, 2, [pack(value)])
