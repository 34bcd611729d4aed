"""All that a coordinator does for those who observe it: metrics, traces, what goes to a collector."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from dagcall.coordinator.background import in_background
from dagcall.coordinator.clock import Clock
from dagcall.coordinator.driver import Driver
from dagcall.coordinator.inspection import Inspection
from dagcall.coordinator.metrics import Metrics, Server
from dagcall.coordinator.run import Run
from dagcall.coordinator.slow_calls import SlowCalls
from dagcall.coordinator.telemetry import Open, Telemetry, Traces
from dagcall.journal.base import Journal
from dagcall.model.ids import RunKey
from dagcall.options import Options
from dagcall.workers.base import Workers


class Observation:
    """Of one server. Nothing here can fail a run."""

    def __init__(
        self,
        server: Server,
        journal: Journal,
        workers: Workers,
        drivers: Mapping[RunKey, Driver],
        clock: Clock,
        shared: Counter[str],
        opening: Open,
    ) -> None:
        """`shared`: see `Metrics`."""
        self.metrics = Metrics(server, journal, shared)
        self.inspection = Inspection(server, journal, workers, drivers, clock)
        self._workers = workers
        self._open = opening
        self._telemetry = Telemetry()
        self.answered = self.metrics.answered
        self.ended: Callable[[Run], None] = self.metrics.ended

    @property
    def traces(self) -> Traces | None:
        return self._telemetry.traces

    def begin(self, settings: Mapping[str, Any], options: Options) -> None:
        """With Airflow's settings. Raises ConfigError."""
        self.metrics.look = SlowCalls(options.slow_call).look
        self._telemetry = self._open(settings)
        traces = self.metrics.traces = self._telemetry.traces
        if traces is not None:
            self._workers.trace(traces.spans)

            def ended(run: Run) -> None:
                self.metrics.ended(run)
                if run.head.state.is_final:
                    traces.ended(run.machine, run.head.queued_at)

            self.ended = ended

    def tasks(self) -> "list[asyncio.Task[None]]":
        """What goes on until it is cancelled."""
        tasks = [in_background(self.metrics.watch(), "dagcall-metrics")]
        if (push := self._telemetry.push_metrics) is not None:
            tasks.append(in_background(push(self.metrics.collect), "dagcall-metrics-push"))
        return tasks

    async def close(self) -> None:
        if self._telemetry.traces is not None:
            await asyncio.to_thread(self._telemetry.traces.close)
