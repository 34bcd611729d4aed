"""The partial results of a run, out of its events. No I/O.

Guarantee: every value that a task emitted and the run keeps is handed out once and in order, until the outcome. Values
of a try that failed are never left standing in silence: whoever got them is told (`on_rollback`), or the iteration ends
with `RolledBack`. A run that fails ends it with the error that its result would raise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dagcall.client._wire import RunEvent
from dagcall.error_details import task_label
from dagcall.errors import RolledBack, problem_from


@dataclass(frozen=True)
class Chunk:
    """One partial result: what a task gave to `dagcall.emit`, as plain JSON. `map_index`: -1 when unmapped."""

    value: Any
    task_id: str
    map_index: int
    try_number: int


@dataclass(frozen=True)
class Rollback:
    """A try has failed: the `count` chunks of it that were handed out are void."""

    task_id: str
    map_index: int
    try_number: int
    count: int


OnRollback = Callable[[Rollback], object]


class ChunkReader:
    """State of one iteration. `task_id`: this task's chunks only."""

    def __init__(self, task_id: str | None, on_rollback: OnRollback | None) -> None:
        self._task_id = task_id
        self._on_rollback = on_rollback
        self._given: dict[tuple[str, int, int], int] = {}

    def feed(self, event: RunEvent) -> Chunk | None:
        """The chunk that an event is. Raises `RolledBack`, and what the run failed with."""
        match event.event:
            case "chunk" if self._task_id in (None, event.data["task_id"]) and "value" in event.data:
                one = _try_of(event)
                self._given[one] = self._given.get(one, 0) + 1
                return Chunk(event.data["value"], *one)
            case "rollback" if count := self._given.pop(_try_of(event), 0):
                self._roll_back(Rollback(*_try_of(event), count))
            case "failure":
                raise problem_from(event.data.get("status", 500), event.data)
        return None

    def _roll_back(self, rollback: Rollback) -> None:
        if self._on_rollback is None:
            which = task_label(rollback.task_id, rollback.map_index)
            raise RolledBack(
                f"Try {rollback.try_number} of task {which!r} has failed: {rollback.count} chunk(s) that it emitted are "
                "void. The run goes on; give chunks() an on_rollback to go on with the next try's."
            )
        self._on_rollback(rollback)


def _try_of(event: RunEvent) -> tuple[str, int, int]:
    return event.data["task_id"], event.data["map_index"], event.data["try_number"]
