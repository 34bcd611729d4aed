"""Who may go on now, and who waits: every limit on how many of something are active at once.

What it is. A table of *limits* by name, each with a number of slots, and of *members*, each of which needs slots of
one or several limits at once. `enter` takes them all or none; who does not get them waits in line. Used for the
attempts of all runs (pools, `max_active_tasks`, `max_active_tis_per_dag`, `max_active_tis_per_dagrun`; `claims` says
what an attempt needs) and for the runs of a DAG (`max_active_runs`). Pure: acting on what is said here is the
caller's.

What it guarantees. No limit is ever exceeded by `enter` or `admit` (a limit that was lowered, or `hold`, may leave it
exceeded until enough have left). After `admit` nobody waits for whom there is room. Who waits goes on by its order,
then first come first served, but for the turns of those who have waited longest (`model.turns`); the first number of
an order is the author's weight. As in Airflow (`_executable_task_instances_to_queued`), one for which there is room does
not wait for one in front of it that needs more slots than are left.

How. A waiting member stands in the line of one limit that it lacks: nothing can change for it before that one has
room. So a slot that is given back costs a look at those who wait for it, not at all who wait.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

from dagcall.model.turns import EVERY, PATIENCE

Key = TypeVar("Key", bound=Hashable)
Order = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """So many `slots` of one limit. `limit`: how many there are, where the member knows that itself."""

    name: Hashable
    slots: int = 1
    limit: int | None = None


class _Waiting(Generic[Key]):
    __slots__ = ("key", "line", "needs", "place", "since")

    def __init__(self, key: Key, needs: tuple[Need, ...], place: tuple[Order, int], since: float) -> None:
        self.key = key
        self.needs = needs
        self.place = place
        self.since = since
        self.line: Hashable = None

    @property
    def weight(self) -> float:
        order = self.place[0]
        return order[0] if order else 0.0

    def __lt__(self, other: "_Waiting[Key]") -> bool:
        return self.place < other.place


class Slots(Generic[Key]):
    """Members and limits. A name without a limit, here or in the need, is not limited."""

    def __init__(self, limits: Mapping[Hashable, int] | None = None) -> None:
        self._limits = dict(limits or {})
        self._used: dict[Hashable, int] = {}
        self._active: dict[Key, tuple[Need, ...]] = {}
        self._waiting: dict[Key, _Waiting[Key]] = {}
        self._lines: dict[Hashable, list[_Waiting[Key]]] = {}
        self._highest: dict[Hashable, int] = {}
        self.freed: set[Hashable] = set()
        """The limits whose slots were given back while somebody waits for them: unless empty, `admit` has something to
        do. To be looked at only; always the same set, since it is looked at after every step of every run."""
        self._arrivals = 0
        self._turns = 0
        """Since the last one that went by age."""

    def enter(self, key: Key, needs: tuple[Need, ...], order: Order = (), now: float = 0.0) -> Need | None:
        """None: go on. Otherwise the first limit that has no room: wait until `admit` names this key.

        What was given back and has not been handed on yet belongs to those who wait already.
        """
        lacking = self._lacking(needs) or next((need for need in needs if need.name in self.freed), None)
        if lacking is None:
            self.hold(key, needs)
            return None
        self._arrivals += 1
        waiting = _Waiting(key, needs, (order, self._arrivals), now)
        self._waiting[key] = waiting
        self._stand_in(waiting, lacking)
        return lacking

    def hold(self, key: Key, needs: tuple[Need, ...]) -> None:
        """Count the member in without asking: it is active already."""
        self._active[key] = needs
        for need in needs:
            self._used[need.name] = self._used.get(need.name, 0) + need.slots

    def leave(self, key: Key) -> None:
        """The member has ended, or does not wait any more; one that is not known is none of our business."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._step_out(waiting)
            return
        for need in self._active.pop(key, ()):
            left = self._used[need.name] - need.slots
            if left:
                self._used[need.name] = left
            else:
                del self._used[need.name]
            if need.name in self._lines:
                self.freed.add(need.name)

    def admit(self, now: float = 0.0) -> list[Key]:
        """Hand on what was given back: those who may go on now, in their order. `now`: on the clock of `enter`."""
        freed = set(self.freed)
        self.freed.clear()
        lines = {name: list(self._lines[name]) for name in freed if name in self._lines}
        admitted: list[Key] = []
        for waiting in chain(self._patient(lines, now), heapq.merge(*lines.values())):
            if self._waiting.get(waiting.key) is not waiting:
                continue  # it has had its turn, by age
            line = waiting.line
            if line not in lines:
                continue  # that limit has run out again
            lacking = self._lacking(waiting.needs)
            if lacking is None:
                self._step_out(waiting)
                del self._waiting[waiting.key]
                self.hold(waiting.key, waiting.needs)
                admitted.append(waiting.key)
                self._turns += 1
            elif lacking.name != line:
                self._step_out(waiting)
                self._stand_in(waiting, lacking)
            elif self._used.get(line, 0) >= self._most(line):
                del lines[line]
                if not lines:
                    break
        return admitted

    def _patient(self, lines: Mapping[Hashable, list[_Waiting[Key]]], now: float) -> list[_Waiting[Key]]:
        """The one who goes first because it has waited longest, when it is time for one."""
        if self._turns < EVERY - 1 or not lines:
            return []
        weight = min(line[0].weight for line in lines.values())
        longest = min(
            (one for line in lines.values() for one in line if one.weight == weight), key=lambda one: one.place[1]
        )
        if now - longest.since < PATIENCE:
            return []
        self._turns = -1  # its own turn is counted too
        return [longest]

    def waiting(self) -> list[tuple[Key, Order]]:
        """Who waits, in order."""
        return [(one.key, one.place[0]) for one in sorted(self._waiting.values())]

    def used(self, name: Hashable) -> int:
        return self._used.get(name, 0)

    def _lacking(self, needs: Iterable[Need]) -> Need | None:
        for need in needs:
            room = self._open(need)
            if room is not None and need.slots > room:
                return need
        return None

    def _open(self, need: Need) -> int | None:
        """How many slots are left, at least 0; None: as many as you like."""
        limit = self._limits.get(need.name) if need.limit is None else need.limit
        return None if limit is None else max(0, limit - self._used.get(need.name, 0))

    def _most(self, name: Hashable) -> int:
        """The limit; where the members know it, the highest that one in line has known: versions of a DAG may differ."""
        return max(self._limits.get(name, 0), self._highest.get(name, 0))

    def _stand_in(self, waiting: _Waiting[Key], lacking: Need) -> None:
        name = waiting.line = lacking.name
        insort(self._lines.setdefault(name, []), waiting)
        if lacking.limit is not None:
            self._highest[name] = max(self._highest.get(name, 0), lacking.limit)

    def _step_out(self, waiting: _Waiting[Key]) -> None:
        line = self._lines[waiting.line]
        del line[bisect_left(line, waiting)]
        if not line:
            del self._lines[waiting.line]
            self._highest.pop(waiting.line, None)
            self.freed.discard(waiting.line)
