"""Calls while the journal is away."""

import asyncio

import pytest

from dagcall.coordinator import acceptance
from dagcall.coordinator.acceptance import PATIENCE, check_journal, decided
from dagcall.errors import RunExists, Unavailable
from dagcall.journal.base import Trouble
from dagcall.journal.memory import MemoryJournal
from dagcall.model.ids import RunKey

pytestmark = pytest.mark.anyio

KEY = RunKey("shop", "manual__1")


def journal(away_for: float | None) -> MemoryJournal:
    made = MemoryJournal()
    if away_for is not None:
        made.trouble = Trouble("the database is restarting", asyncio.get_running_loop().time() - away_for)
    return made


async def test_a_call_is_refused_once_the_journal_has_been_away_for_long() -> None:
    check_journal(journal(None))
    check_journal(journal(PATIENCE - 1))
    with pytest.raises(Unavailable, match="restarting") as raised:
        check_journal(journal(PATIENCE + 1))
    assert raised.value.retry_after == acceptance.RETRY_AFTER


async def test_who_waits_for_an_undecided_run_is_told_so_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance, "LOOK", 0.0)
    accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(Unavailable, match="not known yet") as raised:
        await decided(accepted, journal(PATIENCE + 1), KEY)
    assert (raised.value.dag_id, raised.value.run_id) == KEY
    assert not accepted.done()


async def test_what_is_decided_meanwhile_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance, "LOOK", 0.0)
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[int] = loop.create_future()
    loop.call_soon(lambda: loop.call_soon(accepted.set_result, 7))
    assert await decided(accepted, journal(1.0), KEY) == 7
    refused: asyncio.Future[int] = loop.create_future()
    loop.call_soon(refused.set_exception, RunExists(dag_id="shop"))
    with pytest.raises(RunExists):
        await decided(refused, journal(PATIENCE + 1), KEY)
