"""The jobs of one file that wait for a worker, and whose turn is next (`model.turns`).

By priority, the smallest first, then first come first served. The first number of a priority is the author's weight:
within one weight a turn in `EVERY` goes to the job that has waited longest. Times are those of one clock.
"""

import heapq
import itertools
from collections import defaultdict, deque
from dataclasses import dataclass

from dagcall.model.turns import EVERY, PATIENCE
from dagcall.workers.base import Job

_GARBAGE = 64
"""Jobs that have left in the middle of the line are dropped when they are more than this, and than half of it."""


@dataclass(slots=True)
class _Waiting:
    job: Job
    since: float


class JobLine:
    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiting: dict[int, _Waiting] = {}
        """By arrival. What the heap and the queues hold beyond that has left."""
        self._number_of: dict[int, int] = {}
        """By the job's identity."""
        self._heap: list[tuple[tuple[float, ...], int]] = []
        self._by_age: defaultdict[float, deque[int]] = defaultdict(deque)
        self._turns = 0
        """Since the last one that went by age."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def since(self) -> float:
        """When the one that is next by priority came."""
        return self._waiting[self._first()[1]].since

    def push(self, job: Job, now: float) -> None:
        number, priority = next(self._numbers), job.priority
        self._waiting[number] = _Waiting(job, now)
        self._number_of[id(job)] = number
        heapq.heappush(self._heap, (priority, number))
        self._by_age[priority[0]].append(number)

    def pop(self, now: float) -> Job:
        """Takes out the job whose turn it is; there is one."""
        priority, number = self._first()
        self._turns += 1
        if self._turns >= EVERY:
            oldest = self._oldest(priority[0])
            if now - self._waiting[oldest].since >= PATIENCE:
                self._turns, number = 0, oldest
        return self._take(number)

    def withdraw(self, job: Job) -> None:
        """It does not wait any more, if it did."""
        number = self._number_of.get(id(job))
        if number is not None:
            self._take(number)

    def drain(self) -> list[Job]:
        """Takes all out, in the order in which they came."""
        return [self._take(number) for number in list(self._waiting)]

    def _first(self) -> tuple[tuple[float, ...], int]:
        while self._heap[0][1] not in self._waiting:
            heapq.heappop(self._heap)
        return self._heap[0]

    def _oldest(self, weight: float) -> int:
        line = self._by_age[weight]
        while line[0] not in self._waiting:
            line.popleft()
        return line[0]

    def _take(self, number: int) -> Job:
        job = self._waiting.pop(number).job
        del self._number_of[id(job)]
        if not self._waiting:
            self._heap.clear()
            self._by_age.clear()
        elif len(self._heap) > max(_GARBAGE, 2 * len(self._waiting)):
            self._heap = [entry for entry in self._heap if entry[1] in self._waiting]
            self._by_age.clear()
            for priority, known in sorted(self._heap, key=lambda entry: entry[1]):
                self._by_age[priority[0]].append(known)
            heapq.heapify(self._heap)
        return job
