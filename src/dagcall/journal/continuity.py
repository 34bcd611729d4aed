"""Whether a batch continues a run: the one rule that keeps a run's records free of gaps, shared by all engines.

Pure. It runs before anything of the batch is written, so a refused batch needs no undoing.
"""

from datetime import UTC, datetime
from operator import attrgetter

from dagcall.errors import JournalError, RunExists
from dagcall.model.records import Batch, RunHead

fixed_part = attrgetter(
    "key", "plan_version", "queued_at", "run_after", "logical_date", "run_type", "triggered_by", "caller", "conf",
    "idempotency_key",
)  # fmt: skip
"""What acceptance decides about a run, once. Indices stand on it, so that the other updates touch none of them."""

changing_part = attrgetter("state", "start_date", "end_date", "note", "outcome")


def begins(batch: Batch) -> bool:
    """Whether the batch is the first of a run."""
    return bool(batch.records) and batch.records[0].id == 1


def date_taken(head: RunHead) -> RunExists:
    """The refusal of a second run of one DAG for one logical date, as Airflow's database refuses it."""
    assert head.logical_date is not None
    date = datetime.fromtimestamp(head.logical_date, UTC).isoformat()
    return RunExists(
        f"DAG {head.key.dag_id!r} already has a run for the logical date {date}; give another one, or none.",
        dag_id=head.key.dag_id,
        run_id=head.key.run_id,
    )


def key_taken(head: RunHead) -> RunExists:
    """The refusal of a second run for one caller's key: whoever looks for the key finds the first."""
    return RunExists(
        f"DAG {head.key.dag_id!r} already has a run of this caller with this Idempotency-Key; repeat the call to get it.",
        dag_id=head.key.dag_id,
        run_id=head.key.run_id,
    )


def check_continues(batch: Batch, known: RunHead | None) -> None:
    """Refuse a batch that does not go on where the journal's head of that run (None: no such run) ends.

    Raises `RunExists` when the batch begins a run that is there, else `JournalError`.
    """
    head, records = batch.head, batch.records
    if begins(batch):
        if known is not None:
            raise RunExists(dag_id=head.key.dag_id, run_id=head.key.run_id)
        last = 0
    elif known is None:
        raise JournalError(f"run {head.key}: not in the journal; its first batch failed, or it was deleted")
    else:
        last = known.last_record
        if fixed_part(head) != fixed_part(known):
            raise JournalError(f"run {head.key}: the head changes what is fixed when a run is accepted")
    for record in records:
        last += 1
        if record.id != last:
            raise JournalError(f"run {head.key}: expected record {last}, got {record.id}; nothing of the batch is kept")
    if head.last_record != last:
        raise JournalError(f"run {head.key}: the head says {head.last_record} records, there are {last}")
