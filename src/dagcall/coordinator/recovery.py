"""A run back from the journal: replayed through the same `step` that wrote it."""

from collections.abc import Awaitable, Callable

from dagcall.coordinator.run import Run
from dagcall.core.machine import RunMachine
from dagcall.core.replay import replay
from dagcall.errors import InternalError, JournalCorrupt, JournalError
from dagcall.journal.base import Journal
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import RunHead
from dagcall.model.states import OutcomeKind


async def rebuild(
    journal: Journal,
    key: RunKey,
    make: type[Run] = Run,
    plan_of: Callable[[str, str], Awaitable[DagPlan | None]] | None = None,
) -> Run | None:
    """The run as it was when its last record became durable; None when the journal does not know it. `plan_of`: where
    plans are read from, in place of the journal itself.

    Raises:
        JournalError: its plan is missing.
        JournalCorrupt: what the journal holds of it is not what a run leaves.
    """
    head = await journal.head(key)
    if head is None:
        return None
    plan = await (plan_of or journal.get_plan)(key.dag_id, head.plan_version)
    if plan is None:
        raise JournalError(f"the journal has no plan {head.plan_version} of DAG {key.dag_id!r}, which run {key} needs")
    records = await journal.records(key)
    if not records:  # deleted since
        return None
    try:
        machine = replay(plan, key, records)
    except InternalError as error:
        raise JournalCorrupt(f"run {key} is damaged: its records cannot be replayed: {error}") from error
    if records[-1].id > head.last_record:  # another server has gone on with it between the two looks
        head = advanced(head, machine, records[-1].id)
    if machine.state is not head.state:
        raise JournalCorrupt(
            f"run {key} is damaged: its records lead to the state {machine.state.value}, its head says {head.state.value}"
        )
    run = make(key, plan, machine, head)
    run.records = records
    run.outcome = machine.outcome
    run.first_start = head.start_date
    run.answered_at = next((record.time for record in records if record.kind in ("result", "failure")), head.end_date)
    return run


def advanced(head: RunHead, machine: RunMachine, last_record: int) -> RunHead:
    """The head of a run whose records have been replayed as far as this one."""
    return head.advanced(
        state=machine.state,
        start_date=machine.start_date,
        end_date=machine.end_date,
        outcome=(OutcomeKind.RUNNING if machine.outcome is None else machine.outcome.kind).value,
        last_record=last_record,
    )
