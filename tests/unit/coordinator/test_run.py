"""A run as its readers see it."""

import asyncio

import pytest

from dagcall.coordinator import run as module
from dagcall.coordinator.run import Run
from dagcall.core.machine import RunMachine
from dagcall.model.commands import Outcome
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.records import JournalRecord, RunHead
from dagcall.model.states import OutcomeKind, RunState

pytestmark = pytest.mark.anyio


async def test_those_who_wait_for_the_answer_go_before_readers_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READERS_AFTER_ANSWER", 0.2)
    key = RunKey("d", "r")
    plan = DagPlan("d", "v1", "/d.py", "d.py", (TaskPlan("a", is_result=True),))
    head = RunHead(key, RunState.RUNNING, "v1", 1.0, 1.0)
    run = Run(key, plan, RunMachine(plan, key), head)
    went: list[str] = []

    async def read() -> None:
        await run.changed()
        went.append("reader")

    async def wait() -> None:
        await run.wait_outcome(60.0)
        went.append("caller")

    everybody = asyncio.gather(read(), read(), wait())
    await asyncio.sleep(0)
    run.publish((JournalRecord(1, 1.0, "result", {}),), head)
    run.answer(Outcome(OutcomeKind.SUCCESS, {}, ("a",)), 1.0)
    await everybody
    assert went == ["caller", "reader", "reader"]
