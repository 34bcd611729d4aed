"""Traces in the processes that run user code: the context of each task, and its spans on their way to the server.

Guarantees. While a task runs, OpenTelemetry's current span is its own (`worker.<task_id>`, as the Task SDK's `main` makes
it: sdk/execution_time/task_runner.py `_make_task_span`), a child of the span of its try, which the server makes. So what
user code traces, and requests that an instrumented client sends, belong to the caller's trace. The current span lives in
the task's copy of the context variables, and ends with it: the next task of the process sees nothing of it.

No process here talks to a collector, or has a thread for it: zygotes must be forked, and workers be left as they were.
Ended spans are kept until the task ends and go to the server as one frame, which exports them. At most `MOST` of a task
are kept; what it has more is dropped, with a line in its log. What ends after its task goes with the next one's.

Without `install` (`[traces] otel_on`) everything here does nothing.
"""

import os
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import msgspec
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dagcall.model.ids import RunKey
from dagcall.model.trace import Span as SpanValue
from dagcall.model.trace import SpanEvent, SpanLink, of_run, of_try, parsed
from dagcall.workers.channel import Channel
from dagcall.workers.frames import Start, Traced

MOST: Final = 1000
LARGEST: Final = 4 << 20
"""Bytes of a task's spans."""
_DETAIL = "airflow/task_span_detail_level"
"""In the conf of a run: more spans of the Task SDK, as in Airflow."""

_tracer = trace.get_tracer("airflow.sdk.execution_time.task_runner")
_propagator = TraceContextTextMapPropagator()
_pack = msgspec.msgpack.Encoder().encode


class Collector(SpanProcessor):
    """Keeps what has ended until somebody takes it. Code that a task leaves running may end spans at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: list[ReadableSpan] = []
        self.dropped = 0

    def on_start(self, span: Span, parent_context: Any = None) -> None: ...

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._lock:
            if len(self._ended) < MOST:
                self._ended.append(span)
            else:
                self.dropped += 1

    def take(self) -> list[ReadableSpan]:
        with self._lock:
            taken, self._ended = self._ended, []
        return taken

    def renew(self) -> None:
        """In a forked process: what the lock was held for happens in another one."""
        self._lock = threading.Lock()


_collector: Collector | None = None


def install() -> None:
    """In the root zygote: what user code traces goes to the collector."""
    global _collector
    _collector = Collector()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_collector)
    trace.set_tracer_provider(provider)
    os.register_at_fork(after_in_child=_collector.renew)


def task_span(start: Start) -> AbstractContextManager[Any]:
    """The task's own span, current while it runs."""
    name = f"worker.{start.task_id}" + (f"[{start.map_index}]" if start.map_index >= 0 else "")
    return _span(start, name, {})


def trigger_span(start: Start, classpath: str) -> AbstractContextManager[Any]:
    """The span of a trigger that a try waits for (airflow/jobs/triggerer_job_runner.py `_make_trigger_span`)."""
    name = f"trigger.{start.task_id}" + (f"_{start.map_index}" if start.map_index >= 0 else "")
    return _span(start, name, {"airflow.trigger.name": classpath})


def within_run(start: Start) -> AbstractContextManager[Any]:
    """The run's own span is current: for its callbacks and listeners, which are part of no try."""
    carrier = None if _collector is None else parsed(start.traceparent, start.tracestate)
    if carrier is None:
        return nullcontext()
    own = of_run(carrier, RunKey(start.dag_id, start.run_id))
    context = _propagator.extract({"traceparent": own.traceparent, "tracestate": own.state})
    return trace.use_span(trace.get_current_span(context))


def _span(start: Start, name: str, more: dict[str, str]) -> AbstractContextManager[Any]:
    """A child of the span of the try."""
    carrier = None if _collector is None else parsed(start.traceparent, start.tracestate)
    if carrier is None:  # switched off, or accepted by a server that did not trace
        return nullcontext()
    own = of_try(carrier, RunKey(start.dag_id, start.run_id), start.task_id, start.map_index, start.try_number)
    state = ",".join(part for part in (_detail_level(start.conf), own.state) if part)
    parent = _propagator.extract({"traceparent": own.traceparent, "tracestate": state})
    attributes: dict[str, str | int] = {
        "airflow.dag_id": start.dag_id,
        "airflow.task_id": start.task_id,
        "airflow.dag_run.run_id": start.run_id,
        "airflow.task_instance.try_number": start.try_number,
        "airflow.task_instance.map_index": start.map_index,
    }
    return _tracer.start_as_current_span(name, context=parent, attributes={**attributes, **more})


def _detail_level(conf: bytes) -> str:
    if _DETAIL.encode() not in conf:
        return ""
    level = msgspec.json.decode(conf).get(_DETAIL)
    return f"{_DETAIL}={int(level)}" if str(level).isdecimal() and int(level) else ""


def current() -> tuple[str | None, str | None]:
    """`traceparent` and `tracestate` of the span that is current: for what a task starts."""
    if _collector is None:
        return None, None
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent"), carrier.get("tracestate")


def hand_over(channel: Channel, log: Any) -> None:
    """Send what has ended to the server."""
    if _collector is None or not (spans := _collector.take()):
        return
    dropped, _collector.dropped = _collector.dropped, 0
    packed = b""
    try:
        packed = _pack([_value(span) for span in spans])
    except Exception as error:  # an attribute that no message can carry
        log.warning("The spans of the task could not be sent", error=f"{type(error).__name__}: {error}")
    if len(packed) > LARGEST:
        dropped, packed = dropped + len(spans), b""
    if dropped:
        log.warning("Spans of the task were dropped: they are too many, or too large", count=dropped)
    if packed:
        channel.send(Traced(packed))


def _value(span: ReadableSpan) -> SpanValue:
    context, scope = span.context, span.instrumentation_scope
    assert context is not None
    return SpanValue(
        name=span.name,
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=None if span.parent is None else f"{span.parent.span_id:016x}",
        start=span.start_time or 0,
        end=span.end_time or 0,
        attributes=dict(span.attributes or {}),
        status=span.status.status_code.value,
        description=span.status.description,
        kind=span.kind.value,
        events=[SpanEvent(one.name, one.timestamp, dict(one.attributes or {})) for one in span.events],
        links=[
            SpanLink(f"{one.context.trace_id:032x}", f"{one.context.span_id:016x}", dict(one.attributes or {}))
            for one in span.links
        ],
        scope="" if scope is None else scope.name,
        scope_version=None if scope is None else scope.version,
        state=context.trace_state.to_header(),
        is_remote=span.parent is not None and span.parent.is_remote,
    )
