"""Traces, as values: W3C trace contexts, the ids of a run's spans, and spans on their way to whoever exports them.

The ids of the spans that the server makes are derived from what they are of: a run's from its trace and its key, a try's
from its run's. So they are the same before and after a restart, and here and in a worker, without being told or kept.
"""

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from dagcall.model.ids import RunKey

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_STATE_LIMIT: Final = 512
"""Characters: what W3C asks everybody to pass on at least."""

Attribute = str | bool | int | float | bytes | list[str] | list[bool] | list[int] | list[float]


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Ids in hexadecimal digits. `state`: the `tracestate` header."""

    trace_id: str
    span_id: str
    sampled: bool = True
    state: str = ""

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def of_span(self, span_id: str) -> "TraceContext":
        """Another span of this trace."""
        return TraceContext(self.trace_id, span_id, self.sampled, self.state)


def parsed(traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
    """None when there is none, or none that W3C allows: then a trace begins here."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    state = (tracestate or "").strip()
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1), state if len(state) <= _STATE_LIMIT else "")


def run_span_id(trace_id: str, key: RunKey) -> str:
    return _derived("run", trace_id, key.dag_id, key.run_id)


def try_span_id(run_span: str, task_id: str, map_index: int, try_number: int) -> str:
    return _derived("try", run_span, task_id, str(map_index), str(try_number))


def of_run(carrier: TraceContext, key: RunKey) -> TraceContext:
    """The run's own span, of the context that it was called with."""
    return carrier.of_span(run_span_id(carrier.trace_id, key))


def of_try(carrier: TraceContext, key: RunKey, task_id: str, map_index: int, try_number: int) -> TraceContext:
    """The span of a try. `carrier`: what the run was called with."""
    return carrier.of_span(try_span_id(run_span_id(carrier.trace_id, key), task_id, map_index, try_number))


def _derived(*parts: str) -> str:
    digest = blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return digest if digest.strip("0") else "0" * 15 + "1"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """`time`: nanoseconds since the epoch, as are a span's."""

    name: str
    time: int
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanLink:
    trace_id: str
    span_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """One that has ended. `kind` and `status` are OpenTelemetry's numbers (`SpanKind`, `StatusCode`). Attributes are
    `Attribute`s."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start: int
    end: int
    attributes: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    description: str | None = None
    kind: int = 0
    events: list[SpanEvent] = field(default_factory=list)
    links: list[SpanLink] = field(default_factory=list)
    scope: str = "dagcall"
    scope_version: str | None = None
    state: str = ""
    is_remote: bool = False
    """Its parent is another process's."""
