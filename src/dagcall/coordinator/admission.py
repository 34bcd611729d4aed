"""Who gets in: the one place that refuses a call because of load, and says when to come again.

Decided before any work is done. A call is refused, and then nothing was counted, when

- the server has as many runs without an outcome as it takes, which bounds its memory (503), or one DAG or one caller
  has its share of them (429): `[dagcall] max_runs` and its kind;
- its DAG's queue is longer than a caller should wait for (429). A burst may queue for `BURST_WAIT`; where the queue has
  not been empty for that long it is no burst but more than the server can do, and new calls are taken only as far as
  they begin within `STEADY_WAIT`: so the queue is short again as soon as the load is over. A caller who sends few calls
  does not wait behind one who sends many (`core.line`), and is not refused for them. The first `FLOOR` runs of a queue
  are never refused; nor are callers who do not wait for their answer (`Prefer: respond-async`) or attach with a key;
- it has a deadline that it cannot meet: the time in the queue and the usual duration of such a run are beyond it (503).

What a run's own task starts was admitted with that run: it is counted, and never refused.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from dagcall.coordinator.api import CallRequest
from dagcall.core.line import Line
from dagcall.errors import Overloaded, RateLimited
from dagcall.options import Options

BURST_WAIT = 10.0
"""Seconds: a third of the time for which callers wait by default."""
STEADY_WAIT = 2.0
"""Seconds."""
FLOOR = 32
"""Runs that may wait however long it takes."""
_LONGEST_RETRY_AFTER = 60.0
"""Seconds: an estimate of a queue's end is not good for more."""


@dataclass(slots=True)
class Ticket:
    """A run that was let in. `turn`: its place among those of its DAG that wait to begin."""

    dag_id: str
    caller: str
    turn: float
    begun: float | None = None
    is_over: bool = False


class Admission:
    """`now`: seconds of a clock."""

    def __init__(self, options: Options, now: Callable[[], float]) -> None:
        self._options = options
        self._now = now
        self._total = 0
        self._by_share: Counter[str] = Counter()
        self._lines: defaultdict[str, Line] = defaultdict(Line)

    @property
    def total(self) -> int:
        return self._total

    @property
    def is_full(self) -> bool:
        return self._total >= self._options.max_runs

    @property
    def queued(self) -> int:
        """Runs that wait to begin."""
        return sum(line.length for line in self._lines.values())

    def enter(self, request: CallRequest) -> Ticket:
        """Count a run in. Raises Overloaded or RateLimited, unless it is nested, and then nothing was counted."""
        if request.started_by is None:
            self.check(request)
        return self.count(request.dag_id, request.caller)

    def count(self, dag_id: str, caller: str) -> Ticket:
        """Count a run in that must not be refused."""
        self._total += 1
        self._by_share.update(_shares(dag_id, caller))
        return Ticket(dag_id, caller, self._lines[dag_id].join(caller, self._now()))

    def begun(self, ticket: Ticket) -> None:
        """Its first task has a worker, or it needs none."""
        if ticket.begun is None and not ticket.is_over:
            ticket.begun = self._now()
            self._lines[ticket.dag_id].begin(ticket.caller, ticket.turn, ticket.begun)

    def leave(self, ticket: Ticket) -> None:
        """Its outcome is known, or it will have none here."""
        if ticket.is_over:
            return
        ticket.is_over = True
        line = self._lines[ticket.dag_id]
        if ticket.begun is None:
            line.leave(ticket.caller)
        else:
            line.took(self._now() - ticket.begun)
        self._total -= 1
        for share in _shares(ticket.dag_id, ticket.caller):
            self._by_share[share] -= 1
            if not self._by_share[share]:
                del self._by_share[share]

    def check(self, request: CallRequest) -> None:
        """Raises Overloaded, RateLimited."""
        dag_id, caller = request.dag_id, request.caller
        now, line = self._now(), self._lines.get(dag_id)
        wait = 0.0 if line is None else line.wait(caller, now)
        if self.is_full:
            raise Overloaded(
                f"The server has {self._total} runs without an outcome, as many as it takes ([dagcall] max_runs).",
                retry_after=_retry_after(wait),
            )
        limits = (self._options.max_runs_per_dag, self._options.max_runs_per_caller)
        for share, limit in zip(_shares(dag_id, caller), limits, strict=False):  # who has no name has no share
            if limit is not None and self._by_share[share] >= limit:
                raise RateLimited(
                    f"{share} has {self._by_share[share]} runs without an outcome, its share of this server.",
                    dag_id=dag_id,
                    retry_after=_retry_after(wait),
                )
        if line is None or not wait:
            return
        if request.timeout is not None and wait + line.duration > request.timeout:
            raise Overloaded(
                f"A run of DAG {dag_id!r} would begin in about {wait:.1f} s and take about {line.duration:.1f} s: too "
                f"late for a deadline in {request.timeout:g} s.",
                dag_id=dag_id,
                retry_after=_retry_after(wait + line.duration - request.timeout),
            )
        patience = BURST_WAIT if line.queueing(now) < BURST_WAIT else STEADY_WAIT
        if request.waits and wait > patience and line.length >= FLOOR:
            raise RateLimited(
                f"{line.length} runs of DAG {dag_id!r} wait to begin; another would have to wait about {wait:.1f} s.",
                dag_id=dag_id,
                retry_after=_retry_after(wait - patience),
            )


def _retry_after(seconds: float) -> float:
    return min(max(1.0, seconds), _LONGEST_RETRY_AFTER)


def _shares(dag_id: str, caller: str) -> tuple[str, ...]:
    return (f"DAG {dag_id!r}", f"caller {caller!r}") if caller else (f"DAG {dag_id!r}",)
