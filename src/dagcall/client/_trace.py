"""The trace that a call is part of, where its program uses OpenTelemetry: then the run is a child of the current span."""

import sys


def trace_headers() -> dict[str, str]:
    """W3C's `traceparent` and `tracestate`; none without a current span. OpenTelemetry is not imported for it."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    headers = {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"}
    if context.trace_state:
        headers["tracestate"] = context.trace_state.to_header()
    return headers
