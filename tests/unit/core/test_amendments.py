"""What is added to a run outside of its attempts."""

import pytest

from dagcall.core.machine import RunMachine
from dagcall.core.replay import replay
from dagcall.model.commands import Command, Record
from dagcall.model.events import (
    AttemptAmended,
    AttemptEnded,
    AttemptStarted,
    EndKind,
    Event,
    RetryDue,
    RunAccepted,
    XComChanged,
    XComItem,
)
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, Retry, TaskPlan
from dagcall.model.records import JournalRecord
from dagcall.model.states import RunState

KEY = RunKey("d", "r")
PLAN = DagPlan("d", "v", "/d.py", "d.py", (TaskPlan("t", "Python", retry=Retry(1, 0.0)),))
ITEM = XComItem("k", b"\x01")
ACCEPTED = RunAccepted("d", "r", "v", b"{}")
ENDED = (ACCEPTED, AttemptStarted(1, 1), AttemptEnded(1, 1, EndKind.SUCCESS, xcoms=(ITEM,)))
RETRIED = (ACCEPTED, AttemptStarted(1, 1), AttemptEnded(1, 1, EndKind.RETRY), RetryDue("t"), AttemptStarted(2, 1))


def run(*events: Event) -> tuple[RunMachine, list[Command]]:
    """The machine after the events, and what the last one gave. A replay of the records gives the same XComs."""
    machine = RunMachine(PLAN, KEY)
    records: list[JournalRecord] = []
    commands: list[Command] = []
    for now, event in enumerate(events):
        commands = machine.step(event, float(now))
        for command in commands:
            if isinstance(command, Record):
                records.append(JournalRecord(len(records) + 1, float(now), command.kind, command.data, command.event))
    again = replay(PLAN, KEY, records)
    assert list(again.xcoms.items()) == list(machine.xcoms.items())
    assert [ti.rendered_fields for ti in again.instances()] == [ti.rendered_fields for ti in machine.instances()]
    assert again.state is machine.state
    return machine, commands


def test_an_xcom_is_set_and_deleted() -> None:
    machine, commands = run(*ENDED[:2], XComChanged("t", -1, "k", ITEM))
    assert machine.xcoms.get("t", -1, "k") == ITEM
    event = XComChanged("t", -1, "k", ITEM)
    assert commands == [Record("xcom", {"task_id": "t", "map_index": -1, "set": ["k"], "deleted": []}, event)]
    machine, commands = run(*ENDED[:2], event, XComChanged("t", -1, "k"))
    assert machine.xcoms.get("t", -1, "k") is None
    assert [command.data["deleted"] for command in commands if isinstance(command, Record)] == [["k"]]


@pytest.mark.parametrize(
    "event", [XComChanged("t", -1, "other"), XComChanged("t", 0, "k", ITEM), XComChanged("x", -1, "k", ITEM)]
)
def test_what_changes_nothing_is_not_recorded(event: XComChanged) -> None:
    assert run(*ENDED, event)[1] == []


def test_a_run_that_has_ended_takes_it_in_and_stays_as_it_ended() -> None:
    before, _ = run(*ENDED)
    machine, commands = run(*ENDED, XComChanged("t", -1, "k"), AttemptAmended("t", -1, 1, (ITEM,), b"{}"))
    assert machine.state is RunState.SUCCESS
    assert (machine.end_date, machine.outcome) == (before.end_date, before.outcome)
    assert machine.xcoms.get("t", -1, "k") == ITEM
    assert machine.instances()[0].rendered_fields == b"{}"
    assert [type(command) for command in commands] == [Record]


def test_what_a_try_adds_after_the_next_one_began_is_ignored() -> None:
    machine, commands = run(*RETRIED, AttemptAmended("t", -1, 1, (ITEM,)))
    assert commands == []
    assert machine.xcoms.get("t", -1, "k") is None
    machine, _ = run(*RETRIED[:3], AttemptAmended("t", -1, 1, (ITEM,)))
    assert machine.xcoms.get("t", -1, "k") == ITEM
