"""What is told of a server's state is bounded, and has nothing of what tasks were given."""

from typing import Any

import pytest

from dagcall.coordinator.inspection import LONGEST, MOST_RUNS, MOST_WAITS, Inspection
from dagcall.coordinator.run import Run
from dagcall.core.machine import RunMachine
from dagcall.journal.memory import MemoryJournal
from dagcall.model.events import AttemptBlocked, AttemptStarted, RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.records import RunHead
from dagcall.model.states import RunState

pytestmark = pytest.mark.anyio

PLAN = DagPlan("d", "v", "/d.py", "d.py", tuple(TaskPlan(f"t{number}", "Python") for number in range(20)))


class Here:
    """A server, its workers and its clock."""

    def statistics(self) -> dict[str, int]:
        return {"runs": 7}

    def obstacles(self) -> list[str]:
        return ["the server is stopping"]

    def describe(self) -> list[str]:
        return ["/d.py: zygote 12"]

    def now(self) -> float:
        return 20.0


class Driving:
    def __init__(self, run_id: str, *events: object, is_held: bool = False) -> None:
        key = RunKey("d", run_id)
        self.is_held = is_held
        self.run = Run(key, PLAN, RunMachine(PLAN, key), RunHead(key, RunState.QUEUED, "v", 10.0, 10.0))
        for event in (
            RunAccepted("d", run_id, "v", b'{"a": "xyzzy"}', traceparent=f"00-{'a' * 32}-{'b' * 16}-01"),
            *events,
        ):
            self.run.machine.step(event, 10.0)  # type: ignore[arg-type]


def inspection(*driving: Driving) -> Inspection:
    here: Any = Here()
    drivers: Any = {one.run.key: one for one in driving}
    return Inspection(here, MemoryJournal(), here, drivers, here)


async def test_each_run_tells_what_it_waits_for() -> None:
    text = inspection(
        Driving("r", AttemptBlocked(1, "pool 'small' is full"), AttemptStarted(2, 1, "here", 77)),
        Driving("s", is_held=True),
    ).dump()
    lines = text.splitlines()
    assert lines[0].startswith("dagcall ")
    assert lines[1:3] == ["takes no calls: the server is stopping", "counts: runs 7"]
    assert "journal: well; 0 entries wait" in lines[3]
    assert lines[4] == "workers: /d.py: zygote 12"
    [first, second] = [line for line in lines if line.startswith("run ")]
    assert first.startswith(
        "run d/r: queued for 10.0 s, no outcome yet, 0 records: t0 try 1 waits for a slot: pool 'small' is full"
    )
    assert "t1 try 1 runs for 10.0 s (pid 77)" in first
    assert first.count("try 1") == MOST_WAITS
    assert first.endswith("; ...")
    assert "held: max_active_runs" in second
    assert "event loop:" in text
    assert "xyzzy" not in text


async def test_of_many_runs_some_are_told() -> None:
    text = inspection(*(Driving(f"r{number}") for number in range(MOST_RUNS + 3))).dump()
    assert text.count("\nrun ") <= MOST_RUNS
    assert "... and 3 more runs" in text or "(cut off)" in text
    assert len(text) <= LONGEST + 20
    long = inspection(*(Driving("r" * 2000 + str(number)) for number in range(MOST_RUNS))).dump()
    assert len(long) <= LONGEST + 20
    assert long.endswith("(cut off)")


async def test_the_trace_of_an_active_run_is_known() -> None:
    known = inspection(Driving("r"))
    assert known.trace_id(RunKey("d", "r")) == "a" * 32
    assert known.trace_id(RunKey("d", "other")) is None
