"""What a coordinator tells of itself to others, as it sees them: `telemetry.opening` makes the real ones."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dagcall.core.machine import RunMachine
from dagcall.model.ids import RunKey
from dagcall.model.measures import Family

Collect = Callable[[], Callable[[], list[Family]]]
"""See `api.MetricsView`."""


class Traces(Protocol):
    """Nothing here blocks but `close`, and nothing raises."""

    dropped: int
    """Runs and messages of which nothing is told."""

    def begun(self, traceparent: str | None, tracestate: str | None, key: RunKey) -> tuple[str | None, str | None]:
        """What to keep with a run of the trace context that it was called with."""
        ...

    def ended(self, machine: RunMachine, queued_at: float) -> None:
        """A run has ended."""

    def spans(self, packed: bytes) -> None:
        """What a worker has traced: MessagePack of a list of `model.trace.Span`."""

    def close(self) -> None:
        """Send what is there, for some seconds at most."""


@dataclass(frozen=True)
class Telemetry:
    """None: switched off."""

    traces: Traces | None = None
    push_metrics: Callable[[Collect], Coroutine[Any, Any, None]] | None = None
    """Tells them to a collector until it is cancelled."""


Open = Callable[[Mapping[str, Any]], Telemetry]
"""From Airflow's settings as plain data. Raises ConfigError."""


def nothing(settings: Mapping[str, Any]) -> Telemetry:
    return Telemetry()
