"""A journal that another server has opened since: when it is noticed, and what callers are told."""

import pytest

from dagcall.coordinator import fencing
from dagcall.coordinator.fencing import farewell, fenced, not_kept
from dagcall.errors import JournalError, JournalFenced, ShuttingDown, Unavailable
from dagcall.journal.base import Trouble
from dagcall.journal.memory import MemoryJournal
from dagcall.model.ids import RunKey

pytestmark = pytest.mark.anyio

KEY = RunKey("shop", "manual__1")
PASSES = Trouble("the disk is full", 1.0)
FINAL = Trouble("another server has it", 2.0, is_final=True)


async def test_it_is_noticed_and_other_trouble_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, seen = MemoryJournal(), [FINAL, None, PASSES]

    async def pause(seconds: float) -> None:
        journal.trouble = seen.pop()

    monkeypatch.setattr(fencing.asyncio, "sleep", pause)
    assert await fenced(journal) == FINAL.reason
    assert seen == []


async def test_who_waits_is_told_by_run_id_and_without_addresses() -> None:
    journal = MemoryJournal()
    assert type(farewell(journal, KEY)) is ShuttingDown
    journal.trouble = FINAL
    for told in (farewell(journal, KEY), not_kept(journal, KEY, JournalFenced("/var/j.db: another server"))):
        assert type(told) is Unavailable
        assert (told.dag_id, told.run_id) == KEY
        assert "another server has taken over" in str(told)
        assert "/var" not in str(told)


async def test_other_failures_say_what_failed_and_not_where() -> None:
    journal = MemoryJournal()
    journal.trouble = PASSES
    told = str(not_kept(journal, KEY, JournalError("journal /var/j.db: the disk is full")))
    assert "is full" in told
    assert "/var" not in told
