"""Limits on how many of something are active at once: `max_active_tasks` of a run, `max_active_runs` of a DAG.

Only limits that an author wrote exist here; Airflow's configured defaults (16 and 16) are not inherited. Pure: who
enters and who may go on is decided here, acting on it is the caller's.
"""

import heapq
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Slots(Generic[Key]):
    """`limit` active members; the others wait, smallest priority first, first come first served among equals."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._active: set[Key] = set()
        self._waiting: list[tuple[tuple[float, ...], int, Key]] = []
        self._left: set[Key] = set()
        self._arrivals = 0

    def enter(self, key: Key, priority: tuple[float, ...] = ()) -> bool:
        """True: go on. False: wait until a `leave` returns this key."""
        if len(self._active) < self._limit:
            self._active.add(key)
            return True
        self._arrivals += 1
        heapq.heappush(self._waiting, (priority, self._arrivals, key))
        return False

    def leave(self, key: Key) -> list[Key]:
        """`key` has ended, or does not wait any more. Returns those who may go on now."""
        if key not in self._active:
            self._left.add(key)
            return []
        self._active.remove(key)
        admitted = []
        while self._waiting and len(self._active) < self._limit:
            _, _, waiting = heapq.heappop(self._waiting)
            if waiting in self._left:
                self._left.remove(waiting)
                continue
            self._active.add(waiting)
            admitted.append(waiting)
        return admitted
