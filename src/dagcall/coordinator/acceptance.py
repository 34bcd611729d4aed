"""How long a call waits for a journal that is away.

A call that comes when the journal has been away for `PATIENCE` is refused before anything is done for it. One whose run
was on its way to the journal when it went away is neither kept nor refused yet: nobody knows. Its caller waits as long,
and is then told just that. The run begins, if the journal has it, when the journal is back; whoever repeats the call
with its key meets that run, or waits for it.
"""

import asyncio
from typing import TypeVar

from dagcall.errors import Unavailable
from dagcall.journal.base import Journal
from dagcall.model.ids import RunKey

T = TypeVar("T")

PATIENCE = 10.0
LOOK = 1.0
RETRY_AFTER = 2.0
"""Seconds, all of them."""


def check_journal(journal: Journal) -> None:
    """Raises `Unavailable` when a call would wait in vain, as far as that can be known."""
    trouble = journal.trouble
    if trouble is not None and asyncio.get_running_loop().time() - trouble.since > PATIENCE:
        raise Unavailable(trouble.reason, retry_after=RETRY_AFTER)


async def decided(future: "asyncio.Future[T]", journal: Journal, key: RunKey | None = None) -> T:
    """What the future gives; it goes on when this wait ends. Raises what it raises, and `Unavailable` before it is done."""
    while not (await asyncio.wait((future,), timeout=LOOK))[0]:
        try:
            check_journal(journal)
        except Unavailable as away:
            raise Unavailable(
                f"{away}, and it is not known yet whether the run is kept: it begins if it is. Attach to it with its "
                "run id, or repeat the call with its Idempotency-Key.",
                dag_id=None if key is None else key.dag_id,
                run_id=None if key is None else key.run_id,
                retry_after=away.retry_after,
            ) from None
    return future.result()
