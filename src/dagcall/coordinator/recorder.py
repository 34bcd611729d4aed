"""Turns what a step gave into the run's next batch: record ids without gaps, and the head after them."""

from dagcall.core.machine import RunMachine
from dagcall.model.assets import AssetChanges
from dagcall.model.commands import Record
from dagcall.model.records import Batch, JournalRecord, RunHead, StoredItem
from dagcall.model.states import OutcomeKind


class Recorder:
    """The only one that numbers the records of its run."""

    def __init__(self, machine: RunMachine, head: RunHead) -> None:
        self._machine = machine
        self._head = head

    def batch(
        self,
        records: list[Record],
        now: float,
        assets: AssetChanges | None = None,
        items: tuple[StoredItem, ...] = (),
    ) -> Batch:
        """`assets`, `items`: what becomes durable with the records."""
        machine, first = self._machine, self._head.last_record + 1
        self._head = self._head.advanced(
            state=machine.state,
            start_date=machine.start_date,
            end_date=machine.end_date,
            outcome=(machine.outcome.kind if machine.outcome is not None else OutcomeKind.RUNNING)._value_,
            last_record=first + len(records) - 1,
        )
        return Batch(
            self._head,
            tuple([JournalRecord(id_, now, one.kind, one.data, one.event) for id_, one in enumerate(records, first)]),
            assets,
            items,
        )
