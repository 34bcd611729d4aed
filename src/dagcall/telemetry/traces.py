"""Spans on their way to a collector.

Guarantees. The event loop does no more than put into a queue: spans are made and handed to OpenTelemetry's batch
processor in a thread of this module, and sent by the processor's own. Neither ever waits for the collector on behalf of a
run. What is more than `MOST` runs or messages behind is dropped, and counted (`dropped`); so does the processor with what
it cannot send (`OTEL_BSP_*`). `close` sends what is there, for some seconds at most.

Whether a trace is recorded is decided where it begins: by the caller's `traceparent`, or else by the sampler of
OpenTelemetry's environment (`OTEL_TRACES_SAMPLER`) when the call is admitted. The run keeps the decision.
"""

import logging
import random
import threading
from queue import SimpleQueue
from typing import Final, NamedTuple

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from dagcall.core.machine import RunMachine
from dagcall.core.spans import spans_of
from dagcall.model.ids import RunKey
from dagcall.model.trace import Span, TraceContext, parsed, run_span_id

log = logging.getLogger("dagcall.telemetry")

MOST: Final = 10_000
FLUSH: Final = 2.0
"""Seconds."""

_decode = msgspec.msgpack.Decoder(list[Span]).decode
_KINDS: Final = {kind.value: kind for kind in SpanKind}
_STATUSES: Final = {status.value: status for status in StatusCode}


class Ended(NamedTuple):
    machine: RunMachine
    carrier: TraceContext
    queued_at: float


class Traces:
    """Implements `coordinator.telemetry.Traces`."""

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self.dropped = 0
        self._resource = resource
        self._sampler = sampling._get_from_env_or_default()
        self._random = random.SystemRandom()
        self._processor = BatchSpanProcessor(exporter)
        self._queue: SimpleQueue[Ended | bytes | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="dagcall-traces", daemon=True)
        self._thread.start()

    def begun(self, traceparent: str | None, tracestate: str | None, key: RunKey) -> tuple[str, str | None]:
        """What to keep of a call's trace context: the caller's own, or that of a trace which begins with this run."""
        carrier = parsed(traceparent, tracestate)
        if carrier is None:
            trace_id = f"{self._random.getrandbits(128) or 1:032x}"
            attributes = {"airflow.dag_id": key.dag_id, "airflow.dag_run.run_id": key.run_id}
            decided = self._sampler.should_sample(None, int(trace_id, 16), "dag_run", attributes=attributes)
            sampled = decided.decision is Decision.RECORD_AND_SAMPLE
            carrier = TraceContext(trace_id, run_span_id(trace_id, key), sampled)
        return carrier.traceparent, carrier.state or None

    def ended(self, machine: RunMachine, queued_at: float) -> None:
        accepted = machine.accepted
        carrier = parsed(accepted.traceparent, accepted.tracestate)
        if carrier is not None and carrier.sampled:
            self._put(Ended(machine, carrier, queued_at))

    def spans(self, packed: bytes) -> None:
        """Of code that ran in a worker: MessagePack of a list of `model.trace.Span`."""
        self._put(packed)

    def close(self) -> None:
        """Blocks for twice `FLUSH` at most."""
        self._queue.put(None)
        self._thread.join(FLUSH)
        flushing = threading.Thread(target=self._processor.shutdown, name="dagcall-traces-flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH)

    def _put(self, work: "Ended | bytes") -> None:
        if self._queue.qsize() >= MOST:
            self.dropped += 1
        else:
            self._queue.put(work)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                spans = _decode(work) if isinstance(work, bytes) else spans_of(*work)
                for span in spans:
                    self._processor.on_end(_readable(span, self._resource))
            except Exception:
                self.dropped += 1
                log.warning("spans could not be made", exc_info=True)


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    trace_id, state = int(span.trace_id, 16), TraceState.from_header([span.state])
    flags = TraceFlags(TraceFlags.SAMPLED)
    parent = None
    if span.parent_id is not None:
        parent = SpanContext(trace_id, int(span.parent_id, 16), span.is_remote, flags, state)
    return ReadableSpan(
        name=span.name,
        context=SpanContext(trace_id, int(span.span_id, 16), False, flags, state),
        parent=parent,
        resource=resource,
        attributes=span.attributes,
        events=[Event(one.name, one.attributes, one.time) for one in span.events],
        links=[
            Link(SpanContext(int(one.trace_id, 16), int(one.span_id, 16), True, flags), one.attributes)
            for one in span.links
        ],
        kind=_KINDS.get(span.kind, SpanKind.INTERNAL),
        status=Status(_STATUSES.get(span.status, StatusCode.UNSET), span.description if span.status == 2 else None),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=InstrumentationScope(span.scope, span.scope_version),
    )
