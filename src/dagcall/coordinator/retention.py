"""How long ended runs are kept: `[dagcall] keep_runs`, in seconds; without it until somebody deletes them.

A run is forgotten whole: its records, its values, stored ones too, what its tasks asked of people, what people noted on
it, and its idempotency key, which may then begin another run. Runs that have not ended are never touched. Task logs
stay: they are Airflow's. So does what references name outside of dagcall's own store: it is its author's. Of servers that share a journal the eldest
forgets for all.
"""

import asyncio
import logging
from collections.abc import Callable

from dagcall.coordinator import inputs, notes
from dagcall.coordinator.stored_values import StoredValues
from dagcall.crashpoints import reached
from dagcall.errors import DagcallError
from dagcall.journal.base import HeadQuery, Journal, TimeRange
from dagcall.model.ids import RunKey
from dagcall.model.states import RunState

log = logging.getLogger("dagcall.coordinator")

_ENDED = frozenset(state for state in RunState if state.is_final)
_PAGE = 100
_LONGEST_PAUSE = 60.0
"""Seconds between two looks; a tenth of the time that runs are kept, where that is less."""


async def forget_old_runs(
    journal: Journal,
    stored: StoredValues,
    seconds: float,
    now: Callable[[], float],
    forgotten: Callable[[RunKey], None],
) -> None:
    """Go on until cancelled."""
    while True:
        found = 0
        try:
            if await journal.is_eldest():
                found = await forget_once(journal, stored, now() - seconds, forgotten)
        except DagcallError as error:
            log.warning("runs that are no longer kept could not be forgotten: %s", error)
        if found < _PAGE:
            await asyncio.sleep(min(_LONGEST_PAUSE, seconds / 10))


async def forget_once(
    journal: Journal, stored: StoredValues, before: float, forgotten: Callable[[RunKey], None]
) -> int:
    """Forget some of the runs that ended before a time; how many it were. `forgotten` is told of each."""
    query = HeadQuery(states=_ENDED, end_date=TimeRange(lt=before), order_by=("end_date",), limit=_PAGE)
    heads, _ = await journal.list_heads(query)
    keys = [head.key for head in heads]
    await forget(journal, stored, *keys)
    for key in keys:
        forgotten(key)
    return len(heads)


async def forget(journal: Journal, stored: StoredValues, *runs: RunKey) -> None:
    """Forget runs that have ended."""
    await stored.forget(runs)  # before what names them: nobody would find them afterwards
    for run in runs:
        await journal.store.write(inputs.forgetting(run), notes.forgetting(run))
        reached("retention.deleting")
        await journal.delete(run)
        reached("retention.deleted")
