"""How many workers are of use to a file's tasks.

A task that waits (for a database, a model, a sleep) leaves its CPU to others; one that computes does not. If tasks
want a CPU for a share `s` of their time, `cpus / s` of them keep all CPUs busy, and more would only get in each
other's way. Workers report both times for each task; time spent waiting for a CPU counts as wanting it, so that the
estimate does not run away when there are too many workers already.
"""

import math

_KEPT = 0.98
"""Of older observations, with each new one: some fifty tasks decide."""


class CpuDemand:
    """An estimate from the tasks that have ended; unlimited while there are none."""

    def __init__(self, cpus: int) -> None:
        self._cpus = cpus
        self._wall = 0.0
        self._wanting = 0.0

    def observe(self, wall: float, wanting: float) -> None:
        """A task took `wall` seconds and wanted a CPU for `wanting` of them."""
        self._wall = self._wall * _KEPT + wall
        self._wanting = self._wanting * _KEPT + min(wanting, wall)

    @property
    def useful_workers(self) -> float:
        """One more than keeps the CPUs busy: while one is being restored, another runs."""
        if not self._wall:
            return math.inf
        return 0.5 + self._cpus / max(self._wanting / self._wall, 0.001)
