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


@pytest.mark.parametrize(
    ("what", "args", "keys"),
    [
        ("xcom", ["d", "r", "t", -1, "k"], (KEY,)),
        ("ti_count", ["d", ["r", "s"], [], [], None], (KEY, RunKey("d", "s"))),
        ("task_states", ["d", [], [], None], ()),
    ],
)
def test_run_of(what: str, args: list[object], keys: tuple[RunKey, ...]) -> None:
    assert questions.run_of(what, args) == keys


def test_unknown_questions() -> None:
    with pytest.raises(LookupError, match="does not know"):
        questions.run_of("anything", [])
    with pytest.raises(LookupError, match="does not know"):
        questions.answer("anything", [], {})


def test_xcoms(machine: RunMachine) -> None:
    machines = {KEY: machine}
    assert questions.answer("xcom", ["d", "r", "first", -1, "k"], machines) == msgspec.msgpack.encode("v")
    assert questions.answer("xcom", ["d", "r", "first", 0, "k"], machines) is None
    assert questions.answer("xcoms", ["d", "r", "first", "return_value"], machines) == [b"\x05"]
    assert questions.answer("delete_xcom", ["d", "r", "first", -1, "k"], machines) is None
    assert questions.answer("xcom", ["d", "r", "first", -1, "k"], machines) is None
    assert questions.answer("xcom", ["d", "r", "first", -1, "k"], {KEY: None}) is None
    assert questions.answer("xcoms", ["d", "r", "first", "k"], {KEY: None}) == []


def test_states(machine: RunMachine) -> None:
    machines = {KEY: machine, RunKey("d", "gone"): None}
    assert questions.answer("ti_count", ["d", ["r", "gone"], [], [], None], machines) == 2
    assert questions.answer("ti_count", ["d", ["r"], ["first"], [], None], machines) == 1
    assert questions.answer("ti_count", ["d", ["r"], [], ["success"], None], machines) == 1
    assert questions.answer("ti_count", ["d", ["r"], [], [], 0], machines) == 0
    states = questions.answer("task_states", ["d", ["r", "gone"], [], None], machines)
    assert states == {"r": {"first": "success", "second": "queued"}}
    assert questions.answer("dag_run_state", ["d", "r"], {KEY: machine}) == "running"
    with pytest.raises(LookupError, match="there is no run 'r' of DAG 'd' here"):
        questions.answer("dag_run_state", ["d", "r"], {KEY: None})
