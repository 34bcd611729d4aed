"""From configuration to what is exported. OpenTelemetry is imported only where it is switched on."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Opened(NamedTuple):
    """As in `coordinator.telemetry.Telemetry`."""

    traces: Any
    push_metrics: Any


def opened(settings: Mapping[str, Any]) -> Opened:
    """`settings`: as `airflow_bridge.settings.for_coordinator` gives them. Raises ConfigError."""
    traces = push = None
    if settings.get("otel_traces") or settings.get("otel_metrics"):
        from dagcall.telemetry.configuration import Section, exporter_for, resource_of

        section = Section.of(settings, "traces")
        if section.on and (exporter := exporter_for("traces", section)) is not None:
            from dagcall.telemetry.traces import Traces

            traces = Traces(exporter, resource_of(section))
        section = Section.of(settings, "metrics")
        if section.on and (exporter := exporter_for("metrics", section)) is not None:
            from dagcall.telemetry.metrics import MetricsPush

            push = MetricsPush(exporter, resource_of(section), section.interval).run
    return Opened(traces, push)
