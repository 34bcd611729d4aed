"""The order of lists of runs, for engines that sort in Python. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dagcall.journal.base import HeadQuery, OrderColumn
from dagcall.model.records import RunHead

SortKey = tuple[bool, float | str]


def sort_key(head: RunHead, column: OrderColumn) -> SortKey:
    """A missing value is less than any other. `id`, which heads do not have, is the moment of acceptance."""
    value: float | str | None
    if column == "id":
        value = head.queued_at
    elif column == "dag_id":
        value = head.key.dag_id
    elif column == "run_id":
        value = head.key.run_id
    elif column == "duration":
        value = None if head.end_date is None or head.start_date is None else head.end_date - head.start_date
    else:
        value = getattr(head, column)
    return value is not None, 0 if value is None else value


def order_of(query: HeadQuery) -> Callable[[RunHead], Any]:
    """A key for sorting and merging heads as `query` asks."""

    def key(head: RunHead) -> tuple[SortKey | _Descending, ...]:
        return tuple(
            _Descending(sort_key(head, column)) if descending else sort_key(head, column)
            for column, descending in query.ordering
        )

    return key


@dataclass(frozen=True)
class _Descending:
    key: SortKey

    def __lt__(self, other: "_Descending") -> bool:
        return other.key < self.key
