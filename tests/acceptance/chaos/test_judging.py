"""The chaos run's own judgement finds what is to be found: runs written by hand, no process."""

from typing import Any

from dagcall.testing.promises import Effect, Entry, StoredRun

from .callers import Call
from .judging import Killed, violations

CALL = Call(seed=1, number=1)


def entry(id: int, time: float, event: str, state: str, error: str | None = None, number: int = 1) -> Entry:
    data: dict[str, Any] = {"task_id": "first", "map_index": -1, "state": state, "try_number": number}
    if error is not None:
        data["error"] = {"type": error, "message": "as it is"}
    return Entry(id, time, "task", data, event, {"attempt": number, "epoch": 1})


def run(*entries: Entry, key: str | None = CALL.key, retries: int = 0) -> StoredRun:
    return StoredRun("once_chain", "r", "failed", "failed", "", key, entries, {"first": retries})


LOST = run(entry(1, 10.0, "attempt_started", "running"), entry(2, 12.0, "attempt_ended", "failed", "WorkerLost"))


def found(*runs: StoredRun, kills: tuple[Killed, ...] = (), effects: tuple[Effect, ...] = ()) -> list[str]:
    return [one.partition(":")[0] for one in violations(runs, [CALL], effects, kills)]


def test_a_loss_is_explained_by_a_kill_while_it_ran() -> None:
    assert found(LOST, kills=(Killed(11.0, "worker"),)) == []
    assert found(LOST, kills=(Killed(11.0, "server"),)) == []
    assert found(LOST) == ["P3"]
    assert found(LOST, kills=(Killed(11.0, "database"),)) == ["P3"]
    assert found(LOST, kills=(Killed(8.0, "worker"), Killed(12.1, "server"))) == ["P3"]


def test_one_worker_explains_one_loss() -> None:
    other = run(*LOST.entries, key=None)
    both = [one for one in violations([LOST, other], [CALL], [], [Killed(11.0, "worker")]) if "no kill" in one]
    assert len(both) == 1
    assert not any("no kill" in one for one in violations([LOST, other], [CALL], [], [Killed(11.0, "side")]))


def test_a_call_has_one_run() -> None:
    done = run(entry(1, 10.0, "attempt_started", "running"))
    assert found(done) == []
    assert found() == ["P5"]
    assert found(done, done) == ["P5"]
    assert found(done, run(key="another")) == ["P5"]


def test_a_task_fails_with_its_last_try() -> None:
    kills = (Killed(11.0, "worker"),)
    assert found(run(*LOST.entries, retries=1), kills=kills) == ["P3"]


def test_an_error_that_nothing_explains() -> None:
    (words,) = violations([run(entry(1, 10.0, "attempt_ended", "failed", "OSError"))], [CALL], [], [])
    assert "nothing explains" in words


def test_what_is_recorded_as_a_success_has_run() -> None:
    done = run(entry(1, 10.0, "attempt_started", "running"), entry(2, 12.0, "attempt_ended", "success"))
    assert found(done) == ["P2"]
    assert found(done, effects=(Effect("once_chain", "r", "first", -1, 1),)) == []
