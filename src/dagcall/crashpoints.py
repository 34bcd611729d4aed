"""Named points of the server's code at which a test has its process killed: is what is there then enough to go on?

`DAGCALL_CRASH_AT=name:count` in the environment: the process gets SIGKILL when that point is reached for the count-th
time. Without it `reached` is a function that does nothing, chosen when this module is imported. Refuses, by ending the
process, a name that is not in `POINTS`.

`make test-crashes` kills at each of them, on every journal.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Final

VARIABLE: Final = "DAGCALL_CRASH_AT"

POINTS: Final = {
    "server.opened": "the journal is open, its epoch taken; nothing else is there",
    "recovery.begins": "the DAGs are known; the unfinished runs have not been looked for",
    "recovery.rebuilt": "a run has a driver again, which has done nothing yet",
    "recovery.resumes": "all runs have drivers; the next one is about to go on",
    "recovery.done": "all runs go on; callbacks that were left do not yet",
    "key.looked_up": "there is no run for the key; none has begun",
    "run.appended": "an acceptance waits to be committed",
    "run.accepted": "an acceptance is durable; nobody was told",
    "call.accepting": "the answer that a run was accepted is about to be sent",
    "call.answering": "the answer with the outcome is about to be sent",
    "events.sending": "events are about to be sent to a reader",
    "journal.writing": "a group is written, not committed",
    "journal.committed": "a group is committed; nobody knows",
    "journal.told": "those who wait for a group were told; nothing was acted upon",
    "store.written": "a change of the store is written, not committed",
    "assets.written": "asset events are written, not committed",
    "attempt.leased": "a worker waits for an attempt; its start is not recorded",
    "attempt.starting": "a start is durable; the worker does not know",
    "attempt.started": "the worker was sent its start",
    "attempt.ended": "a worker's word of an end has come; nothing was done about it",
    "attempt.asked": "running code has asked something",
    "retry.due": "a retry delay is over",
    "await.starting": "a suspension is durable; nothing waits yet",
    "await.resumed": "what a task waited for has happened; the task does not know",
    "run.answering": "an outcome is durable; nobody was told",
    "run.answered": "those who waited were told the outcome",
    "run.ended": "a run's end is durable; it is still known as active",
    "cancel.asked": "somebody asks for the end of a run",
    "notice.kept": "a callback is in the store, not begun",
    "notice.told": "a callback has run; that is not recorded",
    "notice.recorded": "a callback is recorded, and still in the store",
    "nested.started": "a run that a task started is durable; the task does not know",
    "assets.due": "a DAG is due by its assets; its run has not begun",
    "retention.deleting": "what the tasks of an old run asked of people is forgotten; the run is not",
    "retention.deleted": "an old run is forgotten; the server does not know",
}
"""What is so when a point is reached."""


def _nothing(point: str) -> None:
    """Off."""


def _killing(at: str) -> Callable[[str], None]:
    name, _, text = at.partition(":")
    if name not in POINTS or not (text or "1").isdecimal():
        sys.exit(f"{VARIABLE}={at!r}: it is name:count, and the names are {', '.join(POINTS)}")
    left = int(text or 1)

    def reached(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached


reached: Final = _killing(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else _nothing
