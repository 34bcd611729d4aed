from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class TimeRange:
    """Bounds on a time, seconds since the epoch; what has no such time matches only when no bound is set."""

    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None

    def holds(self, time: float | None) -> bool:
        if time is None:
            return self == ANY_TIME
        return (
            (self.gte is None or time >= self.gte)
            and (self.gt is None or time > self.gt)
            and (self.lte is None or time <= self.lte)
            and (self.lt is None or time < self.lt)
        )


ANY_TIME: Final = TimeRange()
