"""Batches that stand in a row in the writer's queue, as the arguments of one statement. Pure.

Each batch is checked against what is known of its run, and against what the batches before it will have made of it; a
refused one leaves nothing. Whether the id, the logical date and the key of a run that begins are free, the database decides: so
a run that begins has no number yet, but a place, which is below zero (-1, -2, ...) to tell them apart.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from dagcall.errors import DagcallError, JournalError, RunExists
from dagcall.journal.continuity import begins, changing_part, check_continues, date_taken, key_taken
from dagcall.journal.encoding import check_storable, encode_record
from dagcall.journal.entries import Entry, KnownRun, Outcome
from dagcall.journal.store import puts_of
from dagcall.model.ids import RunKey
from dagcall.model.records import Batch, RunHead

Column = list[Any]


class BatchGroup:
    """States: filling (`add`), sent (`arguments`), answered (`outcomes`)."""

    def __init__(self, known: Callable[[RunKey], KnownRun | None]) -> None:
        self._known = known
        self._heads: dict[RunKey, KnownRun] = {}
        self._begun: list[RunHead] = []
        self._changed: dict[int, RunHead] = {}
        self._records: list[tuple[Any, ...]] = []
        self._items: list[tuple[Any, ...]] = []
        self._entries: list[tuple[Entry, int, DagcallError | None]] = []
        """Each with the number or place of its run, or why it is refused."""

    @property
    def begins_runs(self) -> bool:
        return bool(self._begun)

    @property
    def is_refused(self) -> bool:
        """Whether there is nothing to send."""
        return all(error is not None for _, _, error in self._entries)

    def add(self, entry: Entry, batch: Batch) -> None:
        head = batch.head
        known = self._heads.get(head.key) or self._known(head.key)
        row = -1 - len(self._begun) if known is None else known.row
        try:
            check_continues(batch, None if known is None else known.head)
            changes = known is None or changing_part(head) != changing_part(known.head)
            if changes:
                check_storable(head)
            records = [(row, record.id, *encode_record(head.key, record)) for record in batch.records]
            items = [(row, put.kind, put.key, put.value, put.time) for put in puts_of(batch)]
        except DagcallError as refused:
            self._entries.append((entry, 0, refused))
            return
        if known is None:
            self._begun.append(head)
        elif row < 0:
            self._begun[-1 - row] = head
        elif changes:
            self._changed[row] = head
        self._heads[head.key] = KnownRun(row, head)
        self._records += records
        self._items += items
        self._entries.append((entry, row, None))

    def arguments(self) -> tuple[Column, ...]:
        """The columns of `append.sql`, with those of `accept.sql` after them when runs begin."""
        changed = [(row, *changing_part(head)) for row, head in self._changed.items()]
        columns = (*_columns(changed, 6), *_columns(self._records, 6), *_columns(self._items, 5))
        if not self._begun:
            return columns
        begun = [
            (
                place, *head.key, head.plan_version, head.queued_at, head.run_after, head.logical_date, head.run_type,
                head.triggered_by, head.caller, head.conf, head.idempotency_key, *changing_part(head),
            )
            for place, head in zip(range(-1, -1 - len(self._begun), -1), self._begun, strict=True)
        ]  # fmt: skip
        return (*columns, *_columns(begun, 17))

    def taken(self, numbers: Sequence[int]) -> list[RunKey]:
        """Of the runs that should begin, those whose id, date or key is taken. `numbers`: what the statement answered."""
        return [head.key for head, number in zip(self._begun, numbers, strict=True) if not number]

    def outcomes(self, numbers: Sequence[int], taken_ids: Collection[RunKey]) -> list[Outcome]:
        """`taken_ids`: of the runs in `taken`, those whose id is taken; with the others it is the date, or the key."""
        told = []
        for entry, row, error in self._entries:
            if error is None and row < 0 and not numbers[-1 - row]:
                assert isinstance(entry.work, Batch)
                error = _refusal(entry.work, taken_ids)
            told.append(Outcome(entry, error=error))
        return told

    def runs(self, numbers: Sequence[int]) -> Iterable[tuple[RunKey, KnownRun | None]]:
        """The group's runs as they are afterwards; None for one that did not begin."""
        for key, (row, head) in self._heads.items():
            number = row if row > 0 else numbers[-1 - row]
            yield key, KnownRun(number, head) if number else None


def _refusal(batch: Batch, taken_ids: Collection[RunKey]) -> DagcallError:
    key = batch.head.key
    if not begins(batch):
        return JournalError(f"run {key}: its first batch was refused")
    if key not in taken_ids:
        if batch.head.idempotency_key is not None:
            return key_taken(batch.head)
        if batch.head.logical_date is not None:
            return date_taken(batch.head)
    return RunExists(dag_id=key.dag_id, run_id=key.run_id)


def _columns(rows: Iterable[Sequence[Any]], width: int) -> Iterable[Column]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]
