"""Runs that have ended, kept in memory for a while: a run is usually read right after its answer."""

from collections import OrderedDict
from collections.abc import Iterable

from dagcall.coordinator.run import Run
from dagcall.model.ids import RunKey


class Recent:
    """The last `limit` runs that ended or were asked for."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._runs: OrderedDict[RunKey, Run] = OrderedDict()

    def items(self) -> Iterable[tuple[RunKey, Run]]:
        return self._runs.items()

    def find(self, key: RunKey) -> Run | None:
        run = self._runs.get(key)
        if run is not None:
            self._runs.move_to_end(key)
        return run

    def has(self, run: Run) -> bool:
        return self._runs.get(run.key) is run

    def keep(self, run: Run) -> None:
        self._runs[run.key] = run
        while len(self._runs) > self._limit:
            self._runs.popitem(last=False)

    def forget(self, key: RunKey | None) -> None:
        """None: every run."""
        if key is None:
            self._runs.clear()
        else:
            self._runs.pop(key, None)
