"""What is counted of runs, by real machines, and that labels stay few."""

import asyncio
from collections import Counter

import pytest

from dagcall.coordinator import metrics as metrics_module
from dagcall.coordinator.metrics import FAMILIES, OTHERS, Metrics
from dagcall.coordinator.run import Run
from dagcall.core.machine import RunMachine
from dagcall.errors import DagNotFound, JournalError, Overloaded
from dagcall.journal.memory import MemoryJournal
from dagcall.model.events import AttemptEnded, AttemptStarted, EndKind, RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.measures import Histogram
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.records import RunHead
from dagcall.model.states import RunState


class Server:
    def statistics(self) -> dict[str, int]:
        return {"workers": 5, "idle": 2, "starting": 1, "runs": 3}

    def obstacles(self) -> list[str]:
        return []


def made(shared: Counter[str] | None = None) -> Metrics:
    return Metrics(Server(), MemoryJournal(), shared or Counter())


def told(metrics: Metrics) -> dict[str, dict[tuple[str, ...], float | Histogram]]:
    return {
        one.name: {tuple(value for _, value in labels): value for labels, value in one.samples}
        for one in metrics.collect()()
    }


def a_run(dag_id: str, end: EndKind = EndKind.SUCCESS) -> Run:
    """Accepted at 10, its task was started at 10.25, and ended it at 10.75."""
    plan = DagPlan(dag_id, "v", "/d.py", "d.py", (TaskPlan("only", "Python", is_result=True),))
    key = RunKey(dag_id, "r")
    run = Run(key, plan, RunMachine(plan, key), RunHead(key, RunState.QUEUED, "v", 10.0, 10.0))
    for event, now in (
        (RunAccepted(dag_id, "r", "v"), 10.0),
        (AttemptStarted(1, 1), 10.25),
        (AttemptEnded(1, 1, end, plain=b"1"), 10.75),
    ):
        run.machine.step(event, now)
    run.first_start, run.outcome, run.answered_at = 10.25, run.machine.outcome, 11.0
    return run


def test_a_run_is_counted_when_it_is_answered_and_when_it_has_ended() -> None:
    metrics, run = made(), a_run("d")
    metrics.answered(run)
    before = told(metrics)
    assert before["dagcall_calls_total"] == {("d", "success"): 1}
    assert before["dagcall_ti_finish_total"] == {}
    duration, queue = before["dagcall_call_duration_seconds"]["d",], before["dagcall_call_queue_seconds"]["d",]
    assert isinstance(duration, Histogram)
    assert isinstance(queue, Histogram)
    assert (duration.sum, duration.count, queue.sum) == (1.0, 1, 0.25)
    metrics.ended(run)
    after = told(metrics)
    assert after["dagcall_calls_total"] == {("d", "success"): 1}
    assert after["dagcall_ti_finish_total"] == {("d", "success"): 1}
    assert after["dagcall_ti_start_total"] == {("d",): 1}
    sums = {name: {labels: one.sum for labels, one in after[name].items()} for name in (  # type: ignore[union-attr]
        "dagcall_dagrun_duration_seconds", "dagcall_task_duration_seconds", "dagcall_task_queued_duration_seconds")}  # fmt: skip
    assert sums == {
        "dagcall_dagrun_duration_seconds": {("d", "success"): 0.5},
        "dagcall_task_duration_seconds": {("d",): 0.5},
        "dagcall_task_queued_duration_seconds": {("d",): 0.25},
    }


def test_outcomes_are_told_apart_and_who_was_given_up_has_none() -> None:
    metrics, lost = made(), a_run("d")
    lost.outcome = lost.answered_at = None
    for run in (a_run("e"), a_run("d", EndKind.FAILED), a_run("d"), a_run("d"), lost):
        metrics.answered(run)
    assert told(metrics)["dagcall_calls_total"] == {("d", "failed"): 1, ("d", "success"): 2, ("e", "success"): 1}


def test_refusals_by_reason_and_shared_calls() -> None:
    metrics = made(Counter(key=2))
    for error in (Overloaded("full"), Overloaded("full"), DagNotFound(dag_id="x"), JournalError("away")):
        metrics.refused(error)
    found = told(metrics)
    assert found["dagcall_calls_refused_total"] == {("overloaded",): 2, ("dag-not-found",): 1, ("error",): 1}
    assert found["dagcall_calls_shared_total"] == {("key",): 2}
    assert found["dagcall_workers"] == {("busy",): 3, ("idle",): 2, ("starting",): 1}


def test_every_family_is_told_and_labels_are_the_declared_ones() -> None:
    metrics = made(Counter(key=1))
    metrics.answered(a_run("d"))
    metrics.ended(a_run("d"))
    metrics.refused(Overloaded("full"))
    families = metrics.collect()()
    assert [one.name for one in families] == list(FAMILIES)
    for one in families:
        for labels, _ in one.samples:
            assert tuple(name for name, _ in labels) == FAMILIES[one.name].labels, one.name


def test_dags_beyond_the_bound_are_counted_together() -> None:
    metrics = made()
    for number in range(metrics_module.MOST_DAGS + 7):
        metrics.answered(a_run(f"d{number:05}"))
    calls = told(metrics)["dagcall_calls_total"]
    assert len(calls) == metrics_module.MOST_DAGS + 1
    assert calls[OTHERS, "success"] == 7


@pytest.mark.anyio
async def test_a_loop_that_stands_still_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "EVERY", 0.0)
    metrics = made()
    metrics.answered(a_run("d"))
    watching = asyncio.ensure_future(metrics.watch())
    for _ in range(5):
        await asyncio.sleep(0)
    watching.cancel()
    lag = told(metrics)["dagcall_event_loop_lag_seconds"][()]
    assert isinstance(lag, Histogram)
    assert lag.count > 0
