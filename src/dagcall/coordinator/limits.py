"""The limits of a server: which attempts, of all its runs, may have a worker now.

One table for all runs (`core.slots`), since a pool is shared by all DAGs. Authoritative for who holds slots; it keeps
nothing on disk: after a restart the runs that go on enter again. An attempt holds its slots from the moment it may be
given a worker until its end is known; in Airflow's words while it is `queued` or `running`. A try that is suspended
gives its slots back, but for the limits of its task, and for a pool that includes deferred tasks.

Most DAGs have no limits: their attempts cost a look into a dictionary.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from dagcall.coordinator.attempt import Attempt
from dagcall.core.claims import Claims, limits_of
from dagcall.core.slots import Slots
from dagcall.model.commands import Await, StartAttempt
from dagcall.model.events import EndKind
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, Refusal
from dagcall.model.pool import DEFAULT_POOL, Pool

AIRFLOWS_DEFAULT_SLOTS = 128
_KEPT_CLAIMS = 1000


class Holder(Protocol):
    """A run, as far as limits concern it."""

    @property
    def offered(self) -> Iterable[Attempt]:
        """Its open attempts that were offered to `enter`."""
        ...


class Limits:
    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self._now = now
        self._pools: Mapping[str, Pool] = {
            DEFAULT_POOL: Pool(DEFAULT_POOL, AIRFLOWS_DEFAULT_SLOTS, "Default pool", is_binding=False)
        }
        self._parallelism: int | None = None
        self._claims: dict[tuple[str, str], Claims] = {}
        self._slots: Slots[Any] = Slots()
        self.freed = self._slots.freed
        """Unless empty, somebody has waited for what was given back: `admit`."""
        self._suspended: dict[tuple[str, RunKey, int], tuple[DagPlan, RunKey, StartAttempt | Await, EndKind]] = {}
        self._closed = False

    @property
    def pools(self) -> Mapping[str, Pool]:
        return self._pools

    def obstacles(self, plan: DagPlan) -> tuple[Refusal, ...]:
        """The tasks of a plan that could never run, as the pools are now."""
        return self._claims_of(plan).obstacles

    def obstacle(self, attempt: Attempt) -> str | None:
        """Why this attempt can never run, if so."""
        claims = self._claims_of(attempt.plan)
        return None if claims.is_empty else claims.obstacle(attempt.command.task_id)

    def enter(self, attempt: Attempt) -> str | None:
        """None: it has its slots. Otherwise the limit that it waits for, in words; `admit` will name it."""
        claims = self._claims_of(attempt.plan)
        if claims.is_empty:
            return None
        lacking = self._slots.enter(attempt, claims.needs(attempt.run, attempt.task), attempt.order, self._now())
        return None if lacking is None else claims.words(lacking, self._slots.used(lacking.name))

    def leave(self, attempt: Attempt) -> None:
        """It has ended, or is not wanted any more. Then `admit`: somebody may have waited for it."""
        self._slots.leave(attempt)

    def suspend(self, plan: DagPlan, run: RunKey, suspended: StartAttempt | Await, kind: EndKind) -> None:
        """The attempt, which has left, has suspended its try: that keeps what Airflow lets it keep until `resume`."""
        claims = self._claims_of(plan)
        if claims.is_empty:
            return
        key = ("suspended", run, suspended.attempt)
        needs = claims.needs_while_suspended(run, plan.by_id[suspended.task_id], kind)
        if needs and key not in self._suspended:
            self._slots.hold(key, needs)
        self._suspended[key] = (plan, run, suspended, kind)

    def resume(self, run: RunKey, attempt: int) -> None:
        """The try goes on, with a new attempt that enters like any other, or is over. Then `admit`."""
        key = ("suspended", run, attempt)
        if self._suspended.pop(key, None) is not None:
            self._slots.leave(key)

    def forget(self, run: RunKey) -> None:
        """Nothing of this run is suspended any more."""
        for key in [key for key in self._suspended if key[1] == run]:
            self.resume(run, key[2])

    def admit(self) -> list[Attempt]:
        """Those who have waited and have their slots now, in order. Their owners must be told."""
        return [] if self._closed else self._slots.admit(self._now())

    def pass_on(self) -> None:
        """`admit`, and tell the owners."""
        while self.freed and not self._closed:
            for attempt in self._slots.admit(self._now()):
                attempt.owner.attempt_admitted(attempt)

    def close(self) -> None:
        """Nobody is admitted any more: the server stops."""
        self._closed = True

    def set(self, pools: Mapping[str, Pool], parallelism: int | None, holders: Iterable[Holder]) -> None:
        """Use these pools from now on. Who has slots keeps them, though they be more than there are now."""
        waiting = [attempt for attempt, _ in self._slots.waiting()]
        self._pools, self._parallelism = pools, parallelism
        self._claims.clear()
        self._slots = Slots(limits_of(pools, parallelism))
        self.freed = self._slots.freed
        left_out = set(waiting)
        for holder in holders:
            for attempt in holder.offered:
                if attempt not in left_out:
                    self._slots.hold(attempt, self._claims_of(attempt.plan).needs(attempt.run, attempt.task))
        suspended, self._suspended = self._suspended, {}
        for entry in suspended.values():
            self.suspend(*entry)
        for attempt in waiting:
            obstacle = self.obstacle(attempt)
            if obstacle is not None:
                attempt.owner.attempt_obstructed(attempt, obstacle)
            elif self.enter(attempt) is None:
                attempt.owner.attempt_admitted(attempt)

    def _claims_of(self, plan: DagPlan) -> Claims:
        claims = self._claims.get((plan.dag_id, plan.version))
        if claims is None:
            if len(self._claims) >= _KEPT_CLAIMS:
                self._claims.clear()
            claims = self._claims[plan.dag_id, plan.version] = Claims(plan, self._pools, self._parallelism)
        return claims
