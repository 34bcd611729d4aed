"""Who is let in, who is refused, and when to come again."""

from collections.abc import Callable

import pytest

from dagcall.coordinator.admission import (
    BURST_WAIT,
    FLOOR,
    STEADY_WAIT,
    Admission,
    Ticket,
)
from dagcall.coordinator.api import CallRequest
from dagcall.errors import Overloaded, RateLimited
from dagcall.model.ids import RunKey
from dagcall.options import Options


class Moment:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def call(dag_id: str = "d", caller: str = "", *, timeout: float | None = None, waits: bool = True) -> CallRequest:
    return CallRequest(dag_id, caller=caller, timeout=timeout, waits=waits)


def queued(moment: Moment, *, rate: float, length: int, seconds: float) -> tuple[Admission, list[Ticket]]:
    """A queue of DAG `d` that has been `length` long for so many seconds, while `rate` runs began each second."""
    admission = Admission(Options(), moment)
    tickets = [admission.count("d", "") for _ in range(length)]
    for _ in range(int(seconds * rate)):
        moment.now += 1 / rate
        tickets.append(admission.count("d", ""))
        begun = tickets.pop(0)
        admission.begun(begun)
        admission.leave(begun)
    return admission, tickets


def test_the_servers_limit() -> None:
    admission = Admission(Options(max_runs=2), Moment())
    first = admission.enter(call("a", "ann"))
    admission.enter(call("b", "bea"))
    with pytest.raises(Overloaded) as refused:
        admission.enter(call("c"))
    assert refused.value.retry_after == 1.0
    assert admission.total == 2
    admission.leave(first)
    admission.enter(call("c"))


@pytest.mark.parametrize(("dag_id", "caller"), [("a", "other"), ("other", "ann")])
def test_a_share(dag_id: str, caller: str) -> None:
    admission = Admission(Options(max_runs_per_dag=2, max_runs_per_caller=2), Moment())
    tickets = [admission.enter(call("a", "ann")) for _ in range(2)]
    with pytest.raises(RateLimited, match="its share of this server"):
        admission.enter(call(dag_id, caller))
    admission.enter(call("b", "bea"))
    assert admission.total == 3
    admission.leave(tickets[0])
    admission.enter(call(dag_id, caller))


def test_a_caller_without_a_name_has_no_share() -> None:
    admission = Admission(Options(max_runs_per_dag=1, max_runs_per_caller=1), Moment())
    admission.enter(call("a"))
    admission.enter(call("b"))
    with pytest.raises(RateLimited):
        admission.enter(call("a"))


def test_what_a_task_starts_is_counted_and_never_refused() -> None:
    admission = Admission(Options(max_runs=1), Moment())
    admission.enter(call("a"))
    nested = admission.enter(CallRequest("a", started_by=RunKey("a", "r")))
    assert admission.total == 2
    admission.leave(nested)
    with pytest.raises(Overloaded):
        admission.enter(call("b"))


def test_who_is_over_is_over_once() -> None:
    admission = Admission(Options(), Moment())
    ticket = admission.enter(call())
    assert admission.queued == 1
    admission.begun(ticket)
    admission.begun(ticket)
    assert (admission.queued, admission.total) == (0, 1)
    admission.leave(ticket)
    admission.leave(ticket)
    admission.begun(ticket)
    assert (admission.queued, admission.total) == (0, 0)


def test_a_burst_may_queue_longer_than_a_steady_overload() -> None:
    moment = Moment()
    admission, _ = queued(moment, rate=10, length=int(BURST_WAIT * 8), seconds=2)
    admission.enter(call())  # in 8 s
    moment = Moment()
    admission, _ = queued(moment, rate=10, length=int(BURST_WAIT * 12), seconds=2)
    with pytest.raises(RateLimited, match="wait to begin") as refused:
        admission.enter(call())
    assert refused.value.retry_after == pytest.approx(2.0, abs=0.5)
    moment = Moment()
    admission, _ = queued(moment, rate=50, length=int(STEADY_WAIT * 75), seconds=BURST_WAIT + 1)
    with pytest.raises(RateLimited) as refused:
        admission.enter(call())  # in 3 s
    assert refused.value.retry_after == pytest.approx(1.0, abs=0.2)


def test_a_short_queue_is_never_too_long() -> None:
    moment = Moment()
    admission, _ = queued(moment, rate=0.1, length=FLOOR - 2, seconds=100)
    admission.enter(call())
    admission.enter(call())
    with pytest.raises(RateLimited) as refused:
        admission.enter(call())
    assert refused.value.retry_after == 60.0


def test_who_does_not_wait_may_queue() -> None:
    moment = Moment()
    admission, _ = queued(moment, rate=10, length=1000, seconds=2)
    admission.enter(call(waits=False))
    with pytest.raises(RateLimited):
        admission.enter(call())


def test_other_dags_and_other_callers_are_not_refused() -> None:
    moment = Moment()
    admission, _ = queued(moment, rate=10, length=1000, seconds=2)
    admission.enter(call("other"))
    admission.enter(call("d", "ann"))
    with pytest.raises(RateLimited):
        admission.enter(call("d", ""))


@pytest.mark.parametrize(
    ("timeout", "refused"), [(None, False), (10.0, False), (3.0, True), (0.5, True)], ids=["none", "far", "near", "now"]
)
def test_a_deadline_that_cannot_be_met(timeout: float | None, refused: bool) -> None:
    moment = Moment()
    admission, tickets = queued(moment, rate=10, length=20, seconds=2)
    for ticket in tickets[:10]:
        admission.begun(ticket)
    moment.now += 5.0  # that is how long they take
    for ticket in tickets[:10]:
        admission.leave(ticket)
    waits: Callable[[], Ticket] = lambda: admission.enter(call(timeout=timeout, waits=False))  # noqa: E731
    if not refused:
        waits()
        return
    with pytest.raises(Overloaded, match="too late for a deadline") as error:
        waits()
    assert error.value.retry_after is not None
    assert error.value.retry_after >= 1.0


def test_without_a_queue_a_deadline_is_not_guessed_at() -> None:
    moment = Moment()
    admission = Admission(Options(), moment)
    slow = admission.enter(call())
    admission.begun(slow)
    moment.now = 30.0
    admission.leave(slow)
    admission.enter(call(timeout=1.0))
