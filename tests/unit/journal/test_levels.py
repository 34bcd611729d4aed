"""Runs that are kept in memory keep the promises of a journal, beside those that are kept in one."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dagcall.errors import JournalError, RunExists
from dagcall.journal.base import HeadQuery, Journal
from dagcall.journal.levels import LeveledJournal
from dagcall.journal.memory import MemoryJournal, MemoryStorage
from dagcall.model.assets import AssetChanges
from dagcall.model.ids import RunKey
from dagcall.model.records import Batch
from dagcall.model.states import RunState
from dagcall.testing.journal_storage import JournalStorage
from dagcall.testing.journal_suite import KEY, ExclusiveJournalSuite, first_batch, head_for, next_batch

pytestmark = pytest.mark.anyio

OTHER = RunKey("shop", "other")


class Leveled(JournalStorage):
    level = "process"

    @pytest.fixture(autouse=True)
    def storage(self) -> None:
        self._storage = MemoryStorage()

    def make(self, storage: Path) -> Journal:
        return _At(self.level, MemoryJournal(self._storage))

    def break_lock(self, storage: Path) -> None:
        self._storage.holder = None


class _At(LeveledJournal):
    """What names no level is written at this one."""

    def __init__(self, level: str, journal: Journal) -> None:
        super().__init__(journal)
        self._level = level

    def append(self, batch: Batch, durability: str = "") -> asyncio.Future[None]:
        return super().append(batch, durability or self._level)


class TestRunsInTheJournal(Leveled, ExclusiveJournalSuite): ...


class TestRunsInMemory(Leveled, ExclusiveJournalSuite):
    """All but what is promised over the journal's end."""

    level = "none"
    test_everything_is_there_after_reopening_and_the_epoch_counts = None
    test_closing_writes_what_was_appended = None
    test_a_second_server_is_refused_and_told_who_has_it = None
    test_a_server_that_lost_its_lock_is_fenced = None


class Both:
    """A journal with `none` over one without, to look below."""

    def __init__(self, kept: int = 500) -> None:
        self.storage = MemoryStorage()
        self.below = MemoryJournal(self.storage)
        self.journal = LeveledJournal(self.below, kept)


@pytest.fixture
async def both() -> Both:
    made = Both()
    await made.journal.open()
    return made


async def test_a_restart_finds_nothing_of_a_run_in_memory(both: Both) -> None:
    await both.journal.append(first_batch(head_for()), "none")
    await both.journal.append(next_batch(head_for()), "none")
    await both.journal.append(first_batch(head_for(OTHER)))
    assert [head.key for head in await both.journal.unfinished()] == [OTHER, KEY]
    await both.journal.close()
    again = LeveledJournal(MemoryJournal(both.storage))
    await again.open()
    assert await again.head(KEY) is None
    assert [head.key for head in await again.unfinished()] == [OTHER]
    await again.append(first_batch(head_for()))  # its id is free again


async def test_a_run_stays_where_it_began(both: Both) -> None:
    await both.journal.append(first_batch(head_for()), "none")
    await both.journal.append(next_batch(head_for()), "power")
    await both.journal.append(first_batch(head_for(OTHER)), "power")
    await both.journal.append(next_batch(head_for(OTHER)), "none")
    assert both.storage.runs.keys() == {OTHER}
    assert len(await both.journal.records(KEY)) == len(await both.journal.records(OTHER)) == 2


@pytest.mark.parametrize("levels", [("none", "process"), ("process", "none"), ("none", "none")])
async def test_ids_and_dates_are_taken_whatever_the_level(both: Both, levels: tuple[str, str]) -> None:
    first, second = levels
    await both.journal.append(first_batch(head_for(logical_date=7.0)), first)
    with pytest.raises(RunExists):
        await both.journal.append(first_batch(head_for(caller="second")), second)
    with pytest.raises(RunExists, match="logical date"):
        await both.journal.append(first_batch(head_for(OTHER, logical_date=7.0)), second)
    kept = await both.journal.head(KEY)
    assert kept is not None
    assert kept.caller == ""
    assert await both.journal.head(OTHER) is None


async def test_a_list_is_one_list(both: Both) -> None:
    for number in range(20):
        head = head_for(
            RunKey("shop", f"r{number:02}"),
            queued_at=float(number),
            run_after=float(number % 5),
            start_date=None if number % 3 else float(number),
        )
        await both.journal.append(first_batch(head), "none" if number % 2 else "process")
    for order in (("id",), ("-id",), ("-run_after", "run_id"), ("start_date", "-run_id"), ("state", "-id")):
        whole, total = await both.journal.list_heads(HeadQuery(order_by=order))
        assert total == len(whole) == 20
        one = MemoryJournal()
        await one.open()
        for head in sorted(whole, key=lambda head: head.queued_at):
            await one.append(first_batch(head))
        assert whole == (await one.list_heads(HeadQuery(order_by=order)))[0]
        pages = [(await both.journal.list_heads(HeadQuery(order_by=order, limit=3, offset=at)))[0] for at in (0, 3, 18)]
        assert pages == [whole[0:3], whole[3:6], whole[18:]]


async def test_of_those_that_have_ended_only_the_last_are_kept() -> None:
    both = Both(kept=2)
    await both.journal.open()
    heads = [head_for(RunKey("shop", str(number)), logical_date=float(number)) for number in range(4)]
    for head in heads:
        await both.journal.append(first_batch(head), "none")
    for head in (heads[2], heads[0], heads[1]):
        await both.journal.append(next_batch(head, state=RunState.SUCCESS))
    _, total = await both.journal.list_heads(HeadQuery())
    assert total == 3
    assert await both.journal.head(heads[2].key) is None
    assert await both.journal.head(heads[3].key) == heads[3]
    await both.journal.append(first_batch(heads[2]), "none")  # its id and its date are free again


async def test_what_a_run_does_to_assets_is_durable_before_its_batch_counts(both: Both) -> None:
    await both.journal.append(first_batch(head_for()), "none")
    written: list[AssetChanges] = []
    gate = asyncio.Event()

    class Slow:
        async def write(self, changes: AssetChanges) -> None:
            await gate.wait()
            written.append(changes)

    both.journal.assets = Slow()  # type: ignore[assignment] # as much of it as is used
    batch = replace(next_batch(head_for()), assets=AssetChanges())
    order: list[int] = []
    futures = [both.journal.append(batch), both.journal.append(next_batch(batch.head))]
    for place, future in enumerate(futures):
        future.add_done_callback(lambda _, place=place: order.append(place))  # type: ignore[misc]
    await asyncio.sleep(0)
    assert not order
    gate.set()
    await asyncio.gather(*futures)
    await asyncio.sleep(0)
    assert order == [0, 1]
    assert written == [AssetChanges()]


async def test_a_run_in_memory_does_without_a_journal_that_fails(both: Both) -> None:
    await both.journal.append(first_batch(head_for()), "none")
    both.storage.epoch += 1  # another server has taken it
    await both.journal.append(next_batch(head_for()))
    with pytest.raises(JournalError):
        await both.journal.append(first_batch(head_for(OTHER)))
