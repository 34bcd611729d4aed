"""Runs of servers that have ended are taken up, once, and nothing keeps the others from it."""

import asyncio
from typing import Any

import pytest

from dagcall.coordinator import succession
from dagcall.coordinator.succession import TAKEN_OVER, Succession
from dagcall.errors import JournalCorrupt, JournalError, RunNotFound
from dagcall.model.ids import RunKey
from dagcall.model.records import RunHead
from dagcall.model.states import RunState

pytestmark = pytest.mark.anyio


def head(name: str) -> RunHead:
    return RunHead(RunKey("shop", name), RunState.RUNNING, "v1", queued_at=1.0, run_after=1.0, last_record=1)


class House:
    """A journal that gives this server runs, and what becomes of them."""

    def __init__(self) -> None:
        self.owned: list[RunHead] = []
        self.taken = asyncio.Event()
        self.failing: list[Exception] = []
        self.bad: dict[str, Exception] = {}
        self.driven: dict[RunKey, Any] = {}
        self.resumed: list[tuple[str, bool, str]] = []
        self.retaken: list[str] = []
        self.looked = 0
        self.succession = Succession(
            self,  # type: ignore[arg-type]
            self.driven,
            self.take_up,
            lambda plan: plan == "fails",  # type: ignore[comparison-overlap]
            self,  # type: ignore[arg-type]
        )
        self.succession.others.append(self.look)

    async def taken_over(self) -> None:
        await self.taken.wait()
        self.taken.clear()

    async def unfinished(self) -> list[RunHead]:
        if self.failing:
            raise self.failing.pop()
        return self.owned

    async def take_up(self, found: RunHead) -> Any:
        name = found.key.run_id
        if name in self.bad:
            raise self.bad[name]
        self.driven[found.key] = driver = Driver(self, name)
        return driver

    def has(self, key: RunKey) -> bool:
        return key.run_id == "being retaken"

    def begin(self, key: RunKey, failure: BaseException) -> None:
        self.retaken.append(key.run_id)

    async def look(self) -> None:
        self.looked += 1


class Driver:
    def __init__(self, house: House, name: str) -> None:
        self.house, self.name, self.run = house, name, self
        self.plan = name

    def resume(self, *, fail: bool, why: str) -> None:
        self.house.resumed.append((self.name, fail, why))


async def until(fact: Any) -> None:
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110 # facts of another task, in this loop
            await asyncio.sleep(0)


async def test_what_is_taken_over_is_taken_up_and_what_is_driven_is_left_alone() -> None:
    house = House()
    serving = asyncio.create_task(house.succession.serve())
    house.driven[head("mine").key] = None
    house.owned = [head(name) for name in ("mine", "theirs", "being retaken", "fails")]
    house.taken.set()
    await until(lambda: house.looked == 1)
    assert house.resumed == [("theirs", False, TAKEN_OVER), ("fails", True, TAKEN_OVER)]
    house.owned.append(head("later"))
    house.taken.set()
    await until(lambda: house.looked == 2)
    assert house.resumed[2:] == [("later", False, TAKEN_OVER)]
    serving.cancel()


async def test_a_run_that_is_damaged_or_has_ended_keeps_none_of_the_others() -> None:
    house = House()
    house.owned = [head(name) for name in ("damaged", "ended", "good")]
    house.bad = {"damaged": JournalCorrupt("its records cannot be replayed"), "ended": RunNotFound()}
    await house.succession.take_up_all()
    assert [name for name, *_ in house.resumed] == ["good"]
    assert house.retaken == ["damaged"]


async def test_a_journal_that_cannot_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "_AGAIN", 0.0)
    house = House()
    house.failing = [JournalError("away"), JournalError("away")]
    house.owned = [head("theirs")]
    serving = asyncio.create_task(house.succession.serve())
    house.taken.set()
    await until(lambda: house.looked)
    assert [name for name, *_ in house.resumed] == ["theirs"]
    serving.cancel()
