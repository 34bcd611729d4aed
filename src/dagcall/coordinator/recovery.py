"""A run back from the journal: replayed through the same `step` that wrote it."""

from dagcall.coordinator.run import Run
from dagcall.core.replay import replay
from dagcall.errors import JournalError
from dagcall.journal.base import Journal
from dagcall.model.ids import RunKey


async def rebuild(journal: Journal, key: RunKey) -> Run | None:
    """The run as it was when its last record became durable; None when the journal does not know it.

    Raises:
        JournalError: its plan is missing.
    """
    head = await journal.head(key)
    if head is None:
        return None
    plan = await journal.get_plan(key.dag_id, head.plan_version)
    if plan is None:
        raise JournalError(f"the journal has no plan {head.plan_version} of DAG {key.dag_id!r}, which run {key} needs")
    records = await journal.records(key)
    machine = replay(plan, key, records)
    run = Run(key, plan, machine, head)
    run.records = records
    run.outcome = machine.outcome
    run.first_start = head.start_date
    run.answered_at = next((record.time for record in records if record.kind in ("result", "failure")), head.end_date)
    return run
