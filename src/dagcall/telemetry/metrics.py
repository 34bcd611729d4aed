"""The server's metrics to a collector, each `OTEL_METRIC_EXPORT_INTERVAL`: the same numbers as `/metrics` tells.

They are copied on the event loop, made into OpenTelemetry's form and sent in a thread. A collector that is away costs
one interval, not a run: nothing is kept for it, since counts go on.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramPoints
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from dagcall.model.measures import Family, Histogram
from dagcall.version import __version__

log = logging.getLogger("dagcall.telemetry")

DEFAULT_INTERVAL: Final = 60_000.0
"""Milliseconds: OpenTelemetry's own."""
LAST: Final = 2.0
"""Seconds that the end of the server waits for the last numbers to be sent."""
UNKNOWN: Final[Any] = None
"""The least and the greatest value, which OTLP need not have."""
_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


class MetricsPush:
    """Tells a collector the metrics until it is cancelled, and once more then."""

    def __init__(self, exporter: MetricExporter, resource: Resource, interval: float | None) -> None:
        self._exporter = exporter
        self._resource = resource
        self._interval = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or interval or DEFAULT_INTERVAL) / 1000
        self._began = time.time_ns()
        self._fails = False

    async def run(self, collect: Callable[[], Callable[[], list[Family]]]) -> None:
        """`collect`: see `coordinator.api.MetricsView`."""
        try:
            while True:
                await asyncio.sleep(self._interval)
                await _aside(partial(self._send, collect()))
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                await asyncio.wait_for(_aside(partial(self._send, collect())), LAST)
            raise

    def _send(self, families: Callable[[], list[Family]]) -> None:
        now = time.time_ns()
        metrics = [_metric(one, self._began, now) for one in families() if one.samples]
        scope = ScopeMetrics(InstrumentationScope("dagcall", __version__), metrics, "")
        try:
            result = self._exporter.export(MetricsData([ResourceMetrics(self._resource, [scope], "")]))
        except Exception as error:
            log.warning("metrics could not be sent: %s", error)
            result = MetricExportResult.FAILURE
        if result is MetricExportResult.FAILURE and not self._fails:
            log.warning("metrics cannot be sent to the collector; trying again each %g s", self._interval)
        self._fails = result is MetricExportResult.FAILURE


def _aside(function: Callable[[], None]) -> "asyncio.Future[None]":
    """In a thread that the process does not wait for when it ends, unlike those of `asyncio.to_thread`."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def work() -> None:
        function()
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(None))

    threading.Thread(target=work, name="dagcall-metrics", daemon=True).start()
    return done


def _metric(family: Family, began: int, now: int) -> Metric:
    points: Any = []
    for labels, value in family.samples:
        if isinstance(value, Histogram):
            point: Any = HistogramDataPoint(
                dict(labels), began, now, value.count, value.sum, tuple(value.counts), value.bounds, UNKNOWN, UNKNOWN
            )
        else:
            point = NumberDataPoint(dict(labels), began, now, float(value))
        points.append(point)
    data: Any = Gauge(points)
    if family.kind == "histogram":
        data = HistogramPoints(points, _CUMULATIVE)
    elif family.kind == "counter":
        data = Sum(points, _CUMULATIVE, is_monotonic=True)
    return Metric(family.dotted, family.help, family.unit, data)
