"""How long ended runs are kept."""

import pytest

from dagcall.coordinator.retention import forget_once
from dagcall.journal.base import HeadQuery
from dagcall.journal.memory import MemoryJournal
from dagcall.model.events import RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState

pytestmark = pytest.mark.anyio


async def test_only_runs_that_ended_long_ago_are_forgotten() -> None:
    journal = MemoryJournal()
    await journal.open()
    for run_id, state, end in (
        ("old", RunState.SUCCESS, 10.0),
        ("older", RunState.FAILED, 5.0),
        ("new", RunState.SUCCESS, 90.0),
        ("running", RunState.RUNNING, None),
    ):
        key = RunKey("d", run_id)
        head = RunHead(key, state, "v1", 1.0, 1.0, end_date=end, last_record=1)
        await journal.append(Batch(head, (JournalRecord(1, 1.0, "accepted", {}, RunAccepted(*key, "v1")),)))
    forgotten: list[str] = []
    assert await forget_once(journal, 50.0, lambda key: forgotten.append(key.run_id)) == 2
    assert forgotten == ["older", "old"]
    heads, _ = await journal.list_heads(HeadQuery())
    assert [head.key.run_id for head in heads] == ["new", "running"]
    assert await forget_once(journal, 50.0, lambda key: None) == 0
    await journal.close()
