"""Partial results: what is told of them, and when they are void."""

from collections.abc import Callable
from typing import Any

import pytest

from dagcall.core.replay import replay
from dagcall.model.events import (
    AttemptEnded,
    CancelRequested,
    Emitted,
    EndKind,
    ErrorInfo,
    RetryDue,
    RunTimedOut,
    TimeoutKind,
)
from dagcall.model.plan import Mapping, MapSource, Retry, TaskPlan

Task = Callable[..., TaskPlan]
Runs = Callable[..., Any]


def chunks(run: Any) -> list[dict[str, Any]]:
    return [record.data for record in run.records if record.kind == "chunk"]


def test_chunks_are_told_in_order_tagged_by_their_try(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True))
    run.start("a")
    run.emit("a", "to", {"ken": 1})
    run.emit("a", None)
    run.end("a", plain=b"1")
    tags = {"task_id": "a", "map_index": -1, "try_number": 1}
    assert chunks(run) == [tags | {"value": value} for value in ("to", {"ken": 1}, None)]
    assert run.told() == ["accepted", "a running", "chunk", "chunk", "chunk", "a success", "result", "end"]


def test_chunks_of_mapped_tasks_are_told_apart(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True, mapping=Mapping((MapSource("literal", length=2),))))
    for index in (1, 0):
        run.start("a", index)
        run.emit("a", index, map_index=index)
    run.end("a", "failed", 1)
    run.end("a", "success", 0)
    assert [(one["map_index"], one["value"]) for one in chunks(run)] == [(1, 1), (0, 0)]
    assert [r.data["map_index"] for r in run.records if r.kind == "rollback"] == [1]


@pytest.mark.parametrize("kind", ["retry", "lost", "failed"])
def test_chunks_of_a_try_that_failed_are_void(task: Task, run_of: Runs, kind: str) -> None:
    run = run_of(task("a", retry=Retry(1), is_result=True))
    run.start("a")
    run.emit("a", "no")
    run.end("a", kind)
    assert run.records[4].event is None
    rollback = next(record for record in run.records if record.kind == "rollback")
    assert rollback.data == {"task_id": "a", "map_index": -1, "try_number": 1}
    if kind == "failed":
        assert run.told()[3:] == ["rollback", "a failed", "failure", "end"]
        return
    run.feed(RetryDue("a", -1, 1))
    run.start("a")
    run.emit("a", "yes")
    run.end("a")
    assert run.told()[3:] == [
        *["rollback", "a up_for_retry", "a queued", "a running", "chunk", "a success", "result", "end"],
    ]
    assert [one["try_number"] for one in chunks(run)] == [1, 2]


def test_a_try_without_chunks_has_none_to_take_back(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", retry=Retry(1), is_result=True))
    run.start("a")
    run.emit("a", "no")
    run.end("a", "retry")
    run.feed(RetryDue("a", -1, 1))
    run.end("a", "failed")
    assert run.told().count("rollback") == 1


@pytest.mark.parametrize(
    "event",
    [CancelRequested(), RunTimedOut(TimeoutKind.DEADLINE), RunTimedOut(TimeoutKind.DAGRUN_TIMEOUT)],
    ids=["cancel", "deadline", "dagrun_timeout"],
)
def test_chunks_of_a_task_that_was_ended_are_void(task: Task, run_of: Runs, event: Any) -> None:
    run = run_of(task("a", is_result=True), dagrun_timeout=60.0)
    run.start("a")
    run.emit("a", "no")
    run.feed(event)
    assert "rollback" in run.told()


def test_a_task_that_skips_itself_keeps_what_it_has_said(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True))
    run.start("a")
    run.emit("a", "there is nothing to do")
    run.end("a", "skipped")
    assert "rollback" not in run.told()


def test_a_try_that_lets_go_of_its_worker_keeps_its_chunks_until_it_fails(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True))
    run.start("a")
    run.emit("a", 1)
    run.suspend("a")
    run.resume("a")
    run.start("a")
    run.emit("a", 2)
    assert "rollback" not in run.told()
    run.end("a", "failed")
    assert run.told().count("rollback") == 1


def test_chunks_of_nobody_are_dropped(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True), task("b", "a"))
    assert run.feed(Emitted(1, 1, (b"1",))) == []
    run.start("a")
    assert run.feed(Emitted(1, 2, (b"1",))) == []
    run.end("a")
    assert run.feed(Emitted(1, 1, (b"1",))) == []


def test_what_is_too_much_is_told_once(task: Task, run_of: Runs) -> None:
    run = run_of(task("a", is_result=True))
    run.start("a")
    run.emit("a", 1, truncated=True)
    assert chunks(run)[1] == {"task_id": "a", "map_index": -1, "try_number": 1, "truncated": True}


def test_after_a_replay_it_is_known_who_has_emitted(task: Task, run_of: Runs, snapshot: Callable[..., Any]) -> None:
    run = run_of(task("a", retry=Retry(1), is_result=True))
    run.start("a")
    run.emit("a", 1, 2)
    run.emit("a", 3)
    again = replay(run.plan, run.machine.key, run.records)
    assert snapshot(again) == snapshot(run.machine)
    lost = AttemptEnded(1, 1, EndKind.LOST, error=ErrorInfo("WorkerLost", "restarted"))
    assert again.step(lost, 50.0) == run.machine.step(lost, 50.0)
    assert run.machine.pending_timers()
