"""Calls that took longer than `[dagcall] slow_call`: a line in the log for each, with where the time went.

Looked for among the calls that are counted anyway, once a second (`metrics`), so that a call costs nothing more. Its
records are replayed in a thread (`core.critical_path`). At most `MOST` of a second are told one by one, the rest as a number.
No params, values or messages are told.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from dagcall.coordinator.run import Run
from dagcall.core.critical_path import PARTS, Step, critical_path, whole
from dagcall.model.ids import TaskKey
from dagcall.model.trace import parsed

log = logging.getLogger("dagcall.slow_calls")

MOST: Final = 10
STEPS: Final = 5


class SlowCalls:
    """`limit`: seconds from the call to its outcome; None: none is slow."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, answered: Sequence[Run]) -> None:
        """At runs that have got their outcome."""
        limit = self._limit
        if limit is None:
            return
        slow = [run for run in answered if run.answered_at is not None and run.answered_at - run.accepted_at > limit]
        if slow:
            task = asyncio.get_running_loop().create_task(self._tell(slow, limit), name="dagcall-slow-calls")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, slow: list[Run], limit: float) -> None:
        for run in slow[:MOST]:
            records = tuple(run.records)
            steps = await asyncio.to_thread(critical_path, run.plan, run.key, records, run.durable_at)
            _log(run, steps)
        if len(slow) > MOST:
            log.warning("%d more calls took longer than %g s", len(slow) - MOST, limit)


def _log(run: Run, steps: list[Step]) -> None:
    assert run.answered_at is not None
    took = run.answered_at - run.accepted_at
    outcome = "" if run.outcome is None else run.outcome.kind.value
    parts = {part: round(seconds, 3) for part, seconds in whole(steps).items()}
    longest = sorted(steps, key=_seconds, reverse=True)[:STEPS]
    words = ", ".join(f"{name} {seconds:.3f}" for name, seconds in parts.items())
    tasks = "; ".join(f"{TaskKey(s.task_id, s.map_index)} try {s.try_number}: {_seconds(s):.3f} s" for s in longest)
    told = [_described(step) for step in longest]
    trace = parsed(run.machine.accepted.traceparent)
    fields: dict[str, Any] = {"seconds": round(took, 3), "outcome": outcome, "parts": parts, "longest": told}
    if trace is not None:
        fields["trace_id"] = trace.trace_id
    log.warning(
        "slow call: run %s took %.3f s (%s): %s s. Longest: %s",
        run.key,
        took,
        outcome,
        words,
        tasks,
        extra={"fields": fields},
    )


def _seconds(step: Step) -> float:
    return step.queue + step.worker + step.task + step.journal + step.wait


def _described(step: Step) -> dict[str, object]:
    seconds = {part: round(getattr(step, part), 3) for part in PARTS}
    return {"task_id": step.task_id, "map_index": step.map_index, "try_number": step.try_number, "seconds": seconds}
