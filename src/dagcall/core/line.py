"""The runs of one DAG that have been accepted and wait to begin: whose turn is next, and how long a newcomer will wait.

*Turns.* Fair between callers (start-time fair queueing, Goyal 1996): a caller's runs have turns one apart, and the first
of a caller who was not in line has the turn of the run that began last. So a caller with one run does not stand behind
the thousand of another; among a caller's own, first come first served.

*The wait.* Whoever joins waits until as many runs have begun as will go before it: at the rate at which runs begin
while there is a queue, as seen over the last seconds of queueing, but `EVIDENCE` of them at least: what a burst looks
like before its first commit says nothing. While nobody begins the rate falls. A line that is empty now and then is no
queue: runs begin as fast as they come, which says nothing of how fast they could. Before the first queue there is no
rate, and the expected wait is 0.

Pure: moments are seconds on one clock, and passed in. How long a run takes once it has begun is measured here too.
"""

import math
from collections import Counter

MEMORY = 5.0
"""Seconds of queueing after which an observation of the rate counts for 1/e."""
QUEUE_AFTER = 0.1
"""Seconds for which a line has not been empty, and is a queue. A worker that is free takes its run within few
milliseconds; one that must be forked first, within tens."""
EVIDENCE = 1.0
"""Seconds of queueing before which no rate is known."""
_KEPT = 0.9
"""Of what was known of a run's duration, with each run that ends: the last ten or so decide."""


class Line:
    def __init__(self) -> None:
        self._queued: Counter[str] = Counter()
        self._length = 0
        self._turns: dict[str, float] = {}
        self._now = 0.0
        """The turn of the run that began last."""
        self._since: float | None = None
        """Since when somebody has been waiting without a pause."""
        self._observed = 0.0
        """When a run last began, or the first of those who wait now came."""
        self._begun = 0.0
        self._elapsed = 0.0
        self._durations = 0.0
        self._weights = 0.0

    @property
    def length(self) -> int:
        return self._length

    @property
    def duration(self) -> float:
        """Seconds from a run's beginning to its outcome, on average lately; 0 while none is known."""
        return self._durations / self._weights if self._weights else 0.0

    def ahead_of(self, caller: str) -> int:
        """How many of those who wait begin before a run that this caller would send now."""
        if len(self._queued) <= 1:
            return self._length if caller in self._queued else len(self._queued)
        own = self._queued[caller] + 1
        return sum(min(queued, own) for name, queued in self._queued.items() if name != caller) + own - 1

    def wait(self, caller: str, now: float) -> float:
        """Seconds until a run that this caller would send now begins."""
        ahead = self.ahead_of(caller)
        if not ahead or not self._begun:
            return 0.0
        elapsed = self._elapsed + (max(0.0, now - self._observed) if self.queueing(now) else 0.0)
        return ahead * elapsed / self._begun if elapsed >= EVIDENCE else 0.0

    def queueing(self, now: float) -> float:
        """Seconds for which the line has been a queue; 0 when it is none."""
        return 0.0 if self._since is None else max(0.0, now - self._since - QUEUE_AFTER)

    def join(self, caller: str, now: float) -> float:
        """Take the next turn."""
        if self._since is None:
            self._since = self._observed = now
        turn = max(self._now, self._turns.get(caller, -math.inf) + 1)
        self._turns[caller] = turn
        self._queued[caller] += 1
        self._length += 1
        return turn

    def begin(self, caller: str, turn: float, now: float) -> None:
        """One who waited goes on."""
        self._now = max(self._now, turn)
        if self.queueing(now):
            elapsed = max(0.0, now - self._observed)
            kept = math.exp(-elapsed / MEMORY)
            self._elapsed = self._elapsed * kept + elapsed
            self._begun = self._begun * kept + 1
        self._observed = now
        self.leave(caller)

    def leave(self, caller: str) -> None:
        """One who waited does not wait any more."""
        self._length -= 1
        self._queued[caller] -= 1
        if not self._queued[caller]:
            del self._queued[caller], self._turns[caller]
        if not self._length:
            self._since = None

    def took(self, seconds: float) -> None:
        """A run had its outcome so long after it began."""
        self._durations = self._durations * _KEPT + seconds
        self._weights = self._weights * _KEPT + 1
