"""Rebuild a machine from its run's records.

Only the events that ride on records are fed; their commands were acted upon before the crash, or are asked for again
through `RunMachine.open_attempts`, `pending_timers` and `pending_awaits`. Because `step` is pure, the result equals the machine that
wrote the records, XComs pushed by attempts that had not ended excepted: those die with their attempt.
"""

from collections.abc import Iterable

from dagcall.core.machine import RunMachine
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import JournalRecord


def replay(plan: DagPlan, key: RunKey, records: Iterable[JournalRecord]) -> RunMachine:
    """Feed `records`, in order of their ids, to a new machine. `plan` must be the version the run was accepted with.

    A record's `time` must be the `now` of the step that wrote it. Raises `InternalError` when the records are not those
    of one run from its beginning.
    """
    machine = RunMachine(plan, key)
    for record in records:
        if record.event is not None:
            machine.step(record.event, record.time)
    return machine
