"""Who gets in: the one place that refuses a call because of load.

Decided before any work is done. What a run's own task starts was admitted with that run: it is counted, and never
refused. `limit` bounds the runs that have no outcome yet on this server, `share` those of one
DAG or one caller: what one of them sends too much is refused with 429 while others are still served.
"""

from collections import Counter
from dataclasses import dataclass

from dagcall.errors import Overloaded, RateLimited


@dataclass(frozen=True)
class AdmissionSettings:
    """Most runs without an outcome: on the server, and of one DAG or one caller."""

    limit: int = 5000
    share: int = 5000


class Admission:
    def __init__(self, settings: AdmissionSettings) -> None:
        self._settings = settings
        self._total = 0
        self._by_share: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self._total

    def enter(self, dag_id: str, caller: str, *, nested: bool = False) -> None:
        """Count a run in. Raises Overloaded or RateLimited, unless it is `nested`, and then nothing was counted."""
        if not nested:
            self._check(dag_id, caller)
        self._total += 1
        self._by_share.update(_shares(dag_id, caller))

    def _check(self, dag_id: str, caller: str) -> None:
        if self._total >= self._settings.limit:
            raise Overloaded(
                f"The server has {self._total} runs without an outcome, as many as it takes; try again later.",
                retry_after=1.0,
            )
        for share in _shares(dag_id, caller):
            if self._by_share[share] >= self._settings.share:
                raise RateLimited(
                    f"{share} has {self._by_share[share]} runs without an outcome, its share of this server.",
                    dag_id=dag_id,
                    retry_after=1.0,
                )

    def leave(self, dag_id: str, caller: str) -> None:
        """Its outcome is known."""
        self._total -= 1
        for share in _shares(dag_id, caller):
            self._by_share[share] -= 1
            if not self._by_share[share]:
                del self._by_share[share]


def _shares(dag_id: str, caller: str) -> tuple[str, ...]:
    return (f"DAG {dag_id!r}", f"caller {caller!r}") if caller else (f"DAG {dag_id!r}",)
