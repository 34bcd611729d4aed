"""Notes on runs and task instances, in the memory journal's store."""

import itertools
from collections.abc import AsyncIterator

import pytest

from dagcall.coordinator.notes import Notes, forgetting
from dagcall.journal.memory import MemoryJournal
from dagcall.model.ids import RunKey, TaskKey

pytestmark = pytest.mark.anyio

RUN, LONGER = RunKey("shop", "r"), RunKey("shop", "r2")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def journal() -> AsyncIterator[MemoryJournal]:
    journal = MemoryJournal()
    await journal.open()
    yield journal
    await journal.close()


async def test_they_are_those_of_their_run(journal: MemoryJournal) -> None:
    notes = Notes(journal.store, itertools.count().__next__)
    assert await notes.of_runs([RUN, LONGER]) == {}
    await notes.put(RUN, {None: "all well", TaskKey("pay", 3): "odd"})
    await notes.put(LONGER, {TaskKey("pay"): "other"})
    await notes.put(RUN, {None: None})
    assert await notes.of_run(RUN) == {None: None, TaskKey("pay", 3): "odd"}
    assert await notes.of_runs([RUN, LONGER, RunKey("shop", "none")]) == {
        RUN: {None: None, TaskKey("pay", 3): "odd"},
        LONGER: {TaskKey("pay"): "other"},
    }
    await journal.store.write(forgetting(RUN))
    assert await notes.of_run(RUN) == {}
    assert await notes.of_run(LONGER) == {TaskKey("pay"): "other"}
