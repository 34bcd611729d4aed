"""Limits hold, nobody is forgotten, order is kept."""

from hypothesis import given
from hypothesis import strategies as st

from dagcall.core.slots import Slots


def test_the_smallest_priority_goes_first_then_who_came_first() -> None:
    slots: Slots[str] = Slots(1)
    assert slots.enter("running")
    assert not slots.enter("late", (1.0,))
    assert not slots.enter("first", (0.0,))
    assert not slots.enter("second", (0.0,))
    order = []
    current = "running"
    while following := slots.leave(current):
        (current,) = following
        order.append(current)
    assert order == ["first", "second", "late"]


def test_who_gives_up_waiting_is_not_admitted() -> None:
    slots: Slots[str] = Slots(1)
    slots.enter("running")
    slots.enter("gives up")
    slots.enter("next")
    assert slots.leave("gives up") == []
    assert slots.leave("running") == ["next"]


@given(limit=st.integers(1, 4), ends=st.lists(st.integers(0, 30), min_size=40, max_size=40), members=st.integers(1, 30))
def test_never_more_than_the_limit_and_everybody_in_the_end(limit: int, ends: list[int], members: int) -> None:
    slots: Slots[int] = Slots(limit)
    active = [key for key in range(members) if slots.enter(key)]
    seen = set(active)
    for choice in ends * 2:
        assert len(active) <= limit
        if not active:
            break
        admitted = slots.leave(active.pop(choice % len(active)))
        active += admitted
        seen.update(admitted)
    assert seen == set(range(members))
