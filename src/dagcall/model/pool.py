"""Pools: Airflow's named limits on how many slots tasks occupy at once, whatever DAG they belong to."""

from dataclasses import dataclass
from typing import Final

DEFAULT_POOL: Final = "default_pool"
"""The pool of tasks that name none. It exists always (`Pool.DEFAULT_POOL_NAME`)."""
UNLIMITED: Final = -1
"""As a number of slots."""


@dataclass(frozen=True)
class Pool:
    """Fields are Airflow's. `include_deferred`: deferred tasks keep their slots."""

    name: str
    slots: int
    description: str | None = None
    include_deferred: bool = False
    is_binding: bool = True
    """False: nobody wrote this limit. The `default_pool` as Airflow sets it up is shown, but limits nothing."""

    def has_room_for(self, slots: int) -> bool:
        """Whether a task that takes so many slots can ever run in it."""
        return not self.is_binding or self.slots == UNLIMITED or slots <= self.slots
