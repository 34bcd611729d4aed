"""A server that another one has taken over from: nothing that happens here is kept any more, so it is to end.

The journal finds out when it writes (`Trouble.is_final`), a SQLite file's also after a few seconds in which it does
not, PostgreSQL's when it next renews its lease; the other server goes on with the runs. Here nobody is answered as if something
had happened: who waits for a run gets `Unavailable`, with the run's id, and may ask the other server.
"""

import asyncio

from dagcall.errors import JournalFenced, ShuttingDown, Unavailable
from dagcall.journal.base import Journal
from dagcall.model.ids import RunKey

LOOK = 0.5
"""Seconds."""
TAKEN_OVER = (
    "another server has taken over from this one, which therefore ends: runs that the journal has go on there, ask it "
    "for this one"
)


def is_fenced(journal: Journal) -> bool:
    return journal.trouble is not None and journal.trouble.is_final


async def fenced(journal: Journal) -> str:
    """Returns the reason when another server has taken over."""
    while (trouble := journal.trouble) is None or not trouble.is_final:  # noqa: ASYNC110 # its own thread may see it
        await asyncio.sleep(LOOK)
    return trouble.reason


def taken_over(key: RunKey) -> Unavailable:
    return Unavailable(TAKEN_OVER, dag_id=key.dag_id, run_id=key.run_id, retry_after=1.0)


def farewell(journal: Journal, key: RunKey) -> Unavailable:
    """What those who wait for a run are told when this server ends."""
    return taken_over(key) if is_fenced(journal) else ShuttingDown(dag_id=key.dag_id, run_id=key.run_id)


def not_kept(journal: Journal, key: RunKey, error: BaseException) -> Unavailable:
    """What those who wait for a run are told when its records could not be kept: why, in the words that are for anybody,
    since the error's own say where the journal is."""
    if isinstance(error, JournalFenced):
        return taken_over(key)
    why = "" if journal.trouble is None else f": {journal.trouble.reason}"
    return Unavailable(f"the journal could not keep the run{why}", dag_id=key.dag_id)
