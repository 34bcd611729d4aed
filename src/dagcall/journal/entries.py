"""What waits to be written, and what became of it: what the event loop and an engine's writer hand each other."""

import asyncio
from typing import NamedTuple

from dagcall.crashpoints import reached
from dagcall.errors import DagcallError
from dagcall.journal.store import Change
from dagcall.model.assets import AssetChanges
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch, RunHead

Work = Batch | DagPlan | RunKey | tuple[Change, ...] | AssetChanges
"""A batch to append, a plan to put, the key of a run to delete, or changes of the store or of assets."""

Done = bool | list[int] | AssetChanges | None
"""Whether there was a run to delete; what changes of the store have done, one number each; changes of assets as they are
kept, where that is another thing; None for the others."""


class KnownRun(NamedTuple):
    """Where a run is stored, and its head as last written."""

    row: int
    head: RunHead


class Entry(NamedTuple):
    """Something to write, and who waits for it."""

    work: Work
    power: bool
    future: asyncio.Future[None] | asyncio.Future[Done]


class Outcome(NamedTuple):
    """What became of an entry."""

    entry: Entry
    done: Done = None
    error: DagcallError | None = None


def settle(outcomes: list[Outcome]) -> None:
    """Tell those who wait. In the event loop."""
    for (_, _, future), done, error in outcomes:
        if future.done():  # cancelled by whoever waited
            continue
        if error is None:
            future.set_result(done)  # type: ignore[arg-type] # None for a batch's waiter
        else:
            future.set_exception(error)
    reached("journal.told")
