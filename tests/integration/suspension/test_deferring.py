"""Deferrable operators and sensors end as in stock Airflow; their triggers run in a triggerer, not in a worker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.msgpack import decode

from dagcall.coordinator.run import Run
from dagcall.model.events import AttemptStarted
from dagcall.model.states import RunState, TaskState
from dagcall.workers import processes

from ..serving import Serving, eventually

DAGS = ["deferred", "deferred_failures", "deferred_map", "standard_sensors"]


@pytest.mark.parametrize("dag_id", DAGS)
def test_deferrable_operators_end_as_in_stock_airflow(
    stock: Callable[[str], Any], end_of: Callable[..., dict[str, Any]], dag_id: str
) -> None:
    assert end_of(dag_id) == stock("deferring.py")[dag_id]


def _end(serving: Serving, dag_id: str, **conf: Any) -> Run:
    run = serving.start(dag_id, conf)
    eventually(lambda: run.head.state.is_final, f"the end of {dag_id}", lambda: run.machine.instances())
    return run


def _value(run: Run, task_id: str, key: str = "return_value") -> Any:
    item = run.machine.xcoms.get(task_id, -1, key)
    assert item is not None
    return decode(item.value)


def test_kwargs_and_event_reach_the_method(waiting: Serving) -> None:
    run = _end(waiting, "with_kwargs")
    assert _value(run, "t") == [[1, {"a": [2]}], 5.0, [1, 2]]


def test_a_trigger_that_fails_fails_its_task_on_a_worker(waiting: Serving) -> None:
    """`Trigger.submit_failure`, `check_trigger_timeouts`: the task fails as with any exception, retries included."""
    run = _end(waiting, "trigger_failures")
    found = {
        ti.task.task_id: (ti.state.value, ti.try_number, ti.error.type, ti.error.message)
        for ti in run.machine.instances()
        if ti.error is not None
    }
    assert found == {
        "raises": ("failed", 2, "TaskDeferralError", "Trigger failure"),
        "is_silent": ("failed", 1, "TaskDeferralError", "Trigger failure"),
        "unsendable": ("failed", 1, "TaskDeferralError", "Trigger failure"),
        "too_long": ("failed", 1, "TaskDeferralTimeout", "Trigger timeout"),
    }
    assert "ValueError: told to fail" in waiting.log(run, "raises", try_number=2)


def test_a_trigger_may_end_its_task_without_a_worker(waiting: Serving) -> None:
    run = _end(waiting, "ended_by_trigger")
    assert {ti.task.task_id: (ti.state.value, ti.try_number) for ti in run.machine.instances()} == {
        "success": ("success", 1),
        "failed": ("failed", 2),
        "skipped": ("skipped", 1),
    }
    assert _value(run, "success") == [1, {"a": 2}]
    assert _value(run, "success", "more") == 3
    assert _value(run, "failed", "why") == "told to"
    starts = [record.event for record in run.records if isinstance(record.event, AttemptStarted)]
    assert len(starts) == 4


def test_a_task_may_begin_in_the_triggerer(waiting: Serving) -> None:
    """`start_from_trigger`: no worker before its trigger has fired, whose arguments are rendered in the triggerer."""
    run = _end(waiting, "from_trigger")
    assert run.machine.state.value == "success", run.machine.instances()
    assert _value(run, "plain") == ["a", 5.0, 1]
    assert _value(run, "retried") == ["again", 5.0, 2]
    assert _value(run, "templates") == ["templated templates", 5.0, 1]
    mapped = [decode(item.value) for item in run.machine.xcoms.all_of("mapped", "return_value")]
    assert mapped == [["same", 1], ["same", 2]]
    starts = [record.event for record in run.records if isinstance(record.event, AttemptStarted)]
    assert len(starts) == 7


def test_a_trigger_asks_without_blocking_the_others(waiting: Serving) -> None:
    run = _end(waiting, "asks")
    assert _value(run, "t")[0] == ["none"] * 3


def test_what_a_trigger_logs_is_beside_its_tasks_log(waiting: Serving) -> None:
    """Named as Airflow names it."""
    run = _end(waiting, "counts_down", ticks=2)
    path = Path(waiting.coordinator.log_path(run.key, "t", -1, 1))
    (beside,) = path.parent.glob(f"{path.name}.trigger.*.log")
    lines = [json.loads(line) for line in beside.read_text().splitlines()]
    assert [line["event"] for line in lines if line["logger"] == "task.stdout"] == ["2 left", "1 left"]
    assert any(line["event"] == "Trigger fired event" for line in lines)
    assert "2 left" not in path.read_text()


def test_a_cancelled_run_kills_its_trigger(waiting: Serving, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    run = waiting.start("killable", {"path": str(notes)})
    eventually(notes.exists, "the trigger runs")
    waiting.do(waiting.coordinator.cancel(run.key, "me", "enough"))
    eventually(lambda: run.head.state.is_final, "the end of the run")
    assert [ti.state.value for ti in run.machine.instances()] == ["failed"]
    eventually(
        lambda: notes.read_text().split() == ["run", "on_kill", "answered", "cleanup"], "its end", notes.read_text
    )


def test_triggers_that_end_their_process_again_and_again_are_given_up(waiting: Serving) -> None:
    run = _end(waiting, "deadly")
    (instance,) = run.machine.instances()
    assert instance.error is not None
    assert instance.error.type == "TaskDeferralError"
    assert instance.error.message.startswith("TriggererLost: 10 triggerers that ran its trigger were lost")
    assert _value(_end(waiting, "with_kwargs"), "t")  # others of the file can wait again


def test_waiting_holds_no_worker(waiting: Serving) -> None:
    runs = [waiting.start("counts_down", {"ticks": 10**6}) for _ in range(20)]

    def are_deferred() -> bool:
        return all(ti.state is TaskState.DEFERRED for run in runs for ti in run.machine.instances())

    eventually(are_deferred, "all wait", lambda: [run.machine.instances() for run in runs])

    def statistics() -> tuple[int, int]:
        now = waiting.coordinator.statistics()
        return now["triggers"], now["workers"] - now["idle"]

    eventually(lambda: statistics() == (20, 0), "no worker is busy", statistics)
    for run in runs:
        waiting.do(waiting.coordinator.cancel(run.key, "me", "enough"))
    eventually(lambda: statistics() == (0, 0), "nothing waits", statistics)


def test_the_triggers_of_a_file_that_must_not_be_forked(waiting: Serving) -> None:
    assert _value(_end(waiting, "unforkable"), "t") == "zero"


def test_operators_are_deferrable_by_default_where_airflow_is_told_so(waiting: Serving, tmp_path: Path) -> None:
    run = waiting.start("by_default", {"file": str(tmp_path / "go")})
    eventually(lambda: run.machine.instances()[0].state is TaskState.DEFERRED, "it waits")
    (tmp_path / "go").touch()
    eventually(lambda: run.head.state is RunState.SUCCESS, "its end", lambda: run.machine.instances())


def test_a_triggerer_ends_when_nothing_waits(waiting: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def triggerers() -> list[int]:
        below = psutil.Process().children(recursive=True)
        return [one.pid for one in below if processes.has_title(one.pid, "triggerer")]

    monkeypatch.setattr("dagcall.workers.triggerers.IDLE_SECONDS", 0.01)
    assert _value(_end(waiting, "with_kwargs"), "t")
    eventually(lambda: not triggerers(), "the end of all triggerers", triggerers)
    assert _value(_end(waiting, "with_kwargs"), "t")  # and another one is had when it is needed
