"""Whose turn it is to have a worker."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dagcall.model.turns import EVERY, PATIENCE
from dagcall.workers.job_line import JobLine


@dataclass(eq=False)
class Wants:
    """What is looked at of a job."""

    name: Any
    priority: tuple[float, ...] = (0.0, 0.0)


def line_of(*jobs: Wants, now: float = 0.0) -> JobLine:
    line = JobLine()
    for job in jobs:
        line.push(job, now)  # type: ignore[arg-type]
    return line


def names(line: JobLine, now: float = 0.0) -> list[Any]:
    return [line.pop(now).name for _ in range(len(line))]  # type: ignore[attr-defined]


def test_the_answer_before_side_branches_then_the_nearest_deadline_then_first_come() -> None:
    line = line_of(
        Wants("side branch", (0.0, 1.0, 5.0)),
        Wants("first", (0.0, 0.0, 60.0)),
        Wants("second", (0.0, 0.0, 60.0)),
        Wants("near deadline", (0.0, 0.0, 5.0)),
        Wants("heavy", (-2.0, 1.0, 60.0)),
    )
    assert names(line) == ["heavy", "near deadline", "first", "second", "side branch"]


def test_one_turn_in_eight_goes_to_who_has_waited_longest() -> None:
    line = line_of(Wants("side branch", (0.0, 1.0)))
    went = []
    for number in range(3 * EVERY):
        line.push(Wants(number), PATIENCE)  # type: ignore[arg-type]
        went.append(line.pop(PATIENCE).name)  # type: ignore[attr-defined]
    assert went.index("side branch") == EVERY - 1
    assert [one for one in went if one != "side branch"] == list(range(3 * EVERY - 1))


def test_a_lighter_one_waits_as_in_airflow() -> None:
    line = line_of(Wants("light", (0.0, 0.0)))
    for number in range(3 * EVERY):
        line.push(Wants(number, (-1.0, 0.0)), 1000.0)  # type: ignore[arg-type]
        assert line.pop(1000.0).name == number  # type: ignore[attr-defined]


def test_who_withdraws_is_not_waited_for() -> None:
    gone, stays = Wants("gone"), Wants("stays", (0.0, 1.0))
    line = line_of(gone, stays)
    line.withdraw(gone)  # type: ignore[arg-type]
    line.withdraw(gone)  # type: ignore[arg-type]
    assert names(line) == ["stays"]
    line.withdraw(stays)  # type: ignore[arg-type]
    assert not line


def test_all_taken_out() -> None:
    jobs = [Wants(number, (0.0, -number)) for number in range(5)]
    line = line_of(*jobs)
    assert [job.name for job in line.drain()] == list(range(5))  # type: ignore[attr-defined]
    assert not line


@given(st.lists(st.tuples(st.sampled_from(["push", "push", "pop", "withdraw"]), st.integers(0, 2), st.integers(0, 99))))
def test_everybody_has_one_turn(doings: list[tuple[str, int, int]]) -> None:
    line, inside, now = JobLine(), [], 0.0
    for doing, kind, choice in [*doings * 3, *[("pop", 0, 0)] * 3 * len(doings)]:
        now += 1.0
        if doing == "push":
            inside.append(Wants(now, (0.0, float(kind))))
            line.push(inside[-1], now)  # type: ignore[arg-type]
        elif doing == "withdraw" and inside:
            line.withdraw(inside.pop(choice % len(inside)))  # type: ignore[arg-type]
        elif doing == "pop" and inside:
            inside.remove(line.pop(now))  # type: ignore[arg-type]
        assert len(line) == len(inside)
    assert not inside
