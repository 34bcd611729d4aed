"""What was seen, before anything is computed from it."""

from dataclasses import dataclass, field


@dataclass
class Sample:
    """Of one load, over all its rounds: milliseconds of each call; of each round, runs a second and CPU ms a run."""

    ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu: list[dict[str, float]] = field(default_factory=list)
    failed: int = 0
    """Calls that the server itself failed to answer."""


Phase = dict[tuple[str, int], Sample]
"""By name of the figures and number of callers."""
