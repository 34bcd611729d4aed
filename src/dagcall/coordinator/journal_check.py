"""Whether a run that a journal holds is one that `RunMachine` leaves: its events, replayed, must make the records and the
head that are stored with them. Pure.

Not compared: `chunk` records, whose values are not in the events, and `callback` records, which no event makes.
"""

from collections.abc import Sequence

import msgspec

from dagcall.core.machine import RunMachine
from dagcall.errors import InternalError
from dagcall.model.commands import Record
from dagcall.model.plan import DagPlan
from dagcall.model.records import JournalRecord, RunHead

_NOT_COMPARED = frozenset({"chunk", "callback"})


def contradiction(plan: DagPlan | None, head: RunHead, records: Sequence[JournalRecord]) -> str | None:
    """The first thing that does not fit, in words."""
    if plan is None:
        return f"its plan, version {head.plan_version}, is missing"
    if [record.id for record in records] != [*range(1, head.last_record + 1)]:
        return f"it has {len(records)} records, not {head.last_record} without gaps"
    machine = RunMachine(plan, head.key)
    made: list[Record] = []
    try:
        for record in records:
            if record.event is not None:
                made += [one for one in machine.step(record.event, record.time) if isinstance(one, Record)]
    except InternalError as error:
        return f"its events cannot be replayed: {error}"
    return _difference(made, records) or _of_head(machine, head)


def _difference(made: Sequence[Record], records: Sequence[JournalRecord]) -> str | None:
    stored = [record for record in records if record.kind not in _NOT_COMPARED]
    expected = [record for record in made if record.kind not in _NOT_COMPARED]
    for one, other in zip(stored, expected, strict=False):
        if (one.kind, one.data) != (other.kind, msgspec.json.decode(msgspec.json.encode(other.data))):
            return f"its record {one.id} says {one.kind} {one.data}, its events make {other.kind} {other.data}"
    if len(stored) != len(expected):
        return f"it has {len(stored)} records that events make, its events make {len(expected)}"
    return None


def _of_head(machine: RunMachine, head: RunHead) -> str | None:
    if (machine.accepted.dag_id, machine.accepted.run_id) != head.key:
        return f"its first event is of run {machine.accepted.run_id} of DAG {machine.accepted.dag_id}"
    outcome = "running" if machine.outcome is None else machine.outcome.kind.value
    for what, stored, made in (
        ("state", head.state, machine.state),
        ("outcome", head.outcome, outcome),
        ("start date", head.start_date, machine.start_date),
        ("end date", head.end_date, machine.end_date),
    ):
        if stored != made:
            return f"its head has the {what} {stored}, its events lead to {made}"
    return None
