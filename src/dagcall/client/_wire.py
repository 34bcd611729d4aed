"""What the client's flows exchange with whoever does the I/O: plain values, no socket, no clock, no httpx.

A flow is a generator: it yields a `Step` (send this, or wait), is sent the `Reply`, and returns its result or
raises an error of `dagcall.errors`. Times (`at`) are seconds of one monotonic clock, read by the driver.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar


@dataclass(frozen=True)
class Request:
    """One HTTP request. `read_timeout`: seconds of silence after which the connection is given up."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    read_timeout: float = 30.0


@dataclass(frozen=True)
class Pause:
    """Wait before the next request."""

    seconds: float


@dataclass(frozen=True)
class Response:
    """An answer. Names of `headers` are lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    at: float = 0.0


@dataclass(frozen=True)
class Broken:
    """No answer came. `sent`: the server may have received the request and acted on it."""

    sent: bool
    reason: str
    at: float = 0.0


@dataclass(frozen=True)
class Resumed:
    """The pause is over."""

    at: float = 0.0


Step = Request | Pause
Reply = Response | Broken | Resumed
T = TypeVar("T")
Flow = Generator[Step, Reply, T]


@dataclass(frozen=True)
class RunEvent:
    """One event of a run. `id` counts 1, 2, 3, ...; `event` is `accepted`, `task`, `chunk`, `rollback`, `result`,
    `failure` or `end`; `time` is ISO 8601; the shape of `data` depends on `event`."""

    id: int
    event: str
    run_id: str
    time: str
    data: Any  # plain JSON


@dataclass(frozen=True)
class Accepted:
    """A run that the server has taken."""

    dag_id: str
    run_id: str
