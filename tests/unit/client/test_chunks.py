"""Partial results out of events: in order, and what a failed try emitted is void."""

from typing import Any

import pytest

from dagcall import Rollback, RolledBack, RunFailed, errors
from dagcall.client._chunks import ChunkReader
from dagcall.client._wire import RunEvent


def event(kind: str, **data: Any) -> RunEvent:
    return RunEvent(1, kind, "r1", "2026-01-01T00:00:00Z", data)


def chunk(value: object, task_id: str = "t", try_number: int = 1) -> RunEvent:
    return event("chunk", task_id=task_id, map_index=-1, try_number=try_number, value=value)


def rollback(task_id: str = "t") -> RunEvent:
    return event("rollback", task_id=task_id, map_index=-1, try_number=1)


def test_other_events_are_none_of_them() -> None:
    reader = ChunkReader(None, None)
    given = [reader.feed(one) for one in (event("accepted"), chunk("a"), event("task"), chunk(None), event("result"))]
    assert [one.value for one in given if one is not None] == ["a", None]


def test_a_failed_try_is_told_to_who_asked() -> None:
    told: list[Rollback] = []
    reader = ChunkReader(None, told.append)
    for one in (chunk("a"), chunk("b"), chunk("c", "other"), rollback(), rollback("silent"), chunk("a", try_number=2)):
        reader.feed(one)
    assert told == [Rollback("t", -1, 1, 2)]


def test_a_failed_try_ends_an_iteration_that_would_not_hear_of_it() -> None:
    reader = ChunkReader(None, None)
    reader.feed(rollback())  # nothing of it was handed out
    reader.feed(chunk("a"))
    with pytest.raises(RolledBack, match=r"Try 1 of task 't' .* on_rollback"):
        reader.feed(rollback())


def test_one_tasks_chunks() -> None:
    reader = ChunkReader("t", None)
    assert reader.feed(chunk("a", "other")) is None
    assert reader.feed(rollback("other")) is None
    assert reader.feed(chunk("a")) is not None


@pytest.mark.parametrize("problem", [RunFailed(task="t"), errors.Rejected("no such guest", status=404)])
def test_a_failure_is_raised(problem: RunFailed) -> None:
    with pytest.raises(type(problem)) as raised:
        ChunkReader(None, None).feed(event("failure", **problem.document()))
    assert raised.value.document() == problem.document()
