"""Runs that wait to begin: turns that are fair between callers, and how long a newcomer will wait."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagcall.core.line import QUEUE_AFTER, Line


def full(rate: float, length: int) -> tuple[Line, float]:
    """A line of one caller, served for ten seconds at `rate` runs a second, and never empty; and the time it is."""
    line, now = Line(), 0.0
    for _ in range(length):
        line.join("", now)
    for _ in range(int(10 * rate)):
        now += 1 / rate
        line.join("", now)
        line.begin("", 0.0, now)
    return line, now


def test_before_the_first_queue_nobody_waits() -> None:
    line = Line()
    assert line.wait("ann", 0.0) == 0.0
    for moment in range(100):
        line.begin("ann", line.join("ann", moment), moment + QUEUE_AFTER / 2)
        assert line.wait("ann", moment + 0.9) == 0.0
    assert line.queueing(100.0) == 0.0


@pytest.mark.parametrize(("rate", "length"), [(100.0, 50), (10.0, 400), (0.5, 3)])
def test_the_wait_is_the_queue_at_its_rate(rate: float, length: int) -> None:
    line, now = full(rate, length)
    assert line.wait("", now) == pytest.approx(length / rate, rel=0.05)


def test_fast_times_without_a_queue_do_not_count() -> None:
    line = Line()
    for moment in range(10_000):
        line.begin("", line.join("", moment / 1000), moment / 1000 + 0.0005)
    now = 10.0
    for _ in range(200):
        line.join("", now)
    for _ in range(15):
        now += 0.1
        line.begin("", 0.0, now)
    assert line.wait("", now) == pytest.approx(line.length * 0.1, rel=0.3)


def test_a_burst_whose_first_runs_have_just_begun_is_no_queue() -> None:
    """10,000 calls of runs that begin with waiting for a trigger: the first commit takes longer than all later ones."""
    line = Line()
    for _ in range(250):
        line.join("", 0.0)
    line.begin("", 0.0, 0.2)
    assert line.wait("", 0.2) == 0.0


def test_nobody_begins_and_the_wait_grows() -> None:
    line, now = full(10.0, 10)
    assert line.wait("", now) < 1.1
    assert line.wait("", now + 60) > 10


def test_a_queue_is_over_once_it_was_empty() -> None:
    line = Line()
    line.join("", 0.0)
    line.join("", 0.0)
    assert line.queueing(5.0) == 5.0 - QUEUE_AFTER
    line.begin("", 0.0, 5.0)
    line.leave("")
    assert line.queueing(6.0) == 0.0
    line.join("", 6.0)
    assert line.queueing(6.0 + QUEUE_AFTER) == 0.0


def test_who_sends_one_does_not_stand_behind_who_sends_many() -> None:
    line, now = full(10.0, 100)
    assert line.wait("ann", now) == pytest.approx(0.1, rel=0.1)
    assert line.wait("", now) == pytest.approx(10.0, rel=0.05)


def test_durations_are_those_of_late() -> None:
    line = Line()
    assert line.duration == 0.0
    for _ in range(50):
        line.took(1.0)
    assert line.duration == pytest.approx(1.0)
    for _ in range(50):
        line.took(3.0)
    assert line.duration == pytest.approx(3.0, rel=0.05)


@given(st.lists(st.sampled_from(["join ann", "join bea", "join cid", "begin", "leave"]), max_size=200))
def test_turns(steps: list[str]) -> None:
    """A caller's runs go in order, the next of each caller is within one turn of the next of any other, and what is
    said to be ahead of a newcomer is what goes before it, give or take one of each caller."""
    line, now = Line(), 0.0
    waiting: list[tuple[float, int, str]] = []
    has_left = False
    for number, step in enumerate(steps):
        now += 0.1
        if step.startswith("join"):
            caller = step[5:]
            ahead = line.ahead_of(caller)
            turn = line.join(caller, now)
            if not has_left:  # who leaves makes a gap, which is not closed
                assert abs(ahead - sum(other <= turn for other, _, _ in waiting)) <= 2
            assert all(other < turn for other, _, name in waiting if name == caller)
            waiting.append((turn, number, caller))
        elif waiting and step == "begin":
            first = min(waiting)
            waiting.remove(first)
            line.begin(first[2], first[0], now)
        elif waiting:
            line.leave(waiting.pop()[2])
            has_left = True
        assert line.length == len(waiting)
        heads: dict[str, float] = {}
        for turn, _, caller in sorted(waiting):
            heads.setdefault(caller, turn)
        assert has_left or max(heads.values(), default=0) - min(heads.values(), default=0) <= 1


def test_callers_take_turns() -> None:
    line = Line()
    turns = [(line.join("many", 0.0), 0, "many") for _ in range(20)]
    turns += [(line.join("few", 0.0), 1, "few") for _ in range(5)]
    served: defaultdict[str, int] = defaultdict(int)
    for _, _, caller in sorted(turns)[:10]:
        served[caller] += 1
    assert served == {"many": 5, "few": 5}
