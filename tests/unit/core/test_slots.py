"""Limits hold, nobody is forgotten, order is kept."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dagcall.core.slots import Need, Slots
from dagcall.model.turns import EVERY, PATIENCE

ONE = (Need("only"),)


def follow(slots: Slots[str], key: str) -> list[str]:
    """`key` leaves; who goes on now."""
    slots.leave(key)
    return slots.admit()


def test_the_smallest_order_goes_first_then_who_came_first() -> None:
    slots: Slots[str] = Slots({"only": 1})
    assert slots.enter("running", ONE) is None
    assert slots.enter("late", ONE, (1.0,)) == ONE[0]
    assert slots.enter("first", ONE, (0.0,)) == ONE[0]
    assert slots.enter("second", ONE, (0.0,)) == ONE[0]
    order = []
    current = "running"
    while following := follow(slots, current):
        (current,) = following
        order.append(current)
    assert order == ["first", "second", "late"]


def test_who_gives_up_waiting_is_not_admitted() -> None:
    slots: Slots[str] = Slots({"only": 1})
    slots.enter("running", ONE)
    slots.enter("gives up", ONE)
    slots.enter("next", ONE)
    assert follow(slots, "gives up") == []
    assert follow(slots, "running") == ["next"]


def test_what_has_no_limit_is_counted_and_not_limited() -> None:
    slots: Slots[str] = Slots()
    assert [slots.enter(f"member {number}", ONE) for number in range(3)] == [None, None, None]
    assert slots.used("only") == 3


def test_all_limits_of_a_member_or_none() -> None:
    slots: Slots[str] = Slots({"a": 1, "b": 1})
    both = (Need("a"), Need("b"))
    slots.enter("has b", (Need("b"),))
    assert slots.enter("wants both", both) == Need("b")
    assert slots.enter("wants a", (Need("a"),)) is None  # who waits for both holds neither
    assert follow(slots, "has b") == []
    assert follow(slots, "wants a") == ["wants both"]


def test_a_smaller_request_goes_on_where_a_bigger_one_before_it_does_not_fit() -> None:
    slots: Slots[str] = Slots({"only": 3})
    slots.enter("running", (Need("only", 2),))
    slots.enter("big", (Need("only", 3),), (0.0,))
    assert slots.enter("small", ONE, (1.0,)) is None
    assert follow(slots, "running") == []
    assert follow(slots, "small") == ["big"]


def test_what_is_given_back_is_for_those_who_wait_already() -> None:
    slots: Slots[str] = Slots({"only": 1})
    slots.enter("running", ONE)
    slots.enter("waits", ONE, (0.0,))
    slots.leave("running")
    assert slots.enter("comes now", ONE, (1.0,)) == ONE[0]
    assert slots.admit() == ["waits"]
    assert follow(slots, "waits") == ["comes now"]


def test_with_nobody_in_line_what_is_given_back_can_be_taken_at_once() -> None:
    slots: Slots[str] = Slots({"only": 1})
    slots.enter("first", ONE)
    slots.leave("first")
    assert slots.enter("second", ONE) is None


def test_members_that_hold_more_than_there_is_must_leave_first() -> None:
    """After a limit was lowered."""
    slots: Slots[str] = Slots({"only": 1})
    slots.hold("one", ONE)
    slots.hold("two", ONE)
    slots.enter("three", ONE)
    assert follow(slots, "one") == []
    assert follow(slots, "two") == ["three"]


def test_members_may_know_a_limit_differently() -> None:
    """Two versions of a DAG, with another `max_active_tis_per_dag` each."""
    slots: Slots[str] = Slots()
    old, new = (Need("task", limit=1),), (Need("task", limit=3),)
    slots.enter("a", old)
    assert slots.enter("b", old, (0.0,)) == old[0]
    assert slots.enter("c", new, (1.0,)) is None
    assert slots.enter("d", new, (1.0,)) is None
    assert slots.enter("e", new, (1.0,)) == new[0]
    assert follow(slots, "a") == ["e"]


class Anything(RuleBasedStateMachine):
    """Any members, limits and order of events."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = {"a": 1, "b": 2, "c": 4}
        self.slots: Slots[int] = Slots(self.limits)
        self.needs: dict[int, tuple[Need, ...]] = {}
        self.places: dict[int, tuple[tuple[float, ...], int]] = {}
        self.active: set[int] = set()
        self.waiting: set[int] = set()
        self.handed_on = True

    def room_for(self, needs: tuple[Need, ...]) -> bool:
        used = self.used()
        return all(used[need.name] + need.slots <= self.limits[str(need.name)] for need in needs)

    def used(self) -> Counter[object]:
        used: Counter[object] = Counter()
        for key in self.active:
            for need in self.needs[key]:
                used[need.name] += need.slots
        return used

    @rule(
        needs=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 2), min_size=1),
        weight=st.integers(0, 2),
    )
    def enter(self, needs: dict[str, int], weight: int) -> None:
        wanted = tuple(Need(name, min(slots, self.limits[name])) for name, slots in needs.items())
        key = len(self.needs)
        self.needs[key], self.places[key] = wanted, ((weight,), key)
        lacking = self.slots.enter(key, wanted, (weight,))
        if lacking is None:
            assert self.room_for(wanted)
            self.active.add(key)
        else:
            assert not self.handed_on or not self.room_for((lacking,))
            self.waiting.add(key)

    @precondition(lambda self: self.active)
    @rule(choice=st.integers(0))
    def end(self, choice: int) -> None:
        key = sorted(self.active)[choice % len(self.active)]
        self.active.remove(key)
        self.slots.leave(key)
        self.handed_on = not self.slots.freed

    @precondition(lambda self: self.waiting)
    @rule(choice=st.integers(0))
    def give_up(self, choice: int) -> None:
        key = sorted(self.waiting)[choice % len(self.waiting)]
        self.waiting.remove(key)
        self.slots.leave(key)

    @rule()
    def admit(self) -> None:
        admitted = self.slots.admit()
        assert [self.places[key] for key in admitted] == sorted(self.places[key] for key in admitted)
        self.active.update(admitted)
        self.waiting.difference_update(admitted)
        self.handed_on = True

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        for name, used in self.used().items():
            assert used <= self.limits[str(name)]
            assert used == self.slots.used(name)

    @invariant()
    def nobody_waits_for_whom_there_is_room(self) -> None:
        assert {key for key, _ in self.slots.waiting()} == self.waiting
        if self.handed_on:
            assert not [key for key in self.waiting if self.room_for(self.needs[key])]

    def teardown(self) -> None:
        while self.active or self.waiting:
            for key in sorted(self.active):
                self.slots.leave(key)
            self.active = set(self.slots.admit())
            assert self.active or not self.waiting, "somebody is forgotten"
            self.waiting -= self.active
        assert not any(self.slots.used(name) for name in self.limits)


TestAnything = Anything.TestCase


@given(st.integers(1, 4), st.lists(st.integers(0, 30), min_size=40, max_size=40), st.integers(1, 30))
def test_never_more_than_the_limit_and_everybody_in_the_end(limit: int, ends: list[int], members: int) -> None:
    slots: Slots[int] = Slots({"only": limit})
    active = [key for key in range(members) if slots.enter(key, ONE) is None]
    seen = set(active)
    for choice in ends * 2:
        assert len(active) <= limit
        if not active:
            break
        slots.leave(active.pop(choice % len(active)))
        admitted = slots.admit()
        active += admitted
        seen.update(admitted)
    assert seen == set(range(members))


def test_one_turn_in_eight_goes_to_who_has_waited_longest() -> None:
    """However many come whom an answer waits for."""
    slots: Slots[str] = Slots({"only": 1})
    slots.enter("running", ONE, (0.0, 0.0))
    slots.enter("side branch", ONE, (0.0, 1.0), now=0.0)
    went, active = [], "running"
    for number in range(3 * EVERY):
        slots.enter(f"{number}", ONE, (0.0, 0.0), now=PATIENCE)
        slots.leave(active)
        (active,) = slots.admit(now=PATIENCE)
        went.append(active)
    assert went.index("side branch") == EVERY - 1
    assert [one for one in went if one != "side branch"] == [str(number) for number in range(3 * EVERY - 1)]


@pytest.mark.parametrize(("order", "now"), [((1.0, 0.0), 100.0), ((0.0, 1.0), PATIENCE / 2)])
def test_but_not_before_a_heavier_one_nor_at_once(order: tuple[float, ...], now: float) -> None:
    slots: Slots[str] = Slots({"only": 1})
    slots.enter("running", ONE, (0.0, 0.0))
    slots.enter("other", ONE, order, now=0.0)
    active = "running"
    for number in range(3 * EVERY):
        slots.enter(f"{number}", ONE, (0.0, 0.0), now=now)
        slots.leave(active)
        (active,) = slots.admit(now=now)
        assert active != "other"
