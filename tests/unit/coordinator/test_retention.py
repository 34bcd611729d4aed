"""How long ended runs are kept."""

from collections.abc import Sequence
from typing import Any

import pytest

from dagcall.coordinator.retention import forget_once
from dagcall.coordinator.stored_values import StoredValues
from dagcall.journal.base import HeadQuery
from dagcall.journal.memory import MemoryJournal
from dagcall.model.events import RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState

pytestmark = pytest.mark.anyio


class Stored(StoredValues):
    """Knows what it was told to forget, and has nothing on disk."""

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type] # nothing is stored elsewhere
        self.forgotten: list[str] = []

    async def forget(self, runs: Sequence[RunKey]) -> None:
        self.forgotten += [run.run_id for run in runs]


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
    stored = Stored()
    recent: dict[RunKey, Any] = {RunKey("d", "old"): None, RunKey("d", "new"): None}
    assert await forget_once(journal, stored, 50.0, lambda key: recent.pop(key, None)) == 2
    assert stored.forgotten == ["older", "old"]
    assert list(recent) == [RunKey("d", "new")]
    heads, _ = await journal.list_heads(HeadQuery())
    assert [head.key.run_id for head in heads] == ["new", "running"]
    assert await forget_once(journal, stored, 50.0, lambda key: recent.pop(key, None)) == 0
    await journal.close()
