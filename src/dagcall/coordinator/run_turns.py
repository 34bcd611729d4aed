"""`max_active_runs`: no more runs of a DAG are active at once. Further ones are accepted, and wait their turn."""

from dagcall.coordinator.run import Run
from dagcall.core.slots import Need, Slots
from dagcall.model.ids import RunKey


class RunTurns:
    def __init__(self) -> None:
        self._slots: Slots[RunKey] = Slots()

    def must_wait(self, run: Run) -> bool:
        """Of a run that is accepted: until `leave` names it."""
        limit = run.plan.max_active_runs
        return limit is not None and self._slots.enter(run.key, (Need(run.key.dag_id, limit=limit),)) is not None

    def leave(self, key: RunKey) -> list[RunKey]:
        """A run is over here. Returns those whose turn has come."""
        self._slots.leave(key)
        return self._slots.admit()
