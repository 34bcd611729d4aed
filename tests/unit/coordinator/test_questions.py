"""What running code may ask of the coordinator."""

import msgspec
import pytest

from dagcall.coordinator import questions
from dagcall.core.machine import RunMachine
from dagcall.model.events import AttemptEnded, AttemptStarted, EndKind, RunAccepted, XComItem
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, TaskPlan

KEY = RunKey("d", "r")


@pytest.fixture
def machine() -> RunMachine:
    """`first` has pushed and ended, `second` waits for a worker."""
    tasks = (TaskPlan("first", "Python", downstream=("second",)), TaskPlan("second", "Python", upstream=("first",)))
    machine = RunMachine(DagPlan("d", "v", "/d.py", "d.py", tasks), KEY)
    machine.step(RunAccepted("d", "r", "v", b"{}"), 0.0)
    (attempt, *_), *_ = machine.open_attempts()
    machine.step(AttemptStarted(attempt, 1, "worker", 1), 1.0)
    xcoms = (XComItem("return_value", msgspec.msgpack.encode(5)), XComItem("k", msgspec.msgpack.encode("v")))
    machine.step(AttemptEnded(attempt, 1, EndKind.SUCCESS, xcoms=xcoms), 2.0)
    return machine


def test_run_of() -> None:
    assert questions.run_of("xcom", ["d", "r", "t", -1, "k"]) == KEY


def test_unknown_questions() -> None:
    with pytest.raises(LookupError, match="does not know"):
        questions.run_of("anything", [])
    with pytest.raises(LookupError, match="does not know"):
        questions.answer("anything", [], None)


def test_xcoms(machine: RunMachine) -> None:
    assert questions.answer("xcom", ["d", "r", "first", -1, "k"], machine) == msgspec.msgpack.encode("v")
    assert questions.answer("xcom", ["d", "r", "first", 0, "k"], machine) is None
    assert questions.answer("xcoms", ["d", "r", "first", "return_value"], machine) == [b"\x05"]
    assert questions.answer("xcom", ["d", "r", "first", -1, "k"], None) is None
    assert questions.answer("xcoms", ["d", "r", "first", "k"], None) == []
