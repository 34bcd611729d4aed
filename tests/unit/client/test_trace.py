"""A call of a program that traces is part of its trace."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, use_span

from dagcall.client._flow import call_request
from dagcall.client._options import Options
from dagcall.client._trace import trace_headers


def test_without_a_span_there_is_no_header() -> None:
    assert trace_headers() == {}


def test_a_call_has_the_current_span() -> None:
    with TracerProvider().get_tracer("mine").start_as_current_span("outer") as span:
        context = span.get_span_context()
        request = call_request("d", b"{}", Options(), {}, 1.0)
    assert request.headers["traceparent"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    assert "tracestate" not in request.headers
    assert trace.get_current_span() is not span


@pytest.mark.parametrize("flags", [0, 1])
def test_the_callers_decision_and_state_are_passed_on(flags: int) -> None:
    context = SpanContext(1, 2, True, TraceFlags(flags), TraceState([("vendor", "1")]))
    with use_span(NonRecordingSpan(context)):
        headers = trace_headers()
    assert headers == {"traceparent": f"00-{1:032x}-{2:016x}-0{flags}", "tracestate": "vendor=1"}
