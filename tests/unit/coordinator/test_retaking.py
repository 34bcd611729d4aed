"""A run that the journal has failed has no driver, then one."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dagcall.coordinator import retaking
from dagcall.coordinator.retaking import Retaking
from dagcall.errors import JournalError, RunExists, Unavailable
from dagcall.model.ids import RunKey
from dagcall.model.plan import TaskPlan
from dagcall.model.records import RunHead
from dagcall.model.states import RunState

from .by_hand import Hands, Server, plan_of

pytestmark = pytest.mark.anyio
KEY = RunKey("shop", "r1")
FAILURE = JournalError("the disk is full")


class House:
    """A journal with one run, which can be taken up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retaking, "_FIRST_PAUSE", 0.0)
        monkeypatch.setattr(retaking, "_LONGEST_PAUSE", 0.0)
        self.happened: list[str] = []
        self.is_others = False
        self.failing: list[Exception] = []
        self.state: RunState | None = RunState.RUNNING
        self.trouble = None
        self.retaking = Retaking(self, self.take_up, self.ask)  # type: ignore[arg-type]

    async def head(self, key: RunKey) -> RunHead | None:
        self.happened.append("read")
        if self.failing:
            raise self.failing.pop()
        return None if self.state is None else RunHead(key, self.state, "v1", 1.0, 1.0, last_record=1)

    async def ask(self, key: RunKey) -> bool:
        return self.is_others

    async def take_up(self, head: RunHead) -> Any:
        self.happened.append("taken up")
        return self

    def resume(self, *, why: str) -> None:
        self.happened.append("resumed")


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110 # facts of another task, in this loop
            await asyncio.sleep(0)


async def test_the_run_is_taken_up_as_soon_as_the_journal_can_be_read(house: House) -> None:
    house.failing = [FAILURE, FAILURE]
    house.retaking.begin(KEY, FAILURE)
    assert house.retaking.has(KEY)
    assert await house.retaking.settled(KEY)
    assert house.happened == ["read", "read", "read", "taken up", "resumed"]
    assert not house.retaking.has(KEY)
    assert not await house.retaking.settled(KEY)


@pytest.mark.parametrize("state", [None, RunState.SUCCESS, RunState.RUNNING])
async def test_what_is_not_there_or_has_ended_or_is_another_servers_is_left_alone(
    house: House, state: RunState | None
) -> None:
    house.state, house.is_others = state, state is RunState.RUNNING
    house.retaking.begin(KEY, FAILURE)
    assert await house.retaking.settled(KEY)
    assert house.happened == ["read"]


async def test_of_a_run_that_is_somebody_elses_from_the_beginning_nothing_is_done(house: House) -> None:
    house.retaking.begin(KEY, RunExists(dag_id="shop"))
    assert not house.retaking.has(KEY)


async def test_nothing_is_read_before_the_drivers_last_batch_is_decided(house: House) -> None:
    """It is kept if the one before was, whatever came back: then it belongs to what the next driver must know."""
    appended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    house.retaking.begin(KEY, FAILURE, appended)
    for _ in range(20):
        await asyncio.sleep(0)
    assert house.happened == []
    appended.set_result(None)
    await until(lambda: house.happened == ["read", "taken up", "resumed"])


async def test_who_asks_for_the_run_is_told_to_come_again_while_that_takes_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retaking, "PATIENCE", 0.0)
    house.retaking.begin(KEY, FAILURE, asyncio.get_running_loop().create_future())
    with pytest.raises(Unavailable, match="could not keep the run") as refused:
        await house.retaking.settled(KEY)
    assert refused.value.retry_after == 1.0
    await house.retaking.stop()


async def test_a_driver_that_the_journal_failed_writes_nothing_more() -> None:
    """A worker that it gives back is leased by another run at once; that run's step hands on the slots that came back, to
    the second task of this one, too: it used to record that, on top of what it did not know."""
    server = await Server().start()
    failed = await server.call(plan_of(TaskPlan("t", "Op"), TaskPlan("u", "Op"), max_active_tasks=1))
    await server.call(plan_of(TaskPlan("t", "Op")))
    hands: Hands = server.workers
    append, written = server.journal.append, []

    def refuse(batch: Any, durability: str = "process") -> "asyncio.Future[None]":
        if batch.head.key != failed.key:
            return append(batch, durability)
        written.append([record.kind for record in batch.records])
        refused = asyncio.get_running_loop().create_future()
        refused.set_exception(FAILURE)
        return refused

    server.journal.append = refuse  # type: ignore[method-assign]
    hands.lease(hands.waiting[0])
    hands.leases[0].stop = lambda reason: hands.lease(hands.waiting[0])  # type: ignore[method-assign]
    await until(lambda: failed.key not in server.drivers)
    assert len(hands.leases) == 2
    assert written == [["task"]]
